# SPDX-License-Identifier: BSD-3-Clause
"""What both tokenizers share: parameters, states, and the checks around a library."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rnnkit.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    NotFittedError,
    ParameterError,
)
from rnnkit.tokenizers import Tokenizer


class SubwordTokenizer(Tokenizer):
    """A tokenizer whose vocabulary a library learns, of a size that is asked for.

    A subclass fills `_model`, the library's object, from the state that `get_state`
    gives; `fit` goes the same way, so what is fitted is what a file gives back.
    """

    _model: Any = None

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Return the ids of a text, shape (n,).

        Raises
        ------
        rnnkit.errors.NotFittedError
            Before `fit`.
        rnnkit.errors.InputError
            When the text has a lone surrogate, or is no str.
        """
        model = self._fitted()
        return np.array(self._encoded(model, check_text(text)), np.int32)

    def decode(self, ids: Sequence[int] | npt.NDArray[np.int32]) -> str:
        """Return ids as the text that they were; the end token is a line break.

        Raises
        ------
        rnnkit.errors.NotFittedError
            Before `fit`.
        rnnkit.errors.InputError
            When they are no ids, or not in the vocabulary.
        """
        model = self._fitted()
        checked = check_ids(ids, self.n_tokens)
        parts = np.split(checked, np.flatnonzero(checked == self.end_id))
        first, *others = [part[part != self.end_id].tolist() for part in parts]
        return "\n".join(self._decoded(model, part) for part in [first, *others])

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
            made._adopt(state)
        except Exception as error:  # the libraries raise what they like
            raise ModelFormatError(f"the state of a {cls.__name__}: {error}") from None
        return made

    def _check_parameters(self) -> None:
        """Refuse parameters that are out of range."""

    def _adopt(self, state: Mapping[str, Any]) -> None:
        """Become fitted."""
        raise NotImplementedError

    def _encoded(self, model: Any, text: str) -> list[int]:
        raise NotImplementedError

    def _decoded(self, model: Any, ids: list[int]) -> str:
        raise NotImplementedError

    def _fitted(self) -> Any:
        if self._model is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no vocabulary yet; call fit(texts)"
            )
        return self._model

    def __eq__(self, other: object) -> bool:
        """Whether both have the same parameters and have learned the same."""
        if type(other) is not type(self):
            return NotImplemented
        if self._model is None or other._model is None:
            return (
                self._model is other._model and self.get_params() == other.get_params()
            )
        return self.get_state() == other.get_state()

    def __hash__(self) -> int:
        return hash(type(self))

    def __getstate__(self) -> dict[str, Any]:
        if self._model is None:
            return {"parameters": self.get_params()}
        return self.get_state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["parameters"])
        if len(state) > 1:
            self._adopt(state)


def check_whole(name: str, value: object, lowest: int) -> None:
    """Refuse a parameter that is no whole number, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
        raise ParameterError(
            f"{name}={value!r} must be a whole number, {lowest} or more"
        )


def check_text(text: object) -> str:
    """Return a text that the libraries can take."""
    if not isinstance(text, str):
        raise InputTypeError(
            f"a document is of type {type(text).__name__}, it must be str"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"a document has a lone surrogate, U+{ord(text[error.start]):04X}, at "
            f"position {error.start}, which is no character"
        ) from None
    return text


def check_ids(ids: Any, n_tokens: int) -> npt.NDArray[np.int64]:
    """Return ids as an array; refuse what is not in the vocabulary."""
    array = np.asarray(ids)
    if array.ndim == 1 and array.size == 0:
        return np.empty(0, np.int64)
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
    return array.astype(np.int64)
