# SPDX-License-Identifier: BSD-3-Clause
"""How long a run may train: so many steps, and perhaps so many seconds."""

import math
import time


class Budget:
    """What a run may spend; whichever of the two is used up first ends it.

    Parameters
    ----------
    n_updates : int
        Steps of the whole run.
    max_time : float, optional
        Seconds from now; None: no limit.
    """

    def __init__(self, n_updates: int, max_time: float | None = None) -> None:
        self._n_updates = n_updates
        self._max_time = math.inf if max_time is None else max_time
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds that are used up."""
        return time.monotonic() - self._begin

    def restore(self, seconds: float) -> None:
        """Count so many seconds as used up."""
        self._begin = time.monotonic() - seconds

    def progress(self, n_updates: int) -> float:
        """Return the part of the budget, 0 to 1, that so many steps have used up."""
        used = max(n_updates / self._n_updates, self._time_used)
        return min(1.0, used)

    @property
    def is_out_of_time(self) -> bool:
        """Whether the seconds are over."""
        return self._time_used >= 1.0

    @property
    def _time_used(self) -> float:
        return self.seconds / self._max_time
