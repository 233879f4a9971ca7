# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""Differentiation, masks and resets: the shape of what they make, and its values."""

import math
from collections import Counter

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN, Cell, sigmoid, stop_gradient, tanh
from rnnkit.compiler import differentiate, trace, with_masks, with_resets
from rnnkit.compiler.builder import live_nodes
from rnnkit.compiler.graph import Kind, float_of_words
from rnnkit.errors import GraphError
from rnnkit.testing.reference import Window, backward, forward

BUILT_IN = [RNN(), RNN("relu"), LSTM(), GRU()]


class OutputIsNoState(Cell):
    states = ("c",)

    def step(self, x, c):
        f, v, o = self.linear("fvo", x)
        c = sigmoid(f) * c + tanh(v)
        return sigmoid(o) * c, c


class StartsElsewhere(Cell):
    states = ("h", "m")
    initial = {"h": 0.5, "m": -math.inf}

    def step(self, x, h, m):
        a = self.linear("a", x, h)
        return tanh(a), stop_gradient(a) + 0 * h


def backward_ops(graph):
    return Counter(node.op for node in graph.nodes[graph.n_forward :])


def assert_close(found, expected):
    """Equal but for the order in which NumPy's products sum, which varies with rows."""
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def values_for(graph, steps, rows, seed=0):
    rng = np.random.default_rng(seed)
    parameters = [rng.normal(size=p.shape) for p in graph.parameters]
    x = rng.normal(size=(steps, rows, graph.input_width))
    states = [rng.normal(size=(rows, s.width)) for s in graph.states]
    return parameters, x, states


# ----------------------------------------------------------------------- differentiate


def test_lstm_has_one_column_sum_a_gate_and_one_product_an_operand():
    graph = differentiate(trace(LSTM(), 3, 4))
    found = backward_ops(graph)
    assert found["column_sum"] == 4
    assert found["vector_grad"] == 8  # both biases take the same sum
    assert found["weight_grad"] == 8
    assert found["linear_transposed"] == 2  # of h and of x, four gates each
    widest = max(len(n.args) for n in graph.nodes if n.op == "linear_transposed")
    assert widest == 4


def test_both_biases_of_a_gate_get_equal_gradients():
    graph = differentiate(trace(LSTM(), 3, 4))
    parameters, x, states = values_for(graph, 3, 2)
    run = forward(Window(graph, parameters, x, states))
    found = backward(run, np.ones(run.outputs.shape))
    by_name = dict(
        zip([p.name for p in graph.parameters], found.parameters, strict=True)
    )
    np.testing.assert_array_equal(by_name["bias_ih"], by_name["bias_hh"])


@pytest.mark.parametrize("cell", [*BUILT_IN, OutputIsNoState()], ids=repr)
def test_the_backward_part_has_no_dead_and_no_equal_nodes(cell):
    graph = differentiate(with_resets(trace(cell, 3, 4)))
    sinks = [i for i, node in enumerate(graph.nodes) if node.kind == Kind.SINK]
    roots = [*sinks, graph.input_gradient, *graph.state_gradients]
    live = live_nodes(graph.nodes, roots)
    assert live >= set(range(graph.n_forward, len(graph.nodes)))
    values = [node for node in graph.nodes if node.kind != Kind.SINK]
    assert len(set(values)) == len(values)


def test_the_forward_part_stays_as_it_is():
    graph = trace(GRU(), 3, 4)
    assert differentiate(graph).forward() == graph


def test_what_has_no_gradient_has_no_nodes():
    graph = differentiate(trace(StartsElsewhere(), 3, 4))
    assert graph.state_gradients[1] == -1

    def step(self, x, h):
        return stop_gradient(tanh(self.linear("a", x, h)))

    stopped = type("Stopped", (Cell,), {"states": ("h",), "step": step})()
    graph = differentiate(trace(stopped, 3, 4))
    assert not graph.has_backward
    assert graph.input_gradient == -1
    assert graph.state_gradients == (-1,)


def test_a_graph_is_differentiated_once():
    graph = differentiate(trace(RNN(), 3, 4))
    for again in (differentiate, with_resets, lambda g: with_masks(g, {"input": 0.5})):
        with pytest.raises(GraphError):
            again(graph)


# -------------------------------------------------------------------------- with_masks


def test_masks_are_numbered_by_site_and_first_site():
    graph = with_masks(
        trace(RNN(), 3, 4), {"output": 0.5, "input": 0.25}, 32, per_sequence=True
    )
    masks = {node.attrs[0]: node for node in graph.nodes if node.op == "mask"}
    assert {site: node.width for site, node in masks.items()} == {32: 3, 33: 4}
    assert {float_of_words(*node.attrs[2:]) for node in masks.values()} == {0.25, 0.5}
    assert all(node.attrs[1] == 1 for node in masks.values())


def test_an_output_mask_spares_the_state():
    plain = trace(RNN(), 3, 4)
    graph = with_masks(plain, {"output": 0.5})
    parameters, x, states = values_for(plain, 2, 3)
    mask = np.random.default_rng(1).choice([0.0, 2.0], size=(2, 3, 4))
    bare = forward(Window(plain, parameters, x, states))
    run = forward(Window(graph, parameters, x, states, masks={1: mask}))
    np.testing.assert_array_equal(run.outputs, bare.outputs * mask)
    np.testing.assert_array_equal(run.states[0], bare.states[0])


