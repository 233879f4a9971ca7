# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""Tracing: names, shapes, canonical form, what a step may return."""

import threading
from functools import cached_property

import numpy as np
import pytest

from rnnkit.cells import (
    GRU,
    LSTM,
    RNN,
    Cell,
    concat,
    maximum,
    mean,
    select,
    sigmoid,
    split,
    sqrt,
    tanh,
)
from rnnkit.cells import abs as cell_abs
from rnnkit.cells import max as row_max
from rnnkit.cells import sum as row_sum
from rnnkit.compiler import trace
from rnnkit.compiler.graph import Kind, float_of_words, linear_parts
from rnnkit.errors import CellError
from rnnkit.testing.reference import Window, forward


def cell_of(step, **declarations):
    """A cell with this step and these declarations, the states h alone by default."""
    return type("Made", (Cell,), {"states": ("h",), "step": step, **declarations})()


def shapes(graph):
    return {p.name: p.shape for p in graph.parameters}


def ops(graph):
    return [node.op for node in graph.nodes]


def linears(graph):
    """Names of biases and of weights, in order, of each linear node."""
    names = [p.name for p in graph.parameters]
    return [
        tuple([names[index] for index, _ in pairs] for pairs in linear_parts(node))
        for node in graph.nodes
        if node.op == "linear"
    ]


def run_once(graph, seed=0, rows=3):
    """Output and new states of one step from random values."""
    rng = np.random.default_rng(seed)
    parameters = [rng.normal(size=p.shape) for p in graph.parameters]
    states = [rng.normal(size=(rows, s.width)) for s in graph.states]
    x = rng.normal(size=(1, rows, graph.input_width))
    run = forward(Window(graph, parameters, x, states))
    return x[0], states, run.outputs[0], run.states


# ------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("cell", "gates"), [(RNN(), 1), (LSTM(), 4), (GRU(), 3)], ids=repr
)
def test_built_in_cells_have_the_names_and_shapes_of_pytorch(cell, gates):
    assert shapes(trace(cell, 5, 7)) == {
        "weight_ih": (gates * 7, 5),
        "weight_hh": (gates * 7, 7),
        "bias_ih": (gates * 7,),
        "bias_hh": (gates * 7,),
    }


def test_gate_order_is_that_of_the_label():
    assert trace(LSTM(), 2, 3).parameters[0].block_names == ("i", "f", "g", "o")
    assert trace(GRU(), 2, 3).parameters[0].block_names == ("r", "z", "n")


def test_other_labels_are_named_after_label_and_operand():
    def step(self, x, h, c):
        a, b = self.linear("ab", x, h, c)
        d = self.linear("d", h, a * b, bias=False)
        e = self.linear(("reset", "update"), x, width=2)[0]
        return tanh(d), c + mean(e)

    graph = trace(cell_of(step, states=("h", "c")), 2, 3)
    assert shapes(graph) == {
        "weight_ih": (6, 2),
        "weight_hh": (6, 3),
        "weight_ch": (6, 3),
        "bias_ih": (6,),
        "bias_hh": (6,),
        "bias_ch": (6,),
        "weight_d_h": (3, 3),
        "weight_d_1": (3, 3),
        "weight_reset_update_x": (4, 2),
        "bias_reset_update_x": (4,),
    }


def test_gates_names_the_main_label_where_it_is_not_the_first():
    def step(self, x, h):
        return tanh(self.linear("a", x, self.linear("m", h)))

    assert "weight_ah" not in shapes(trace(cell_of(step), 2, 3))
    named = shapes(trace(cell_of(step, gates="a"), 2, 3))
    assert named["weight_ih"] == (3, 2)
    assert named["weight_m_h"] == (3, 3)


def test_one_name_is_one_weight():
    def step(self, x, h):
        for _ in range(3):
            h = tanh(self.linear("a", h + 0))
        return h + self.linear("x", x)

    graph = trace(cell_of(step), 2, 3)
    assert list(shapes(graph)) == [
        "weight_a_0",
        "bias_a_0",
        "weight_x_x",
        "bias_x_x",
    ]


