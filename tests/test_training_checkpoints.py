# SPDX-License-Identifier: BSD-3-Clause
"""A run that is broken off and goes on ends with the bits of one that was not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_regularisers import OutputIsNoState

from rnnkit import RNNLanguageModel
from rnnkit.errors import CheckpointWarning, ParameterError
from rnnkit.training import checkpoints as module
from rnnkit.training.checkpoints import checkpoints_in
from rnnkit.training.trainer import Trainer

RNG = np.random.default_rng(0)
WORDS = np.array(["the", "a", "cat", "dog", "mouse", "sat", "ran", "on", "off", "mat"])
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(3, 30))) for _ in range(80)]
CASES = {
    "adam": {"dropout": 0.3},
    "running text": {
        "carry_state": True,
        "num_layers": 2,
        "learning_rate": "one_cycle",
    },
    "momentum": {"solver": "sgd", "momentum": 0.9, "learning_rate_init": 0.5},
    "plateau": {"solver": "sgd", "learning_rate": "plateau", "learning_rate_init": 20},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1},
    "tied gru": {"cell": "gru", "tie_weights": True, "learning_rate": "cosine"},
    "states that start at minus infinity": {"cell": "slstm"},
    "regularised": {
        "cell": OutputIsNoState(),
        "embedding_dropout": 0.2,
        "weight_dropout": 0.2,
        "zoneout": {"c": 0.2},
        "activation_penalty": 1.0,
        "temporal_activation_penalty": 1.0,
    },
    "averaged": {"average": 1.3, "warmup_steps": 40, "accumulate": 5},
    "all at once": {
        "average": "triggered",
        "average_patience": 2,
        "warmup_steps": 30,
        "variable_bptt": True,
        "accumulate": 3,
        "validation_interval": 0.25,
        "early_stopping": True,
        "n_iter_no_change": 4,
        "tol": 0.0025,
        "learning_rate_init": 0.05,
        "learning_rate": "cosine",
        "bptt": 10,
        "dropout": 0.2,
        "head": "sampled",
        "n_samples": 3,
    },
}


class PowerCutError(BaseException):
    """Nothing may catch it."""


def model(**parameters):
    defaults = {"hidden_size": 6, "bptt": 4, "batch_size": 2, "max_iter": 4}
    return RNNLanguageModel(**defaults | {"random_state": 3} | parameters)


def fit(lm, folder=None, **how):
    return lm.fit(TEXTS[10:], X_val=TEXTS[:10], checkpoint=folder, **how)


def cut_at(monkeypatch, step):
    """Let the power fail in this step, and a checkpoint be due after each."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(module.Checkpoints, "save_if_due", module.Checkpoints.save)
    plain = Trainer._step

    def until(self, *arguments):
        if self.n_updates == step:
            raise PowerCutError
        return plain(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", until)


def counted_steps(monkeypatch):
    """Return a list that grows with each step."""
    steps, plain = [], Trainer._step

    def counted(self, *arguments):
        steps.append(self.n_updates)
        return plain(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", counted)
    return steps


def results(lm):
    return {
        **lm.params_,
        "loss": lm.loss_curve_,
        "validation": lm.validation_loss_curve_,
        "tokens": lm.n_tokens_seen_,
    }


def assert_same(found, expected):
    found, expected = results(found), results(expected)
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", [0.02, 0.4, 0.61])
def test_it_ends_as_if_it_had_not_been_broken_off(case, part, tmp_path, monkeypatch):
    parameters = CASES[case]
    if parameters.get("cell") == "slstm":
        pytest.importorskip("rnnkit_xlstm")
    with monkeypatch.context() as patch:
        steps = counted_steps(patch)
        whole = fit(model(**parameters))
    n_steps = len(steps)
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        cut_at(patch, max(1, int(part * n_steps)))
        fit(model(**parameters), tmp_path / "run")
    twin = model(**parameters, n_threads=1)
    fit(twin, tmp_path / "run", resume=True)
    assert_same(twin, whole)


def test_two_checkpoints_are_kept_and_nothing_else(tmp_path):
    fit(model(), tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 2
    assert kept == [path.name for path in checkpoints_in(tmp_path)]


def test_a_run_that_is_over_stays_as_it_is(tmp_path):
    first = fit(model(early_stopping=True, n_iter_no_change=1), tmp_path)
    again = model(early_stopping=True, n_iter_no_change=1)
    assert_same(fit(again, tmp_path, resume=True), first)


def test_resume_begins_where_there_is_nothing(tmp_path):
    lm = fit(model(), tmp_path / "new" / "folder", resume=True)
    assert_same(lm, fit(model()))


def test_a_seed_that_was_drawn_goes_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        cut_at(patch, 30)
        fit(model(random_state=None), tmp_path)
    first = fit(model(random_state=None), tmp_path, resume=True)
    again = fit(model(random_state=None), tmp_path, resume=True)  # it is over
    assert_same(again, first)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        cut_at(patch, 30)
        fit(model(), tmp_path)
    newest = checkpoints_in(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    with pytest.warns(CheckpointWarning, match=newest.name):
        lm = fit(model(), tmp_path, resume=True)
    assert_same(lm, fit(model()))


@pytest.mark.filterwarnings("ignore::rnnkit.errors.CheckpointWarning")
def test_nothing_is_begun_over_checkpoints_that_are_all_damaged(tmp_path):
    fit(model(max_iter=2), tmp_path)
    for path in checkpoints_in(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ParameterError, match="none of the 2 checkpoints"):
        fit(model(max_iter=2), tmp_path, resume=True)
    assert len(checkpoints_in(tmp_path)) == 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"learning_rate_init": 0.1}, "learning_rate_init: .*, now 0.1; call fit"),
        ({"random_state": 4}, "seed"),
        ({"hidden_size": 7, "embedding_size": 7}, "embedding_size: .*, now 7; call"),
        ({"cell": "gru"}, "cell, hidden_size or num_layers: equations "),
        ({"tie_weights": True}, "tie_weights: False, now True; call"),
        ({"carry_state": True}, "carry_state: False, now True; call"),
    ],
)
def test_another_run_is_not_gone_on_with(change, what, tmp_path):
    fit(model(max_iter=1), tmp_path)
    with pytest.raises(ParameterError, match=f"has another {what}"):
        fit(model(max_iter=1).set_params(**change), tmp_path, resume=True)


