# SPDX-License-Identifier: BSD-3-Clause
"""The cells against their papers' equations, and their names where installed."""

import importlib.metadata

import numpy as np
import pytest
from cell_tests import CellTests, E, H, sigmoid, split
from rnnkit_lstm_variants import CIFG, CappedLSTM, MultiplicativeLSTM, Peephole

from rnnkit.compiler import initialise, trace
from rnnkit.plugins import make_cell

LSTM_SHAPES = {
    "weight_ih": (4 * H, E),
    "weight_hh": (4 * H, H),
    "bias_ih": (4 * H,),
    "bias_hh": (4 * H,),
}


def preactivations(p, x, h):
    return x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]


class TestPeephole(CellTests):
    cell = Peephole()
    shapes = LSTM_SHAPES | {"peephole": (3 * H,)}

    def step(self, p, x, h, c):
        i, f, g, o = split(preactivations(p, x, h), 4)
        p_i, p_f, p_o = split(p["peephole"], 3)
        new_c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
        new_h = sigmoid(o + p_o * new_c) * np.tanh(new_c)  # sees the new memory
        return new_h, new_h, new_c


class TestCIFG(CellTests):
    cell = CIFG()
    shapes = {name: (3 * H, *rest) for name, (_, *rest) in LSTM_SHAPES.items()}

    def step(self, p, x, h, c):
        f, g, o = split(preactivations(p, x, h), 3)
        new_c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        return new_h, new_h, new_c


class TestCappedLSTM(CellTests):
    cell = CappedLSTM()
    shapes = LSTM_SHAPES

    def step(self, p, x, h, c):
        i, f, g, o = split(preactivations(p, x, h), 4)
        i = np.where(sigmoid(i) < 1 - sigmoid(f), sigmoid(i), 1 - sigmoid(f))
        new_c = sigmoid(f) * c + i * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        return new_h, new_h, new_c


class TestMultiplicativeLSTM(CellTests):
    cell = MultiplicativeLSTM()
    shapes = {
        "weight_m_x": (H, E),
        "weight_m_h": (H, H),
        "weight_ih": (4 * H, E),
        "bias_ih": (4 * H,),
        "weight_ifgo_1": (4 * H, H),
        "bias_ifgo_1": (4 * H,),
    }

    def step(self, p, x, h, c):
        m = (x @ p["weight_m_x"].T) * (h @ p["weight_m_h"].T)
        a = x @ p["weight_ih"].T + m @ p["weight_ifgo_1"].T
        i, f, g, o = split(a + p["bias_ih"] + p["bias_ifgo_1"], 4)
        new_c = sigmoid(f) * c + sigmoid(i) * g
        new_h = np.tanh(sigmoid(o) * new_c)
        return new_h, new_h, new_c


@pytest.mark.parametrize("cls", [CIFG, CappedLSTM, MultiplicativeLSTM, Peephole])
def test_the_forget_bias_starts_where_the_parameter_says(cls):
    graph = trace(cls(forget_bias=2.5), E, H)
    (bias,) = (p for p in graph.parameters if p.name == "bias_ih")
    blocks = split(initialise(bias, np.random.default_rng(0)), len(bias.block_names))
    for name, values in zip(bias.block_names, blocks, strict=True):
        assert (values == (2.5 if name == "f" else 0)).all()


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("peephole", Peephole),
        ("cifg", CIFG),
    ],
)
def test_rnnkit_finds_the_cells_by_name_once_they_are_installed(name, cls):
    try:
        importlib.metadata.distribution("rnnkit-lstm-variants")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed here")
    assert type(make_cell(name)) is cls
