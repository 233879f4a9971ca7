# SPDX-License-Identifier: BSD-3-Clause
"""Tokens of many documents laid end to end, as every part below the text sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Corpus:
    """Documents as ids: the i-th is `ids[offsets[i]:offsets[i + 1]]`.

    What is read and what is predicted of it is the business of `targets` and `inputs`:
    a document t1 ... tn is read as <end> t1 ... tn and predicted as t1 ... tn <end>.
    """

    ids: np.ndarray  # (N,) int32
    offsets: np.ndarray  # (D + 1,) int64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each document, (D,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_documents(cls, documents: Sequence[np.ndarray]) -> "Corpus":
        """Lay arrays of ids end to end."""
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        ids = np.concatenate(documents) if documents else np.empty(0, np.int32)
        return cls(ids.astype(np.int32, copy=False), _offsets(lengths))

    def documents(self) -> list[np.ndarray]:
        """Return the ids of each document."""
        return np.split(self.ids, self.offsets[1:-1])

    def targets(self, end_id: int) -> "Corpus":
        """Return t1 ... tn <end> of each document: what is to be predicted."""
        positions = self.offsets[1:] + np.arange(len(self))
        return self._with_end(end_id, positions)

    def inputs(self, end_id: int) -> "Corpus":
        """Return <end> t1 ... tn of each document: what is read."""
        positions = self.offsets[:-1] + np.arange(len(self))
        return self._with_end(end_id, positions)

    def _with_end(self, end_id: int, positions: np.ndarray) -> "Corpus":
        """Put the end token at these positions of the longer array."""
        ids = np.full(len(self.ids) + len(self), end_id, np.int32)
        is_token = np.ones(len(ids), bool)
        is_token[positions] = False
        ids[is_token] = self.ids
        return Corpus(ids, self.offsets + np.arange(len(self.offsets)))

    def take(self, order: np.ndarray) -> "Corpus":
        """Return the documents in another order."""
        ids = self.ids[self.positions(order)]
        return Corpus(ids, _offsets(self.lengths[order]))

    def starts(self) -> np.ndarray:
        """Return (N,) uint8: 1 where a document begins. No document may be empty."""
        starts = np.zeros(len(self.ids), np.uint8)
        starts[self.offsets[:-1]] = 1
        return starts

    def positions(self, order: np.ndarray) -> np.ndarray:
        """Return where the documents' tokens stand, the documents taken in `order`."""
        lengths = self.lengths[order]
        ends = np.cumsum(lengths)
        shift = self.offsets[order] - (ends - lengths)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(shift, lengths)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
