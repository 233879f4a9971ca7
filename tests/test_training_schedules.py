# SPDX-License-Identifier: BSD-3-Clause
"""Schedules by their published definitions, patience, and the held-out part."""

import math

import numpy as np
import pytest

from rnnkit.training.schedules import SCHEDULES, Patience, Schedule
from rnnkit.training.split import hold_out


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_stays_within_its_initial_rate(name: str) -> None:
    schedule = Schedule(name, 2.0)
    rates = [schedule.rate(update / 65) for update in range(65)]
    assert all(0.0 < rate <= 2.0 for rate in rates)


def test_constant_stays() -> None:
    assert Schedule("constant", 0.3).rate(0.9) == 0.3


def test_linear_goes_straight_down() -> None:
    schedule = Schedule("linear", 1.0)
    assert [schedule.rate(i / 4) for i in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_cosine_is_half_way_down_in_the_middle() -> None:
    schedule = Schedule("cosine", 1.0)
    expected = [1.0, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]
    rates = [schedule.rate(i / 4) for i in range(4)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_for_three_tenths_and_falls() -> None:
    schedule = Schedule("one_cycle", 1.0)
    rates = [schedule.rate(update / 1000) for update in range(1000)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[300] == pytest.approx(1.0)
    assert rates[150] == pytest.approx((1 + 1 / 25) / 2)
    assert rates[650] == pytest.approx((1 + 1 / 250_000) / 2)
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)


def test_plateau_divides_by_four_when_an_epoch_is_not_the_best() -> None:
    schedule = Schedule("plateau", 16.0)
    rates = []
    for loss in (5.0, 4.0, 4.5, 3.0, 3.0, 2.9):
        schedule.look(loss)
        rates.append(schedule.rate(0))
    assert rates == [16.0, 16.0, 4.0, 4.0, 1.0, 1.0]


def test_exponential_halves_after_each_epoch_from_its_start_on():
    schedule = Schedule("exponential", 1.0, decay_start=4)
    rates = []
    for _ in range(6):
        schedule.look(1.0)
        schedule.end_epoch()
        rates.append(schedule.rate(0))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("name", ["exponential", "plateau", "adaptive"])
def test_the_factor_may_be_another(name: str) -> None:
    schedule = Schedule(name, 1.0, n_iter_no_change=1, decay=0.8)
    for _ in range(3):
        schedule.look(1.0)
        schedule.end_epoch()
    n = 3 if name == "exponential" else 2  # the first epoch is the best
    assert schedule.rate(0) == pytest.approx(0.8**n)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_from_its_numbers(name: str) -> None:
    losses = np.random.default_rng(0).random(9)
    whole, first, second = (Schedule(name, 2.0, decay_start=2) for _ in range(3))
    for loss in losses[:5]:
        for schedule in (whole, first):
            schedule.look(loss)
            schedule.end_epoch()
    second.restore(first.numbers())
    for loss in losses[5:]:
        for schedule in (whole, second):
            schedule.look(loss)
            schedule.end_epoch()
        assert second.rate(0.5) == whole.rate(0.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_straight_to_what_the_schedule_gives(name: str) -> None:
    plain, warm = Schedule(name, 2.0), Schedule(name, 2.0, warmup_steps=4)
    factors = [warm.rate(n / 10, n) / plain.rate(n / 10, n) for n in range(6)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], rel=1e-15)


def test_adaptive_divides_by_five_after_some_epochs_without_improvement() -> None:
    schedule = Schedule("adaptive", 25.0, n_iter_no_change=2, tol=0.1)
    rates = []
    for loss in (5.0, 4.95, 4.94, 4.0, 3.99, 3.98):
        schedule.look(loss)
        rates.append(schedule.rate(0))
    assert rates == [25.0, 25.0, 5.0, 5.0, 5.0, 1.0]


def test_patience_counts_failures_in_a_row() -> None:
    patience = Patience(2, tol=0.0)
    assert [patience.is_exhausted(loss) for loss in (3, 2, 2, 1, 1.5, 1.2)] == [
        False, False, False, False, False, True,
    ]  # fmt: skip
    assert patience.best_loss == 1


def test_whole_documents_are_held_out_when_there_are_enough() -> None:
    documents = [f"text {i}" for i in range(20)]
    rest, held_out, kept = hold_out(documents, 0.1, np.random.default_rng(0))
    assert len(held_out) == 2
    assert sorted(rest + held_out) == sorted(documents)
    assert [documents[i] for i in kept] == rest


def test_a_running_text_loses_its_last_documents() -> None:
    documents = [f"text {i}" for i in range(20)]
    rest, held_out, _ = hold_out(documents, 0.1, None)
    assert rest + held_out == documents
    assert len(held_out) == 2


def test_a_single_text_loses_its_last_part_from_a_line_on() -> None:
    text = "".join(f"line {i}\n" for i in range(100))
    rest, held_out, kept = hold_out([text], 0.1, np.random.default_rng(0))
    assert rest[0] + held_out[0] == text
    assert rest[0].endswith("\n")
    assert 0.08 < len(held_out[0]) / len(text) < 0.12
    assert kept.tolist() == [0]


def test_few_sequences_of_ids_are_cut_in_two() -> None:
    documents = [np.arange(30), np.arange(0), np.arange(10)]
    rest, held_out, kept = hold_out(documents, 0.1, None)
    assert np.concatenate([*rest, *held_out]).tolist() == [*range(30), *range(10)]
    assert sum(map(len, held_out)) == 4
    assert kept.tolist() == [0, 1, 2]


@pytest.mark.parametrize("documents", [[""], ["a"], ["", ""]])
def test_too_little_text_to_hold_out_is_said(documents: list[str]) -> None:
    with pytest.raises(ValueError, match="leaves nothing to learn from"):
        hold_out(documents, 0.1, None)
