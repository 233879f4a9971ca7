# SPDX-License-Identifier: BSD-3-Clause
"""The recurrent network whose step is a highway of several layers."""

from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit_deep_cells.checks import check_number


class RecurrentHighway(Cell):
    """Recurrent highway network (Zilly et al., 2017), carry coupled to transform.

    In each layer s' = t * tanh(q) + (1 - t) * s; the first one sees x as well.

    Parameters
    ----------
    depth : int, default=3
        Layers of a step; each has weights of its own.
    transform_bias : float, default=-2.0
        First value of the bias of each t: below 0, a step changes little at first.
    """

    states = ("h",)

    def __init__(self, depth=3, transform_bias=-2.0):
        self.depth = depth
        self.transform_bias = transform_bias

    @property
    def initialisers(self):
        """First values of the biases of t, layer by layer."""
        check_number(self, "depth", 1)
        names = ["ih", *(f"q{k}_t{k}_0" for k in range(2, self.depth + 1))]
        return {
            f"bias_{name}.t{k}": self.transform_bias for k, name in enumerate(names, 1)
        }

    def step(self, x, h):
        s = h
        for k in range(1, self.depth + 1):
            operands = (x, h) if k == 1 else (s,)
            q, t = self.linear((f"q{k}", f"t{k}"), *operands)
            t = sigmoid(t)
            s = t * tanh(q) + (1 - t) * s
        return s
