# SPDX-License-Identifier: BSD-3-Clause
"""Between what a user holds and what the network reads: documents to ids and back."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.documents import read_ids, read_prompts, read_texts
from rnnkit.runtime.requests import check_integer
from rnnkit.runtime.spelling import Spelling
from rnnkit.tokenizers import END, Tokenizer


class Encoder(Protocol):
    """Documents to ids and back; `TextEncoder` for texts, `IdEncoder` for ids."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer of texts; None where documents are ids."""

    @property
    def tokens(self) -> Sequence[Any]:
        """The vocabulary by id."""

    @property
    def spelling(self) -> Spelling:
        """What the tokens spell, where there is a tokenizer."""

    @property
    def end_id(self) -> int:
        """The id of a document's end."""

    @property
    def unk_id(self) -> int | None:
        """The id of what is not in the vocabulary, where something is not."""

    def learn(self, documents: list[Any]) -> None:
        """Fix the vocabulary."""

    def grown(self, documents: list[Any]) -> Self:
        """Return an encoder that has the new tokens of documents too."""

    def with_tokens(self, tokens: Any) -> Self:
        """Return an encoder that has these tokens too; of ids, so many more."""

    def read(
        self,
        X: Iterable[Any],
        input: str,
        documents: str | None,
        *,
        grows: bool = False,
    ) -> list[Any]:
        """Return the documents of X, checked; they may hold new tokens if it grows."""

    def encode(self, documents: list[Any]) -> Corpus:
        """Return the documents as ids."""

    def prompts(self, prompts: Any) -> tuple[Corpus, bool]:
        """Return prompts as ids, and whether it was a single one."""

    def decode(self, ids: Sequence[int]) -> Any:
        """Return ids as a document."""

    def n_characters(self, documents: list[Any]) -> int | None:
        """Return the documents' size in characters, each document's end being one."""

    def describe(self) -> tuple[dict[str, Any], tuple[str, ...] | None]:
        """Return what a model file keeps: a small dictionary, and the vocabulary."""


