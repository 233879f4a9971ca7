# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM whose recurrent matrix depends on the input."""

from rnnkit.cells import Cell, sigmoid, tanh


class MultiplicativeLSTM(Cell):
    """Multiplicative LSTM (Krause et al., 2016): the gates see (W x) * (U h), not h.

    As in the paper, g has no tanh, and that of the output is around its gate as well.

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
        m = self.linear("m", x, bias=False) * self.linear("m", h, bias=False)
        i, f, g, o = self.linear("ifgo", x, m)
        c = sigmoid(f) * c + sigmoid(i) * g
        return tanh(sigmoid(o) * c), c
