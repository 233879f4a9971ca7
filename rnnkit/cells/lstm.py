# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
# ruff: noqa: RUF012
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import sigmoid, tanh


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997), with the forget gate of
    Gers et al. (2000).

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    gates = "ifgo"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, forget_bias: float = 1.0) -> None:
        self.forget_bias = forget_bias

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c
