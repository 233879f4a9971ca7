# SPDX-License-Identifier: BSD-3-Clause
"""The LSTM whose input and state gate each other before they meet."""

from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit_deep_cells.checks import check_number


class Mogrifier(Cell):
    """Mogrifier LSTM (Melis, Kocisky & Blunsom, 2020).

    In odd rounds x = 2 sigmoid(Q h) * x, in even ones h = 2 sigmoid(R x) * h; then
    the LSTM. No product of x can be taken out of the time loop.

    Parameters
    ----------
    rounds : int, default=5
        0 is the LSTM.
    rank : int or None, default=None
        Write each Q and R as a product of two matrices of so many columns and rows;
        None for full ones.
    forget_bias : float, default=1.0
        First value of the forget gate's bias.
    """

    states = ("h", "c")
    gates = "ifgo"

    def __init__(self, rounds=5, rank=None, forget_bias=1.0):
        self.rounds = rounds
        self.rank = rank
        self.forget_bias = forget_bias

    @property
    def initialisers(self):
        """First values; a changed x is called by its place."""
        check_number(self, "rounds", 0)
        bias = "bias_ifgo_0" if self.rounds else "bias_ih"
        return {f"{bias}.f": self.forget_bias}

    def step(self, x, h, c):
        for k in range(1, self.rounds + 1):
            if k % 2:
                x = 2 * sigmoid(self.product(f"q{k}", h, x.width)) * x
            else:
                h = 2 * sigmoid(self.product(f"r{k}", x, h.width)) * h
        i, f, g, o = self.linear("ifgo", x, h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def product(self, name, value, width):
        """W value + b, W perhaps of low rank."""
        if self.rank is not None:
            check_number(self, "rank", 1)
            value = self.linear([name + "_low"], value, width=self.rank, bias=False)
        return self.linear([name], value, width=width)
