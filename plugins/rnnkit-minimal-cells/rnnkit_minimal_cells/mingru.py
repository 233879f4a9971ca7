# SPDX-License-Identifier: BSD-3-Clause
"""The GRU without a state in its gates."""

from rnnkit.cells import Cell, sigmoid
from rnnkit_minimal_cells.candidate import candidate


class MinGRU(Cell):
    """Minimal GRU (Feng et al., 2024): gate and candidate see the input alone.

    z = sigmoid(W_z x), v = W_h x, h' = (1 - z) * h + z * v

    Parameters
    ----------
    activation : {"identity", "positive"}, default="identity"
        Of the candidate v; "positive" is what the paper's form in logarithms computes.
    """

    states = ("h",)
    gates = "zv"

    def __init__(self, activation="identity"):
        self.activation = activation

    def step(self, x, h):
        z, v = self.linear("zv", x)
        z, v = sigmoid(z), candidate(self, v)
        return (1 - z) * h + z * v
