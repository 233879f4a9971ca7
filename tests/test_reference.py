# SPDX-License-Identifier: BSD-3-Clause
"""The oracles: gradients from values, the interpreter's network, each by another."""

import math

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN
from rnnkit.compiler import differentiate, trace, with_masks, with_resets
from rnnkit.testing import (
    ReferenceNetwork,
    central_difference,
    complex_step_gradient,
    relative_error,
)
from rnnkit.testing.reference import Window, backward, forward

VOCAB, EMBED, HIDDEN, STEPS, ROWS = 7, 3, 3, 4, 3


def test_gradients_from_values_are_those_of_calculus():
    def function(arrays):
        (a, b) = arrays
        return np.sum(np.sin(a) * np.exp(b)) + a[0, 1] ** 3

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=3)
    d_a = np.cos(a) * np.exp(b)
    d_a[0, 1] += 3 * a[0, 1] ** 2
    d_b = np.sum(np.sin(a), axis=0) * np.exp(b)
    exact = complex_step_gradient(function, [a, b])
    assert relative_error(exact, [d_a, d_b]) <= 1e-15
    near = central_difference(function, [a, b])
    assert relative_error(near, [d_a, d_b]) <= 1e-9  # h * h with h = 1e-5, some digits


def test_gradients_from_values_leave_their_points_alone():
    point = np.arange(3.0)
    for method in (complex_step_gradient, central_difference):
        method(lambda arrays: np.sum(arrays[0]), [point])
    np.testing.assert_array_equal(point, [0, 1, 2])


def test_relative_error_is_norm_wise_by_array():
    assert relative_error([np.array([3.0, 4.1])], [np.array([3.0, 4.0])]) == (
        pytest.approx(0.02)
    )
    assert relative_error([np.zeros(2), np.ones(1)], [np.zeros(2), np.zeros(1)]) == 1
    assert math.isnan(relative_error([np.array([math.nan])], [np.ones(1)]))


def test_a_window_is_two_windows_with_the_state_carried():
    graph = differentiate(trace(LSTM(), EMBED, HIDDEN))
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=p.shape) for p in graph.parameters]
    x = rng.normal(size=(5, ROWS, EMBED))
    weights = rng.normal(size=(5, ROWS, HIDDEN))
    whole = forward(Window(graph, parameters, x))
    first = forward(Window(graph, parameters, x[:2]))
    second = forward(Window(graph, parameters, x[2:], first.states))
    np.testing.assert_array_equal(whole.outputs[:2], first.outputs)
    np.testing.assert_array_equal(whole.outputs[2:], second.outputs)
    late = backward(second, weights[2:])
    early = backward(first, weights[:2], late.states)
    expected = backward(whole, weights)
    found = [a + b for a, b in zip(late.parameters, early.parameters, strict=True)]
    assert relative_error(found, expected.parameters) <= 1e-15
    np.testing.assert_array_equal(early.states, expected.states)


# ----------------------------------------------------------------------- whole networks


def network(cell, layers, seed, *, variant=lambda graph: graph, **settings):
    widths = [EMBED] + [HIDDEN] * layers
    graphs = [
        differentiate(variant(trace(cell, width, HIDDEN))) for width in widths[:-1]
    ]
    rng = np.random.default_rng(seed)
    shapes = [(VOCAB, EMBED)]
    shapes += [p.shape for graph in graphs for p in graph.parameters]
    shapes += [] if settings.get("tie_weights") else [(VOCAB, HIDDEN)]
    shapes += [(VOCAB,)] if settings.get("output_bias", True) else []
    tensors = [rng.normal(size=shape) for shape in shapes]
    states = [
        [rng.normal(size=(ROWS, HIDDEN)) for _ in graph.states] for graph in graphs
    ]
    return ReferenceNetwork(graphs, **settings), tensors, states


def ids_and_targets(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(VOCAB, size=(2, STEPS, ROWS))


def test_the_loss_is_the_weighted_mean_of_the_negative_log_softmax():
    model, tensors, states = network(RNN(), 1, 0)
    ids, targets = ids_and_targets()
    shares = np.zeros((STEPS, ROWS))
    shares[1, 2], shares[3, 0] = 2.0, 0.5
    run = model.forward(tensors, ids, targets, states=states, target_weights=shares)
    names = [p.name for p in model.graphs[0].parameters]
    assert names == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    w, u, b, d = tensors[1:5]
    h, total = states[0][0], 0.0
    for t in range(STEPS):
        h = np.tanh(tensors[0][ids[t]] @ w.T + b + h @ u.T + d)
        logits = h @ tensors[5].T + tensors[6]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for row in range(ROWS):
            total -= shares[t, row] * math.log(p[row, targets[t, row]])
    assert run.loss == pytest.approx(total / 2.5, rel=1e-13)
    np.testing.assert_allclose(run.states[0][0], h, rtol=1e-13)
    assert (run.log_likelihood[shares == 0] == 0).all()


@pytest.mark.parametrize("cell", [RNN(), LSTM(), GRU()], ids=repr)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_network_gradients_equal_a_complex_step(cell, layers, tie_weights):
    def variant(graph):
        return with_resets(with_masks(graph, {"input": 0.5}))

    model, tensors, states = network(
        cell, layers, 1, variant=variant, tie_weights=tie_weights
    )
    ids, targets = ids_and_targets(2)
    rng = np.random.default_rng(3)
    resets, active = np.zeros((STEPS, ROWS)), np.ones((STEPS, ROWS))
    resets[2, 0], active[2:, 1] = 1, 0
    shares = rng.random((STEPS, ROWS)) * active
    given = {
        "target_weights": shares,
        "resets": resets,
        "active": active,
        "masks": [
            {0: rng.choice([0.0, 2.0], size=(STEPS, ROWS, EMBED))}
            for _ in range(layers)
        ],
    }
    extra = rng.normal(size=(STEPS, ROWS, HIDDEN))
    n, per_layer = len(tensors), len(states[0])

    def by_layer(flat):
        return [flat[i : i + per_layer] for i in range(0, len(flat), per_layer)]

    def loss(arrays):
        run = model.forward(
            arrays[:n], ids, targets, states=by_layer(arrays[n:]), **given
        )
        return run.loss + np.sum(run.outputs * extra)

    run = model.forward(tensors, ids, targets, states=states, **given)
    found = model.backward(run, extra)
    flat_states = [array for layer in states for array in layer]
    expected = complex_step_gradient(loss, [*tensors, *flat_states])
    flat_found = [array for layer in found.states for array in layer]
    assert relative_error([*found.tensors, *flat_found], expected) <= 1e-13


def test_a_network_without_output_bias_has_one_tensor_less():
    model, tensors, states = network(GRU(), 1, 4, output_bias=False)
    ids, targets = ids_and_targets()
    found = model.backward(model.forward(tensors, ids, targets, states=states))
    assert [g.shape for g in found.tensors] == [t.shape for t in tensors]
