# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import sigmoid, tanh


class ResetBeforeGRU(Cell):
    """Gated recurrent unit (Cho et al., 2014) as first published: the reset gate acts
    before the product, which costs a second product a step. As in `GRU`, z keeps.
    """

    states = ("h",)
    gates = "rz"

    def step(self, x, h):
        r, z = self.linear("rz", x, h)
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(self.linear("n", x, r * h))
        return (1 - z) * n + z * h
