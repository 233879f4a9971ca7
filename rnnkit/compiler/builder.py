# SPDX-License-Identifier: BSD-3-Clause
"""Building graphs: nodes by value, each once, with kinds and widths worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from rnnkit.compiler.check import MAX_NODES
from rnnkit.compiler.graph import (
    Graph,
    Kind,
    Node,
    float_of_words,
    words_of_float,
)
from rnnkit.compiler.ops import OPS
from rnnkit.errors import GraphError


class Builder:
    """A growing list of nodes in which no two are equal.

    Calling it adds an elementwise or reducing node: ``b("mul", x, y)`` gives the index
    of the product, of an equal node that is there already, or of the folded constant.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = list(nodes)
        self._index = {node: i for i, node in enumerate(self.nodes)}

    def __call__(self, op: str, *args: int) -> int:
        nodes = [self.nodes[a] for a in args]
        if all(node.kind == Kind.CONST for node in nodes):
            return self._fold(op, nodes)
        return self.append(Node(op, *result_of(op, nodes), args))

    def append(self, node: Node) -> int:
        """Index of `node`, which is added unless an equal one is there."""
        if node.kind != Kind.SINK and node in self._index:
            return self._index[node]
        if len(self.nodes) == MAX_NODES:
            raise GraphError(f"a step may have at most {MAX_NODES} operations")
        self.nodes.append(node)
        return self._index.setdefault(node, len(self.nodes) - 1)

    def number(self, value: float) -> int:
        """A constant."""
        return self.append(Node("constant", Kind.CONST, 1, (), words_of_float(value)))

    def leaf(self, op: str, kind: Kind, width: int, *attrs: int) -> int:
        """A node without arguments."""
        return self.append(Node(op, kind, width, (), attrs))

    def spread(self, index: int, kind: Kind, width: int) -> int:
        """The value as one of rows x units, where that is the kind asked for."""
        if kind != Kind.FULL or self.nodes[index].kind == Kind.FULL:
            return index
        return self.append(Node("expand", Kind.FULL, width, (index,)))

    def part(self, index: int, first: int, width: int) -> int:
        """Units `first` to `first + width` of a value of rows x units."""
        node = self.nodes[index]
        if width == node.width:
            return index
        if node.op == "part":
            return self.part(node.args[0], node.attrs[0] + first, width)
        if node.op == "join":
            for arg in node.args:
                if first >= 0 and first + width <= self.nodes[arg].width:
                    return self.part(arg, first, width)
                first -= self.nodes[arg].width
            first += node.width
        return self.append(Node("part", Kind.FULL, width, (index,), (first,)))

    def join(self, args: Sequence[int]) -> int:
        """The units of values of rows x units, one behind the other."""
        if len(args) == 1:
            return args[0]
        width = sum(self.nodes[a].width for a in args)
        return self.append(Node("join", Kind.FULL, width, tuple(args)))

    def _fold(self, op: str, nodes: Sequence[Node]) -> int:
        values = [np.float64(float_of_words(*node.attrs)) for node in nodes]
        function = OPS[op].value
        assert function is not None  # products and sinks have no constant operands
        with np.errstate(all="ignore"):
            return self.number(float(function(*values)))


def result_of(op: str, args: Sequence[Node]) -> tuple[Kind, int]:
    """Kind and width of an elementwise node or a reduction."""
    if op in ("row_sum", "row_max"):
        return Kind.ROW, 1
    if op == "column_sum":
        return Kind.UNIT, args[0].width
    kind = Kind.CONST
    for node in args:
        kind = Kind(kind | node.kind)
    return kind, max(node.width for node in args)


def rebuild(
    graph: Graph,
    builder: Builder,
    replace: Callable[[Node, Sequence[int]], int | None],
) -> list[int]:
    """Add the forward part of `graph` to `builder`; `replace` may stand in for a node.

    It is given the node, and where those before it stand now.

    Returns
    -------
    list of int
        For each node of `graph`, where it stands now.
    """
    at: list[int] = []
    for node in graph.nodes[: graph.n_forward]:
        other = replace(node, at)
        args = tuple(at[a] for a in node.args)
        at.append(builder.append(node._replace(args=args)) if other is None else other)
    return at


def live_nodes(nodes: Sequence[Node], roots: Iterable[int]) -> set[int]:
    """What `roots` depend on, themselves included."""
    live: set[int] = set()
    waiting = list(roots)
    while waiting:
        i = waiting.pop()
        if i >= 0 and i not in live:
            live.add(i)
            waiting.extend(nodes[i].args)
    return live


def renumber(
    nodes: Sequence[Node], keep: set[int]
) -> tuple[list[Node], Mapping[int, int]]:
    """The nodes kept, in order, and their new indices by the old ones (-1 stays -1)."""
    at = {-1: -1}
    kept: list[Node] = []
    for i, node in enumerate(nodes):
        if i in keep:
            at[i] = len(kept)
            kept.append(node._replace(args=tuple(at[a] for a in node.args)))
    return kept, at