def test_a_state_mask_is_what_products_read_and_nothing_else():
    class Both(Cell):
        states = ("h", "c")

        def step(self, x, h, c):
            return tanh(self.linear("a", x, h)) + 0.5 * h, self.linear("b", c) - h

    plain = trace(Both(), 3, 4)
    graph = with_masks(plain, {"state": 0.5})
    parameters, x, states = values_for(plain, 1, 3)
    masks = {k: np.random.default_rng(k).choice([0.0, 2.0], (1, 3, 4)) for k in (2, 3)}
    run = forward(Window(graph, parameters, x, states, masks=masks))
    w_x, w_h, b_x, b_h, w_c, b_c = (parameters[i] for i in range(6))
    assert [p.name for p in plain.parameters][:4] == [
        "weight_ih", "weight_hh", "bias_ih", "bias_hh",
    ]  # fmt: skip
    h, c = states
    h_masked, c_masked = h * masks[2][0], c * masks[3][0]
    expected_h = np.tanh(x[0] @ w_x.T + h_masked @ w_h.T + b_x + b_h) + 0.5 * h
    expected_c = c_masked @ w_c.T + b_c - h
    np.testing.assert_allclose(run.states[0], expected_h, rtol=1e-14)
    np.testing.assert_allclose(run.states[1], expected_c, rtol=1e-14)


def test_an_input_mask_comes_before_everything():
    plain = trace(LSTM(), 3, 4)
    graph = with_masks(plain, {"input": 0.5})
    parameters, x, states = values_for(plain, 2, 3)
    mask = np.random.default_rng(1).choice([0.0, 2.0], size=x.shape)
    bare = forward(Window(plain, parameters, x * mask, states))
    run = forward(Window(graph, parameters, x, states, masks={0: mask}))
    np.testing.assert_array_equal(run.outputs, bare.outputs)


@pytest.mark.parametrize("sites", [{}, {"input": 0.0, "output": 0}])
def test_rates_of_zero_change_nothing(sites):
    plain = trace(GRU(), 3, 4)
    assert with_masks(plain, sites) == plain


@pytest.mark.parametrize("rate", [-0.1, 1.0, math.nan, math.inf])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match=r"dropout rate of 'input'.*\[0, 1\)"):
        with_masks(trace(GRU(), 3, 4), {"input": rate})


def test_unknown_sites_are_refused():
    with pytest.raises(ValueError, match="unknown dropout site 'middle'; known: input"):
        with_masks(trace(GRU(), 3, 4), {"middle": 0.5})


# ------------------------------------------------------------------------- with_resets


@pytest.mark.parametrize(
    "cell", [*BUILT_IN, OutputIsNoState(), StartsElsewhere()], ids=repr
)
def test_without_flags_the_bits_are_those_of_the_plain_graph(cell):
    plain = trace(cell, 3, 4)
    parameters, x, states = values_for(plain, 4, 3)
    bare = forward(Window(plain, parameters, x, states))
    run = forward(Window(with_resets(plain), parameters, x, states))
    np.testing.assert_array_equal(run.outputs, bare.outputs)
    for found, expected in zip(run.states, bare.states, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "cell", [*BUILT_IN, OutputIsNoState(), StartsElsewhere()], ids=repr
)
def test_a_reset_row_goes_on_as_a_new_sequence(cell):
    plain = trace(cell, 3, 4)
    parameters, x, states = values_for(plain, 5, 2)
    resets = np.zeros((5, 2))
    resets[2, 1] = 1
    run = forward(Window(with_resets(plain), parameters, x, states, resets=resets))
    whole = forward(Window(plain, parameters, x[:, :1], [s[:1] for s in states]))
    fresh = forward(Window(plain, parameters, x[2:, 1:]))
    assert_close(run.outputs[:, :1], whole.outputs)
    assert_close(run.outputs[2:, 1:], fresh.outputs)
    for found, expected in zip(run.states, fresh.states, strict=True):
        assert_close(found[1:], expected)


@pytest.mark.parametrize("cell", [*BUILT_IN, OutputIsNoState()], ids=repr)
def test_an_ended_row_keeps_its_states(cell):
    plain = trace(cell, 3, 4)
    parameters, x, states = values_for(plain, 5, 2)
    active = np.ones((5, 2))
    active[3:, 0] = 0
    run = forward(Window(with_resets(plain), parameters, x, states, active=active))
    short = forward(Window(plain, parameters, x[:3, :1], [s[:1] for s in states]))
    for found, expected in zip(run.states, short.states, strict=True):
        assert_close(found[:1], expected)
    after = run.outputs[3:, 0]
    if isinstance(cell, OutputIsNoState):
        np.testing.assert_array_equal(after, 0)
    else:
        np.testing.assert_array_equal(after, [run.outputs[2, 0]] * 2)


def test_nothing_flows_back_through_a_reset():
    graph = differentiate(with_resets(trace(LSTM(), 3, 4)))
    parameters, x, states = values_for(graph, 4, 2)
    resets = np.zeros((4, 2))
    resets[3, 0] = 1
    run = forward(Window(graph, parameters, x, states, resets=resets))
    gradient = np.zeros(run.outputs.shape)
    gradient[3] = 1
    found = backward(run, gradient)
    assert (found.x[:3, 0] == 0).all()
    assert (found.x[:3, 1] != 0).all()
    assert all((g[0] == 0).all() and (g[1] != 0).all() for g in found.states)


# ----------------------------------------------------------------------------- listing


def test_a_graph_prints_in_readable_lines():
    masked = with_masks(trace(StartsElsewhere(), 3, 4), {"input": 0.5})
    text = str(differentiate(masked))
    for line in (
        "input x of 3 units",
        "state m of 4 units, first -inf",
        "weight weight_ih (4 x 3), first uniform 0.5",
        "bias_ih + bias_hh + weight_ih %",
        "mask of site 0, rate 0.5, drawn at each step",
        "gradient of weight_hh +=",
        "gradient of old m = 0",
    ):
        assert line in text
    assert "flag reset" in str(with_resets(masked))
    assert str(trace(LSTM(), 3, 4)).count("\n") < 40
