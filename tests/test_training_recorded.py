# SPDX-License-Identifier: BSD-3-Clause
"""Two epochs of the estimator against the curves of the same recipe in PyTorch.

tests/long/test_training_torch.py made the figures.
"""

from typing import Any

import numpy as np
import pytest

from rnnkit import RNNLanguageModel

N_IDS = 20
RECIPE: dict[str, Any] = {
    "tokenizer": None, "vocabulary": N_IDS, "hidden_size": 13, "num_layers": 2,
    "bptt": 10, "batch_size": 4, "max_grad_norm": 0.5, "alpha": 0.01,
    "carry_state": True, "dtype": "float64", "n_threads": 1, "max_iter": 0,
    "dropout": 0.0, "learning_rate": "constant",
}  # fmt: skip
RATES = {"adam": 0.01, "adamw": 0.01, "sgd": 0.5}
PYTORCH = {
    ("rnn", "adam", True): [3.035887075615899, 2.4840807891641776],
    ("rnn", "sgd", False): [2.957497669651944, 2.3307017824570457],
    ("lstm", "adamw", True): [3.0162079919394453, 2.6072371835452923],
    ("lstm", "adam", False): [3.0496095592195274, 3.0399760267682376],
    ("gru", "adamw", False): [2.837136816743901, 2.04975374113714],
    ("gru", "sgd", True): [3.039645379807069, 3.0357267811257027],
}


@pytest.mark.parametrize("case", PYTORCH)
def test_two_epochs_equal_pytorchs(case: tuple[str, str, bool]) -> None:
    cell, solver, tie_weights = case
    documents = [(np.arange(n * n % 60) ** 2 + n) % N_IDS for n in range(200)]
    lm = RNNLanguageModel(
        cell=cell,
        solver=solver,
        tie_weights=tie_weights,
        learning_rate_init=RATES[solver],
        **RECIPE,
    ).fit(documents)
    values = {
        name: 0.3 * np.sin(np.arange(value.size) + k).reshape(value.shape)
        for k, (name, value) in enumerate(lm.params_.items())
    }
    lm.set_weights(values).set_params(max_iter=2, warm_start=True).fit(documents)
    # Float64 over some 300 steps; Adam divides by small numbers at first.
    assert lm.loss_curve_ == pytest.approx(PYTORCH[case], rel=1e-10)
