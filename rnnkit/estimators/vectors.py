# SPDX-License-Identifier: BSD-3-Clause
"""First values of the embedding that come from outside."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from rnnkit.core import Weights
from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.storage.vectors import read_vectors
from rnnkit.training.checkpoints import fingerprint

TABLE = 0  # the embedding's place among the parameters
ARRAYS = (np.ndarray, list, tuple)  # vectors by id, not by token


@dataclass(frozen=True)
class Vectors:
    """Rows of the embedding.

    Attributes
    ----------
    ids : (n,) int array
        Whose they are.
    values : (n, E) float64 array
    """

    ids: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, embedding: Any, tokens: Sequence[Any]) -> Self:
        """Return what the parameter `embedding` says of tokens, checked.

        Raises
        ------
        InputError, InputTypeError
            It has no vector for any of them, or what it has are no vectors of one size.
        """
        if isinstance(embedding, (str, os.PathLike)):
            found = read_vectors(embedding, map(str, tokens))
            return cls._of_mapping(found, tokens, f"embedding={str(embedding)!r}")
        if not isinstance(embedding, ARRAYS):
            return cls._of_mapping(embedding, tokens, "embedding")
        values = _numbers(embedding, "embedding")
        if values.ndim != 2 or len(values) != len(tokens) or not values.shape[1]:
            raise InputError(
                f"embedding has the shape {values.shape}; an array has one row a "
                f"token, the end of a document included: ({len(tokens)}, E)"
            )
        return cls(np.arange(len(tokens)), values)

    @classmethod
    def _of_mapping(cls, vectors: Any, tokens: Sequence[Any], name: str) -> Self:
        if not hasattr(vectors, "__getitem__") or not hasattr(vectors, "__contains__"):
            raise InputTypeError(
                f"{name} is of type {type(vectors).__name__}; allowed: a file's name, "
                "a mapping from tokens to vectors, or an array of one row a token"
            )
        ids = [i for i, token in enumerate(tokens) if token in vectors]
        if not ids:
            raise InputError(
                f"{name} has a vector for none of the {len(tokens):,} tokens, such as "
                f"{', '.join(repr(token) for token in tokens[2:5])}"
            )
        rows = [_numbers(vectors[tokens[i]], f"{name}: {tokens[i]!r}") for i in ids]
        for i, row in zip(ids, rows, strict=True):
            if row.shape != (rows[0].size,) or not row.size:
                raise InputError(
                    f"{name}: the vector of {tokens[i]!r} has the shape {row.shape}, "
                    f"that of {tokens[ids[0]]!r} {rows[0].shape}; all are of one size"
                )
        return cls(np.array(ids), np.stack(rows))

    def __str__(self) -> str:
        """In a few words, by which they are known again."""
        content = fingerprint(self.ids, self.values)
        return f"{len(self.ids):,} vectors of {self.size} numbers, {content}"

    @property
    def size(self) -> int:
        """Numbers of a vector, E."""
        return int(self.values.shape[1])

    def among(self, ids: range) -> Self:
        """Return those of these tokens."""
        kept = np.isin(self.ids, np.array(ids))
        return type(self)(self.ids[kept], self.values[kept])

    def put_into(self, weights: Weights) -> None:
        """Make them rows of the embedding.

        Raises
        ------
        ParameterError
            They are of another size.
        """
        table = weights.get(TABLE)
        if table.shape[1] != self.size:
            raise ParameterError(
                f"embedding_size={table.shape[1]}, but the vectors of embedding have "
                f"{self.size} numbers; leave embedding_size=None"
            )
        table[self.ids] = self.values
        weights.set(TABLE, table)


def _numbers(values: Any, what: str) -> np.ndarray:
    """Return finite numbers."""
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputTypeError(f"{what} holds no numbers, or rows of two sizes") from None
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinity")
    return array
