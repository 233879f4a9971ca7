# SPDX-License-Identifier: BSD-3-Clause
"""Cells of the literature and odd ones, through the core and the interpreter."""

import numpy as np
import pytest
from core_oracle import Model, arrays_of, run, run_core
from test_cells_zoo import CELLS, ProjectionLSTM

from rnnkit.cells import Cell, exp, mean, sigmoid, tanh
from rnnkit.cells import max as row_max
from rnnkit.cells import sum as row_sum

STEPS, ROWS, VOCAB = 5, 3, 17


def cell_of(name, step, states=("h",)):
    return type(name, (Cell,), {"states": states, "step": step})()


ODD = [
    cell_of(
        "NewStatesOfAllKinds",
        lambda self, x, a, b, c, d: (
            a + b,
            0.5,
            self.vector("v"),
            mean(d),
            self.linear("w", x, width=1),
        ),
        ("a", "b", "c", "d"),
    ),
    cell_of(
        "WidthOneSpreads",
        lambda self, x, h: (
            sigmoid(self.linear("g", x, width=1)) * h + self.vector("s", width=1) * h
        ),
    ),
    cell_of(
        "ReducesTwice",
        lambda self, x, h: (
            (h - mean(h)) * row_sum(h) * 0.1
            + row_max(h)
            + row_sum(self.vector("v"))
            + row_max(row_max(h))
        ),
    ),
    cell_of("OneOperandTwice", lambda self, x, h: tanh(self.linear("a", x, x, h, h))),
    cell_of("PassesTheStateOn", lambda self, x, h: h),
    cell_of("OutputIsAVector", lambda self, x, h: (self.vector("v"), tanh(h))),
    cell_of(
        "MultipliesAVector",
        lambda self, x, h: (
            tanh(self.linear("a", self.vector("q"), h))
            + exp(self.vector("z")) * mean(self.vector("z"))
        ),
    ),
    cell_of(
        "GradientOfTheNextStepReadAfterTheLoop",
        lambda self, x, h: (
            mean(x) * self.vector("v", width=h.width),
            self.linear("u", x),
        ),
    ),
    cell_of(
        "StatesThatReadEachOther",
        lambda self, x, h, c: (
            tanh(self.linear("a", x, h)),
            self.linear("u", x) * row_sum(h) + mean(c),
        ),
        ("h", "c"),
    ),
]


@pytest.mark.parametrize("cell", [*CELLS, *ODD], ids=repr)
@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize(("num_layers", "hidden_size"), [(1, 18), (2, 3)])
def test_the_core_agrees_with_the_interpreter(cell, flags, num_layers, hidden_size):
    if isinstance(cell, ProjectionLSTM) and num_layers > 1:
        pytest.skip("the next layer of this oracle is as wide as the state")
    model = Model(
        cell, num_layers=num_layers, hidden_size=hidden_size, flags=flags, scale=0.4
    )
    rng = np.random.default_rng(1)
    ids, targets = rng.integers(VOCAB, size=(2, STEPS, ROWS)).astype(np.int32)
    state = model.state(ROWS, seed=2)
    for layer, graph in enumerate(model.graphs):
        for k in range(len(graph.states)):  # the normaliser of sLSTM is positive
            state.set(layer, k, np.abs(state.get(layer, k)) + 0.5)
    given = {}
    if flags:
        resets, active = np.zeros((2, STEPS, ROWS), np.uint8)
        active[:] = 1
        resets[2, 0], active[3:, 1] = 1, 0
        given = {
            "resets": resets,
            "active": active,
            "target_weights": active.astype(np.float32),
        }
    arrays = model.state_arrays(state)
    expected = arrays_of(run(model, ids, arrays, targets, **given))
    found = arrays_of(run_core(model, ids, state, targets, **given))
    for a, b in zip(found, expected, strict=True):
        finite = np.isfinite(b)  # sLSTM's stabiliser starts at minus infinity
        np.testing.assert_array_equal(a[~finite], b[~finite])
        scale = np.linalg.norm(b[finite]) or 1.0
        assert np.linalg.norm((a - b)[finite]) <= 1e-12 * scale
