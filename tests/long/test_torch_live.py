# SPDX-License-Identifier: BSD-3-Clause
"""Sizes that are too large to record, against PyTorch itself."""

import numpy as np
import pytest
from record_torch import CELLS as TORCH_CELLS
from record_torch import Sizes, record
from test_against_torch import assert_equal_to_record

SIZES = [
    Sizes(1, 128, embedding_size=100, vocab_size=1000, n_steps=100, batch_size=64),
    Sizes(2, 200, embedding_size=200, vocab_size=5000, n_steps=20, batch_size=20),
    Sizes(3, 65, embedding_size=33, vocab_size=17, n_steps=37, batch_size=1),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"h{sizes.hidden_size}")
@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_values_and_gradients_equal_those_of_pytorch(
    cell: str, sizes: Sizes, dtype: str
) -> None:
    recorded: dict[str, np.ndarray] = record(cell, sizes)
    assert_equal_to_record(cell, recorded, dtype)
