# SPDX-License-Identifier: BSD-3-Clause
"""The continuous cache: what was read lately is likely to come again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from rnnkit.errors import ParameterError
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.past import Past
from rnnkit.runtime.requests import check_integer, check_real
from rnnkit.runtime.scorer import NetworkScorer, Scorer, unwrapped
from rnnkit.runtime.sweep import Step

WINDOWS = (100, 500, 2000)
THETAS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


class NeuralCache(Scorer):
    """A model with a continuous cache (Grave, Joulin & Usunier, 2017).

    A token's probability is ``(1 - weight) * p_model + weight * p_cache``. With h_t the
    top layer's output before the token, and x_j the token that followed h_j,
    ``p_cache(w)`` is the sum of ``exp(theta * h_t . h_j)`` over those of the last
    `window` positions j < t where x_j = w, divided by the sum over all of them. So each
    token is predicted before it joins the cache. The cache is empty at the start, and
    without `carry_state` at the start of each document; while it is, the model predicts
    alone.

    Parameters
    ----------
    model : LanguageModel, DynamicEvaluation, or a fitted estimator
        Never changes. With dynamic evaluation a cache remembers outputs of the weights
        of then.
    window : int, default=500
        Positions that are remembered.
    theta : float, default=0.3
        0 counts all positions alike, more those with a similar output; what is good
        depends on the scale of the outputs. See `tuned`.
    weight : float, default=0.1
        The cache's share, 0 to 1.
    """

    def __init__(
        self,
        model: Any,
        *,
        window: int = 500,
        theta: float = 0.3,
        weight: float = 0.1,
    ) -> None:
        self.model = unwrapped(model, NetworkScorer)  # type: ignore[type-abstract]
        self.window = check_integer("window", window, 1)
        self.theta = check_real("theta", theta, 0.0)
        self.weight = check_real("weight", weight, 0.0, 1.0)
        self.encoder = self.model.encoder
        self.options = self.model.options

    @classmethod
    def tuned(
        cls,
        model: Any,
        X: Iterable[Any],
        *,
        windows: Sequence[int] = WINDOWS,
        thetas: Sequence[float] = THETAS,
        weights: Sequence[float] = WEIGHTS,
    ) -> Self:
        """Return the cache that scores best on a validation text; see `grid`."""
        scores = cls.grid(model, X, windows=windows, thetas=thetas, weights=weights)
        i, j, k = map(int, np.unravel_index(int(scores.argmax()), scores.shape))
        return cls(model, window=windows[i], theta=thetas[j], weight=weights[k])

    @classmethod
    def grid(
        cls,
        model: Any,
        X: Iterable[Any],
        *,
        windows: Sequence[int] = WINDOWS,
        thetas: Sequence[float] = THETAS,
        weights: Sequence[float] = WEIGHTS,
    ) -> np.ndarray:
        """Return the score of every combination, from one pass of the model.

        Parameters
        ----------
        model : LanguageModel, or a fitted estimator
        X : iterable of str
            A validation text; not the one that is reported on.
        windows, thetas, weights : sequences of numbers
            What is tried.

        Returns
        -------
        (len(windows), len(thetas), len(weights)) array
            Mean log-likelihoods per token.
        """
        _check_grid(windows, thetas, weights)
        cache = cls(model)
        corpus = cache.encoder.encode(cache._read(X))
        past = cache._past(corpus, cache.options.carry_state)
        p_cache = past.probabilities(windows, thetas)
        scores = [past.mixed(p_cache, weight).mean(axis=-1) for weight in weights]
        return np.stack(scores, axis=-1)

    def _log_likelihood(self, corpus: Corpus, *, carry_state: bool) -> np.ndarray:
        past = self._past(corpus, carry_state)
        p_cache = past.probabilities([self.window], [self.theta])[0, 0]
        return past.mixed(p_cache, self.weight)

    def _score(
        self, corpus: Corpus, *, carry_state: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return also where the target is the likeliest, which takes all of p."""
        past = self._past(corpus, carry_state)
        p_cache = past.probabilities([self.window], [self.theta])[0, 0]
        hits = np.empty(len(past.targets), bool)
        for step in self._steps(corpus, carry_state):
            for places, log_p in step.distributions(self.n_threads):
                for place, p in zip(places, np.exp(log_p.astype(float)), strict=True):
                    if not np.isnan(p_cache[place]):
                        p *= 1.0 - self.weight
                        past.add_cache(p, place, self.window, self.theta, self.weight)
                    hits[place] = p.argmax() == past.targets[place]
        return past.mixed(p_cache, self.weight), hits

    def _past(self, corpus: Corpus, carry_state: bool) -> Past:
        return Past.read(
            self._steps(corpus, carry_state),
            corpus.targets(self.encoder.end_id),
            self.model.network.config,
            carry_state=carry_state,
        )

    def _steps(self, corpus: Corpus, carry_state: bool) -> Iterator[Step]:
        return self.model._steps(
            corpus, carry_state=carry_state, n_threads=self.n_threads
        )


def _check_grid(
    windows: Sequence[int], thetas: Sequence[float], weights: Sequence[float]
) -> None:
    grid = {"windows": windows, "thetas": thetas, "weights": weights}
    for name, values in grid.items():
        if not len(values):
            raise ParameterError(f"{name} is empty; allowed: one value or more")
    for window in windows:
        check_integer("window", window, 1)
    for theta in thetas:
        check_real("theta", theta, 0.0)
    for weight in weights:
        check_real("weight", weight, 0.0, 1.0)
