# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
# ruff: noqa: RUF012
from functools import reduce
from operator import add
from typing import Any

from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import mean, sigmoid, sqrt, tanh

EPSILON = 1e-5  # keeps a row of equal units from a division by 0


class LayerNormLSTM(Cell):
    """LSTM with layer normalisation (Ba, Kiros & Hinton, 2016).

    What comes of x and what comes of h are normalised apart, each over the units of
    all four gates; the memory is normalised where it is read. The paper's shifts of
    the first two and its bias are one sum, and so one vector here.

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    gates = "ifgo"
    initialisers = {
        "gain_ih": 1.0,
        "gain_hh": 1.0,
        "gain_c": 1.0,
        "bias.f": "forget_bias",
    }

    def __init__(self, forget_bias: float = 1.0) -> None:
        self.forget_bias = forget_bias

    def step(self, x, h, c):
        xs = normalised(*self.linear("ifgo", x, bias=False))
        hs = normalised(*self.linear("ifgo", h, bias=False))
        gains_x = self.vector("gain_ih", blocks="ifgo")
        gains_h = self.vector("gain_hh", blocks="ifgo")
        biases = self.vector("bias", blocks="ifgo")
        i, f, g, o = (
            gain_x * x + gain_h * h + bias
            for gain_x, x, gain_h, h, bias in zip(
                gains_x, xs, gains_h, hs, biases, strict=True
            )
        )
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        (n,) = normalised(c)
        n = self.vector("gain_c") * n + self.vector("bias_c")
        return sigmoid(o) * tanh(n), c


def normalised(*blocks: Any) -> list[Any]:
    """The blocks with mean 0 and variance 1 over a row's units, all blocks together."""
    n = len(blocks)
    centre = mean(reduce(add, blocks)) / n
    centred = [a - centre for a in blocks]
    variance = mean(reduce(add, [a * a for a in centred])) / n
    return [a / sqrt(variance + EPSILON) for a in centred]
