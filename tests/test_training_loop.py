# SPDX-License-Identifier: BSD-3-Clause
"""The loop's steps: averaged, warmed up, accumulated; and what looks at them when."""

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from small_models import PLAIN

from rnnkit import RNNLanguageModel
from rnnkit.core import State, Window
from rnnkit.errors import InterruptedFitWarning, NonFiniteError, ParameterError
from rnnkit.training.average import Average
from rnnkit.training.trainer import Trainer

RNG = np.random.default_rng(0)
WORDS = np.array(["the", "a", "cat", "dog", "mouse", "sat", "ran", "on", "off", "mat"])
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(3, 30))) for _ in range(40)]
OTHERS = [" ".join(RNG.choice(WORDS, 20)) for _ in range(3)]
EVERYTHING = {
    "average": 0.5, "warmup_steps": 7, "variable_bptt": True, "bptt": 10,
    "accumulate": 2, "validation_interval": 0.5, "dropout": 0.2,
}  # fmt: skip


def model(**parameters):
    defaults = {
        "vocabulary": list(WORDS), "hidden_size": 6, "bptt": 4, "batch_size": 2,
        "max_iter": 3, "random_state": 3, "n_threads": 1, "dtype": "float64",
    }  # fmt: skip
    return RNNLanguageModel(**PLAIN | defaults | parameters)


def values(lm):
    return [value.copy() for value in lm.params_.values()]


def assert_near(found, expected, allowed=1e-12):
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= allowed


class Steps(list):
    """What each step was: its rate, the lengths of its windows, the weights then."""

    def __init__(self, monkeypatch, before=lambda trainer: None):
        super().__init__()
        plain = Trainer._step

        def step(trainer, window, group, run, rate):
            before(trainer)
            made = plain(trainer, window, group, run, rate)
            n = range(len(trainer.network.parameters))
            weights = [trainer.weights.get(i) for i in n]
            self.append((rate, [len(batch) for batch in group], weights))
            return made

        monkeypatch.setattr(Trainer, "_step", step)

    @property
    def rates(self):
        return [rate for rate, _, _ in self]

    @property
    def lengths(self):
        return [lengths for _, lengths, _ in self]

    def mean(self, first, last=None):
        """The mean of the weights of these steps."""
        weights = [weights for _, _, weights in self[first:last]]
        return [np.mean(one, axis=0) for one in zip(*weights, strict=True)]


# -------------------------------------------------------------------------- averaging


