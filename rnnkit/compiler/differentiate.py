# SPDX-License-Identifier: BSD-3-Clause
"""Reverse mode on a graph, once, giving a graph.

The backward part reads the gradient of the output and, from the next step, those of the
new states; it leaves those of x and of the old states, and the parameters' in sinks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from rnnkit.compiler.builder import Builder, live_nodes, renumber
from rnnkit.compiler.graph import Graph, Kind, Node, linear_parts, words_of_float
from rnnkit.compiler.ops import OPS
from rnnkit.compiler.regularise import RESET
from rnnkit.errors import GraphError


def differentiate(
    graph: Graph,
    output_penalty: float = 0.0,
    change_penalties: Mapping[int, float] | None = None,
) -> Graph:
    """The graph with its backward part.

    Penalties join the loss: each the mean, over units, rows and steps of the window, of
    a square, times a factor.

    Parameters
    ----------
    graph : Graph
        Without a backward part; with or without masks and resets.
    output_penalty : float, default=0.0
        Factor of the output's square.
    change_penalties : mapping of int to float, optional
        By state: factor of the square of its change in a step, but for a reset.

    Returns
    -------
    Graph
        The same forward nodes, then the backward part.

    Raises
    ------
    GraphError
        If `graph` has a backward part already.
    """
    if graph.has_backward:
        raise GraphError("the graph is differentiated already")
    reverse = _Reverse(graph)
    seed = reverse.b.leaf("grad_output", Kind.FULL, graph.output_width)
    reverse.contribute(graph.output, seed, Kind.FULL, graph.output_width)
    for k, state in enumerate(graph.states):
        seed = reverse.b.leaf("grad_state", Kind.FULL, state.width, k)
        reverse.contribute(state.new, seed, Kind.FULL, state.width)
    if output_penalty:
        reverse.penalise_output(output_penalty)
    for k, factor in (change_penalties or {}).items():
        reverse.penalise_change(k, factor)
    for i in reversed(range(graph.n_forward)):
        reverse.visit(i)
    return reverse.result()


class _Reverse:
    """Gradients under way: what each forward node has been given so far.

    A gradient is kept apart while it still has to be summed over rows or units, and so
    are the terms of transposed products and the gradients of some units only: one sum,
    one product and one joined value serve all of them.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.b = Builder(graph.nodes)
        self.direct: dict[int, list[int]] = defaultdict(list)
        self.wide: dict[int, dict[int, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.pieces: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.products: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self.leaf_gradients: dict[tuple[str, int], int] = {}

    def penalise_output(self, factor: float) -> None:
        """Add the gradient of the output's mean square."""
        i, width = self.graph.output, self.graph.output_width
        value = self.b.spread(i, Kind.FULL, width)
        self.contribute(i, self._of_mean_square(value, factor), Kind.FULL, width)

    def penalise_change(self, k: int, factor: float) -> None:
        """Add the gradient of the mean square of what a step changes in a state."""
        b, state = self.b, self.graph.states[k]
        old = b.leaf("state", Kind.FULL, state.width, k)
        change = b("sub", b.spread(state.new, Kind.FULL, state.width), old)
        reset = Node("flag", Kind.ROW, 1, (), (RESET,))
        if reset in self.graph.nodes:
            change = b("select", b.append(reset), b.number(0.0), change)
        gradient = self._of_mean_square(change, factor)
        self.contribute(state.new, gradient, Kind.FULL, state.width)
        self.contribute(old, b("neg", gradient), Kind.FULL, state.width)

    def _of_mean_square(self, value: int, factor: float) -> int:
        """The gradient of the value's mean square, times the factor."""
        share = words_of_float(2 * factor / self.b.nodes[value].width)
        return self.b("mul", value, self.b.leaf("share", Kind.CONST, 1, *share))

    def contribute(self, i: int, gradient: int, kind: Kind, width: int) -> None:
        """Hand `gradient`, that of a value of this kind and width, to node `i`."""
        node = self.b.nodes[i]
        if not kind & ~node.kind:
            self.direct[i].append(gradient)
        elif node.kind != Kind.CONST:
            self.wide[i][width].append(self.b.spread(gradient, kind, width))

    def visit(self, i: int) -> None:
        """Take node `i`'s gradient, complete by now, to its arguments."""
        gradient = self._total(i)
        if gradient is None:
            return
        node = self.graph.nodes[i]
        if node.op in ("input", "state"):
            self.leaf_gradients[node.op, sum(node.attrs)] = gradient
        elif node.op == "vector":
            self.b.append(Node("vector_grad", Kind.SINK, 0, (gradient,), node.attrs))
        elif node.op == "linear":
            self._visit_linear(node, self.b.spread(gradient, Kind.FULL, node.width))
        elif node.op == "part":
            piece = self.b.spread(gradient, Kind.FULL, node.width)
            self.pieces[node.args[0]].append((node.attrs[0], piece))
        elif node.op == "join":
            self._visit_join(node, self.b.spread(gradient, Kind.FULL, node.width))
        elif (rule := OPS[node.op].rule) is not None:
            for arg, part in zip(
                node.args, rule(self.b, gradient, i, *node.args), strict=True
            ):
                if part is not None:
                    self.contribute(arg, part, node.kind, node.width)

    def _visit_linear(self, node: Node, delta: int) -> None:
        biases, terms = linear_parts(node)
        for bias in biases:
            total = self.b("column_sum", delta)
            self.b.append(Node("vector_grad", Kind.SINK, 0, (total,), bias))
        for operand, weight in zip(node.args, terms, strict=True):
            self.b.append(Node("weight_grad", Kind.SINK, 0, (delta, operand), weight))
            self.products[operand].append((delta, *weight))

    def _visit_join(self, node: Node, gradient: int) -> None:
        first = 0
        for arg in node.args:
            width = self.b.nodes[arg].width
            self.contribute(arg, self.b.part(gradient, first, width), Kind.FULL, width)
            first += width

    def _total(self, i: int) -> int | None:
        node = self.b.nodes[i]
        parts = []
        if terms := self.products.pop(i, None):
            terms.reverse()  # in the order of the forward part
            deltas = tuple(delta for delta, _, _ in terms)
            attrs = tuple(number for _, *weight in terms for number in weight)
            parts.append(
                self.b.append(
                    Node("linear_transposed", Kind.FULL, node.width, deltas, attrs)
                )
            )
        parts += self._joined(self.pieces.pop(i, []), node.width)
        parts += self.direct.pop(i, [])
        for gradients in self.wide.pop(i, {}).values():
            reduce = "row_sum" if node.kind == Kind.ROW else "column_sum"
            parts.append(self.b(reduce, self._sum(gradients)))
        return self._sum(parts) if parts else None

    def _joined(self, pieces: list[tuple[int, int]], width: int) -> list[int]:
        """Gradients of some units each as gradients of all, as few as can be."""
        pieces = sorted(pieces)
        joined = []
        while pieces:
            row, end, overlapping = [], 0, []
            for first, piece in pieces:
                if first < end:
                    overlapping.append((first, piece))
                    continue
                row += self._zeros(first - end)
                row.append(piece)
                end = first + self.b.nodes[piece].width
            joined.append(self.b.join(row + self._zeros(width - end)))
            pieces = overlapping
        return joined

    def _zeros(self, width: int) -> list[int]:
        zero = self.b.number(0.0)
        return [self.b.spread(zero, Kind.FULL, width)] if width else []

    def _sum(self, parts: list[int]) -> int:
        total = parts[0]
        for part in parts[1:]:
            total = self.b("add", total, part)
        return total

    def result(self) -> Graph:
        graph, nodes = self.graph, self.b.nodes
        leaf = self.leaf_gradients
        x_gradient = leaf.get(("input", 0), -1)
        state_gradients = [leaf.get(("state", k), -1) for k in range(len(graph.states))]
        sinks = [i for i, node in enumerate(nodes) if node.kind == Kind.SINK]
        keep = live_nodes(nodes, [x_gradient, *state_gradients, *sinks])
        kept, at = renumber(nodes, keep | set(range(graph.n_forward)))
        return replace(
            graph,
            nodes=tuple(kept),
            input_gradient=at[x_gradient],
            state_gradients=tuple(at[g] for g in state_gradients),
        )
