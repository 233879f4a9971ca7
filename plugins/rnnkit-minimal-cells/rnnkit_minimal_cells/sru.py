# SPDX-License-Identifier: BSD-3-Clause
"""The unit whose gates see its own memory alone, with a highway around it."""

import math

from rnnkit.cells import Cell, sigmoid


class SRU(Cell):
    """Simple recurrent unit (Lei et al., 2018, equations 1 to 4).

    f = sigmoid(W_f x + v_f * c + b_f),  r = sigmoid(W_r x + v_r * c + b_r),
    c' = f * c + (1 - f) * W x,          h = r * c' + (1 - r) * scale * x

    Where x is not as wide as h, a fourth product makes it so. The weights start with
    the paper's variance where it is.

    Parameters
    ----------
    highway_bias : float, default=0.0
        First value of b_r; -3 suits many layers. The scale, sqrt(1 + 2 exp(b_r)) by
        that value, keeps the variance from layer to layer.
    """

    states = ("c",)
    gates = "fr"
    initialisers = {
        "weight_w_x": "glorot",
        "weight_ih": ("glorot", math.sqrt(0.5)),
        "peephole": ("uniform", math.sqrt(1.5)),
        "bias_ih.r": "highway_bias",
    }

    def __init__(self, highway_bias=0.0):
        self.highway_bias = highway_bias

    def step(self, x, c):
        w = self.linear("w", x, bias=False)
        f, r = self.linear("fr", x)
        v_f, v_r = self.vector("peephole", blocks="fr")
        f, r = sigmoid(f + v_f * c), sigmoid(r + v_r * c)
        c = f * c + (1 - f) * w
        if x.width != self.hidden_size:
            x = self.linear(["highway"], x, bias=False)
        scale = math.sqrt(1 + 2 * math.exp(self.highway_bias))
        return r * c + (1 - r) * (scale * x), c