@pytest.mark.parametrize("solver", ["sgd", "adam", "adagrad"])
@pytest.mark.parametrize(("average", "start"), [(True, 0), (0, 0), (1, 1), (1.5, 1.5)])
def test_the_model_is_the_mean_of_the_weights_over_steps(
    average, start, solver, monkeypatch
):
    settings = {"solver": solver, "learning_rate_init": 0.05}
    plain = Steps(monkeypatch)
    values_of_last = values(model(**settings).fit(TEXTS))
    monkeypatch.undo()
    steps = Steps(monkeypatch)
    lm = model(average=average, **settings).fit(TEXTS, X_val=OTHERS)
    read = np.cumsum([0, *map(sum, steps.lengths)])
    first = int(np.searchsorted(read, start * read[-1] / 3))
    assert_near(values(lm), steps.mean(first))
    assert np.abs(values(lm)[0] - values_of_last[0]).max() > 1e-3
    assert lm.validation_loss_curve_[-1] == pytest.approx(-lm.score(OTHERS), rel=1e-12)
    for (_, _, one), (_, _, other) in zip(plain, steps, strict=True):
        assert all(map(np.array_equal, one, other))  # training itself knows nothing


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_the_trigger_is_that_of_awd_lstm(patience, monkeypatch):
    settings = {"max_iter": 12, "solver": "sgd", "learning_rate_init": 2.0}
    plain = model(**settings).fit(TEXTS, X_val=OTHERS).validation_loss_curve_
    fired = next(
        t
        for t in range(patience + 1, 12)
        if plain[t] > min(plain[: len(plain[:t]) - patience])
    )
    assert fired < 10
    steps = Steps(monkeypatch)
    lm = model(average="triggered", average_patience=patience, **settings)
    lm.fit(TEXTS, X_val=OTHERS)
    assert lm.validation_loss_curve_[: fired + 1] == plain[: fired + 1]
    assert_near(values(lm), steps.mean((fired + 1) * len(steps) // 12))


def test_the_trigger_looks_back_further_than_its_patience():
    average = Average("triggered", 2)
    begun = []
    for loss in (5.0, 3.0, 4.0, 4.5, 3.5, 2.0, 9.0):
        average.look(loss)
        begun.append(average._start == 0.0)
    # 3.5 is the first that is above a loss more than two losses old, 3.0.
    assert begun == [False, False, False, False, True, True, True]


def test_without_a_validation_text_the_trigger_looks_at_the_training_loss(monkeypatch):
    settings = {"solver": "sgd", "learning_rate_init": 30.0, "max_iter": 10}
    losses = model(**settings).fit(TEXTS).loss_curve_
    fired = next(t for t in range(1, 10) if losses[t] > min(losses[:t]))
    assert fired < 9
    steps = Steps(monkeypatch)
    lm = model(average="triggered", average_patience=0, **settings).fit(TEXTS)
    assert_near(values(lm), steps.mean((fired + 1) * len(steps) // 10))


def test_early_stopping_keeps_the_best_mean():
    lm = model(
        average=2, early_stopping=True, max_iter=12, learning_rate_init=0.1,
        n_iter_no_change=20,
    ).fit(TEXTS, X_val=OTHERS)  # fmt: skip
    curve = lm.validation_loss_curve_
    assert 2 <= np.argmin(curve) < 11
    assert lm.score(OTHERS) == pytest.approx(lm.best_validation_score_, rel=1e-12)


def test_a_fit_that_is_interrupted_gives_the_mean_so_far(monkeypatch):
    def interrupt(trainer):
        if trainer.n_updates == 150:
            raise KeyboardInterrupt

    steps = Steps(monkeypatch, interrupt)
    with pytest.warns(InterruptedFitWarning) as warned:
        lm = model(average=0.5).fit(TEXTS)
    n = int(re.search(r"mean .* of its last (\d+) steps", str(warned[0].message))[1])
    assert 0 < n < len(steps) == 150
    assert_near(values(lm), steps.mean(150 - n))


def test_a_loss_that_is_not_finite_leaves_the_mean_of_the_last_epoch(monkeypatch):
    steps = Steps(monkeypatch)
    model(max_iter=2).fit(TEXTS)
    n = len(steps)
    monkeypatch.undo()

    def poison(trainer):
        if trainer.n_updates == n + 10:
            bad = trainer.weights.get(0)
            trainer.weights.set(0, np.full_like(bad, np.nan))

    steps = Steps(monkeypatch, poison)
    lm = model(average=True)
    with pytest.raises(NonFiniteError, match="keeps its last good weights"):
        lm.fit(TEXTS)
    assert lm.n_iter_ == 2
    assert_near(values(lm), steps.mean(0, n))


def test_partial_fit_publishes_the_mean_and_goes_on_from_the_weights(monkeypatch):
    steps = Steps(monkeypatch)
    lm = model(average=1)
    lm.partial_fit(TEXTS)
    n = len(steps)
    assert_near(values(lm), steps[-1][2])  # none yet
    lm.partial_fit(TEXTS).partial_fit(TEXTS)
    assert_near(values(lm), steps.mean(n))
    assert len(steps) == 3 * n
    monkeypatch.undo()
    once = model(average=1, max_iter=3).fit(TEXTS)
    assert all(map(np.array_equal, values(once), values(lm)))
    lm.set_params(average=False).partial_fit(TEXTS)  # goes on without
    assert np.abs(values(lm)[0] - values(once)[0]).max() > 1e-4


# ------------------------------------------------------------------ rates and warm-up


def test_the_rate_rises_over_the_first_updates(monkeypatch):
    steps = Steps(monkeypatch)
    model(warmup_steps=5, learning_rate_init=0.5, max_iter=1).fit(TEXTS)
    assert steps.rates[:7] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    steps.clear()
    lm = model(warmup_steps=100, learning_rate_init=0.5)
    lm.partial_fit(TEXTS).partial_fit(TEXTS)
    assert steps.rates == pytest.approx(  # over calls of partial_fit
        [0.5 * min(1, (n + 1) / 100) for n in range(len(steps))]
    )
    assert steps.rates[-1] == 0.5


def test_a_windows_rate_is_as_large_as_it_is_long(monkeypatch):
    steps = Steps(monkeypatch)
    model(variable_bptt=True, bptt=10, learning_rate_init=0.5).fit(TEXTS)
    lengths = [length for lengths in steps.lengths for length in lengths]
    assert len(set(lengths)) > 5
    assert steps.rates == pytest.approx([0.5 * length / 10 for length in lengths])
    n_epoch = sum(lengths) // 3
    assert (
        lengths[: len(lengths) // 3]
        != lengths[len(lengths) // 3 :][: len(lengths) // 3]
    )
    assert sum(lengths) == 3 * n_epoch


def test_a_timed_schedule_follows_the_text_however_windows_are_cut(monkeypatch):
    steps = Steps(monkeypatch)
    settings = {"learning_rate": "linear", "learning_rate_init": 1.0, "bptt": 10}
    model(variable_bptt=True, accumulate=3, **settings).fit(TEXTS)
    total = sum(map(sum, steps.lengths))
    read = 0
    for rate, lengths, _ in steps:
        scale = np.mean(lengths) / 10
        assert rate == pytest.approx((1 - read / total) * scale, rel=1e-9)
        read += sum(lengths)


# ----------------------------------------------------------------------- accumulation


def gradients(lm, texts, window_steps) -> Iterator[tuple[float, list[np.ndarray]]]:
    """The weight and the gradient of each window of one stream, with these weights."""
    runtime = lm.to_runtime()
    network, encoder = runtime.network, runtime.encoder
    weights = network.weights(runtime.params)
    ids = encoder.encode(texts).targets(encoder.end_id).ids
    tokens = np.concatenate([[encoder.end_id], ids]).astype(np.int32)
    n_windows = -(-len(ids) // window_steps)
    cuts = np.arange(n_windows + 1) * len(ids) // n_windows
    programs = network.programs(training=True)
    window = Window(weights, programs, window_steps, 1, training=True)
    state = State(weights, network.programs(), 1)
    for first, last in pairwise(cuts):
        read, predicted = tokens[first:last], tokens[first + 1 : last + 1]
        window.forward(read[:, None].copy(), state, targets=predicted[:, None].copy())
        window.backward()
        n = range(len(network.parameters))
        yield last - first, [window.gradient(i) for i in n]


def test_four_windows_make_one_step_with_their_mean_gradient(monkeypatch):
    texts = ["the cat sat on the mat the dog ran off a mouse", "the dog sat on the mat"]
    settings = {
        "carry_state": True, "solver": "sgd", "learning_rate_init": 0.7, "bptt": 5,
        "max_grad_norm": None,
    }  # fmt: skip
    before = model(max_iter=0, **settings).fit(texts)
    found = list(gradients(before, texts, 5))
    assert len(found) == 4
    total = sum(weight for weight, _ in found)
    expected = values(before)
    for weight, gradient in found:
        for value, part in zip(expected, gradient, strict=True):
            value -= 0.7 * weight / total * part
    steps = Steps(monkeypatch)
    after = model(max_iter=1, accumulate=4, **settings).fit(texts)
    assert steps.lengths == [[length for length, _ in found]]
    assert_near(values(after), expected)
    assert np.abs(values(before)[0] - expected[0]).max() > 1e-3
    steps.clear()
    model(max_iter=1, accumulate=3, **settings).fit(texts)
    assert [len(lengths) for lengths in steps.lengths] == [3, 1]


def test_documents_of_weight_0_are_no_part_of_an_accumulated_step():
    texts, weight = TEXTS[:20] + OTHERS, [1.0] * 20 + [0.0] * 3
    settings = {"accumulate": 50, "max_iter": 1, "solver": "sgd", "shuffle": False}
    light = model(learning_rate_init=1.0, **settings).fit(texts, sample_weight=weight)
    plain = model(learning_rate_init=1.0, **settings).fit(texts[:20])
    assert light.n_tokens_seen_ == plain.n_tokens_seen_
    assert light.loss_curve_[0] == pytest.approx(plain.loss_curve_[0], rel=0.01)


# ------------------------------------------------------------------ validation within


def test_an_epoch_is_validated_several_times(capsys):
    lm = model(validation_interval=0.3, verbose=1).fit(TEXTS, X_val=OTHERS)
    assert lm.n_iter_ == len(lm.loss_curve_) == 3
    assert len(lm.validation_loss_curve_) == 3 * 3
    assert lm.validation_loss_curve_[-1] == pytest.approx(-lm.score(OTHERS), rel=1e-12)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert re.match(r"epoch 1/3   3\d%  loss \d.*  validation \d", lines[0])
    assert re.match(r"epoch 1/3   6\d%  loss", lines[1])
    assert re.match(r"epoch 1/3  loss", lines[2])
    once = model().fit(TEXTS, X_val=OTHERS)  # looking changes nothing
    assert once.validation_loss_curve_ == lm.validation_loss_curve_[2::3]
    assert all(map(np.array_equal, values(once), values(lm)))


def test_plateau_and_early_stopping_look_at_each_validation(monkeypatch):
    steps = Steps(monkeypatch)
    lm = model(
        validation_interval=0.25, learning_rate="plateau", learning_rate_init=0.5,
        early_stopping=True, n_iter_no_change=6, tol=0, max_iter=50,
    ).fit(TEXTS, X_val=OTHERS)  # fmt: skip
    curve = lm.validation_loss_curve_
    assert len(curve) < 200
    assert len(curve) - 1 - int(np.argmin(curve)) == 6
    n_worse = sum(curve[t] >= min(curve[:t]) for t in range(1, len(curve) - 1))
    assert min(steps.rates) == pytest.approx(0.5 / 4**n_worse)
    assert lm.n_iter_ == len(lm.loss_curve_) == -(-len(curve) // 4)
    assert lm.score(OTHERS) == pytest.approx(lm.best_validation_score_, rel=1e-12)


def test_more_validations_than_windows_are_as_many_as_windows(monkeypatch):
    steps = Steps(monkeypatch)
    lm = model(validation_interval=1e-6, max_iter=1, accumulate=7)
    lm.fit(TEXTS, X_val=OTHERS)
    assert len(lm.validation_loss_curve_) == len(steps)


# --------------------------------------------------------------------------- together


@pytest.mark.parametrize("head", [{}, {"head": "sampled", "n_samples": 3}])
def test_the_same_bits_with_any_number_of_threads(head):
    settings = {**EVERYTHING, **head, "dtype": "float32", "hidden_size": 17}
    models = [
        model(n_threads=n, **settings).fit(TEXTS, X_val=OTHERS) for n in (1, 2, 3, 8)
    ]
    bits = {b"".join(value.tobytes() for value in values(lm)) for lm in models}
    assert len(bits) == 1
    assert len({tuple(lm.validation_loss_curve_) for lm in models}) == 1


def test_what_makes_no_sense_is_refused_with_the_reason():
    with pytest.raises(
        ParameterError, match="needs a text to validate on, and nothing"
    ):
        model(validation_interval=0.5).fit(TEXTS)
    with pytest.raises(ParameterError, match="and partial_fit holds nothing out"):
        model(validation_interval=0.5).partial_fit(TEXTS)
    with pytest.raises(
        ParameterError, match="variable_bptt=True needs bptt of at least"
    ):
        model(variable_bptt=True, bptt=9).fit(TEXTS)
    together = {**EVERYTHING, "validation_interval": 1.0}
    assert model(**together).partial_fit(TEXTS).partial_fit(TEXTS).n_iter_ == 2


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("average", "always"),
        ("average", -1),
        ("average", None),
        ("average", float("nan")),
        ("average_patience", -1),
        ("average_patience", True),
        ("warmup_steps", 0.5),
        ("variable_bptt", 1),
        ("accumulate", 0),
        ("validation_interval", 0.0),
        ("validation_interval", 2),
    ],
)
def test_the_parameters_of_the_loop_are_checked(name, wrong):
    with pytest.raises(ParameterError, match=f"{name}="):
        model(**{name: wrong}).fit(TEXTS)
