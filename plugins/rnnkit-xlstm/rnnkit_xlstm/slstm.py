# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM with exponential gates."""

import math

from rnnkit.cells import (
    Cell,
    exp,
    logsigmoid,
    maximum,
    sigmoid,
    stop_gradient,
    tanh,
)
from rnnkit.errors import CellError


class SLSTM(Cell):
    """sLSTM (Beck et al., 2024, section 2.2): an input gate without an upper bound.

    c' = f * c + exp(i) * tanh(z),  n' = f * n + exp(i),  h' = sigmoid(o) * c' / n'

    c and n are kept divided by exp(m), which changes no h: m grows with the largest
    gate, so nothing overflows, and n never falls below 1. Hence m carries no gradient.
    It starts at minus infinity: the first step forgets all that was before.

    Parameters
    ----------
    forget_gate : {"sigmoid", "exp"}, default="sigmoid"
        f = sigmoid(a) or exp(a).
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    heads : int, default=1
        The units are so many groups, and h mixes within each of them alone: recurrent
        weights are block-diagonal. hidden_size is a multiple of it.
    """

    states = ("h", "c", "n", "m")
    initial = {"m": -math.inf}
    gates = "zifo"
    hidden_multiple = "heads"
    initialisers = {"bias_ih.f": "forget_bias"}

    def __init__(self, forget_gate="sigmoid", forget_bias=1.0, heads=1):
        self.forget_gate = forget_gate
        self.forget_bias = forget_bias
        self.heads = heads

    def step(self, x, h, c, n, m):
        xs = self.linear("zifo", x)
        hs = self.linear("zifo", h, heads=self.heads)
        z, log_i, f, o = (a + b for a, b in zip(xs, hs, strict=True))
        log_f = self.log_forget(f) + m
        m = stop_gradient(maximum(log_f, log_i))
        f, i = exp(log_f - m), exp(log_i - m)
        c = f * c + i * tanh(z)
        n = f * n + i
        return sigmoid(o) * (c / n), c, n, m

    def log_forget(self, f):
        """The logarithm of the forget gate."""
        if self.forget_gate == "sigmoid":
            return logsigmoid(f)
        if self.forget_gate == "exp":
            return f
        raise CellError(
            f"SLSTM: forget_gate is {self.forget_gate!r}, allowed: 'sigmoid', 'exp'"
        )
