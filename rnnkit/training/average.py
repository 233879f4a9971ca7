# SPDX-License-Identifier: BSD-3-Clause
"""The mean of the weights over steps, which often predicts better than each of them."""

import math
from typing import Any

import numpy as np

from rnnkit.core import Weights

TRIGGERED = "triggered"


class Average:
    """A running mean of weights (Polyak & Juditsky, 1992), from some time on.

    Training goes on from the weights themselves; validation and the model use the mean.

    Parameters
    ----------
    average : bool, float or "triggered"
        True: from the first step; a number: after so many epochs; "triggered": when a
        loss is above the least of those that are more than `patience` losses old, as in
        AWD-LSTM (Merity et al., 2018); False: never.
    patience : int
        Of "triggered".

    Attributes
    ----------
    weights : Weights or None
        The mean; None before it has begun.
    n_steps : int
        That it is the mean of.
    """

    def __init__(self, average: bool | float | str, patience: int) -> None:
        self.weights: Weights | None = None
        self.n_steps = 0
        self._start = _start(average)  # in epochs
        self._patience = patience if average == TRIGGERED else None
        self._losses: list[float] = []

    def take(self, weights: Weights, n_epochs: float, n_threads: int) -> None:
        """Take in the weights after a step that began so many epochs into the run."""
        if n_epochs < self._start:
            return
        if self.weights is None:
            self.weights = weights.copy()
        self.n_steps += 1
        self.weights.average(weights, 1.0 / self.n_steps, n_threads)

    def look(self, loss: float) -> None:
        """Take note of a loss; begin with the next step where it is the trigger."""
        if self._patience is None or self._start == 0.0:
            return
        n_old = len(self._losses) - self._patience
        if n_old > 0 and loss > min(self._losses[:n_old]):
            self._start = 0.0
        self._losses.append(loss)

    def numbers(self) -> dict[str, Any]:
        """Return all but the weights as plain numbers, for a checkpoint."""
        start = None if self._start == math.inf else self._start
        return {"n_steps": self.n_steps, "start": start, "losses": self._losses}

    def restore(self, numbers: dict[str, Any], like: Weights) -> None:
        """Take over what `numbers` has given; the values of the mean are for others."""
        start = numbers["start"]
        self._start = math.inf if start is None else start
        self._losses = list(numbers["losses"])
        self.n_steps = numbers["n_steps"]
        self.weights = like.copy() if self.n_steps else None


def _start(average: bool | float | str) -> float:
    """Return the epochs after which to begin, as far as they are known."""
    if isinstance(average, (bool, np.bool_)):
        return 0.0 if average else math.inf
    return math.inf if isinstance(average, str) else float(average)
