# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of networks and of their windows, by name: those that speed is told of."""

import re
from dataclasses import dataclass

from rnnkit.errors import ParameterError


@dataclass(frozen=True)
class Shape:
    """L layers, E embedding, H hidden units, V words, B rows, T steps of a window."""

    L: int
    E: int
    H: int
    V: int
    B: int
    T: int

    @property
    def n_tokens(self) -> int:
        """Positions of a window, B * T."""
        return self.B * self.T

    def __str__(self) -> str:
        return " ".join(f"{letter}{size}" for letter, size in vars(self).items())


SHAPES = {
    "seed": Shape(L=1, E=100, H=128, V=1_000, B=64, T=100),
    "ptb-small": Shape(L=2, E=200, H=200, V=10_000, B=20, T=20),
    "ptb-medium": Shape(L=2, E=650, H=650, V=10_000, B=20, T=35),
    "char128": Shape(L=2, E=64, H=128, V=65, B=50, T=50),
    "char512": Shape(L=2, E=128, H=512, V=65, B=50, T=50),
}


def shape_of(text: str) -> Shape:
    """A shape by its name, or by its sizes as in "L2 E64 H128 V65 B50 T50" (or commas).

    Raises
    ------
    ParameterError
        When it is neither, or a size is 0.
    """
    if text in SHAPES:
        return SHAPES[text]
    sizes = {word[:1].upper(): word[1:] for word in re.split(r"[ ,]+", text.strip())}
    numbers = {letter: int(n) for letter, n in sizes.items() if re.fullmatch(r"\d+", n)}
    if set(numbers) != set("LEHVBT") or 0 in numbers.values():
        raise ParameterError(
            f"unknown shape {text!r}; known: {', '.join(SHAPES)}; or give all sizes, "
            "as in L2,E64,H128,V65,B50,T50"
        )
    return Shape(**numbers)
