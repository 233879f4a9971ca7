# SPDX-License-Identifier: BSD-3-Clause
"""The built-in cells against forward passes written by hand, and Cell as an object."""

import numpy as np
import pytest
import sklearn.base

from rnnkit.cells import GRU, LSTM, RNN, Cell, tanh
from rnnkit.compiler import trace
from rnnkit.errors import CellError
from rnnkit.testing.reference import Window, forward

ROWS, INPUT, HIDDEN = 3, 5, 7


def logistic(a):
    return 1 / (1 + np.exp(-a))


def rnn(x, h, w, u, b, d, *, act=np.tanh):
    h = act(x @ w.T + b + h @ u.T + d)
    return h, [h]


def relu_rnn(x, h, w, u, b, d):
    return rnn(x, h, w, u, b, d, act=lambda a: np.maximum(a, 0))


def lstm(x, h, c, w, u, b, d):
    i, f, g, o = np.split(x @ w.T + b + h @ u.T + d, 4, axis=1)
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    h = logistic(o) * np.tanh(c)
    return h, [h, c]


def gru(x, h, w, u, b, d):
    xr, xz, xn = np.split(x @ w.T + b, 3, axis=1)
    hr, hz, hn = np.split(h @ u.T + d, 3, axis=1)
    r, z = logistic(xr + hr), logistic(xz + hz)
    n = np.tanh(xn + r * hn)
    h = (1 - z) * n + z * h
    return h, [h]


PAIRS = [(RNN(), rnn), (RNN("relu"), relu_rnn), (LSTM(), lstm), (GRU(), gru)]


@pytest.mark.parametrize(("cell", "by_hand"), PAIRS, ids=lambda a: getattr(a, "n", a))
@pytest.mark.parametrize("steps", [1, 17])
def test_forward_values_equal_equations_written_by_hand(cell, by_hand, steps):
    graph = trace(cell, INPUT, HIDDEN)
    rng = np.random.default_rng(steps)
    values = {p.name: 0.5 * rng.normal(size=p.shape) for p in graph.parameters}
    x = rng.normal(size=(steps, ROWS, INPUT))
    states = [rng.normal(size=(ROWS, HIDDEN)) for _ in graph.states]
    run = forward(Window(graph, list(values.values()), x, states))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for t in range(steps):
        output, states = by_hand(x[t], *states, *(values[name] for name in names))
        # Contracting maps: errors of some ulp a step do not grow.
        np.testing.assert_allclose(run.outputs[t], output, rtol=1e-12, atol=1e-14)
    for found, expected in zip(run.states, states, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_the_forget_gate_starts_at_its_bias():
    for cell, value in ((LSTM(), 1.0), (LSTM(forget_bias=-2.5), -2.5)):
        by_name = {p.name: p for p in trace(cell, 2, 3).parameters}
        first = [spec.value for spec in by_name["bias_ih"].initialisers]
        assert first == [0.0, value, 0.0, 0.0]
        assert {spec.value for spec in by_name["bias_hh"].initialisers} == {0.0}


def test_an_unknown_activation_is_refused():
    with pytest.raises(CellError, match="activation is 'gelu', allowed: 'tanh'"):
        trace(RNN("gelu"), 2, 3)


# ------------------------------------------------------------------- Cell as an object


class Scaled(Cell):
    states = ("h",)

    def __init__(self, scale=2.0, names=("a", "b")):
        self.scale = scale
        self.names = names

    def step(self, x, h):
        return self.scale * tanh(self.linear(self.names, x, h)[0])


def test_parameters_are_those_of_init():
    cell = Scaled(scale=3.0)
    assert cell.get_params() == {"names": ("a", "b"), "scale": 3.0}
    assert cell.get_params(deep=False) == cell.get_params()
    assert cell.set_params(scale=4.0) is cell
    assert cell.scale == 4.0
    assert GRU().get_params() == {}


def test_unknown_parameters_are_refused_and_nothing_is_set():
    cell = Scaled()
    with pytest.raises(ValueError, match="no parameter 'width'; it has names, scale"):
        cell.set_params(scale=5.0, width=3)
    assert cell.scale == 2.0
    with pytest.raises(ValueError, match="it has none"):
        GRU().set_params(a=1)


@pytest.mark.parametrize("cell", [RNN("relu"), LSTM(0.0), GRU(), Scaled(0.5)], ids=repr)
def test_scikit_learn_clones_cells(cell):
    copy = sklearn.base.clone(cell)
    assert copy is not cell
    assert copy == cell


def test_cells_are_equal_when_class_and_parameters_are():
    assert LSTM() == LSTM()
    assert hash(LSTM()) == hash(LSTM())
    assert LSTM() != LSTM(forget_bias=0.0)
    assert RNN() != GRU()
    assert LSTM() != "lstm"


def test_repr_shows_the_parameters():
    assert repr(RNN("relu")) == "RNN(activation='relu')"
    assert repr(GRU()) == "GRU()"


def test_parameters_must_be_written_out():
    class Loose(Cell):
        def __init__(self, **settings):
            self.settings = settings

    with pytest.raises(CellError, match=r"takes \*settings"):
        Loose().get_params()


def test_disassemble_prints_the_cell_its_graph_and_its_program(capsys):
    LSTM().disassemble(input_size=3, hidden_size=5, dtype="float64")
    printed = capsys.readouterr().out
    assert printed.startswith("LSTM(forget_bias=1.0)\n")
    assert "weight weight_ih (20 x 3), blocks i f g o" in printed
    assert "gradient of weight_hh.o +=" in printed
    assert "forward, at each step:" in printed
    assert "backward, after the loop:" in printed
