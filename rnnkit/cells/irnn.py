# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs
# ruff: noqa: RUF012
from rnnkit.cells.base import Cell
from rnnkit.compiler.symbols import relu


class IRNN(Cell):
    """The simple recurrent network of rectified units that starts from the identity
    (Le, Jaitly & Hinton, 2015): U = I, W ~ N(0, 0.001), biases 0.

    Parameters
    ----------
    recurrent_initialiser : str or pair, default="identity"
        First value of U; ``("identity", 0.01)`` for what must be forgotten sooner.
    """

    states = ("h",)
    initialisers = {
        "weight_ih": ("normal", 0.001),
        "weight_hh": "recurrent_initialiser",
    }

    def __init__(
        self, recurrent_initialiser: str | tuple[str, float] = "identity"
    ) -> None:
        self.recurrent_initialiser = recurrent_initialiser

    def step(self, x, h):
        return relu(self.linear("h", x, h))
