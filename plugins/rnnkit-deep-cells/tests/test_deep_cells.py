# SPDX-License-Identifier: BSD-3-Clause
"""Cells of several steps in one, against NumPy versions of their papers."""

import math

import numpy as np
import pytest
from cell_tests import CellTests, E, H, sigmoid, split
from rnnkit_deep_cells import Mogrifier, RecurrentHighway

from rnnkit.compiler import initialise, trace

LSTM_SHAPES = {
    "weight_ih": (4 * H, E),
    "weight_hh": (4 * H, H),
    "bias_ih": (4 * H,),
    "bias_hh": (4 * H,),
}


class TestRecurrentHighway(CellTests):
    cell = RecurrentHighway()
    shapes = {
        "weight_ih": (2 * H, E),
        "weight_hh": (2 * H, H),
        "bias_ih": (2 * H,),
        "bias_hh": (2 * H,),
        "weight_q2_t2_0": (2 * H, H),
        "bias_q2_t2_0": (2 * H,),
        "weight_q3_t3_0": (2 * H, H),
        "bias_q3_t3_0": (2 * H,),
    }
    refused = [
        *(({"depth": bad}, "depth is") for bad in (0, 1.5, True, "3")),
        ({"transform_bias": math.inf}, "not finite"),
    ]

    def step(self, p, x, h):
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"] + p["bias_hh"]
        q, t = split(a, 2)
        s = sigmoid(t) * np.tanh(q) + (1 - sigmoid(t)) * h
        for k in (2, 3):
            name = f"q{k}_t{k}_0"
            q, t = split(s @ p[f"weight_{name}"].T + p[f"bias_{name}"], 2)
            s = sigmoid(t) * np.tanh(q) + (1 - sigmoid(t)) * s
        return s, s


class TestShallowRecurrentHighway(TestRecurrentHighway):
    cell = RecurrentHighway(depth=1, transform_bias=-4.0)
    shapes = {
        "weight_ih": (2 * H, E),
        "weight_hh": (2 * H, H),
        "bias_ih": (2 * H,),
        "bias_hh": (2 * H,),
    }

    def step(self, p, x, h):
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"] + p["bias_hh"]
        q, t = split(a, 2)
        h = sigmoid(t) * np.tanh(q) + (1 - sigmoid(t)) * h
        return h, h


def lstm(a, c):
    i, f, g, o = split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, h, c


class TestMogrifier(CellTests):
    cell = Mogrifier(rounds=4)
    shapes = {
        "weight_q1_h": (E, H),
        "bias_q1_h": (E,),
        "weight_r2_0": (H, E),
        "bias_r2_0": (H,),
        "weight_q3_0": (E, H),
        "bias_q3_0": (E,),
        "weight_r4_0": (H, E),
        "bias_r4_0": (H,),
        "weight_ifgo_0": (4 * H, E),
        "weight_ifgo_1": (4 * H, H),
        "bias_ifgo_0": (4 * H,),
        "bias_ifgo_1": (4 * H,),
    }
    refused = [
        *(({"rounds": bad}, "rounds is") for bad in (-1, 2.0, None)),
        *(({"rank": bad}, "rank is") for bad in (0, 1.0, False)),
        ({"forget_bias": "one"}, "bias_ifgo_0"),
    ]

    def step(self, p, x, h, c):
        x = 2 * sigmoid(h @ p["weight_q1_h"].T + p["bias_q1_h"]) * x
        h = 2 * sigmoid(x @ p["weight_r2_0"].T + p["bias_r2_0"]) * h
        x = 2 * sigmoid(h @ p["weight_q3_0"].T + p["bias_q3_0"]) * x
        h = 2 * sigmoid(x @ p["weight_r4_0"].T + p["bias_r4_0"]) * h
        a = x @ p["weight_ifgo_0"].T + h @ p["weight_ifgo_1"].T
        return lstm(a + p["bias_ifgo_0"] + p["bias_ifgo_1"], c)


class TestMogrifierOfLowRank(CellTests):
    cell = Mogrifier(rounds=1, rank=2)
    shapes = {
        "weight_q1_low_h": (2, H),
        "weight_q1_0": (E, 2),
        "bias_q1_0": (E,),
        "weight_ifgo_0": (4 * H, E),
        "weight_hh": (4 * H, H),
        "bias_ifgo_0": (4 * H,),
        "bias_hh": (4 * H,),
    }

    def step(self, p, x, h, c):
        low = h @ p["weight_q1_low_h"].T
        x = 2 * sigmoid(low @ p["weight_q1_0"].T + p["bias_q1_0"]) * x
        a = x @ p["weight_ifgo_0"].T + h @ p["weight_hh"].T
        return lstm(a + p["bias_ifgo_0"] + p["bias_hh"], c)


class TestMogrifierWithoutRounds(CellTests):
    cell = Mogrifier(rounds=0)
    shapes = LSTM_SHAPES

    def step(self, p, x, h, c):
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T
        return lstm(a + p["bias_ih"] + p["bias_hh"], c)


@pytest.mark.parametrize(
    ("cell", "block"),
    [
        (RecurrentHighway(depth=3, transform_bias=0.5), "t"),
        (Mogrifier(rounds=0, forget_bias=0.5), "f"),
        (Mogrifier(rounds=3, forget_bias=0.5), "f"),
    ],
    ids=repr,
)
def test_one_bias_of_each_gate_starts_where_the_parameter_says(cell, block):
    vectors = [p for p in trace(cell, E, H).parameters if not p.is_weight]
    started = []
    for vector in vectors:
        values = initialise(vector, np.random.default_rng(0))
        blocks = split(values, len(vector.block_names))
        for name, value in zip(vector.block_names, blocks, strict=True):
            started += [name] * bool((value == 0.5).all())
    gates = {n for v in vectors for n in v.block_names if n.startswith(block)}
    assert sorted(started) == sorted(gates)