def test_blocks_makes_a_label_a_plain_name():
    def step(self, x, h):
        a = self.linear("gate", x, h, blocks=1)
        b, _ = self.linear("pair", h, blocks=2)
        v, w = self.vector("peephole", blocks=("one", "two"))
        return tanh(a + b) + v * w

    graph = trace(cell_of(step), 2, 3)
    assert shapes(graph)["weight_ih"] == (3, 2)
    assert shapes(graph)["weight_pair_h"] == (6, 3)
    assert shapes(graph)["peephole"] == (6,)
    peephole = next(p for p in graph.parameters if p.name == "peephole")
    assert peephole.block_names == ("one", "two")


# ------------------------------------------------------------------------ declarations


def test_widths_and_initial_values_may_be_attributes_of_the_cell():
    class Wide(Cell):
        states = ("h", "c")
        widths = {"h": 2, "c": "double"}
        initial = {"c": "start"}

        def __init__(self, start=-1.5):
            self.start = start

        @property
        def double(self):
            return 2 * self.hidden_size

        def step(self, x, h, c):
            return self.linear("p", c, width=2), c

    states = trace(Wide(), 3, 5).states
    assert [(s.name, s.width, s.initial) for s in states] == [
        ("h", 2, 0.0),
        ("c", 10, -1.5),
    ]


def test_initialisers_limits_and_decay_reach_their_parameters():
    def step(self, x, h):
        a, b = self.linear("ab", x, h)
        return tanh(a) * b + self.vector("v")

    cell = cell_of(
        step,
        initialisers={
            "weight_hh": "orthogonal",
            "weight_ih": ("normal", 0.1),
            "bias_ih.b": 1,
            "v": "start",
        },
        start=0.5,
        limits={"v": (-1, 2)},
        weight_decay={"weight_hh": False, "v": True},
    )
    graph = trace(cell, 2, 4)
    found = {p.name: p for p in graph.parameters}
    specs = {
        name: [tuple(spec) for spec in p.initialisers] for name, p in found.items()
    }
    assert specs == {
        "weight_ih": [("normal", 0.1)] * 2,
        "weight_hh": [("orthogonal", 1.0)] * 2,
        "bias_ih": [("zeros", 0.0), ("constant", 1.0)],
        "bias_hh": [("zeros", 0.0)] * 2,
        "v": [("constant", 0.5)],
    }
    assert found["v"].limits == (-1.0, 2.0)
    assert found["weight_hh"].limits is None
    decay = {name: p.decay for name, p in found.items()}
    assert decay == {
        "weight_ih": True,
        "weight_hh": False,
        "bias_ih": False,
        "bias_hh": False,
        "v": True,
    }


def test_weights_are_uniform_within_the_root_of_the_hidden_size_by_default():
    (spec,) = set(trace(RNN(), 3, 16).parameters[0].initialisers)
    assert spec == ("uniform", 0.25)


# ---------------------------------------------------------------------- canonical form


def test_lstm_gates_are_one_chain_each():
    graph = trace(LSTM(), 3, 4)
    assert linears(graph) == [(["bias_ih", "bias_hh"], ["weight_ih", "weight_hh"])] * 4
    assert ops(graph).count("add") == 1  # of the cell state alone


def test_gru_joins_the_gates_but_not_the_candidate():
    assert sorted(linears(trace(GRU(), 3, 4))) == [
        (["bias_hh"], ["weight_hh"]),
        (["bias_ih"], ["weight_ih"]),
        (["bias_ih", "bias_hh"], ["weight_ih", "weight_hh"]),
        (["bias_ih", "bias_hh"], ["weight_ih", "weight_hh"]),
    ]


def test_joined_terms_begin_with_those_that_no_state_reaches():
    def step(self, x, h):
        late = self.linear("a", h) + self.linear("b", tanh(x))
        return tanh(late + self.linear("c", x))

    ((biases, weights),) = linears(trace(cell_of(step, gates="a"), 3, 3))
    assert biases == ["bias_hh", "bias_b_0", "bias_c_x"]
    assert weights == ["weight_b_0", "weight_c_x", "weight_hh"]


def test_a_product_that_is_read_twice_stays_on_its_own():
    def step(self, x, h):
        a = self.linear("a", x)
        return tanh(a + self.linear("b", h)) * a

    assert len(linears(trace(cell_of(step), 3, 3))) == 2


def test_equal_expressions_are_one_node_and_dead_ones_none():
    def step(self, x, h):
        a = self.linear("a", x, h)
        tanh(sigmoid(a))  # dead
        self.linear("u", x)
        return sigmoid(a) * sigmoid(a)

    graph = trace(cell_of(step), 3, 3)
    assert ops(graph) == ["input", "state", "linear", "sigmoid", "mul"]
    assert list(shapes(graph)) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


