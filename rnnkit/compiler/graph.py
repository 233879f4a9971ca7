# SPDX-License-Identifier: BSD-3-Clause
"""The graph: a cell as a flat list of primitive nodes, the one frozen form of a cell.

Everything starts from it: training, inference, the C library, the model file. Nodes
stand in topological order. A graph with a backward part has its forward nodes first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Kind(IntEnum):
    """How many elements a value has. Bit 0: one a unit; bit 1: one a row."""

    CONST = 0
    UNIT = 1
    ROW = 2
    FULL = 3
    SINK = 4


class Node(NamedTuple):
    """A primitive applied to earlier nodes; `width` is its number of units."""

    op: str
    kind: Kind
    width: int
    args: tuple[int, ...] = ()
    attrs: tuple[int, ...] = ()


class Initialiser(NamedTuple):
    """How the first values of one block of a parameter are drawn; see `initialise`."""

    kind: str
    value: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """A weight (blocks x width x columns) or a learned vector (blocks x width).

    Attributes
    ----------
    name : str
        As in ``weight_ih``; unique in its graph.
    block_names : tuple of str
        One name a block: the gates, in the order of the rows.
    initialisers : tuple of Initialiser
        One a block.
    limits : (low, high) or None
        Bounds that every update keeps.
    decay : bool
        Whether weight decay applies.
    """

    name: str
    is_weight: bool
    block_names: tuple[str, ...]
    width: int
    columns: int
    initialisers: tuple[Initialiser, ...]
    limits: tuple[float, float] | None = None
    decay: bool = True

    @property
    def blocks(self) -> int:
        """How many blocks of `width` rows it has."""
        return len(self.block_names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape as a plain array."""
        rows = self.blocks * self.width
        return (rows, self.columns) if self.is_weight else (rows,)

    def block_label(self, block: int) -> str:
        """``weight_ih.f``, or the bare name where there is one block only."""
        return (
            f"{self.name}.{self.block_names[block]}" if self.blocks > 1 else self.name
        )


@dataclass(frozen=True, slots=True)
class State:
    """What a step hands to the next: its initial value everywhere, and its new node."""

    name: str
    width: int
    initial: float
    new: int


@dataclass(frozen=True)
class Graph:
    """A cell's step, forward and maybe backward.

    Attributes
    ----------
    parameters, states, nodes : tuple
        Nodes refer to the first two by index, to each other by smaller indices.
    input_width : int
        Units of x.
    output : int
        The node that is the output.
    n_forward : int
        Nodes before this one are the forward part.
    input_gradient : int
        The node of the gradient of x; -1 where it is zero, or without backward part.
    state_gradients : tuple of int
        For each state the node of the gradient of its old value; -1 where it is zero.
        Empty without backward part.
    """

    parameters: tuple[Parameter, ...]
    states: tuple[State, ...]
    input_width: int
    nodes: tuple[Node, ...]
    output: int
    n_forward: int
    input_gradient: int = -1
    state_gradients: tuple[int, ...] = ()

    @property
    def has_backward(self) -> bool:
        """Whether there is a backward part."""
        return self.n_forward < len(self.nodes)

    @property
    def output_width(self) -> int:
        """Units of the output."""
        return self.nodes[self.output].width

    def forward(self) -> Graph:
        """The same graph without its backward part."""
        return replace(
            self,
            nodes=self.nodes[: self.n_forward],
            input_gradient=-1,
            state_gradients=(),
        )

    # The forms of a graph live in modules of their own, which know this one.

    def to_words(self) -> np.ndarray:
        """The graph as int32 words, for the core and for model files."""
        from rnnkit.compiler.words import to_words

        return to_words(self)

    def to_json(self) -> str:
        """What the words do not say: names, initialisers, limits; for model files."""
        from rnnkit.compiler.stored import to_json

        return to_json(self)

    @staticmethod
    def from_json(words: Sequence[int] | np.ndarray, text: str | bytes) -> Graph:
        """The graph of `to_words` and `to_json`; GraphError where malformed."""
        from rnnkit.compiler.stored import from_json

        return from_json(words, text)

    def __str__(self) -> str:
        from rnnkit.compiler.listing import listing

        return listing(self)

    def draw(self) -> str:
        """The forward part as a drawing in lines of text, for a terminal."""
        from rnnkit.compiler.drawing import draw

        return draw(self)

    def _repr_html_(self) -> str:
        from rnnkit.compiler.drawing import to_html

        return to_html(self)


def linear_parts(node: Node) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The (vector, block) pairs and the (weight, block) pairs of a linear node."""
    n_biases = node.attrs[0] if node.op == "linear" else 0
    first = 1 if node.op == "linear" else 0
    pairs = tuple(zip(node.attrs[first::2], node.attrs[first + 1 :: 2], strict=True))
    return pairs[:n_biases], pairs[n_biases:]


def is_name(text: str) -> bool:
    """Whether parameters, blocks and states may have this name."""
    return re.fullmatch(r"[A-Za-z0-9_]{1,100}", text) is not None


def words_of_float(value: float) -> tuple[int, int]:
    """Low and high half of a float64's bits, as signed 32-bit integers."""
    low, high = struct.unpack("<ii", struct.pack("<d", value))
    return low, high


def float_of_words(low: int, high: int) -> float:
    """The float64 whose bits these two words are."""
    return float(struct.unpack("<d", struct.pack("<ii", low, high))[0])
