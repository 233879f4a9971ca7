# SPDX-License-Identifier: BSD-3-Clause
"""The two cells against their papers' equations, and their names where installed."""

import importlib.metadata

import numpy as np
import pytest
from cell_tests import CellTests, E, H, sigmoid, split
from rnnkit_lstm_variants import CIFG, Peephole

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


@pytest.mark.parametrize(("name", "cls"), [("peephole", Peephole), ("cifg", CIFG)])
def test_rnnkit_finds_the_cells_by_name_once_they_are_installed(name, cls):
    try:
        importlib.metadata.distribution("rnnkit-lstm-variants")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed here")
    assert type(make_cell(name)) is cls
