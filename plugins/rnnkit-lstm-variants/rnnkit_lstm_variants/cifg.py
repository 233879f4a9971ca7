# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM that writes exactly what it forgets."""

from rnnkit.cells import Cell, sigmoid, tanh


class CIFG(Cell):
    """LSTM with coupled input and forget gates, i = 1 - f (Greff et al., 2017).

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    gates = "fgo"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, forget_bias=1.0):
        self.forget_bias = forget_bias

    def step(self, x, h, c):
        f, g, o = self.linear("fgo", x, h)
        f = sigmoid(f)
        c = f * c + (1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c
