# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM that writes exactly what it forgets."""

from rnnkit.cells import Cell, sigmoid, tanh


class CIFG(Cell):
    """LSTM with coupled input and forget gates, i = 1 - f (Greff et al., 2017)."""

    states = ("h", "c")
    gates = "fgo"
    initialisers = {"bias_ih.f": 1.0}

    def step(self, x, h, c):
        f, g, o = self.linear("fgo", x, h)
        f = sigmoid(f)
        c = f * c + (1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c
