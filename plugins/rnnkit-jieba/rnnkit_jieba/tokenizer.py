# SPDX-License-Identifier: BSD-3-Clause
"""Chinese words, by the library `jieba`."""

import functools
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from rnnkit.errors import ModelFormatError, NotFittedError, ParameterError
from rnnkit.tokenizers import END, UNK, Tokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.tokenizers.texts import check_text, check_texts

MARKS = re.compile(f"({END}|{UNK})")


class JiebaTokenizer(Tokenizer):
    """Words of Chinese text, as jieba cuts them with its own dictionary.

    Words of Latin letters and numbers are kept whole, every other character is a token
    for itself, white space parts tokens and is no token. The vocabulary is counted as
    by rnnkit's own tokenizers of words. Decoding puts no blank between Chinese words.
    The text's own `<unk>` is the unknown token, its own `<eos>` the end of a document.

    Parameters
    ----------
    hmm : bool, default=True
        Find words that are not in the dictionary by jieba's hidden Markov model.
    lowercase : bool, default=False
        Turn each character into its lower case.
    min_df : int or float, default=1
        Keep tokens of at least so many documents, or of this share of them.
    min_count : int, default=1
        Keep tokens that occur at least so often, all documents together.
    max_features : int, default=None
        Keep so many of the commonest tokens, `<eos>` and `<unk>` not counted.
    vocabulary : iterable of str or mapping of str to int, default=None
        The tokens by id, instead of learning them; `<eos>` and `<unk>` are put in front
        unless they are among them.

    Attributes
    ----------
    vocabulary_ : list of str
        `<eos>`, `<unk>`, then the commonest token, and so on.
    end_id, unk_id : int
        The ids of `<eos>` and `<unk>`.

    Examples
    --------
    >>> from rnnkit_jieba import JiebaTokenizer
    >>> JiebaTokenizer().tokenize("我来到北京清华大学")
    ['我', '来到', '北京', '清华大学']
    """

    can_grow: ClassVar[bool] = True

    _words: WhitespaceTokenizer | None = None

    def __init__(
        self,
        *,
        hmm: bool = True,
        lowercase: bool = False,
        min_df: int | float = 1,
        min_count: int = 1,
        max_features: int | None = None,
        vocabulary: Iterable[str] | Mapping[str, int] | None = None,
    ) -> None:
        self.hmm = hmm
        self.lowercase = lowercase
        self.min_df = min_df
        self.min_count = min_count
        self.max_features = max_features
        self.vocabulary = vocabulary

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the vocabulary; with one given, check it and leave the texts alone.

        Raises
        ------
        rnnkit.errors.ParameterError
            When a parameter is out of its range.
        rnnkit.errors.InputError
            When a document is no text, or no token is left.
        """
        if not isinstance(self.hmm, bool):
            raise ParameterError(f"hmm={self.hmm!r} must be True or False")
        params = self.get_params()
        del params["hmm"]
        words = WhitespaceTokenizer(**params)
        self._adopt(words.fit(map(self._parted, check_texts(texts))))
        return self

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Return the ids of a text, shape (n,), unknown tokens as `unk_id`."""
        return self._fitted().encode(self._parted(check_text(text)))

    def encode_documents(
        self, texts: Iterable[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of all documents end to end, and where each begins."""
        words = self._fitted()
        return words.encode_documents(map(self._parted, check_texts(texts)))

    def decode(self, ids: Sequence[int] | npt.NDArray[np.int32]) -> str:
        """Return ids as a text that reads well; the end token is a line break."""
        self._fitted()
        return self._reader.decode(ids)

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text; works before `fit` too."""
        return self._parted(check_text(text)).split()

    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data."""
        state = self._fitted().get_state()
        return {**state, "hmm": self.hmm}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fitted tokenizer whose `get_state` gave this.

        Raises
        ------
        rnnkit.errors.ModelFormatError
            When it is malformed.
        """
        if not isinstance(state.get("hmm"), bool):
            raise ModelFormatError("the state of a JiebaTokenizer: hmm is no boolean")
        words = WhitespaceTokenizer.from_state(state)
        made = cls(hmm=state["hmm"], **words.get_params())
        made._adopt(words)
        return made

    def _adopt(self, words: WhitespaceTokenizer) -> None:
        """Become fitted."""
        self._words = words
        self.vocabulary_ = words.vocabulary_
        self.end_id, self.unk_id = words.end_id, words.unk_id
        # It knows between which characters of a text a blank is read.
        self._reader = WordTokenizer(vocabulary=words.vocabulary_).fit([])

    def _fitted(self) -> WhitespaceTokenizer:
        if self._words is None:
            raise NotFittedError(
                "this JiebaTokenizer has no vocabulary yet; call fit(texts)"
            )
        return self._words

    def _parted(self, text: str) -> str:
        """The text with a blank between its words."""
        words: list[str] = []
        for i, part in enumerate(MARKS.split(text)):
            is_mark = i % 2
            words += [part] if is_mark else _segmenter().cut(part, HMM=self.hmm)
        return " ".join(words)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same parameters and the same vocabulary."""
        if type(other) is not type(self):
            return NotImplemented
        return self._words == other._words and self.get_params() == other.get_params()

    def __hash__(self) -> int:
        return hash(type(self))


@functools.cache
def _segmenter() -> Any:
    """Jieba with its dictionary, read once in a process, about a second.

    Jieba's own way of loading keeps a file in the folder for temporary files and trusts
    what it finds there; this one does not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at its import jieba uses what is deprecated
        import jieba
    segmenter = jieba.Tokenizer()
    with segmenter.get_dict_file() as file:
        segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(file)
    segmenter.initialized = True
    return segmenter
