# SPDX-License-Identifier: BSD-3-Clause
"""What every cell must pass, in one call, for authors of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.compiler import Graph, differentiate, initialise, trace, with_resets
from rnnkit.core import Program, State, Weights, Window
from rnnkit.testing import reference
from rnnkit.testing.gradients import complex_step_gradient, relative_error
from rnnkit.testing.network import ReferenceNetwork

Array = np.ndarray[Any, Any]

VOCAB_SIZE, N_STEPS, N_ROWS = 7, 6, 3
# Thousands of roundings of 1e-16, and what a cell's equations make of them.
TOLERANCE = 1e-9


def check_cell(
    cell: Any, *, input_size: int = 3, hidden_size: int = 5, random_state: int = 0
) -> None:
    """Check a cell in float64: its gradients, and the core that runs it.

    Gradients of everything, derived by the compiler, are compared with a complex step;
    values and gradients of the core with those of a slow NumPy version of the graph.
    Both from states that are not the initial ones, with documents that begin inside the
    window, and rows that end early.

    Parameters
    ----------
    cell : Cell
        An instance.
    input_size, hidden_size : int, default=3 and 5
        Small: a complex step takes one run for each number.
    random_state : int, default=0
        Seed of weights, inputs and states.

    Raises
    ------
    rnnkit.errors.CellError
        The equations cannot be traced; the message names the line.
    AssertionError
        Something differs; the message says what, and by how much.
    """
    graph = differentiate(with_resets(trace(cell, input_size, hidden_size)))
    rng = np.random.default_rng(random_state)
    parameters = [_parameter(p, rng) for p in graph.parameters]
    with np.errstate(all="ignore"):  # what is not finite is named below
        states = _states(graph, parameters, rng)
        _check_gradients(graph, parameters, states, rng)
        _check_core(graph, parameters, states, rng)


def _parameter(parameter: Any, rng: np.random.Generator) -> Array:
    """First values, moved a little so that none is 0, and kept within the limits."""
    value = initialise(parameter, rng) + rng.normal(0, 0.2, parameter.shape)
    return np.clip(value, *(parameter.limits or (-np.inf, np.inf)))


def _states(graph: Graph, parameters: list[Array], rng: np.random.Generator) -> Any:
    """States that the cell itself has reached, so that its equations allow them."""
    x = rng.normal(size=(2, N_ROWS, graph.input_width))
    states = reference.forward(reference.Window(graph, parameters, x)).states
    return [np.array(state) for state in states]


def _flags() -> dict[str, Any]:
    """Resets in mid-window, and rows that end early."""
    resets = np.zeros((N_STEPS, N_ROWS), np.uint8)
    active = np.ones((N_STEPS, N_ROWS), np.uint8)
    resets[2, 0] = resets[1, 2] = resets[4, 2] = 1
    active[3:, 1] = active[5:, 2] = 0
    return {"resets": resets, "active": active}


def _check_gradients(
    graph: Graph, parameters: list[Array], states: Any, rng: np.random.Generator
) -> None:
    n = len(parameters)
    x = rng.normal(size=(N_STEPS, N_ROWS, graph.input_width))
    weights = rng.normal(size=(N_STEPS, N_ROWS, graph.output_width))

    def run(arrays: list[Array]) -> reference.Run:
        window = reference.Window(
            graph, arrays[:n], arrays[n], arrays[n + 1 :], **_flags()
        )
        return reference.forward(window)

    arrays = [*parameters, x, *states]
    names = [*(p.name for p in graph.parameters), "x", *(s.name for s in graph.states)]
    found = reference.backward(run(arrays), weights)
    expected = complex_step_gradient(
        lambda points: np.sum(run(points).outputs * weights), arrays
    )
    gradients = [*found.parameters, found.x, *found.states]
    for name, gradient, exact in zip(names, gradients, expected, strict=True):
        _compare(f"the gradient of {name}", gradient, exact, "a complex step")


def _check_core(
    graph: Graph, parameters: list[Array], states: Any, rng: np.random.Generator
) -> None:
    program = Program(graph.to_words(), "float64")
    core_weights = Weights(VOCAB_SIZE, graph.input_width, [program], dtype="float64")
    tensors = [rng.normal(0, 0.5, shape) for shape in core_weights.shapes]
    tensors[1 : 1 + len(parameters)] = parameters
    for i, tensor in enumerate(tensors):
        core_weights.set(i, tensor)
    state = State(core_weights, [program], N_ROWS)
    for k, value in enumerate(states):
        state.set(0, k, value)
    ids, targets = rng.integers(VOCAB_SIZE, size=(2, N_STEPS, N_ROWS), dtype=np.int32)

    network = ReferenceNetwork([graph])
    expected = network.forward(tensors, ids, targets, states=[states], **_flags())
    exact = network.backward(expected)
    window = Window(core_weights, [program], N_STEPS, N_ROWS, training=True)
    window.forward(ids, state, targets=targets, **_flags())
    _compare("the output", window.outputs(), expected.outputs)
    for k, spec in enumerate(graph.states):
        _compare(f"state {spec.name}", state.get(0, k), expected.states[0][k])
    window.backward()
    names = ["the embedding", *(p.name for p in graph.parameters), "W", "b"]
    for i, name in enumerate(names):
        _compare(f"the gradient of {name}", window.gradient(i), exact.tensors[i])
    for k, spec in enumerate(graph.states):
        gradient = window.initial_state_gradient(0, k)
        _compare(f"the gradient of {spec.name}", gradient, exact.states[0][k])


def _compare(
    what: str, found: Array, expected: Array, other: str = "the graph in NumPy"
) -> None:
    """Raise AssertionError where two arrays differ, or are not finite."""
    if not np.isfinite(found).all():
        raise AssertionError(f"{what} is not finite")
    error = relative_error([found], [expected])
    if not error <= TOLERANCE:
        raise AssertionError(
            f"{what} differs from {other} by {error:.1e} of its norm, "
            f"allowed is {TOLERANCE:.0e}"
        )