def test_arithmetic_on_plain_numbers_leaves_one_constant():
    def step(self, x, h):
        return h * (sqrt(4.0) + cell_abs(-1.0)) * maximum(0.5, select(0.0, 1.0, 0.25))

    graph = trace(cell_of(step), 3, 3)
    constants = [
        float_of_words(*node.attrs) for node in graph.nodes if node.op == "constant"
    ]
    assert constants == [3.0, 0.5]


def test_numpy_numbers_count_as_plain_ones():
    def step(self, x, h):
        a = np.sqrt(4.0) * h - np.float32(1.0)
        return np.float64(3.0) / (a + np.int64(2)) + (np.float64(0.0) < h)

    _, (h,), output, _ = run_once(trace(cell_of(step), 3, 3))
    np.testing.assert_allclose(output, 3 / (2 * h - 1 + 2) + (h > 0), rtol=1e-15)


def test_heads_are_blocks_of_one_weight_with_the_initialisers_of_their_gate():
    class Headed(Cell):
        states = ("h",)
        hidden_multiple = "heads"
        initialisers = {"weight_hh.b": "orthogonal", "bias_hh.b": 2.0}

        def __init__(self, heads=2):
            self.heads = heads

        def step(self, x, h):
            a, b = self.linear("ab", h, heads=self.heads)
            return tanh(a * b)

    graph = trace(Headed(), 3, 6)
    weight, bias = graph.parameters
    assert (weight.name, weight.shape) == ("weight_hh", (12, 3))
    assert weight.block_names == ("a_0", "a_1", "b_0", "b_1")
    kinds = [spec.kind for spec in weight.initialisers]
    assert kinds == ["uniform", "uniform", "orthogonal", "orthogonal"]
    assert (bias.shape, bias.initialisers[1].value) == ((12,), 2.0)
    with pytest.raises(CellError, match="hidden_size is 7; it is a multiple of 2"):
        trace(Headed(), 3, 7)


def test_parts_of_what_was_joined_are_the_values_themselves():
    class Rejoined(Cell):
        states = ("h",)

        def step(self, x, h):
            a, b = split(concat(x, h), (x.width, h.width))
            first, second = split(split(h, (3, 2))[0], (1, 2))
            return tanh(self.linear("h", a, b)) * 0 + concat(first, second, second)

    nodes = trace(Rejoined(), 4, 5).nodes
    assert [(n.op, n.width, n.attrs) for n in nodes if n.op == "part"] == [
        ("part", 1, (0,)),
        ("part", 2, (1,)),
    ]


def test_operators_mean_what_they_mean_in_numpy():
    def step(self, x, h):
        a = -h + 2 - h * 3 / 4
        b = (h > 0) + (h >= 1) * 2 + (h < -1) * 4 + (h <= 0) * 8
        c = (h == h) + (h != 0) * 2 + (1 > h) + (+h) ** 5 + abs(h) ** 1  # noqa: SIM300
        return a + b + c

    _, (h,), output, _ = run_once(trace(cell_of(step), 3, 3))
    a = -h + 2 - h * 3 / 4
    b = (h > 0) + (h >= 1) * 2 + (h < -1) * 4 + (h <= 0) * 8
    c = (h == h) + (h != 0) * 2 + (h < 1) + h**5 + np.abs(h)
    np.testing.assert_allclose(output, a + b + c, rtol=1e-14)


# ------------------------------------------------------------------- widths, reductions


def test_a_width_of_one_spreads_over_the_units():
    def step(self, x, h):
        gate = sigmoid(self.linear("g", x, width=1))
        scale = self.vector("scale", width=1)
        return gate * h + scale * h

    graph = trace(cell_of(step), 2, 5)
    rng = np.random.default_rng(0)
    values = {p.name: rng.normal(size=p.shape) for p in graph.parameters}
    x, h = rng.normal(size=(1, 3, 2)), rng.normal(size=(3, 5))
    run = forward(Window(graph, list(values.values()), x, [h]))
    gate = x[0] @ values["weight_ih"].T + values["bias_ih"]
    expected = h / (1 + np.exp(-gate)) + values["scale"] * h
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-14)


