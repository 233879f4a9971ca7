# SPDX-License-Identifier: BSD-3-Clause
"""A slow interpreter of graphs on NumPy, the oracle of the core and of gradients.

It runs a graph node by node and step by step, as it stands, in the dtype of what it is
given: float64, or complex for the complex step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnkit.compiler.graph import Graph, Kind, Node, float_of_words, linear_parts
from rnnkit.compiler.ops import OPS

Array = np.ndarray[Any, Any]


@dataclass
class Window:
    """What one run of a graph over T steps of B rows reads.

    Attributes
    ----------
    graph : Graph
        With a backward part if `backward` is to be called.
    parameters : sequence of arrays
        In the graph's order, in plain shapes.
    x : array of shape (T, B, input width)
    states : sequence of arrays of shape (B, width), optional
        Before the first step; the initial values by default.
    resets, active : arrays of shape (T, B), optional
        Row flags; no resets, all active by default.
    masks : mapping of int to array of shape (T, B, width)
        Values of the dropout masks by site.
    """

    graph: Graph
    parameters: Sequence[Array]
    x: Array
    states: Sequence[Array] | None = None
    resets: Array | None = None
    active: Array | None = None
    masks: Mapping[int, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps, rows, _ = self.x.shape
        self.rows = rows
        self.dtype = np.result_type(self.x, *self.parameters, *(self.states or ()))
        if self.states is None:
            self.states = [
                np.full((rows, s.width), s.initial, self.dtype)
                for s in self.graph.states
            ]
        none, all_rows = np.zeros((steps, rows)), np.ones((steps, rows))
        self.flags = (
            none if self.resets is None else self.resets,
            all_rows if self.active is None else self.active,
        )

    def block(self, reference: tuple[int, ...]) -> Array:
        """One block of a parameter."""
        index, block = reference
        width = self.graph.parameters[index].width
        rows: Array = self.parameters[index][block * width : (block + 1) * width]
        return rows


@dataclass
class Run:
    """What `forward` leaves: values of all nodes at all steps.

    Attributes
    ----------
    outputs : array of shape (T, B, output width)
    states : list of arrays of shape (B, width)
        After the last step.
    """

    window: Window
    outputs: Array
    states: list[Array]
    values: list[dict[int, Array]]


@dataclass
class Gradients:
    """What `backward` leaves: gradients in the shapes of what they belong to."""

    parameters: list[Array]
    x: Array
    states: list[Array]


def forward(window: Window) -> Run:
    """Run the forward part over the window."""
    graph, rows = window.graph, window.rows
    states = list(window.states or ())
    outputs = np.zeros((len(window.x), rows, graph.output_width), window.dtype)
    all_values = []
    for t in range(len(window.x)):
        values: dict[int, Array] = {}
        for i, node in enumerate(graph.nodes[: graph.n_forward]):
            values[i] = _value(window, node, values, t, states, None)
        outputs[t] = values[graph.output]
        states = [np.broadcast_to(values[s.new], (rows, s.width)) for s in graph.states]
        all_values.append(values)
    return Run(window, outputs, states, all_values)


def backward(
    run: Run, output_gradient: Array, state_gradients: Sequence[Array] | None = None
) -> Gradients:
    """Run the backward part.

    Parameters
    ----------
    run : Run
    output_gradient : array of shape (T, B, output width)
    state_gradients : sequence of arrays of shape (B, width), optional
        Gradients of the states after the last step; 0 by default.
    """
    window, graph = run.window, run.window.graph
    rows = window.rows
    carried = [np.zeros((rows, s.width)) for s in graph.states]
    if state_gradients is not None:
        carried = list(state_gradients)
    found = Gradients([np.zeros(p.shape) for p in graph.parameters], window.x * 0, [])
    sums: dict[int, Array] = {}
    backward_nodes = range(graph.n_forward, len(graph.nodes))
    for t in reversed(range(len(window.x))):
        values = dict(run.values[t])
        for i in backward_nodes:
            node = graph.nodes[i]
            if node.op == "column_sum":
                total = values[node.args[0]].sum(axis=0)
                sums[i] = sums.get(i, 0) + total
            elif node.op == "weight_grad":
                delta, operand = (values[a] for a in node.args)
                _add_to_block(found, graph, node.attrs, delta.T @ operand)
            elif node.kind in (Kind.ROW, Kind.FULL):
                gradients = [output_gradient[t], *carried]
                values[i] = _value(window, node, values, t, (), gradients)
            elif node.kind == Kind.CONST:
                values[i] = _value(window, node, values, t, (), None)
        if graph.input_gradient >= 0:
            found.x[t] = values[graph.input_gradient]
        carried = [
            np.broadcast_to(values[i] if i >= 0 else 0.0, (rows, s.width))
            for i, s in zip(graph.state_gradients, graph.states, strict=True)
        ]
    _finish_vectors(run, found, sums)
    found.states = carried
    return found


def _finish_vectors(run: Run, found: Gradients, sums: dict[int, Array]) -> None:
    """After the loop: what follows from sums over all rows and steps."""
    graph = run.window.graph
    values = dict(run.values[0]) | sums
    for i in range(graph.n_forward, len(graph.nodes)):
        node = graph.nodes[i]
        if node.op == "vector_grad":
            _add_to_block(found, graph, node.attrs, values[node.args[0]])
        elif node.kind in (Kind.CONST, Kind.UNIT) and i not in sums:
            values[i] = _value(run.window, node, values, 0, (), None)


def _add_to_block(
    found: Gradients, graph: Graph, reference: tuple[int, ...], part: Array
) -> None:
    index, block = reference
    width = graph.parameters[index].width
    found.parameters[index][block * width : (block + 1) * width] += part


def _value(
    window: Window,
    node: Node,
    values: Mapping[int, Array],
    t: int,
    states: Sequence[Array],
    gradients: Sequence[Array] | None,
) -> Array:
    """The value of one node at step t: (B, width), (B, 1), (width,) or ()."""
    args = [values[a] for a in node.args]
    match node.op:
        case "input":
            return np.asarray(window.x[t])
        case "state":
            return states[node.attrs[0]]
        case "vector":
            return window.block(node.attrs)
        case "constant":
            return np.asarray(float_of_words(*node.attrs))
        case "share":
            n_rows = len(window.x) * window.rows
            return np.asarray(float_of_words(*node.attrs) / n_rows)
        case "flag":
            return np.asarray(window.flags[node.attrs[0]][t], float)[:, None]
        case "mask":
            return np.asarray(window.masks[node.attrs[0]][t])
        case "grad_output":
            assert gradients is not None
            return gradients[0]
        case "grad_state":
            assert gradients is not None
            return gradients[1 + node.attrs[0]]
        case "linear" | "linear_transposed":
            return _product(window, node, args)
        case "part":
            return args[0][:, node.attrs[0] : node.attrs[0] + node.width]
        case "join":
            return np.concatenate(args, axis=1)
    function = OPS[node.op].value
    assert function is not None  # sinks and column sums are the caller's
    value: Array = function(*args)
    if node.kind == Kind.FULL:
        return np.broadcast_to(value, (window.rows, node.width))
    return value


def _product(window: Window, node: Node, args: Sequence[Array]) -> Array:
    biases, weights = linear_parts(node)
    total = np.zeros((window.rows, node.width), window.dtype)
    for bias in biases:
        total = total + window.block(bias)
    for operand, weight in zip(args, weights, strict=True):
        matrix = window.block(weight)
        total = total + operand @ (matrix.T if node.op == "linear" else matrix)
    return total
