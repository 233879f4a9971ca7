# SPDX-License-Identifier: BSD-3-Clause
"""Tokenizer: what every tokenizer does, a plugin's too."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from rnnkit.errors import ParameterError
from rnnkit.parameters import Parameterized
from rnnkit.tokenizers.texts import check_texts

UNK = "<unk>"
END = "<eos>"

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


class Tokenizer(Parameterized, ABC):
    """Text to ids and back, with a vocabulary that `fit` learns.

    Subclass it for a tokenizer of your own. Its parameters are arguments of `__init__`,
    each with a default, which only stores them under their names. What `fit` learns
    are the attributes below. A package offers the class through an entry point in the
    group `rnnkit.tokenizers`.

    Ids run from 0 to n_tokens - 1. Neither `encode` nor `fit` knows of the end of a
    document: rnnkit puts `end_id` there. No other input than the texts may change what
    `encode` gives: the same text has the same ids, alone or among others.

    Attributes
    ----------
    documents : {"line", "file"}
        What is a document of a file, unless the user says so: each line, or the whole.
    tokens_are_words : bool, default=False
        Whether each token but `end_id` and `unk_id` is a whole word, and `tokenize`
        gives a text's words though they may be unknown.
    can_grow : bool, default=False
        Whether tokens can join the vocabulary behind those that are there, and a text
        is taken apart as before: `tokenize` gives its tokens though they may be
        unknown, and `from_state` takes a longer vocabulary.
    vocabulary_ : list of str
        How each token is shown, by id. All differ.
    end_id : int
        The id of the end of a document, "<eos>".
    unk_id : int or None
        The id of what is not in the vocabulary, "<unk>"; None when everything is.
    """

    documents: ClassVar[str] = "line"
    tokens_are_words: ClassVar[bool] = False
    can_grow: ClassVar[bool] = False

    vocabulary_: list[str]
    end_id: int
    unk_id: int | None

    @abstractmethod
    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the vocabulary from documents, which are gone through once.

        Raises
        ------
        rnnkit.errors.InputError
            When they are no texts, or hold no tokens.
        """

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Return the ids of a text, shape (n,)."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return ids as a text that reads well; the end token is a line break."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data.

        Values are what JSON knows (dict, list, str, int, float, bool, None). The key
        "vocabulary" is `vocabulary_`; the others should be small.
        """

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fitted tokenizer whose `get_state` gave this; do not trust it."""

    @property
    def n_tokens(self) -> int:
        """Number of tokens, the end of a document and the unknown one included."""
        return len(self.vocabulary_)

    def encode_documents(self, texts: Iterable[str]) -> tuple[Ids, Offsets]:
        """Return the ids of all documents end to end, and where each begins.

        Returns
        -------
        ids : ndarray of int32, shape (N,)
        offsets : ndarray of int64, shape (number of documents + 1,)
            Those of document i are ``ids[offsets[i]:offsets[i + 1]]``.
        """
        documents = [self._checked_ids(text) for text in check_texts(texts)]
        offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        return np.concatenate([np.empty(0, np.int32), *documents]), offsets

    def _checked_ids(self, text: str) -> Ids:
        """Return what `encode` gives for a text, which a plugin may get wrong."""
        ids = np.asarray(self.encode(text))
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ParameterError(
                f"{type(self).__name__}.encode gave an array of {ids.dtype} and shape "
                f"{ids.shape} for a text of {len(text)} characters; it must give whole "
                "numbers on one axis"
            )
        return ids.astype(np.int32)

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text as strings."""
        return [self.vocabulary_[i] for i in self.encode(text)]

    def new_tokens(self, texts: Iterable[str]) -> list[str]:
        """Return the tokens that `fit` would learn from texts, and that are new.

        Raises
        ------
        rnnkit.errors.ParameterError
            When the vocabulary cannot grow.
        rnnkit.errors.InputError
            As `fit`.
        """
        self._check_can_grow()
        parameters = self.get_params()
        if "vocabulary" in parameters:
            parameters["vocabulary"] = None  # with one given, fit would learn nothing
        learned = type(self)(**parameters).fit(texts).vocabulary_
        known = set(self.vocabulary_)
        return [token for token in learned if token not in known]

    def with_tokens(self, tokens: Iterable[str]) -> Self:
        """Return a tokenizer that knows these tokens too, behind its own.

        Raises
        ------
        rnnkit.errors.ParameterError
            When the vocabulary cannot grow.
        """
        self._check_can_grow()
        vocabulary = dict.fromkeys([*self.vocabulary_, *tokens])  # each token once
        state = {**self.get_state(), "vocabulary": list(vocabulary)}
        return self.from_state(state)

    def _check_can_grow(self) -> None:
        if not self.can_grow:
            raise ParameterError(
                f"a {type(self).__name__} learns no further tokens: it reads any text "
                "with those that it has, or needs a fit from the start"
            )

    def pieces(self, *, first: bool = False) -> list[bytes]:
        """Return the text that each token adds to a document, in UTF-8, by id.

        Whole words are found by it. By the general rule it is what `decode` gives for
        the token behind another one; override it where that is not so, or where tokens
        are less than a character.

        Parameters
        ----------
        first : bool, default=False
            What the tokens give at a document's start instead.
        """
        if first:
            return [_known(self.decode([i])) for i in range(self.n_tokens)]
        # Any token will do that is a word, or part of one.
        before = next(
            (i for i in range(self.n_tokens) if self.decode([i]).isalnum()), 0
        )
        text = self.decode([before])
        return [
            _known(self.decode([before, i]).removeprefix(text))
            for i in range(self.n_tokens)
        ]


def _known(text: str) -> bytes:
    """A piece of text as UTF-8; what is not whole characters is not known."""
    return b"" if "\N{REPLACEMENT CHARACTER}" in text else text.encode()
