# SPDX-License-Identifier: BSD-3-Clause
"""Cells without a product of their state, against NumPy versions of their papers."""

import math

import numpy as np
import pytest
from cell_tests import CellTests, E, H, sigmoid, split
from rnnkit_minimal_cells import SRU, IndRNN, MinGRU, MinLSTM

from rnnkit.compiler import initialise, trace
from rnnkit.testing import reference


def positive(v):
    return np.where(v >= 0, v + 0.5, sigmoid(v))


class MinimalTests(CellTests):
    """What these four share."""

    has_loop_product = False


class TestMinGRU(MinimalTests):
    cell = MinGRU()
    shapes = {"weight_ih": (2 * H, E), "bias_ih": (2 * H,)}
    refused = [({"activation": "tanh"}, "MinGRU: activation is 'tanh'")]

    def step(self, p, x, h):
        z, v = split(x @ p["weight_ih"].T + p["bias_ih"], 2)
        h = (1 - sigmoid(z)) * h + sigmoid(z) * v
        return h, h


class TestPositiveMinGRU(TestMinGRU):
    cell = MinGRU(activation="positive")

    def step(self, p, x, h):
        """By logarithms, as in the paper's appendix."""
        k, v = split(x @ p["weight_ih"].T + p["bias_ih"], 2)
        log_z, log_coefficient = -np.log1p(np.exp(-k)), -np.log1p(np.exp(k))
        log_v = np.where(v >= 0, np.log(np.maximum(v, 0) + 0.5), -np.log1p(np.exp(-v)))
        h = np.exp(log_coefficient) * h + np.exp(log_z + log_v)
        return h, h


class TestMinLSTM(MinimalTests):
    cell = MinLSTM()
    shapes = {"weight_ih": (3 * H, E), "bias_ih": (3 * H,)}
    refused = [
        ({"activation": None}, "MinLSTM: activation is None"),
        ({"forget_bias": ""}, "bias_ih"),
    ]

    def step(self, p, x, h):
        f, i, v = split(x @ p["weight_ih"].T + p["bias_ih"], 3)
        f, i = sigmoid(f), sigmoid(i)
        h = f / (f + i) * h + i / (f + i) * v
        return h, h


class TestPositiveMinLSTM(TestMinLSTM):
    cell = MinLSTM(activation="positive", forget_bias=2.0)

    def step(self, p, x, h):
        f, i, v = split(x @ p["weight_ih"].T + p["bias_ih"], 3)
        f, i = sigmoid(f), sigmoid(i)
        h = f / (f + i) * h + i / (f + i) * positive(v)
        return h, h


class TestIndRNN(MinimalTests):
    cell = IndRNN(horizon=3)
    shapes = {"weight_ih": (H, E), "bias_ih": (H,), "recurrent": (H,)}
    refused = [({"horizon": bad}, "horizon is") for bad in (0, math.nan, math.inf, "9")]

    def step(self, p, x, h):
        h = np.maximum(x @ p["weight_ih"].T + p["bias_ih"] + p["recurrent"] * h, 0)
        return h, h


class TestSRU(MinimalTests):
    cell = SRU(highway_bias=-1.0)
    shapes = {
        "weight_w_x": (H, E),
        "weight_ih": (2 * H, E),
        "bias_ih": (2 * H,),
        "peephole": (2 * H,),
        "weight_highway_x": (H, E),
    }
    refused = [
        ({"highway_bias": "0"}, "bias_ih"),
        ({"highway_bias": "zeros"}, "real number"),
        ({"highway_bias": math.nan}, "not finite"),
    ]

    def step(self, p, x, c):
        v_f, v_r = split(p["peephole"], 2)
        f, r = split(x @ p["weight_ih"].T + p["bias_ih"], 2)
        f, r = sigmoid(f + v_f * c), sigmoid(r + v_r * c)
        c = f * c + (1 - f) * (x @ p["weight_w_x"].T)
        around = x @ p["weight_highway_x"].T if "weight_highway_x" in p else x
        return r * c + (1 - r) * around * (1 + 2 * np.exp(-1.0)) ** 0.5, c


class TestSRUOfEqualWidths(TestSRU):
    input_size = H
    shapes = {
        "weight_w_x": (H, H),
        "weight_ih": (2 * H, H),
        "bias_ih": (2 * H,),
        "peephole": (2 * H,),
    }


def first_values(cell, name, input_size, hidden_size):
    graph = trace(cell, input_size, hidden_size)
    (parameter,) = (p for p in graph.parameters if p.name == name)
    return initialise(parameter, np.random.default_rng(0))


def test_gates_of_minlstm_stay_finite_where_both_are_shut():
    graph = trace(MinLSTM(), 1, 1)
    weights, biases = np.zeros((3, 1)), np.array([-800.0, -800.0, 3.0])
    window = reference.Window(graph, [weights, biases], np.zeros((1, 1, 1)))
    assert reference.forward(window).outputs[0, 0, 0] == 1.5  # half of v, half of 0


@pytest.mark.parametrize("horizon", [1, 50, 1000])
def test_a_past_in_indrnn_at_most_doubles_over_its_horizon(horizon):
    (limits,) = (p.limits for p in trace(IndRNN(horizon), E, H).parameters if p.limits)
    assert limits[1] ** horizon == pytest.approx(2)
    assert limits[0] == -limits[1]


def test_sru_starts_with_the_variances_of_its_paper():
    def variance(name):
        return first_values(SRU(), name, 200, 200).var()

    # 40,000 and more uniform draws: the variance is within 2 % of its mean.
    assert variance("weight_w_x") == pytest.approx(1 / 200, rel=0.02)
    assert variance("weight_ih") == pytest.approx(0.5 / 200, rel=0.02)
    assert variance("peephole") == pytest.approx(0.5, rel=0.2)  # 400 draws


def test_the_biases_start_where_the_parameters_say():
    _, r = split(first_values(SRU(highway_bias=-3.0), "bias_ih", E, H), 2)
    f, i, v = split(first_values(MinLSTM(forget_bias=1.5), "bias_ih", E, H), 3)
    assert (r == -3).all()
    assert (f == 1.5).all()
    assert not np.any([i, v])
