# SPDX-License-Identifier: BSD-3-Clause
"""A corpus as windows for training: every token is predicted exactly once in a pass.

The documents, in the pass's order, are one stream of N tokens. It is cut into B streams
of equal length (to within one token; the shorter ones stand first and are padded by one
position of weight 0), and these into windows of at most `bptt` steps, again of equal
length to within one, so that no window is too short to be worth a full update.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnkit.runtime.corpus import Corpus

MIN_WINDOWS = 64  # windows that each stream of a short text must give


@dataclass(frozen=True)
class Batch:
    """One window of B streams, all arrays (T, B). None: weights all 1, or no resets."""

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    resets: np.ndarray | None


class Windows:
    """The windows of one corpus.

    Parameters
    ----------
    targets : Corpus
        The documents as predicted, t1 ... tn <end>.
    batch_size : int
        Streams side by side, at most. A short text makes fewer: so many that each gives
        `MIN_WINDOWS` windows, since a few huge steps train worse than many small ones.
    bptt : int
        Steps of a window, at most.
    carry_state : bool
        Carry the state over the documents' bounds; else each begins with a reset.
    sample_weight : (D,) float32, optional
        One weight a document, for each of its tokens.
    """

    def __init__(
        self,
        targets: Corpus,
        *,
        batch_size: int,
        bptt: int,
        carry_state: bool,
        sample_weight: np.ndarray | None = None,
    ) -> None:
        self.targets = targets
        self.carry_state = carry_state
        self.sample_weight = sample_weight
        self.n_tokens = len(targets.ids)
        self.n_streams = min(batch_size, max(1, self.n_tokens // (bptt * MIN_WINDOWS)))
        self.n_steps = -(-self.n_tokens // self.n_streams)  # of the longest stream
        self.n_windows = -(-self.n_steps // bptt)

    def epoch(self, order: np.ndarray | None = None) -> Iterator[Batch]:
        """Yield the windows of one pass, the documents taken in `order`."""
        targets = self.targets if order is None else self.targets.take(order)
        tokens = np.concatenate([targets.ids[-1:], targets.ids])  # <end>, then all
        starts = None if self.carry_state else targets.starts()
        weights = self._weights(targets, order)
        begins, ends = self._bounds()
        cuts = np.arange(self.n_windows + 1) * self.n_steps // self.n_windows
        for first, last in pairwise(cuts):
            places = begins + np.arange(first, last)[:, None]
            yield Batch(
                ids=tokens[places],
                targets=tokens[places + 1],
                weights=_padded(places, ends, weights),
                resets=None if starts is None else starts[places],
            )

    def _weights(self, targets: Corpus, order: np.ndarray | None) -> np.ndarray | None:
        """Return the weight of each token of the pass."""
        weight = self.sample_weight
        if weight is None:
            return None
        weight = weight if order is None else weight[order]
        return np.repeat(weight, targets.lengths).astype(np.float32)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where each stream begins and ends; the last one is never padded."""
        n_short = self.n_streams * self.n_steps - self.n_tokens
        lengths = np.full(self.n_streams, self.n_steps)
        lengths[:n_short] -= 1
        ends = np.cumsum(lengths)
        return ends - lengths, ends


def _padded(
    places: np.ndarray, ends: np.ndarray, weights: np.ndarray | None
) -> np.ndarray | None:
    """Return the weights of a window, 0 behind a stream's end; None when all are 1."""
    inside = places < ends
    if weights is not None:
        return weights[places] * inside
    return None if inside[-1].all() else inside.astype(np.float32)
