# SPDX-License-Identifier: BSD-3-Clause
"""How long a run may train: so far through the text, and perhaps so many seconds."""

import math
import time
from typing import Any


class Budget:
    """What a run may spend; whichever of the two is used up first ends it.

    Windows may be of any length, so that not they are counted but their steps.

    Parameters
    ----------
    n_steps : int
        Steps that a stream of the text has in all passes of the run.
    max_time : float, optional
        Seconds from now; None: no limit.
    """

    def __init__(self, n_steps: int, max_time: float | None = None) -> None:
        self._n_steps = n_steps
        self._n_spent = 0
        self._max_time = math.inf if max_time is None else max_time
        self._begin = time.monotonic()

    def spend(self, n_steps: int) -> None:
        """Count so many steps as used up."""
        self._n_spent += n_steps

    def numbers(self) -> dict[str, Any]:
        """Return what is used up, for a checkpoint."""
        return {"n_steps": self._n_spent, "seconds": time.monotonic() - self._begin}

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        self._n_spent = numbers["n_steps"]
        self._begin = time.monotonic() - numbers["seconds"]

    @property
    def progress(self) -> float:
        """The part of the budget, 0 to 1, that is used up."""
        return min(1.0, max(self._n_spent / self._n_steps, self._time_used))

    @property
    def is_out_of_time(self) -> bool:
        """Whether the seconds are over."""
        return self._time_used >= 1.0

    @property
    def _time_used(self) -> float:
        return (time.monotonic() - self._begin) / self._max_time
