# SPDX-License-Identifier: BSD-3-Clause
"""Learning rates over time: a factor of `learning_rate_init` for every step.

How far a run has come is for its budget to say: by the text read, or by seconds.

==============  ================================================================
`"constant"`    1.
`"linear"`      From 1 straight down to 0 at the end of training.
`"cosine"`      From 1 down to 0 along half a cosine (Loshchilov & Hutter, 2017).
`"one_cycle"`   From 1/25 up to 1 in the first 30 % of the run, down to 1/250000
                at the end, both along half a cosine (Smith & Topin, 2018).
`"exponential"` 1, times 1/2 after each epoch from number `decay_start` on (Zaremba et
                al., 2014).
`"plateau"`     1, times 1/4 after each epoch that is not better than the best.
`"adaptive"`    1, times 1/5 after `n_iter_no_change` epochs in a row that do not
                improve the best by `tol`, as in scikit-learn's MLPClassifier.
==============  ================================================================

The last two look at each validation loss (there may be several in an epoch), or at the
training loss of each epoch where there is none.
`learning_rate_decay` gives the last three another factor. In the first `warmup_steps`
updates all of them are multiplied by a factor that rises straight up to 1.
"""

import math
from collections.abc import Callable
from typing import Any

WARM_UP = 0.3
START, FINAL = 1 / 25, 1 / 25e4


def linear(progress: float) -> float:
    """Return the factor when the part `progress` of the run is done."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Return the factor when the part `progress` of the run is done."""
    return _half_cosine(1.0, 0.0, progress)


def one_cycle(progress: float) -> float:
    """Return the factor when the part `progress` of the run is done."""
    if progress < WARM_UP:
        return _half_cosine(START, 1.0, progress / WARM_UP)
    return _half_cosine(1.0, FINAL, (progress - WARM_UP) / (1.0 - WARM_UP))


def _half_cosine(first: float, last: float, part: float) -> float:
    return last + (first - last) * (1.0 + math.cos(math.pi * part)) / 2.0


# Schedules that must know the end; an endless run (partial_fit) cannot follow them.
TIMED: dict[str, Callable[[float], float]] = {
    "linear": linear,
    "cosine": cosine,
    "one_cycle": one_cycle,
}
# Those that go down after epochs, and their factors.
DECAYS = {"exponential": 1 / 2, "plateau": 1 / 4, "adaptive": 1 / 5}
SCHEDULES = ("constant", *TIMED, *DECAYS)


class Schedule:
    """The learning rate of each step of one training run.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`.
    learning_rate_init : float
        The rate whose factor the schedule gives.
    n_iter_no_change, tol
        Patience of `"adaptive"`.
    decay : float, optional
        Factor of the schedules that go down after epochs; theirs by default.
    decay_start : int, default=1
        The epoch after which `"exponential"` begins.
    warmup_steps : int, default=0
        Updates over which the rate rises at first.
    """

    def __init__(
        self,
        name: str,
        learning_rate_init: float,
        *,
        n_iter_no_change: int = 3,
        tol: float = 1e-4,
        decay: float | None = None,
        decay_start: int = 1,
        warmup_steps: int = 0,
    ) -> None:
        self._name = name
        self._timed = TIMED.get(name)
        self._rate = learning_rate_init
        self._factor = DECAYS.get(name, 1.0) if decay is None else decay
        self._decay_start = decay_start
        self._warmup_steps = warmup_steps
        self._n_epochs = 0
        patience = (n_iter_no_change, tol) if name == "adaptive" else (1, 0.0)
        self._patience = Patience(*patience)

    def rate(self, progress: float, n_updates: int = 0) -> float:
        """Return the rate of the next update, so far in the run and after so many."""
        rate = self._rate if self._timed is None else self._rate * self._timed(progress)
        if n_updates < self._warmup_steps:
            rate *= (n_updates + 1) / self._warmup_steps
        return rate

    def numbers(self) -> dict[str, Any]:
        """Return what has changed since the beginning, for a checkpoint."""
        return {
            "rate": self._rate,
            "n_epochs": self._n_epochs,
            "patience": self._patience.numbers(),
        }

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        self._rate = numbers["rate"]
        self._n_epochs = numbers["n_epochs"]
        self._patience.restore(numbers["patience"])

    def end_epoch(self) -> None:
        """Lower the rate after an epoch where the schedule says so."""
        self._n_epochs += 1
        if self._name == "exponential" and self._n_epochs >= self._decay_start:
            self._rate *= self._factor

    def look(self, loss: float) -> None:
        """Take note of a loss; lower the rate where the schedule says so."""
        if self._name in ("plateau", "adaptive") and self._patience.is_exhausted(loss):
            self._rate *= self._factor
            self._patience.forget_failures()


class Patience:
    """Counts losses in a row that fail to improve the best one by `tol`."""

    def __init__(self, n_iter_no_change: int, tol: float) -> None:
        self.best_loss = math.inf
        self._limit = n_iter_no_change
        self._tol = tol
        self._n_failures = 0

    def is_exhausted(self, loss: float) -> bool:
        """Take note of a loss; say whether too many in a row were no better."""
        improved = loss < self.best_loss - self._tol
        self._n_failures = 0 if improved else self._n_failures + 1
        self.best_loss = min(self.best_loss, loss)
        return self._n_failures >= self._limit

    def numbers(self) -> dict[str, Any]:
        """Return what has changed since the beginning, for a checkpoint."""
        best = None if self.best_loss == math.inf else self.best_loss
        return {"best_loss": best, "n_failures": self._n_failures}

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        best = numbers["best_loss"]
        self.best_loss = math.inf if best is None else best
        self._n_failures = numbers["n_failures"]

    def forget_failures(self) -> None:
        """Begin to count anew; the best loss stays."""
        self._n_failures = 0
