# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM without a state in its gates, and without an output gate."""

from rnnkit.cells import Cell, logsigmoid, sigmoid
from rnnkit_minimal_cells.candidate import candidate


class MinLSTM(Cell):
    """Minimal LSTM (Feng et al., 2024): what is kept and what is written sum to 1.

    f, i = sigmoid(W_f x), sigmoid(W_i x), v = W_h x, h' = (f * h + i * v) / (f + i)

    Parameters
    ----------
    activation : {"identity", "positive"}, default="identity"
        Of the candidate v; "positive" is what the paper's form in logarithms computes.
    forget_bias : float, default=0.0
        First value of the forget gate's bias.
    """

    states = ("h",)
    gates = "fiv"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, activation="identity", forget_bias=0.0):
        self.activation = activation
        self.forget_bias = forget_bias

    def step(self, x, h):
        f, i, v = self.linear("fiv", x)
        # i / (f + i) by the difference of their logarithms: never 0 / 0.
        i = sigmoid(logsigmoid(i) - logsigmoid(f))
        return (1 - i) * h + i * candidate(self, v)
