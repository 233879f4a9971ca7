# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import relu, tanh
from rnnkit.errors import CellError


class RNN(Cell):
    """The simple recurrent network (Elman, 1990).

    Parameters
    ----------
    activation : {"tanh", "relu"}, default="tanh"
    """

    states = ("h",)

    def __init__(self, activation: str = "tanh") -> None:
        self.activation = activation

    def step(self, x, h):
        a = self.linear("h", x, h)
        if self.activation == "tanh":
            return tanh(a)
        if self.activation == "relu":
            return relu(a)
        raise CellError(
            f"RNN: activation is {self.activation!r}, allowed: 'tanh', 'relu'"
        )
