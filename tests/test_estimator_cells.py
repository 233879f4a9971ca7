# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""What the estimator refuses of a cell before it trains it, or goes on with it."""

import numpy as np
import pytest

from rnnkit import RNNLanguageModel
from rnnkit.cells import RNN, Cell, tanh
from rnnkit.errors import CellError, ParameterError

TEXTS = ["the cat sat on the mat", "the dog sat on the rug"] * 5


class Bounded(Cell):
    states = ("h",)
    initialisers = {"u": "first"}
    limits = {"u": (-1.0, 1.0)}

    def __init__(self, first=0.5):
        self.first = first

    def step(self, x, h):
        return tanh(self.linear("h", x) + self.vector("u") * h)


class Noisy(Cell):
    states = ("h",)

    def step(self, x, h):
        return tanh(self.linear("h", x, h)) * np.random.default_rng().random()


def model(cell, **parameters):
    return RNNLanguageModel(
        cell, hidden_size=4, max_iter=1, random_state=0, **parameters
    )


def test_first_values_beyond_the_limits_are_refused():
    model(Bounded()).fit(TEXTS)
    with pytest.raises(CellError, match=r"u_l0 begins with values from 2 to 2, beyond"):
        model(Bounded(first=2.0)).fit(TEXTS)


def test_a_step_with_random_numbers_is_refused():
    with pytest.raises(CellError, match=r"two traces of Noisy\(\) differ"):
        model(Noisy()).fit(TEXTS)


@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
def test_equations_do_not_change_under_weights_that_were_learned(go_on):
    lm = model(RNN(), warm_start=True).fit(TEXTS)
    before = lm.score(TEXTS)
    lm.set_params(cell__activation="relu")
    with pytest.raises(ParameterError, match="equations are not those"):
        getattr(lm, go_on)(TEXTS)
    assert lm.score(TEXTS) == before
    lm.set_params(cell__activation="tanh")
    getattr(lm, go_on)(TEXTS)
    assert lm.score(TEXTS) != before