def test_another_text_is_not_gone_on_with(tmp_path):
    lm = model(vocabulary=list(WORDS))
    lm.fit(TEXTS[:40], checkpoint=tmp_path)
    with pytest.raises(ParameterError, match="has another text"):
        lm.fit(TEXTS[40:], checkpoint=tmp_path, resume=True)
    with pytest.raises(ParameterError, match="has another validation text"):
        lm.fit(TEXTS[:40], X_val=TEXTS, checkpoint=tmp_path, resume=True)


def test_checkpoints_are_not_written_over(tmp_path):
    fit(model(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ParameterError, match="of an earlier run; resume=True"):
        fit(model(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_resume_needs_a_folder():
    with pytest.raises(ParameterError, match="needs the folder"):
        model().fit(TEXTS, resume=True)


def test_a_process_that_is_killed_goes_on_from_the_command_line(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(TEXTS * 20))
    options = ["--hidden-size", "16", "--max-iter", "6", "--random-state", "1"]
    options += ["--bptt", "8", "--n-threads", "1"]
    command = [sys.executable, "-m", "rnnkit", "fit", "text.txt", *options]

    def run(*more):
        return subprocess.Popen([*command, *more], cwd=tmp_path, stderr=-3)

    assert run("-o", "whole.rnn").wait() == 0
    victim = run("-o", "killed.rnn", "--checkpoint", "run")
    for _ in range(600):
        if (tmp_path / "run").exists() and checkpoints_in(tmp_path / "run"):
            break
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert run("-o", "killed.rnn", "--checkpoint", "run", "--resume").wait() == 0
    assert (tmp_path / "killed.rnn").read_bytes() == (
        tmp_path / "whole.rnn"
    ).read_bytes()


def test_the_case_of_all_at_once_averages_and_stops_within_an_epoch(tmp_path):
    lm = fit(model(**CASES["all at once"]), tmp_path)
    last = checkpoints_in(tmp_path)[-1].read_bytes()
    assert b'"average.0"' in last
    assert len(lm.validation_loss_curve_) % 4
    assert lm.n_iter_ == len(lm.loss_curve_) == -(-len(lm.validation_loss_curve_) // 4)
