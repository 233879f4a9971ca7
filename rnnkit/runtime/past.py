# SPDX-License-Identifier: BSD-3-Clause
"""What a model has read, and how alike its outputs were: the arithmetic of a cache."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from rnnkit.model import NetworkConfig
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.sweep import Step

BLOCK = 256  # positions that are compared with those before them at a time


@dataclass(frozen=True)
class Past:
    """One pass of a model over a corpus, all of it in memory.

    Attributes
    ----------
    outputs : (N, H) array
        Of the top layer before each target.
    targets : (N,) int32 array
        What came then.
    log_likelihood : (N,) float64 array
        Of the targets, by the model alone.
    bounds : (D + 1,) array
        Where the cache is emptied: each document's start, or the first one's alone.
    """

    outputs: np.ndarray
    targets: np.ndarray
    log_likelihood: np.ndarray
    bounds: np.ndarray

    @classmethod
    def read(
        cls,
        steps: Iterable[Step],
        targets: Corpus,
        config: NetworkConfig,
        *,
        carry_state: bool,
    ) -> Self:
        """Keep what the steps of a network over a corpus give."""
        n = len(targets.ids)
        outputs = np.empty((n, config.hidden_size), config.dtype)
        log_likelihood = np.empty(n)
        for step in steps:
            real = step.positions >= 0
            outputs[step.positions[real]] = step.window.outputs()[real]
            log_likelihood[step.positions[real]] = step.window.log_likelihood[real]
        bounds = np.array([0, n]) if carry_state else targets.offsets
        return cls(outputs, targets.ids, log_likelihood, bounds)

    def probabilities(
        self, windows: Sequence[int], thetas: Sequence[float]
    ) -> np.ndarray:
        """Return p_cache of each target, (len(windows), len(thetas), N).

        NaN where the cache is empty.
        """
        result = np.empty((len(windows), len(thetas), len(self.targets)))
        for here, similarity, matches in self._blocks(max(windows)):
            for i, window in enumerate(windows):
                latest = similarity[:, -window:]
                alike = latest - _finite(latest.max(axis=1, keepdims=True))
                for j, theta in enumerate(thetas):
                    weights = _powers(alike, theta)
                    total = weights.sum(axis=1, dtype=np.float64)
                    weights *= matches[:, -window:]
                    with np.errstate(invalid="ignore"):  # 0 / 0: the cache is empty
                        result[i, j, here] = weights.sum(1, dtype=np.float64) / total
        return result

    def _blocks(self, window: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield blocks of positions (n), each beside the W positions before it.

        Yields
        ------
        here : slice
            The positions.
        similarity : (n, W) array
            Column j holds the product of outputs with those of the position W - j
            before; -inf before the start. W is `window`, or less in short documents.
        matches : (n, W) bool array
            Whether the same target came there.
        """
        for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            width = min(window, end - start)
            for first in range(start, end, BLOCK):
                here = slice(first, min(first + BLOCK, end))
                n = here.stop - first
                # All that one of the n rows looks back on, the oldest first.
                oldest = max(start, first - width)
                past = slice(oldest, here.stop - 1)
                missing = width - (first - oldest)
                products = np.full((n, width + n - 1), -np.inf, self.outputs.dtype)
                products[:, missing:] = self.outputs[here] @ self.outputs[past].T
                targets = np.full(width + n - 1, -1, np.int32)
                targets[missing:] = self.targets[past]
                seen = sliding_window_view(targets, width)
                yield here, _band(products, width), seen == self.targets[here, None]

    def mixed(self, p_cache: np.ndarray, weight: float) -> np.ndarray:
        """Return the targets' log-likelihood by model and cache, (..., N)."""
        p_model = np.exp(self.log_likelihood)
        with np.errstate(divide="ignore"):  # a weight of 1, and not in the cache
            log_p = np.log((1.0 - weight) * p_model + weight * p_cache)
        return np.where(np.isnan(p_cache), self.log_likelihood, log_p)

    def add_cache(
        self, p: np.ndarray, place: int, window: int, theta: float, weight: float
    ) -> None:
        """Add the whole distribution of the cache at one position, times `weight`."""
        start = self.bounds[np.searchsorted(self.bounds, place, side="right") - 1]
        past = slice(max(start, place - window), place)
        similarity = self.outputs[past] @ self.outputs[place]
        shares = np.exp(theta * (similarity - similarity.max()).astype(np.float64))
        p += np.bincount(
            self.targets[past], shares * (weight / shares.sum()), minlength=len(p)
        )


def _band(array: np.ndarray, width: int) -> np.ndarray:
    """Return row i from column i on, `width` columns, as a view."""
    down, right = array.strides
    return as_strided(array, (len(array), width), (down + right, right))


def _finite(maxima: np.ndarray) -> np.ndarray:
    return np.where(maxima == -np.inf, 0.0, maxima).astype(maxima.dtype)


def _powers(alike: np.ndarray, theta: float) -> np.ndarray:
    """Return exp(theta * alike), 0 where there is nothing to compare with."""
    if theta == 0.0:  # 0 * -inf
        return (alike > -np.inf).astype(alike.dtype)
    powers = alike * alike.dtype.type(theta)
    return np.exp(powers, out=powers)
