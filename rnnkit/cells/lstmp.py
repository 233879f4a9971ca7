# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
# ruff: noqa: RUF012
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import sigmoid, tanh


class LSTMP(Cell):
    """LSTM with a recurrent projection (Sak, Senior & Beaufays, 2014), as PyTorch's
    ``nn.LSTM(..., proj_size=...)``: the output is narrower than the memory.

    Parameters
    ----------
    proj_size : int, default=64
        Units of the output and of what the gates see of it.
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    widths = {"h": "proj_size"}
    gates = "ifgo"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, proj_size: int = 64, forget_bias: float = 1.0) -> None:
        self.proj_size = proj_size
        self.forget_bias = forget_bias

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        m = sigmoid(o) * tanh(c)
        return self.linear(["hr"], m, width=self.proj_size, bias=False), c