class TextEncoder:
    """Documents are texts.

    Parameters
    ----------
    tokenizer : Tokenizer
        Fitted, or to be fitted by `learn`.
    origin : dict
        Where it comes from, as a model file says it.
    """

    def __init__(self, tokenizer: Tokenizer, origin: dict[str, Any]) -> None:
        if not isinstance(tokenizer, Tokenizer):
            raise ParameterError(
                f"tokenizer={tokenizer!r}; allowed: a name, an instance of a subclass "
                "of rnnkit.Tokenizer, or None for ids"
            )
        self._tokenizer = tokenizer
        self.origin = origin

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        return self._tokenizer

    @property
    def tokens(self) -> Sequence[str]:
        """The vocabulary by id."""
        return self.tokenizer.vocabulary_

    @cached_property
    def spelling(self) -> Spelling:
        """What the tokens spell: found out once, when it is asked for."""
        return Spelling(self.tokenizer)

    @property
    def end_id(self) -> int:
        """The id of a document's end."""
        return int(self.tokenizer.end_id)

    @property
    def unk_id(self) -> int | None:
        """The id of what is not in the vocabulary."""
        return self.tokenizer.unk_id

    def learn(self, documents: list[str]) -> None:
        """Let the tokenizer learn its vocabulary."""
        self.tokenizer.fit(documents)
        tokens, n = self.tokens, self.tokenizer.n_tokens
        special = [i for i in (self.end_id, self.unk_id) if i is not None]
        inside = all(0 <= i < n for i in special)
        if not len(tokens) == len(set(tokens)) == n or not inside:
            raise ParameterError(
                f"{type(self.tokenizer).__name__} has learned {len(set(tokens))} "
                f"different tokens of {n}, end_id={self.end_id}, unk_id={self.unk_id}; "
                "each id must have a token of its own, and both be among them"
            )

    def grown(self, documents: list[str]) -> Self:
        """Return an encoder that has the new tokens of documents too."""
        new = self.tokenizer.new_tokens(documents)
        return type(self)(self.tokenizer.with_tokens(new), self.origin)

    def with_tokens(self, tokens: Iterable[str]) -> Self:
        """Return an encoder that has these tokens too; each must be one for a text."""
        if isinstance(tokens, str) or not isinstance(tokens, Iterable):
            raise InputTypeError(
                f"tokens is of type {type(tokens).__name__}; allowed: a list of str"
            )
        tokens = list(tokens)
        for token in tokens:
            if not isinstance(token, str):
                raise InputTypeError(f"token {token!r} must be str")
            if self.tokenizer.can_grow and self.tokenizer.tokenize(token) != [token]:
                raise InputError(
                    f"{token!r} is not one token: {type(self.tokenizer).__name__} "
                    f"reads {self.tokenizer.tokenize(token)}, and would never find it"
                )
        return type(self)(self.tokenizer.with_tokens(tokens), self.origin)

    def read(
        self,
        X: Iterable[Any],
        input: str,
        documents: str | None,
        *,
        grows: bool = False,
    ) -> list[str]:
        """Return the documents of X as texts."""
        return read_texts(X, input, documents or self.tokenizer.documents)

    def encode(self, documents: list[str]) -> Corpus:
        """Return the documents as ids."""
        ids, offsets = self.tokenizer.encode_documents(documents)
        self._check(ids, offsets, len(documents))
        return Corpus(ids, offsets)

    def _check(self, ids: Any, offsets: Any, n_documents: int) -> None:
        """Refuse what no corpus can be made of: a plugin's tokenizer may be wrong."""
        name, n = type(self.tokenizer).__name__, self.tokenizer.n_tokens
        shapes = getattr(ids, "dtype", None), np.shape(ids), np.shape(offsets)
        if shapes != (np.int32, (len(ids),), (n_documents + 1,)):
            raise ParameterError(
                f"{name}.encode_documents gave ids and offsets of shapes {shapes[1:]} "
                f"for {n_documents} documents; they must be int32 on one axis, and one "
                "more than there are documents"
            )
        if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
            raise ParameterError(
                f"{name}.encode_documents gave offsets that do not run from 0 to the "
                f"number of ids, {len(ids)}"
            )
        if len(ids) and not (ids.min() >= 0 and ids.max() < n):
            raise ParameterError(
                f"{name} gave the ids {ids.min()} to {ids.max()}; its vocabulary has "
                f"the ids 0 to {n - 1}"
            )

    def prompts(self, prompts: Any) -> tuple[Corpus, bool]:
        """Return prompts as ids; a str is a single one."""
        texts, single = read_prompts(prompts, with_text=True, n_ids=None)
        return self.encode(texts), single

    def decode(self, ids: Sequence[int]) -> str:
        """Return ids as a text."""
        text = self.tokenizer.decode(ids)
        if not isinstance(text, str):
            raise ParameterError(
                f"{type(self.tokenizer).__name__}.decode gave {type(text).__name__}; "
                "it must give a str"
            )
        return text

    def n_characters(self, documents: list[str]) -> int:
        """Return the size in characters; a document's end counts as one."""
        return sum(map(len, documents)) + len(documents)

    def describe(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return what a model file keeps: a small dictionary, and the vocabulary."""
        state = dict(self.tokenizer.get_state())
        tokens = tuple(state.pop("vocabulary"))
        ids = {"end_id": self.end_id, "unk_id": self.unk_id}
        return {**self.origin, **ids, "state": state}, tokens


class IdEncoder:
    """Documents are sequences of ids from 0 to `n_ids` - 1; `n_ids` ends a document."""

    unk_id = None
    tokenizer = None
    tokens: Sequence[Any]

    def __init__(self, n_ids: int | None = None) -> None:
        self._set(n_ids)

    @property
    def spelling(self) -> Spelling:
        """Ids spell nothing."""
        raise InputError("this model reads ids, they spell nothing")

    def learn(self, documents: list[np.ndarray]) -> None:
        """Take the number of ids from the largest one, unless it is known."""
        if self.n_ids is None:
            self._set(1 + max((int(d.max()) for d in documents if len(d)), default=0))

    def grown(self, documents: list[np.ndarray]) -> Self:
        """Return an encoder that has the ids of documents too."""
        other = type(self)()
        other.learn(documents)
        return other if other.end_id > self.end_id else self

    def with_tokens(self, tokens: int) -> Self:
        """Return an encoder of so many ids more."""
        return type(self)(self.end_id + check_integer("tokens", tokens, 1))

    def _set(self, n_ids: int | None) -> None:
        self.n_ids = n_ids
        self.end_id = n_ids or 0
        self.tokens = [*range(n_ids or 0), END]

    def read(
        self,
        X: Iterable[Any],
        input: str,
        documents: str | None,
        *,
        grows: bool = False,
    ) -> list[np.ndarray]:
        """Return the documents of X as arrays of ids that are in range."""
        return read_ids(X, None if grows else self.n_ids)

    def encode(self, documents: list[np.ndarray]) -> Corpus:
        """Lay the documents end to end."""
        return Corpus.from_documents(documents)

    def prompts(self, prompts: Any) -> tuple[Corpus, bool]:
        """Return prompts as ids; a flat sequence of numbers is a single one."""
        arrays, single = read_prompts(prompts, with_text=False, n_ids=self.n_ids)
        return Corpus.from_documents(arrays), single

    def decode(self, ids: Sequence[int]) -> np.ndarray:
        """Return ids as an array."""
        return np.array(ids, np.int32)

    def n_characters(self, documents: list[np.ndarray]) -> None:
        """Ids have no characters."""
        return None

    def describe(self) -> tuple[dict[str, Any], None]:
        """Ids need no tokenizer and have no vocabulary."""
        return {}, None
