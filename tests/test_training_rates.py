# SPDX-License-Identifier: BSD-3-Clause
"""The search for a learning rate: raised until the loss explodes."""

import json

import numpy as np
import pytest

import rnnkit
from rnnkit import RNNLanguageModel, find_learning_rate
from rnnkit.cli.main import main
from rnnkit.errors import InputError, ParameterError
from rnnkit.training.rates import RateCurve

TEXTS = [
    f"{who} {verb} on the {where}"
    for who in ("cat", "dog", "mouse", "bird")
    for verb in ("sat", "ran", "slept")
    for where in ("mat", "rug", "road")
] * 3


def model(**parameters):
    defaults = {"hidden_size": 16, "bptt": 8, "batch_size": 2, "random_state": 0}
    return RNNLanguageModel(**defaults | {"n_threads": 1} | parameters)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"solver": "sgd"}, {"accumulate": 2, "variable_bptt": True, "bptt": 10}],
)
def test_the_suggestion_learns_and_neither_end_does(parameters):
    found = find_learning_rate(model(**parameters), TEXTS)
    assert len(found.rates) == len(found.losses) <= 200
    assert found.rates[0] == 1e-5
    steps = np.diff(np.log(found.rates))
    assert steps == pytest.approx(np.full(len(steps), np.log(1e7) / 199))
    losses = [
        model(learning_rate_init=rate, max_iter=2, **parameters).fit(TEXTS)
        for rate in (1e-5, found.suggestion, found.rates[-1])
    ]
    slow, good, wild = (lm.loss_curve_[-1] for lm in losses)
    assert good < 0.7 * min(slow, wild)


def test_losses_are_smoothed_from_first_weights_and_the_estimator_stays():
    lm = model(dropout=0.1).fit(TEXTS)
    before = {name: value.copy() for name, value in lm.params_.items()}
    found = find_learning_rate(lm, TEXTS)
    assert all(np.array_equal(lm.params_[name], before[name]) for name in before)
    assert lm.n_iter_ == 10
    assert found.losses[0] == pytest.approx(np.log(len(lm.vocabulary_)), rel=0.01)
    fresh = find_learning_rate(model(dropout=0.1, n_threads=2), TEXTS)
    assert np.array_equal(fresh.losses, found.losses)


def test_it_stops_when_the_loss_explodes():
    lm = model(solver="sgd", max_grad_norm=None)
    found = find_learning_rate(lm, TEXTS, low=1e-2, high=1e12, n_steps=300)
    assert 2 <= len(found.rates) < 300
    assert np.isfinite(found.losses).all()
    assert found.losses.max() <= 2 * found.losses.min() + 1e-12


def test_the_suggestion_is_the_middle_of_the_steepest_half_decade():
    rates = np.geomspace(1e-4, 1e2, 61)  # ten a decade
    place = np.log10(rates)
    losses = 3.0 - np.clip(place + 1.25, 0, 0.5)  # falls from 10^-1.25 to 10^-0.75
    assert RateCurve(rates, losses).suggestion == pytest.approx(0.1, rel=0.13)
    few = RateCurve(rates[:2], np.array([2.0, 1.0]))
    assert few.suggestion == pytest.approx(np.sqrt(rates[0] * rates[1]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 0.0},
        {"low": 1.0, "high": 0.1},
        {"high": float("inf")},
        {"low": "1e-3"},
        {"n_steps": 1},
        {"n_steps": 10.0},
    ],
)
def test_what_makes_no_search_is_refused(wrong):
    with pytest.raises(ParameterError, match="allowed:"):
        find_learning_rate(model(), TEXTS, **wrong)


def test_bad_parameters_and_texts_are_refused_as_by_fit():
    with pytest.raises(ParameterError, match="hidden_size="):
        find_learning_rate(model(hidden_size=0), TEXTS)
    with pytest.raises(InputError):
        find_learning_rate(model(), [])
    explosive = model(solver="sgd", max_grad_norm=None)
    with pytest.raises(InputError, match="begin with a smaller one"):
        find_learning_rate(explosive, TEXTS, low=1e38, high=1e39)


def test_the_command_prints_a_table_and_a_suggestion(tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS))
    options = ["--hidden-size", "16", "--bptt", "8", "--batch-size", "2"]
    options += ["--random-state", "0", "--n-threads", "1"]
    assert main(["find-rate", str(path), *options]) == 0
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["learning", "rate", "loss"]
    assert 10 < len(rows) <= 24
    found = find_learning_rate(model(), TEXTS)
    assert float(rows[0].split()[0]) == 1e-5
    assert last == f"suggestion: --learning-rate-init {found.suggestion:.2g}"
    assert main(["find-rate", str(path), *options, "--json", "--n-steps", "9"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["rates"]) == len(answer["losses"]) <= 9
    assert main(["find-rate", str(path), "--low", "1", "--high", "0"]) == 2
    assert rnnkit.find_learning_rate is find_learning_rate
