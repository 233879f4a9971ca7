# SPDX-License-Identifier: BSD-3-Clause
"""Words that stand in several places of a window, and windows where none does."""

import numpy as np
import pytest
from core_oracle import Model, arrays_of, bytes_of, run, run_core
from test_cells_core import ODD
from test_cells_zoo import CELLS

from rnnkit.compiler import trace

STEPS, ROWS, VOCAB = 6, 4, 17

WORDS = {
    "one word": np.zeros((STEPS, ROWS), np.int32),
    "few words": np.random.default_rng(0)
    .integers(3, size=(STEPS, ROWS))
    .astype(np.int32),
    "some repeat": np.random.default_rng(0)
    .integers(17, size=(STEPS, ROWS))
    .astype(np.int32),
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("cell", [*CELLS[:5], *ODD], ids=repr)
def test_gradients_of_repeated_words_equal_the_interpreters(cell, tie_weights, words):
    embedding_size = trace(cell, 5, 17).output_width if tie_weights else 5
    model = Model(
        cell,
        embedding_size=embedding_size,
        hidden_size=17,
        tie_weights=tie_weights,
        scale=0.4,
    )
    ids = WORDS[words]
    targets = np.random.default_rng(2).integers(VOCAB, size=ids.shape).astype(np.int32)
    state = model.state(ROWS, seed=2)
    expected = arrays_of(run(model, ids, model.state_arrays(state), targets))
    found = arrays_of(run_core(model, ids, state, targets))
    for a, b in zip(found, expected, strict=True):
        assert np.linalg.norm(a - b) <= 1e-12 * (np.linalg.norm(b) or 1.0)


@pytest.mark.parametrize("words", WORDS)
def test_repeated_words_give_the_same_bits_with_any_number_of_threads(words):
    model = Model(CELLS[1], num_layers=1, hidden_size=33)
    ids = np.tile(WORDS[words], (8, 4))
    targets = np.random.default_rng(2).integers(VOCAB, size=ids.shape).astype(np.int32)
    results = [
        bytes_of(
            run_core(
                model, ids, model.state(ids.shape[1], seed=2), targets, n_threads=n
            )
        )
        for n in (1, 2, 3, 8)
    ]
    assert results[1:] == results[:-1]
