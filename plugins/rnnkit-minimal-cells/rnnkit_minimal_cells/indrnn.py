# SPDX-License-Identifier: BSD-3-Clause
"""The network whose units see no other unit's past."""

import math
from numbers import Real

from rnnkit.cells import Cell, relu
from rnnkit.errors import CellError


class IndRNN(Cell):
    """Independently recurrent network (Li et al., 2018): h' = relu(W x + u * h + b).

    Parameters
    ----------
    horizon : float, default=64
        Steps over which a unit's past may at most double: after each update u is kept
        between -2 ** (1 / horizon) and 2 ** (1 / horizon). As long as the window of
        training, `bptt`.
    """

    states = ("h",)
    initialisers = {"recurrent": ("uniform", 1.0)}
    limits = {"recurrent": "recurrent_limits"}

    def __init__(self, horizon=64):
        self.horizon = horizon

    @property
    def recurrent_limits(self):
        """The lowest and the highest u."""
        if not isinstance(self.horizon, Real) or not 1 <= self.horizon < math.inf:
            raise CellError(
                f"IndRNN: horizon is {self.horizon!r}, allowed: a number from 1"
            )
        highest = 2 ** (1 / self.horizon)
        return -highest, highest

    def step(self, x, h):
        return relu(self.linear("h", x) + self.vector("recurrent") * h)
