# SPDX-License-Identifier: BSD-3-Clause
"""Which learning rate a training can bear: it is raised until the loss explodes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rnnkit.errors import NonFiniteError
from rnnkit.training.trainer import Trainer
from rnnkit.training.windows import Windows

MEMORY = 0.9  # of the smoothed loss: about as many steps as a third of a decade has
EXPLODED = 2.0  # times the least smoothed loss
SPAN = 0.5  # decades of rates over which the fall of the loss is looked at


@dataclass(frozen=True)
class RateCurve:
    """What a search for a learning rate has found.

    Attributes
    ----------
    rates : (n,) float64
        Those that were tried, ascending; fewer than asked for when the loss exploded.
    losses : (n,) float64
        The smoothed training loss after the step with each, in nats a token.
    suggestion : float
        The middle of that half decade of rates over which the smoothed loss falls most:
        smaller rates learn more slowly, and larger ones come near to those that harm.
    """

    rates: np.ndarray
    losses: np.ndarray

    @property
    def suggestion(self) -> float:
        a_decade = 1.0 / np.log10(self.rates[1] / self.rates[0])
        span = max(1, min(round(SPAN * a_decade), len(self.rates) - 1))
        first = int(np.argmax(self.losses[:-span] - self.losses[span:]))
        return float(np.sqrt(self.rates[first] * self.rates[first + span]))


def try_rates(trainer: Trainer, windows: Windows, rates: Iterable[float]) -> RateCurve:
    """Make a step with each rate, until the loss explodes (Smith, 2017).

    The loss of a step's own windows says what the rates before it have done. It is
    smoothed: an exponential mean, corrected for its beginning.
    """
    tried: list[float] = []
    losses: list[float] = []
    mean = 0.0
    steps = trainer.steps(windows, rates)
    while True:
        try:
            rate, loss = next(steps)
        except (StopIteration, NonFiniteError):
            break
        mean = MEMORY * mean + (1.0 - MEMORY) * loss
        smoothed = mean / (1.0 - MEMORY ** (len(tried) + 1))
        if tried and not smoothed <= EXPLODED * min(losses):
            break
        tried.append(rate)
        losses.append(smoothed)
    return RateCurve(np.array(tried), np.array(losses))
