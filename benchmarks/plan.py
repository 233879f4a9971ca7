# SPDX-License-Identifier: BSD-3-Clause
"""What a run is to measure, and what its parts have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from texts import real_tokens

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import LargeProduct, Task, in_turn
from rnnkit.cli.workload import Tokens, Workload, network_of, uniform_tokens

BUILT_IN = ("rnn", "lstm", "gru")  # into the peers
TOKENS = {"uniform": uniform_tokens, "real": real_tokens}


@dataclass(frozen=True)
class Plan:
    """The options of a run; `named_cells` are those asked for, none for all."""

    shapes: Mapping[str, Shape]
    named_cells: tuple[str, ...]
    tokens: tuple[str, ...]
    n_threads: int
    n_rounds: int
    with_tensorflow: bool

    def cases(self) -> Iterator[tuple[str, Shape, str]]:
        """Every shape with every cell that the peers have too."""
        for name, shape in self.shapes.items():
            for cell in BUILT_IN:
                if cell in (self.named_cells or BUILT_IN):
                    yield name, shape, cell

    def tokens_of(self, shape: Shape) -> Iterator[Tokens]:
        """The kinds of tokens that are asked for."""
        for kind in self.tokens:
            yield TOKENS[kind](shape)

    def measure(self, *tasks: Task) -> dict[str, np.ndarray]:
        """Measure tasks in turn, NumPy's large product with them."""
        return in_turn([*tasks, Task("product", LargeProduct())], self.n_rounds)


def values_of(cell: Any, shape: Shape) -> dict[str, np.ndarray]:
    """First values of all parameters: the same for every engine."""
    values = network_of(cell, shape).initial_values(np.random.default_rng(0))
    return {name: value.astype(np.float32) for name, value in values.items()}


def rnnkit_of(
    cell: str, shape: Shape, values: Mapping, tokens: Tokens, n_threads: int
) -> Workload:
    """rnnkit with these weights and tokens."""
    return Workload(
        plugins.make_cell(cell),
        shape,
        n_threads=n_threads,
        values=values,
        tokens=tokens,
    )


def thousands(number: float) -> str:
    """A number of tokens a second."""
    return f"{number:,.0f}"
