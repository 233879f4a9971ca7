# SPDX-License-Identifier: BSD-3-Clause
"""A run ends, and its schedule with it, when its steps or its seconds are used up."""

import time

import pytest

from rnnkit import RNNLanguageModel
from rnnkit.training.budget import Budget

TEXTS = ["the cat sat on the mat", "the dog sat on the rug"] * 50


def clock(monkeypatch: pytest.MonkeyPatch, seconds_a_look: float) -> None:
    """Let each look at the clock take so long."""
    looks = iter(range(1 << 30))
    monkeypatch.setattr(time, "monotonic", lambda: next(looks) * seconds_a_look)


def test_progress_is_the_larger_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1.0)
    budget = Budget(10, max_time=4.0)
    budget.spend(4)
    assert budget.progress == 0.4  # 1 second of 4 is less
    assert budget.progress == 0.5  # 2 seconds of 4 are more
    assert not budget.is_out_of_time
    assert budget.is_out_of_time
    assert budget.progress == 1.0


def test_without_a_limit_time_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1e9)
    budget = Budget(40)
    parts = [budget.progress]
    for n_steps in (10, 5, 25, 7):  # windows of any length
        budget.spend(n_steps)
        parts.append(budget.progress)
    assert parts == [0, 0.25, 0.375, 1, 1]
    assert not budget.is_out_of_time


def test_a_budget_goes_on_from_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1.0)
    first, second = Budget(10, max_time=20.0), Budget(10, max_time=20.0)
    first.spend(3)
    second.restore(first.numbers())
    assert second.progress == 0.3
    second.spend(3)
    assert second.progress == 0.6


def test_fit_ends_in_time_and_counts_what_it_has_done() -> None:
    lm = RNNLanguageModel(
        hidden_size=8, max_iter=10**6, max_time=0.3, learning_rate="one_cycle"
    )
    begin = time.monotonic()
    lm.fit(TEXTS)
    assert time.monotonic() - begin < 30  # not the days of a million epochs
    assert 0 < lm.n_tokens_seen_ < 10**6 * 7 * len(TEXTS)
    assert len(lm.loss_curve_) == lm.n_iter_


def test_the_epoch_that_is_broken_off_is_validated() -> None:
    lm = RNNLanguageModel(hidden_size=8, max_iter=5, max_time=1e-9)
    lm.fit(TEXTS, X_val=TEXTS[:2])
    assert lm.n_iter_ == len(lm.validation_loss_curve_) == 1
    assert 0 < lm.n_tokens_seen_ < 7 * len(TEXTS)


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), "60", True])
def test_max_time_is_checked(wrong: object) -> None:
    with pytest.raises(ValueError, match="max_time="):
        RNNLanguageModel(max_time=wrong).fit(TEXTS)
