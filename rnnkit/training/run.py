# SPDX-License-Identifier: BSD-3-Clause
"""What changes in the course of a run, beside weights, solver and history."""

import math
from collections.abc import Sequence
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
        How fast to learn, when to give up (None: never), and what is left to spend.
    state : State
        Carried from window to window.
    totals : Totals
        Of the epoch that is under way.
    n_windows, n_steps : int
        Of the epoch, that are done: windows, and steps of a stream.
    is_over : bool
        Whether there is nothing left to do.
    tokens_per_second : float
        Of the windows since the last validation.
    """

    schedule: Schedule
    patience: Patience | None
    budget: Budget
    state: State
    totals: Totals = field(default_factory=Totals)
    n_windows: int = 0
    n_steps: int = 0
    is_over: bool = False
    tokens_per_second: float = 0.0

    @property
    def has_best(self) -> bool:
        """Whether early stopping has seen a loss."""
        return self.patience is not None and self.patience.best_loss < math.inf

    def begin_epoch(self, state: State) -> None:
        """Stand before the first window of the next epoch."""
        self.state, self.totals = state, Totals()
        self.n_windows = self.n_steps = 0

    def count(self, lengths: Sequence[int]) -> None:
        """Stand behind the next windows, of these lengths."""
        self.n_windows += len(lengths)
        self.n_steps += sum(lengths)
        self.budget.spend(sum(lengths))

    def numbers(self) -> dict[str, Any]:
        """Return all but the state as plain numbers, for a checkpoint."""
        return {
            "schedule": self.schedule.numbers(),
            "patience": self.patience and self.patience.numbers(),
            "totals": self.totals.numbers(),
            "budget": self.budget.numbers(),
            "n_windows": self.n_windows,
            "n_steps": self.n_steps,
            "is_over": self.is_over,
        }

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        self.schedule.restore(numbers["schedule"])
        if self.patience is not None:
            self.patience.restore(numbers["patience"])
        self.totals.restore(numbers["totals"])
        self.budget.restore(numbers["budget"])
        self.n_windows = numbers["n_windows"]
        self.n_steps = numbers["n_steps"]
        self.is_over = numbers["is_over"]
