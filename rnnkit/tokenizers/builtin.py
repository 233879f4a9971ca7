# SPDX-License-Identifier: BSD-3-Clause
"""What the built-in tokenizers share: csrc/text does the work, here is its front."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from rnnkit.core import _text
from rnnkit.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    NotFittedError,
    ParameterError,
)
from rnnkit.tokenizers.base import Ids, Offsets, Tokenizer
from rnnkit.tokenizers.texts import batches, check_text, to_utf8


class BuiltinTokenizer(Tokenizer):
    """A rule of csrc/text with a vocabulary."""

    rule: ClassVar[str]
    lowercase: bool = False

    _codec: _text.Tokenizer | None = None

    def encode(self, text: str) -> Ids:
        """Return the ids of a text, shape (n,), unknown tokens as `unk_id`.

        Raises
        ------
        rnnkit.errors.NotFittedError
            Before `fit`.
        rnnkit.errors.InputError
            When the text has a lone surrogate, or is no str.
        """
        return self.encode_documents([check_text(text)])[0]

    def encode_documents(self, texts: Iterable[str]) -> tuple[Ids, Offsets]:
        """Return the ids of all documents end to end, and where each begins.

        Parameters
        ----------
        texts : iterable of str
            Gone through once.

        Returns
        -------
        ids : ndarray of int32, shape (N,)
        offsets : ndarray of int64, shape (number of documents + 1,)
            Those of document i are ``ids[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        rnnkit.errors.NotFittedError
            Before `fit`.
        rnnkit.errors.InputError
            When a document has a lone surrogate, or is no str; the message says which.
        """
        codec = self._fitted()
        parts, ends = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
        for data, offsets, goes_on in batches(texts):
            ids, id_offsets = codec.encode(data, offsets)
            parts.append(ids.copy())  # of a buffer with room for a token a byte
            if goes_on:
                ends[-1][-1] += len(ids)
            else:
                ends.append(id_offsets[1:] + ends[-1][-1])
        return np.concatenate(parts), np.concatenate(ends)

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return ids as a text that reads well; the end token is a line break.

        Raises
        ------
        rnnkit.errors.NotFittedError
            Before `fit`.
        rnnkit.errors.InputError
            When they are no ids, or not in the vocabulary; the message says where.
        """
        codec = self._fitted()
        return codec.decode(_check_ids(ids, codec.n_tokens))

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text as they are looked up; works before `fit` too."""
        data = to_utf8(check_text(text))
        return strings(*_text.split(self.rule, bool(self.lowercase), data))

    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data."""
        self._fitted()
        parameters = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in self.get_params().items()
        }
        return {"parameters": parameters, "vocabulary": list(self.vocabulary_)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fitted tokenizer whose `get_state` gave this.

        Raises
        ------
        rnnkit.errors.ModelFormatError
            When it is malformed.
        """
        try:
            made = cls().set_params(**state["parameters"])
            made._check_parameters()
            made._adopt(check_tokens(state["vocabulary"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(f"the state of a {cls.__name__}: {error}") from None
        return made

    def _check_parameters(self) -> None:
        """Refuse parameters that are out of range."""

    def _adopt(self, vocabulary: list[str]) -> None:
        """Become fitted, with these tokens by id."""
        data = [to_utf8(t, i, what="token") for i, t in enumerate(vocabulary)]
        offsets = np.cumsum([0, *map(len, data)], dtype=np.int64)
        codec = _text.Tokenizer(
            self.rule, bool(self.lowercase), b"".join(data), offsets
        )
        self._codec = codec
        self.vocabulary_ = vocabulary
        self.end_id = codec.end_id
        self.unk_id = codec.unk_id if codec.unk_id >= 0 else None

    def _fitted(self) -> _text.Tokenizer:
        if self._codec is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no vocabulary yet; call fit(texts)"
            )
        return self._codec

    def __eq__(self, other: object) -> bool:
        """Whether both have the same parameters and the same vocabulary."""
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = (getattr(t, "vocabulary_", None) for t in (self, other))
        return mine == theirs and self.get_params() == other.get_params()

    def __hash__(self) -> int:
        return hash(type(self))

    def __getstate__(self) -> dict[str, Any]:
        return {name: v for name, v in self.__dict__.items() if name != "_codec"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "vocabulary_" in state:
            self._adopt(state["vocabulary_"])


def check_tokens(tokens: Any) -> list[str]:
    """Return a list of tokens that are all str; C refuses empty and equal ones."""
    if not isinstance(tokens, list):
        raise ParameterError(f"a vocabulary is a list, not a {type(tokens).__name__}")
    for i, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ParameterError(
                f"token {i} of the vocabulary is of type {type(token).__name__}, "
                "it must be str"
            )
    return tokens


def _check_ids(ids: Any, n_tokens: int) -> Ids:
    """Return ids as C takes them."""
    array = np.asarray(ids)
    if array.ndim == 1 and array.size == 0:
        return np.empty(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputTypeError(
            f"ids must be a flat sequence of integers; they have shape {array.shape} "
            f"and dtype {array.dtype}"
        )
    outside = np.flatnonzero((array < 0) | (array >= n_tokens))
    if outside.size:
        raise InputError(
            f"id {array[outside[0]]} at position {outside[0]} is not in the "
            f"vocabulary; allowed are 0 to {n_tokens - 1}"
        )
    return np.ascontiguousarray(array, np.int32)


def strings(data: bytes, offsets: Offsets) -> list[str]:
    """Take strings apart that lie end to end."""
    return [data[a:b].decode("utf-8") for a, b in pairwise(offsets.tolist())]
