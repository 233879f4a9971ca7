# SPDX-License-Identifier: BSD-3-Clause
"""A corpus as windows for training: every token is predicted exactly once in a pass.

The documents, in the pass's order, are one stream of N tokens. It is cut into B streams
of equal length (to within one token; the shorter ones stand first and are padded by one
position of weight 0), and these into windows of at most `bptt` steps, again of equal
length to within one, so that no window is too short to be worth a full update; or into
windows of drawn lengths, whose updates are as large as they are long.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnkit.runtime.corpus import Corpus

MIN_WINDOWS = 64  # windows that each stream of a short text must give
# Drawn lengths, as in the published code of AWD-LSTM (Merity et al., 2018): mostly
# around bptt, else around its half.
OFTEN, DEVIATION, LEAST_STEPS = 0.95, 5.0, 5
MOST_ABOVE = 20  # four deviations: a bound, so that memory can be planned


@dataclass(frozen=True)
class Batch:
    """One window of B streams, all arrays (T, B). None: weights all 1, or no resets."""

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    resets: np.ndarray | None

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.ids)


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
    variable_bptt : bool, default=False
        Draw the windows' lengths, in each pass anew.
    """

    def __init__(
        self,
        targets: Corpus,
        *,
        batch_size: int,
        bptt: int,
        carry_state: bool,
        sample_weight: np.ndarray | None = None,
        variable_bptt: bool = False,
    ) -> None:
        self.targets = targets
        self.carry_state = carry_state
        self.sample_weight = sample_weight
        self.n_tokens = len(targets.ids)
        self.n_streams = min(batch_size, max(1, self.n_tokens // (bptt * MIN_WINDOWS)))
        self.n_steps = -(-self.n_tokens // self.n_streams)  # of the longest stream
        self.n_windows = -(-self.n_steps // bptt)  # of a pass, where none are drawn
        self.max_steps = -(-self.n_steps // self.n_windows)  # of the longest window
        self._bptt = bptt
        self._variable = variable_bptt
        if variable_bptt:
            self.max_steps = min(self.n_steps, bptt + MOST_ABOVE)

    def cuts(self, rng: np.random.Generator) -> np.ndarray:
        """Return where in the streams the windows of a pass begin, and the end."""
        if not self._variable:
            return np.arange(self.n_windows + 1) * self.n_steps // self.n_windows
        lengths = _drawn_lengths(rng, self._bptt, -(-self.n_steps // LEAST_STEPS))
        ends = np.cumsum(lengths)
        return np.array([0, *ends[ends < self.n_steps], self.n_steps])

    def epoch(
        self, order: np.ndarray | None = None, cuts: np.ndarray | None = None
    ) -> Iterator[Batch]:
        """Yield the windows of one pass, the documents taken in `order`.

        Of the streams there is what stands between the first cut and the last.
        """
        targets = self.targets if order is None else self.targets.take(order)
        tokens = np.concatenate([targets.ids[-1:], targets.ids])  # <end>, then all
        starts = None if self.carry_state else targets.starts()
        weights = self._weights(targets, order)
        begins, ends = self._bounds()
        if cuts is None:
            cuts = self.cuts(np.random.default_rng(0))
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


def _drawn_lengths(rng: np.random.Generator, bptt: int, n: int) -> np.ndarray:
    """Return the lengths of `n` windows."""
    means = np.where(rng.random(n) < OFTEN, bptt, bptt / 2)
    lengths = rng.normal(means, DEVIATION).astype(np.int64)
    return np.clip(lengths, LEAST_STEPS, bptt + MOST_ABOVE)


def _padded(
    places: np.ndarray, ends: np.ndarray, weights: np.ndarray | None
) -> np.ndarray | None:
    """Return the weights of a window, 0 behind a stream's end; None when all are 1."""
    inside = places < ends
    if weights is not None:
        return weights[places] * inside
    return None if inside[-1].all() else inside.astype(np.float32)
