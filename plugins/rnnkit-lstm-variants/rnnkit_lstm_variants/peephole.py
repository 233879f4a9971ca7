# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM whose gates see its memory."""

from rnnkit.cells import Cell, sigmoid, tanh


class Peephole(Cell):
    """LSTM with peephole connections (Gers, Schraudolph & Schmidhuber, 2002).

    The input and the forget gate see the memory before the step, the output gate the
    memory after it, each unit its own memory alone.

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
        p_i, p_f, p_o = self.vector("peephole", blocks="ifo")
        c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
        return sigmoid(o + p_o * c) * tanh(c), c
