# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM that writes no more than it forgets."""

from rnnkit.cells import Cell, minimum, sigmoid, tanh


class CappedLSTM(Cell):
    """LSTM with a capped input gate, i = min(i, 1 - f) (Melis, Dyer & Blunsom, 2018).

    The memory stays between -1 and 1. Where both are equal, each takes half of the
    gradient.

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    gates = "ifgo"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, forget_bias=1.0):
        self.forget_bias = forget_bias

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        f = sigmoid(f)
        c = f * c + minimum(sigmoid(i), 1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c
