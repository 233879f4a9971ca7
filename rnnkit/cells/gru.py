# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import sigmoid, tanh


class GRU(Cell):
    """Gated recurrent unit (Cho et al., 2014); the reset gate acts after the product,
    as in cuDNN and PyTorch.
    """

    states = ("h",)
    gates = "rzn"

    def step(self, x, h):
        xr, xz, xn = self.linear("rzn", x)
        hr, hz, hn = self.linear("rzn", h)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + r * hn)
        return (1 - z) * n + z * h