@pytest.mark.parametrize("hidden_size", [1, 3, 17])
def test_reductions_are_over_a_rows_units(hidden_size):
    def step(self, x, h):
        inner = (h - mean(h)) * row_sum(h) + row_max(h)
        return inner + mean(mean(h)) + row_sum(self.vector("v")) + row_max(row_max(h))

    graph = trace(cell_of(step), 2, hidden_size)
    rng = np.random.default_rng(0)
    v, h = rng.normal(size=hidden_size), rng.normal(size=(3, hidden_size))
    run = forward(Window(graph, [v], np.zeros((1, 3, 2)), [h]))
    m, s, t = (f(h, axis=1, keepdims=True) for f in (np.mean, np.sum, np.max))
    expected = (h - m) * s + t + m + v.sum() + t
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-13)


def test_sum_max_and_abs_keep_pythons_meaning_for_all_else():
    assert row_sum([1, 2, 3]) == 6
    assert row_sum([[1], [2]], []) == [1, 2]
    assert row_max(3, 5) == row_max([5, 3]) == 5
    assert row_max(-5, 3, key=cell_abs) == -5
    assert cell_abs(-2) == 2

    def step(self, x, h):
        return row_sum(tanh(part) for part in self.linear("ab", x, h))

    assert ops(trace(cell_of(step), 3, 3)).count("tanh") == 2


# -------------------------------------------------------------------- what is returned


def test_the_first_state_is_the_output_unless_there_is_one_value_more():
    def both(self, x, h, c):
        return tanh(h), c

    def output_first(self, x, h, c):
        return x, tanh(h), c

    graph = trace(cell_of(both, states=("h", "c")), 2, 3)
    assert graph.output == graph.states[0].new
    graph = trace(cell_of(output_first, states=("h", "c")), 2, 3)
    assert graph.nodes[graph.output].op == "input"
    assert graph.output_width == 2
    assert graph.nodes[graph.states[0].new].op == "tanh"


def test_a_bare_value_and_a_list_do_as_well_as_a_tuple():
    graphs = [
        trace(cell_of(step), 3, 3)
        for step in (
            lambda self, x, h: tanh(h),
            lambda self, x, h: [tanh(h)],
            lambda self, x, h: (tanh(h),),
        )
    ]
    assert graphs[0] == graphs[1] == graphs[2]


def test_new_states_that_are_numbers_vectors_or_one_a_row_are_spread():
    def step(self, x, a, b, c, d):
        return b, 0.5, self.vector("v"), mean(d), self.linear("w", x, width=1)

    graph = trace(cell_of(step, states=("a", "b", "c", "d")), 2, 3)
    for state in graph.states:
        node = graph.nodes[state.new]
        assert (node.kind, node.width) == (Kind.FULL, 3)
    *_, new = run_once(graph)
    assert (new[0] == 0.5).all()
    assert all(value.shape == (3, 3) for value in new)


def test_an_output_that_is_one_a_row_has_width_one():
    graph = trace(cell_of(lambda self, x, h: (mean(h), h)), 2, 3)
    assert graph.output_width == 1


# ---------------------------------------------------------------------------- isolation


def test_a_trace_leaves_the_cell_as_it_was():
    cell = LSTM()
    before = dict(vars(cell))
    trace(cell, 2, 3)
    assert vars(cell) == before


def test_any_object_with_states_and_step_is_a_cell():
    class Plain:
        states = ("h",)

        @cached_property
        def scale(self):
            return 0.5

        def step(self, x, h):
            return tanh(self.linear("a", x, h)) * self.scale

    assert list(shapes(trace(Plain(), 2, 3))) == [
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
    ]


def test_two_threads_may_trace_the_same_cell_at_once():
    meet = threading.Barrier(2, timeout=10)

    class Meeting(Cell):
        states = ("h",)

        def step(self, x, h):
            for _ in range(5):
                meet.wait()
                h = tanh(self.linear("a", x, h, names=("x", "h")))
            return h

    cell, graphs = Meeting(), {}

    def work(size):
        graphs[size] = trace(cell, size, size + 1)

    threads = [threading.Thread(target=work, args=(size,)) for size in (2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes(graphs[2])["weight_ih"] == (3, 2)
    assert shapes(graphs[5])["weight_ih"] == (6, 5)
    assert ops(graphs[2]) == ops(graphs[5])


def test_the_same_cell_gives_the_same_graph_twice():
    assert trace(GRU(), 3, 4) == trace(GRU(), 3, 4)
