# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""Built-in cells beside the three classics, against NumPy versions of their papers."""

import numpy as np
import pytest
from cell_tests import CellTests, E, H, sigmoid, split

from rnnkit import plugins
from rnnkit.cells import GRU, IRNN, LSTM, LSTMP, RNN, LayerNormLSTM, ResetBeforeGRU
from rnnkit.compiler import initialise, trace

P = 2  # units of a projection


def preactivations(p, x, h):
    return x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]


def shapes(n_blocks, n_columns=H):
    return {
        "weight_ih": (n_blocks * H, E),
        "weight_hh": (n_blocks * H, n_columns),
        "bias_ih": (n_blocks * H,),
        "bias_hh": (n_blocks * H,),
    }


class TestIRNN(CellTests):
    cell = IRNN()
    shapes = shapes(1)
    refused = [({"recurrent_initialiser": "unity"}, "weight_hh")]

    def step(self, p, x, h):
        h = np.maximum(preactivations(p, x, h), 0)
        return h, h


class TestLSTMP(CellTests):
    cell = LSTMP(proj_size=P)
    shapes = shapes(4, P) | {"weight_hr_0": (P, H)}
    refused = [({"proj_size": 0}, "widths"), ({"forget_bias": "one"}, "bias_ih")]

    def step(self, p, x, h, c):
        i, f, g, o = split(preactivations(p, x, h), 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = (sigmoid(o) * np.tanh(c)) @ p["weight_hr_0"].T
        return h, h, c


class TestResetBeforeGRU(CellTests):
    cell = ResetBeforeGRU()
    shapes = shapes(2) | {
        "weight_n_x": (H, E),
        "weight_n_1": (H, H),
        "bias_n_x": (H,),
        "bias_n_1": (H,),
    }

    def step(self, p, x, h):
        r, z = split(sigmoid(preactivations(p, x, h)), 2)
        b = x @ p["weight_n_x"].T + (r * h) @ p["weight_n_1"].T
        h = z * h + (1 - z) * np.tanh(b + p["bias_n_x"] + p["bias_n_1"])
        return h, h


class TestLayerNormLSTM(CellTests):
    cell = LayerNormLSTM()
    shapes = {
        "weight_ih": (4 * H, E),
        "weight_hh": (4 * H, H),
        "gain_ih": (4 * H,),
        "gain_hh": (4 * H,),
        "bias": (4 * H,),
        "gain_c": (H,),
        "bias_c": (H,),
    }
    refused = [({"forget_bias": None}, "bias")]

    @staticmethod
    def normalised(a):
        """Layer normalisation of whole rows."""
        centred = a - a.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(a.var(axis=-1, keepdims=True) + 1e-5)

    def step(self, p, x, h, c):
        a = p["gain_ih"] * self.normalised(x @ p["weight_ih"].T)
        b = p["gain_hh"] * self.normalised(h @ p["weight_hh"].T)
        i, f, g, o = split(a + b + p["bias"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(p["gain_c"] * self.normalised(c) + p["bias_c"])
        return h, h, c


def first_values(cell, name):
    graph = trace(cell, E, H)
    (parameter,) = (p for p in graph.parameters if p.name == name)
    return initialise(parameter, np.random.default_rng(0))


def test_an_irnn_starts_from_the_identity_and_small_weights():
    assert np.array_equal(first_values(IRNN(), "weight_hh"), np.eye(H))
    forgetful = IRNN(recurrent_initialiser=("identity", 0.01))
    assert np.array_equal(first_values(forgetful, "weight_hh"), 0.01 * np.eye(H))
    weights = first_values(IRNN(), "weight_ih")
    assert 0 < np.abs(weights).max() < 0.005  # five standard deviations
    assert not first_values(IRNN(), "bias_ih").any()


@pytest.mark.parametrize(("cls", "name"), [(LSTMP, "bias_ih"), (LayerNormLSTM, "bias")])
def test_the_forget_bias_starts_where_the_parameter_says(cls, name):
    i, f, g, o = split(first_values(cls(forget_bias=2.5), name), 4)
    assert (f == 2.5).all()
    assert not np.any([i, g, o])


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("rnn", RNN),
        ("lstm", LSTM),
        ("gru", GRU),
        ("irnn", IRNN),
        ("lstmp", LSTMP),
        ("gru_reset_before", ResetBeforeGRU),
        ("layer_norm_lstm", LayerNormLSTM),
    ],
)
def test_a_built_in_cell_has_its_name(name, cls):
    assert type(plugins.make_cell(name)) is cls
