# SPDX-License-Identifier: BSD-3-Clause
"""The rules that every graph keeps; graphs from files are untrusted and come here.

The core has the same rules (csrc/program/graph.c).
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnkit.compiler.graph import Graph, Kind, Node, float_of_words, linear_parts
from rnnkit.compiler.ops import OPS
from rnnkit.errors import GraphError

MAX_NODES = 1 << 16
MAX_PARAMETERS = 1 << 12
MAX_STATES = 64
MAX_BLOCKS = 1 << 12
MAX_WIDTH = 1 << 22
MAX_ARGS = 1 << 12


def checked_node(
    graph: Graph,
    nodes: Sequence[Node],
    op: str,
    width: int,
    args: tuple[int, ...],
    attrs: tuple[int, ...],
) -> Node:
    """The next node after `nodes`, with its kind.

    Parameters
    ----------
    graph : Graph
        Its parameters, states, widths and output; its nodes are not looked at.
    nodes : sequence of Node
        Those before it, checked.
    op, width, args, attrs
        What the node says of itself.

    Raises
    ------
    GraphError
        Which node breaks which rule.
    """
    return _NodeCheck(graph, nodes, op, width, args, attrs).checked()


def check_results(graph: Graph) -> None:
    """Whether new states and gradients have the widths that they need."""
    for state in graph.states:
        _check_fits(graph, state.new, state.width, f"new state {state.name}")
    if graph.has_backward:
        _check_fits(graph, graph.input_gradient, graph.input_width, "gradient of x")
        for state, index in zip(graph.states, graph.state_gradients, strict=True):
            _check_fits(graph, index, state.width, f"gradient of state {state.name}")


def _check_fits(graph: Graph, index: int, width: int, what: str) -> None:
    if index < 0:
        return
    node = graph.nodes[index]
    if node.kind == Kind.SINK or (node.kind & Kind.UNIT and node.width != width):
        raise GraphError(f"graph: the {what} has width {node.width}, needs {width}")


class _NodeCheck:
    def __init__(
        self,
        graph: Graph,
        nodes: Sequence[Node],
        op: str,
        width: int,
        args: tuple[int, ...],
        attrs: tuple[int, ...],
    ) -> None:
        self.graph = graph
        self.op, self.width, self.attrs = op, width, attrs
        self.where = f"graph: node {len(nodes)} ({op})"
        self.backward = len(nodes) >= graph.n_forward
        self.output_width = nodes[graph.output].width if self.backward else 0
        for arg in args:
            if not 0 <= arg < len(nodes) or nodes[arg].kind == Kind.SINK:
                self.fail(f"argument {arg} is not an earlier value")
        self.args = args
        self.nodes = [nodes[arg] for arg in args]

    def fail(self, what: str) -> None:
        raise GraphError(f"{self.where}: {what}")

    def checked(self) -> Node:
        op = OPS[self.op]
        if op.backward and not self.backward:
            self.fail("belongs to a backward part")
        if op.arity is not None and len(self.args) != op.arity:
            self.fail(f"has {len(self.args)} arguments, needs {op.arity}")
        if op.n_attrs is not None and len(self.attrs) != op.n_attrs:
            self.fail(f"has {len(self.attrs)} attributes, needs {op.n_attrs}")
        if op.is_elementwise:
            kind, width = self.elementwise()
        else:
            kind, width = getattr(self, self.op)()
        if self.width != width:
            self.fail(f"says width {self.width}, needs {width}")
        return Node(self.op, kind, width, self.args, self.attrs)

    def elementwise(self) -> tuple[Kind, int]:
        kind = Kind.CONST
        for node in self.nodes:
            kind = Kind(kind | node.kind)
        widths = {node.width for node in self.nodes if node.kind & Kind.UNIT}
        if kind == Kind.CONST:
            self.fail("arithmetic on constants must be folded")
        if len(widths) > 1:
            self.fail(f"mixes widths {' and '.join(map(str, sorted(widths)))}")
        return kind, max(widths, default=1)

    # ------------------------------------------------------------------------- leaves

    def input(self) -> tuple[Kind, int]:
        return Kind.FULL, self.graph.input_width

    def state(self) -> tuple[Kind, int]:
        if not 0 <= self.attrs[0] < len(self.graph.states):
            self.fail(f"there is no state {self.attrs[0]}")
        return Kind.FULL, self.graph.states[self.attrs[0]].width

    grad_state = state

    def grad_output(self) -> tuple[Kind, int]:
        return Kind.FULL, self.output_width

    def vector(self) -> tuple[Kind, int]:
        return Kind.UNIT, self.block(self.attrs, is_weight=False)[0]

    def constant(self) -> tuple[Kind, int]:
        return Kind.CONST, 1

    share = constant

    def flag(self) -> tuple[Kind, int]:
        if self.attrs[0] not in (0, 1):
            self.fail(f"there is no flag {self.attrs[0]}")
        return Kind.ROW, 1

    def mask(self) -> tuple[Kind, int]:
        site, per_sequence, *rate = self.attrs
        if site < 0 or per_sequence not in (0, 1):
            self.fail(f"bad site {site} or kind {per_sequence}")
        if not 0 <= float_of_words(*rate) < 1:
            self.fail("the rate must be in [0, 1)")
        return Kind.FULL, max(self.width, 1)

    # ------------------------------------------------------------------ products, sums

    def linear(self) -> tuple[Kind, int]:
        n_biases = self.attrs[0] if self.attrs else -1
        if not self.args or n_biases < 0:
            self.fail("counts do not match")
        if len(self.attrs) != 1 + 2 * n_biases + 2 * len(self.args):
            self.fail("counts do not match")
        biases, weights = linear_parts(self.unchecked())
        shapes = {self.block(bias, is_weight=False)[0] for bias in biases}
        for position, weight in enumerate(weights):
            rows, columns = self.block(weight, is_weight=True)
            shapes.add(rows)
            self.need_full(position, columns)
        return Kind.FULL, self.one_width(shapes)

    def linear_transposed(self) -> tuple[Kind, int]:
        if not self.args or len(self.attrs) != 2 * len(self.args):
            self.fail("counts do not match")
        shapes = set()
        for position, weight in enumerate(linear_parts(self.unchecked())[1]):
            rows, columns = self.block(weight, is_weight=True)
            shapes.add(columns)
            self.need_full(position, rows)
        return Kind.FULL, self.one_width(shapes)

    def row_sum(self) -> tuple[Kind, int]:
        self.need_full(0, self.nodes[0].width)
        return Kind.ROW, 1

    row_max = row_sum

    def column_sum(self) -> tuple[Kind, int]:
        self.need_full(0, self.nodes[0].width)
        return Kind.UNIT, self.nodes[0].width

    def expand(self) -> tuple[Kind, int]:
        if self.nodes[0].kind & Kind.UNIT:
            return Kind.FULL, self.nodes[0].width
        return Kind.FULL, max(self.width, 1)

    def part(self) -> tuple[Kind, int]:
        whole, first = self.nodes[0].width, self.attrs[0]
        self.need_full(0, whole)
        if self.width < 1 or not 0 <= first <= whole - self.width:
            self.fail(f"takes {self.width} units from {first} on of {whole}")
        return Kind.FULL, self.width

    def join(self) -> tuple[Kind, int]:
        if not self.args:
            self.fail("joins nothing")
        for position, node in enumerate(self.nodes):
            self.need_full(position, node.width)
        return Kind.FULL, sum(node.width for node in self.nodes)

    def weight_grad(self) -> tuple[Kind, int]:
        rows, columns = self.block(self.attrs, is_weight=True)
        self.need_full(0, rows)
        self.need_full(1, columns)
        return Kind.SINK, 0

    def vector_grad(self) -> tuple[Kind, int]:
        width, _ = self.block(self.attrs, is_weight=False)
        if self.nodes[0].kind != Kind.UNIT or self.nodes[0].width != width:
            self.fail("the argument is no vector of this width")
        return Kind.SINK, 0

    # ------------------------------------------------------------------------- helpers

    def unchecked(self) -> Node:
        return Node(self.op, Kind.FULL, self.width, self.args, self.attrs)

    def need_full(self, position: int, width: int) -> None:
        node = self.nodes[position]
        if node.kind != Kind.FULL or node.width != width:
            self.fail(f"argument {self.args[position]} is not rows x {width}")

    def block(self, reference: tuple[int, ...], *, is_weight: bool) -> tuple[int, int]:
        """Width and columns of the block that is referred to."""
        index, block = reference
        if not 0 <= index < len(self.graph.parameters):
            self.fail(f"there is no parameter {index}")
        parameter = self.graph.parameters[index]
        if parameter.is_weight != is_weight:
            self.fail(f"parameter {index} is a vector for a weight, or vice versa")
        if not 0 <= block < parameter.blocks:
            self.fail(f"parameter {index} has no block {block}")
        return parameter.width, parameter.columns

    def one_width(self, widths: set[int]) -> int:
        if len(widths) > 1:
            self.fail(f"mixes widths {' and '.join(map(str, sorted(widths)))}")
        return widths.pop()
