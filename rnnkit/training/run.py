# SPDX-License-Identifier: BSD-3-Clause
"""What changes in the course of a run, beside weights, solver and history."""

from dataclasses import dataclass, field
from typing import Any

from rnnkit.core import State
from rnnkit.training.budget import Budget
from rnnkit.training.history import Totals
from rnnkit.training.schedules import Patience, Schedule


@dataclass
class Run:
    """A run between two windows: all that the next one depends on.

    Attributes
    ----------
    schedule, patience, budget
        How fast to learn, when to give up, and what is left to spend.
    state : State
        Carried from window to window.
    totals : Totals
        Of the epoch that is under way.
    n_windows : int
        Of the epoch, that are done.
    is_over : bool
        Whether there is nothing left to do.
    """

    schedule: Schedule
    patience: Patience
    budget: Budget
    state: State
    totals: Totals = field(default_factory=Totals)
    n_windows: int = 0
    is_over: bool = False

    def begin_epoch(self, state: State) -> None:
        """Stand before the first window of the next epoch."""
        self.state, self.totals, self.n_windows = state, Totals(), 0

    def numbers(self) -> dict[str, Any]:
        """Return all but the state as plain numbers, for a checkpoint."""
        return {
            "schedule": self.schedule.numbers(),
            "patience": self.patience.numbers(),
            "totals": self.totals.numbers(),
            "seconds": self.budget.seconds,
            "n_windows": self.n_windows,
            "is_over": self.is_over,
        }

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        self.schedule.restore(numbers["schedule"])
        self.patience.restore(numbers["patience"])
        self.totals.restore(numbers["totals"])
        self.budget.restore(numbers["seconds"])
        self.n_windows = numbers["n_windows"]
        self.is_over = numbers["is_over"]
