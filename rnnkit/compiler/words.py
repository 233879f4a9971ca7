# SPDX-License-Identifier: BSD-3-Clause
"""A graph as 32-bit words: what the core reads and model files hold.

1 (op-set version), parameters, states, input width, nodes, forward nodes, output node
each parameter:  is_weight, blocks, width, columns
each state:      width, initial value (low word, high word), new-state node
each node:       op, width, n_args, args..., n_attrs, attrs...
with a backward part: node of the input's gradient or -1,
                      then for each state the node of its gradient or -1
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnkit.compiler.check import (
    MAX_ARGS,
    MAX_BLOCKS,
    MAX_NODES,
    MAX_PARAMETERS,
    MAX_STATES,
    MAX_WIDTH,
    check_results,
    checked_node,
)
from rnnkit.compiler.graph import (
    Graph,
    Initialiser,
    Node,
    Parameter,
    State,
    float_of_words,
    words_of_float,
)
from rnnkit.compiler.ops import BY_NUMBER, OP_SET_VERSION, OPS
from rnnkit.errors import GraphError


def to_words(graph: Graph) -> np.ndarray:
    """The graph as int32 words; names, initialisers and limits are not among them."""
    words = [
        OP_SET_VERSION,
        len(graph.parameters),
        len(graph.states),
        graph.input_width,
        len(graph.nodes),
        graph.n_forward,
        graph.output,
    ]
    for p in graph.parameters:
        words += [int(p.is_weight), p.blocks, p.width, p.columns]
    for state in graph.states:
        words += [state.width, *words_of_float(state.initial), state.new]
    for node in graph.nodes:
        words += [OPS[node.op].number, node.width]
        words += [len(node.args), *node.args, len(node.attrs), *node.attrs]
    if graph.has_backward:
        words += [graph.input_gradient, *graph.state_gradients]
    return np.array(words, dtype=np.int32)


def from_words(words: Sequence[int] | np.ndarray) -> Graph:
    """The graph in these words, which are untrusted: each is checked.

    Names and initialisers are not in the words: parameters, blocks and states are
    numbered and start from 0.

    Raises
    ------
    GraphError
        What is malformed.
    """
    cursor = _Cursor([int(word) for word in words])
    cursor.read("op-set version", OP_SET_VERSION, OP_SET_VERSION)
    n_parameters = cursor.read("number of parameters", 0, MAX_PARAMETERS)
    n_states = cursor.read("number of states", 1, MAX_STATES)
    input_width = cursor.read("input width", 1, MAX_WIDTH)
    n_nodes = cursor.read("number of nodes", 1, MAX_NODES)
    n_forward = cursor.read("number of forward nodes", 1, n_nodes)
    output = cursor.read("output node", 0, n_forward - 1)
    parameters = tuple(_read_parameter(cursor, i) for i in range(n_parameters))
    states = tuple(_read_state(cursor, k, n_forward) for k in range(n_states))
    graph = Graph(parameters, states, input_width, (), output, n_forward)
    nodes: list[Node] = []
    for _ in range(n_nodes):
        nodes.append(checked_node(graph, nodes, *_read_node(cursor)))
    if len(set(nodes[:n_forward])) < n_forward:
        raise GraphError("graph: two nodes are equal")
    gradients = []
    if n_forward < n_nodes:
        gradients = [
            cursor.read("gradient node", -1, n_nodes - 1) for _ in range(1 + n_states)
        ]
    if cursor.at < len(cursor.words):
        raise GraphError(f"graph: {len(cursor.words) - cursor.at} words too many")
    graph = Graph(
        parameters,
        states,
        input_width,
        tuple(nodes),
        output,
        n_forward,
        gradients[0] if gradients else -1,
        tuple(gradients[1:]),
    )
    check_results(graph)
    return graph


class _Cursor:
    """Reads words one by one, none beyond the end, none out of its range."""

    def __init__(self, words: list[int]) -> None:
        self.words = words
        self.at = 0

    def read(self, what: str, least: int = -(2**31), most: int = 2**31 - 1) -> int:
        if self.at == len(self.words):
            raise GraphError(f"graph: ends before {what} ({len(self.words)} words)")
        word = self.words[self.at]
        if not least <= word <= most:
            raise GraphError(f"graph: {what} is {word}, allowed {least} to {most}")
        self.at += 1
        return word

    def read_list(self, what: str) -> tuple[int, ...]:
        count = self.read(f"number of {what}", 0, MAX_ARGS)
        if count > len(self.words) - self.at:
            raise GraphError(f"graph: ends within {what} ({len(self.words)} words)")
        return tuple(self.read(what) for _ in range(count))


def _read_parameter(cursor: _Cursor, index: int) -> Parameter:
    is_weight = cursor.read("parameter kind", 0, 1) == 1
    blocks = cursor.read("parameter blocks", 1, MAX_BLOCKS)
    width = cursor.read("parameter width", 1, MAX_WIDTH)
    return Parameter(
        name=f"parameter_{index}",
        is_weight=is_weight,
        block_names=tuple(str(block) for block in range(blocks)),
        width=width,
        columns=cursor.read("parameter columns", 1, MAX_WIDTH if is_weight else 1),
        initialisers=(Initialiser("zeros", 0.0),) * blocks,
        decay=is_weight,
    )


def _read_state(cursor: _Cursor, index: int, n_forward: int) -> State:
    width = cursor.read("state width", 1, MAX_WIDTH)
    low, high = cursor.read("initial value"), cursor.read("initial value")
    new = cursor.read("new-state node", 0, n_forward - 1)
    return State(f"state_{index}", width, float_of_words(low, high), new)


def _read_node(cursor: _Cursor) -> tuple[str, int, tuple[int, ...], tuple[int, ...]]:
    number = cursor.read("operation")
    if number not in BY_NUMBER:
        raise GraphError(f"graph: unknown operation {number}")
    width = cursor.read("node width", 0, MAX_WIDTH)
    args = cursor.read_list("arguments")
    return BY_NUMBER[number].name, width, args, cursor.read_list("attributes")
