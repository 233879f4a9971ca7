# SPDX-License-Identifier: BSD-3-Clause
"""Training through the estimator: what it learns, keeps, goes on with, and says."""

import math
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import PLAIN

from rnnkit import RNNLanguageModel
from rnnkit.cells import GRU, LSTM, RNN, Cell, tanh
from rnnkit.errors import (
    InputError,
    InterruptedFitWarning,
    NonFiniteError,
    ParameterError,
    UnknownNameError,
)
from rnnkit.training.trainer import Trainer

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog",
    "the end",
]


def make(**params: Any) -> RNNLanguageModel:
    """A model small enough to train in a blink."""
    small = {"hidden_size": 7, "max_iter": 3, "random_state": 0, "n_threads": 1}
    return RNNLanguageModel(**PLAIN | small | params)


def bits(lm: RNNLanguageModel) -> bytes:
    return b"".join(value.tobytes() for value in lm.params_.values())


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", LSTM(), RNN(activation="relu")])
@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "char", "byte"])
def test_the_defaults_learn_a_small_text(cell: Any, tokenizer: str) -> None:
    lm = RNNLanguageModel(cell, tokenizer=tokenizer, random_state=0, n_threads=1)
    lm.fit(TEXTS * 30)
    assert lm.score(TEXTS) > -0.25 * math.log(len(lm.vocabulary_))
    assert lm.perplexity(TEXTS) == pytest.approx(math.exp(-lm.score(TEXTS)))
    assert sum(lm.score_samples(TEXTS)) / lm.evaluate(TEXTS).n_tokens == pytest.approx(
        lm.score(TEXTS)
    )
    assert isinstance(lm.generate("the", random_state=0), str)


def test_a_text_that_repeats_is_learned_by_heart() -> None:
    lm = make(hidden_size=32, max_iter=20, learning_rate_init=0.01)
    lm.fit(["the cat sat on the mat"] * 50)
    assert lm.accuracy(["the cat sat on the mat"]) == 1.0
    assert lm.predict_next("the cat", k=1)[0][0][0] == "sat"
    assert lm.generate("the cat", temperature=0) == "sat on the mat"


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("learning_rate", ["constant", "one_cycle", "plateau"])
def test_every_solver_learns(solver: str, learning_rate: str) -> None:
    rate = 2.0 if solver == "sgd" else 0.02
    lm = make(
        solver=solver, learning_rate=learning_rate, learning_rate_init=rate, max_iter=6
    )
    lm.fit(TEXTS * 50)
    assert lm.loss_curve_[-1] < 0.7 * lm.loss_curve_[0]


def test_momentum_makes_another_path() -> None:
    plain = make(solver="sgd", learning_rate_init=0.1)
    heavy = make(solver="sgd", learning_rate_init=0.1, momentum=0.9)
    nesterov = make(
        solver="sgd", learning_rate_init=0.1, momentum=0.9, nesterovs_momentum=True
    )
    losses = [lm.fit(TEXTS * 20).loss_curve_[-1] for lm in (plain, heavy, nesterov)]
    assert losses[1] < losses[0]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"carry_state": True},
        {"num_layers": 2, "dropout": 0.3, "tie_weights": True, "cell": "gru"},
        {"early_stopping": True, "dtype": "float64"},
    ],
)
def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(
    params: dict[str, Any],
) -> None:
    params = {"max_iter": 2, "bptt": 8, **params}
    models = [make(**params, n_threads=n).fit(TEXTS * 5) for n in (1, 2, 3, 8)]
    assert len({bits(lm) for lm in models}) == 1
    assert len({lm.score(TEXTS) for lm in models}) == 1
    other = make(**{**params, "random_state": 1}).fit(TEXTS * 5)
    assert bits(other) != bits(models[0])


def test_dropout_belongs_to_training_alone() -> None:
    lm = make(dropout=0.5).fit(TEXTS * 10)
    assert lm.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    assert bits(lm) != bits(make().fit(TEXTS * 10))


def test_dropout_stands_for_the_rates_that_are_not_given() -> None:
    def fitted(**rates: Any) -> bytes:
        return bits(make(num_layers=2, **rates).fit(TEXTS * 5))

    three = {f"{place}_dropout": 0.3 for place in ("input", "hidden", "output")}
    assert fitted(dropout=0.3) == fitted(**three)
    without = {name: 0.0 for name in three}
    assert fitted(dropout=0.3, **without) == fitted()
    found = [fitted(**{name: 0.3}) for name in (*three, "state_dropout")]
    found.append(fitted(dropout=0.3, variational=True))
    assert len({*found, fitted(), fitted(dropout=0.3)}) == 7


def test_attributes_tell_what_training_gave() -> None:
    lm = make(early_stopping=False).fit(TEXTS, X_val=TEXTS[:2])
    n_tokens = sum(len(text.split()) + 1 for text in TEXTS)
    assert lm.n_iter_ == len(lm.loss_curve_) == len(lm.validation_loss_curve_) == 3
    assert lm.n_tokens_seen_ == 3 * n_tokens
    assert lm.validation_loss_curve_[-1] == pytest.approx(-lm.score(TEXTS[:2]))
    assert lm.best_validation_score_ == -min(lm.validation_loss_curve_)
    assert set(lm.vocabulary_) == {"<eos>", "<unk>", *" ".join(TEXTS).split()}
    assert lm.tokenizer_.vocabulary_ == lm.vocabulary_
    shapes = {name: value.shape for name, value in lm.params_.items()}
    V, H = len(lm.vocabulary_), 7
    assert shapes == {
        "embedding.weight": (V, H),
        "rnn.weight_ih_l0": (4 * H, H),
        "rnn.bias_ih_l0": (4 * H,),
        "rnn.weight_hh_l0": (4 * H, H),
        "rnn.bias_hh_l0": (4 * H,),
        "output.weight": (V, H),
        "output.bias": (V,),
    }
    assert lm.n_parameters_ == sum(value.size for value in lm.params_.values())


def test_initial_values_are_those_of_the_design() -> None:
    H = 65
    lm = make(max_iter=0, hidden_size=H).fit(TEXTS)
    params = lm.params_
    assert lm.n_iter_ == 0
    for name, bound in (
        ("embedding.weight", 0.1),
        ("output.weight", 0.1),
        ("rnn.weight_ih_l0", 1 / math.sqrt(H)),
        ("rnn.weight_hh_l0", 1 / math.sqrt(H)),
    ):
        assert 0.9 * bound < abs(params[name]).max() <= np.float32(bound)
        assert abs(params[name].mean()) < 0.1 * bound
    assert not params["output.bias"].any()
    bias = params["rnn.bias_ih_l0"] + params["rnn.bias_hh_l0"]
    assert bias.reshape(4, H).tolist() == [[0.0] * H, [1.0] * H, [0.0] * H, [0.0] * H]


def test_tied_weights_are_listed_once_and_need_equal_widths() -> None:
    lm = make(tie_weights=True).fit(TEXTS)
    assert "output.weight" not in lm.params_
    with pytest.raises(ValueError, match="tie_weights=True needs embedding_size equal"):
        make(tie_weights=True, embedding_size=5, projection=False).fit(TEXTS)


def test_a_cell_defined_in_a_notebook_trains() -> None:
    class Leaky(Cell):
        states = ("h",)

        def step(self, x: Any, h: Any) -> Any:
            return 0.5 * h + 0.5 * tanh(self.linear("a", x, h))

    lm = make(cell=Leaky(), learning_rate_init=0.05).fit(TEXTS * 40)
    assert lm.loss_curve_[-1] < 0.7 * lm.loss_curve_[0]


# ----------------------------------------------------------------- stopping, resuming


def test_early_stopping_keeps_the_best_weights_and_stops() -> None:
    rng = np.random.default_rng(0)
    noise = [" ".join(rng.choice(list("abcdefgh"), 20)) for _ in range(30)]
    lm = make(
        early_stopping=True, validation_fraction=0.2, max_iter=100, hidden_size=65,
        learning_rate_init=0.02, n_iter_no_change=4,
    ).fit(noise)  # fmt: skip
    assert lm.n_iter_ < 100  # noise cannot be learned, only learned by heart
    curve = lm.validation_loss_curve_
    assert lm.best_validation_score_ == -min(curve)
    assert lm.n_iter_ - 1 - int(np.argmin(curve)) >= 4
    assert set(lm.vocabulary_) == {"<eos>", "<unk>", *"abcdefgh"}


def test_the_best_weights_score_as_they_did() -> None:
    lm = make(
        early_stopping=True, max_iter=30, learning_rate_init=0.3, max_grad_norm=None
    )
    lm.fit(TEXTS * 3, X_val=TEXTS)
    assert lm.score(TEXTS) == pytest.approx(lm.best_validation_score_, rel=1e-12)


def test_the_tokenizer_does_not_learn_from_held_out_text() -> None:
    texts = [f"common word{i}" for i in range(20)]
    lm = make(early_stopping=True, validation_fraction=0.25).fit(texts)
    assert len(lm.vocabulary_) == 2 + 1 + 15


def test_partial_fit_goes_on_where_it_was() -> None:
    lm = make(learning_rate_init=0.01)
    losses = [lm.partial_fit(TEXTS * 10).loss_curve_[-1] for _ in range(5)]
    assert losses == sorted(losses, reverse=True) == lm.loss_curve_
    assert lm.n_iter_ == 5
    once = make(learning_rate_init=0.01, max_iter=5).fit(TEXTS * 10)
    assert bits(once) == bits(lm)  # five passes of fit: solver and order went on


def test_partial_fit_carries_the_state_to_the_next_text() -> None:
    parts = [TEXTS[:2], TEXTS[2:]]
    lm = make(
        carry_state=True, bptt=65, vocabulary=sorted(set(" ".join(TEXTS).split()))
    )
    seen: list[np.ndarray] = []
    original = Trainer._carried_state

    def spy(self: Trainer, windows: Any) -> Any:
        state = original(self, windows)
        seen.append(state.get(0, 0)[0])
        return state

    Trainer._carried_state = spy  # type: ignore[method-assign]
    try:
        for part in parts:
            lm.partial_fit(part)
    finally:
        Trainer._carried_state = original  # type: ignore[method-assign]
    assert not seen[0].any()
    assert seen[1].any()


def test_partial_fit_fixes_the_vocabulary_at_the_first_call() -> None:
    lm = make(vocabulary=["cat", "dog"])
    lm.partial_fit(["a bird"]).partial_fit(["a cat"])
    assert lm.vocabulary_ == ["<eos>", "<unk>", "cat", "dog"]
    lm = make().partial_fit(["a bird"]).partial_fit(["a cat"])
    assert sorted(lm.vocabulary_) == ["<eos>", "<unk>", "a", "bird"]


def test_partial_fit_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ParameterError, match="must know the end of training"):
        make(learning_rate="one_cycle").partial_fit(TEXTS)
    lm = make().partial_fit(TEXTS)
    with pytest.raises(ParameterError, match="solver='adam', now solver='sgd' is"):
        lm.set_params(solver="sgd").partial_fit(TEXTS)
    with pytest.raises(ParameterError, match=r"now alpha=0\.1 is asked for"):
        lm.set_params(solver="adam", alpha=0.1).partial_fit(TEXTS)
    lm.set_params(alpha=0.0, learning_rate_init=0.1).partial_fit(TEXTS)
    with pytest.raises(ParameterError, match="the network cannot change"):
        lm.set_params(hidden_size=9).partial_fit(TEXTS)


def test_warm_start_keeps_weights_and_vocabulary() -> None:
    lm = make(warm_start=True, learning_rate_init=0.01).fit(TEXTS * 20)
    vocabulary, first = lm.vocabulary_, lm.loss_curve_
    lm.fit(["a new word"] + TEXTS * 20)
    assert lm.vocabulary_ == vocabulary
    assert lm.loss_curve_[0] < first[-1]
    cold = make(learning_rate_init=0.01).fit(TEXTS * 20).fit(TEXTS * 20)
    assert cold.loss_curve_ == first
    with pytest.raises(InputError, match=r"fit with warm_start=False\).* has shape"):
        lm.set_params(hidden_size=9).fit(TEXTS)


def test_a_fit_that_fails_at_once_leaves_the_model_as_it_was() -> None:
    lm = make().fit(TEXTS)
    before = bits(lm)
    for X in ([], "text", [None], [""]):
        with pytest.raises(InputError):
            lm.fit(X)
    assert bits(lm) == before
    assert lm.n_iter_ == 3


# --------------------------------------------------------------------- sample weights


def test_documents_of_weight_0_are_read_but_not_learned() -> None:
    texts = ["good text"] * 20 + ["bad thing"] * 20
    weight = [1.0] * 20 + [0.0] * 20
    lm = make(max_iter=20, learning_rate_init=0.02).fit(texts, sample_weight=weight)
    assert lm.score(["good text"]) > -0.7
    assert lm.score(["bad thing"]) < -3.0
    assert lm.n_tokens_seen_ == 20 * 20 * 3


def test_equal_weights_change_nothing_but_rounding() -> None:
    plain = make(dtype="float64").fit(TEXTS * 5)
    weighted = make(dtype="float64").fit(TEXTS * 5, sample_weight=np.full(20, 0.5))
    for name, value in plain.params_.items():
        np.testing.assert_allclose(weighted.params_[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], "has shape"),
        ([1.0, 1.0, -1.0, 1.0], "not negative"),
        ([1.0, 1.0, math.nan, 1.0], "finite"),
        ([0.0] * 4, "not 0 for all"),
        (["a"] * 4, "must be numbers"),
    ],
)
def test_bad_weights_are_refused(weight: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make().fit(TEXTS, sample_weight=weight)


# ------------------------------------------------------------------------ set_weights


def test_set_weights_checks_copies_and_swaps() -> None:
    lm, other = make().fit(TEXTS), make(random_state=1).fit(TEXTS)
    values = {name: value.copy() for name, value in other.params_.items()}
    old = lm.params_
    before = old["output.bias"].copy()
    assert lm.set_weights(values) is lm
    values["output.bias"][:] = 99.0
    assert bits(lm) == bits(other)
    assert (old["output.bias"] == before).all()
    lm.set_weights({"output.bias": np.zeros(len(lm.vocabulary_))})
    assert not lm.params_["output.bias"].any()
    assert lm.params_["output.weight"].tobytes() == values["output.weight"].tobytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nothing": [1.0]}, "no parameter 'nothing'; it has embedding.weight"),
        ({"output.bias": [1.0]}, r"'output.bias' has shape \(1,\)"),
        ({"output.bias": [math.nan] * 12}, "holds NaN or infinity"),
        ({"output.bias": ["a"] * 12}, "holds no numbers"),
    ],
)
def test_set_weights_refuses_what_does_not_fit(
    values: dict[str, Any], message: str
) -> None:
    lm = make().fit(TEXTS)
    before = bits(lm)
    with pytest.raises(InputError, match=message):
        lm.set_weights(values)
    assert bits(lm) == before


# ----------------------------------------------------------- when something goes wrong


def test_a_loss_that_is_not_finite_stops_the_fit_and_says_what_to_try() -> None:
    lm = make(
        cell=RNN(activation="relu"), solver="sgd", learning_rate_init=1e30,
        max_grad_norm=None, max_iter=9,
    )  # fmt: skip
    with pytest.raises(NonFiniteError) as caught:
        lm.fit(TEXTS * 100)
    message = str(caught.value)
    assert re.search(r"epoch 1, window \d+ of \d+ \(step \d+\)", message)
    assert "learning_rate_init (now 1e+30)" in message
    assert all(np.isfinite(value).all() for value in lm.params_.values())
    assert math.isfinite(lm.score(TEXTS))


def test_the_weights_of_the_last_good_epoch_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = make(max_iter=2).fit(TEXTS * 10)
    original = Trainer._step

    def sabotage(self: Trainer, *arguments: Any) -> Any:
        if self.history.n_iter == 2:
            bias = len(self.network.parameters) - 1
            self.weights.set(bias, self.weights.get(bias) * math.nan)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", sabotage)
    lm = make(max_iter=5)
    with pytest.raises(NonFiniteError, match="epoch 3, window 1"):
        lm.fit(TEXTS * 10)
    assert bits(lm) == bits(good)
    assert lm.n_iter_ == 2
    lm.set_params(max_iter=1, warm_start=True)
    monkeypatch.undo()
    assert lm.fit(TEXTS * 10).n_iter_ == 1


def interrupt_soon(started: Callable[[], bool]) -> threading.Thread:
    """Send this process Ctrl-C when something has begun."""

    def work() -> None:
        while not started():
            time.sleep(0.001)
        time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_ctrl_c_gives_a_usable_estimator_and_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []
    original = Trainer._step

    def count(self: Trainer, *arguments: Any) -> Any:
        steps.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", count)
    lm = make(max_iter=1_000_000)
    thread = interrupt_soon(lambda: len(steps) > 3)
    with pytest.warns(InterruptedFitWarning, match="weights of its last step"):
        assert lm.fit(TEXTS * 20) is lm
    thread.join()
    assert math.isfinite(lm.score(TEXTS))
    assert lm.predict_next("the", k=1)
    assert lm.n_iter_ == len(lm.loss_curve_)


def test_an_interrupted_fit_with_early_stopping_keeps_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Trainer._step

    def interrupt(self: Trainer, *arguments: Any) -> Any:
        if self.history.n_iter == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", interrupt)
    lm = make(early_stopping=True, max_iter=9)
    with pytest.warns(InterruptedFitWarning, match="weights of its best epoch"):
        lm.fit(TEXTS * 10, X_val=TEXTS)
    assert lm.score(TEXTS) == pytest.approx(lm.best_validation_score_, rel=1e-12)


def test_any_other_exception_leaves_what_was_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Trainer._step

    def fail(self: Trainer, *arguments: Any) -> Any:
        if self.history.n_iter == 1:
            raise MemoryError("none left")
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", fail)
    lm = make()
    with pytest.raises(MemoryError):
        lm.fit(TEXTS * 10)
    assert lm.n_iter_ == 1
    assert math.isfinite(lm.score(TEXTS))


def test_threads_predict_while_another_fits() -> None:
    lm = make(max_iter=2).fit(TEXTS * 10)
    known = {lm.score_samples(TEXTS).tobytes()}
    failures: list[object] = []
    done = threading.Event()

    def predict() -> None:
        while not done.is_set():
            seen.add(lm.score_samples(TEXTS).tobytes())
            if len(lm.predict_next("the")[0]) != 5:
                failures.append("predict_next")

    seen: set[bytes] = set()
    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seed in range(3):
        lm.set_params(random_state=seed).fit(TEXTS * 10)
        known.add(lm.score_samples(TEXTS).tobytes())
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert seen <= known  # old weights or new ones, never a mixture


# -------------------------------------------------------------------------- verbosity


def test_verbose_prints_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    make(verbose=0).fit(TEXTS)
    assert capsys.readouterr().out == ""
    make(verbose=1).fit(TEXTS, X_val=TEXTS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    number = r"[\d,.]+"
    pattern = (
        rf"epoch [123]/3  loss {number}  validation {number}  perplexity {number}"
        rf"  accuracy {number}  {number} tokens/s  0:0\d left"
    )
    for line in lines:
        assert re.fullmatch(pattern, line), line
    make(verbose=True).partial_fit(TEXTS)
    assert "accuracy" in capsys.readouterr().out


def test_verbose_2_prints_within_a_long_epoch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnkit.training.progress.SECONDS_BETWEEN_LINES", 0.0)
    make(verbose=2, max_iter=1, bptt=8).fit(TEXTS * 10)
    assert re.search(r"epoch 1/1   \d+%  loss \d", capsys.readouterr().out)


# ------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    "params",
    [
        {"hidden_size": 0}, {"hidden_size": 2.0}, {"hidden_size": True},
        {"num_layers": 0}, {"num_layers": 65}, {"embedding_size": -1},
        {"tie_weights": 1}, {"dropout": 1.0}, {"dropout": -0.1}, {"dropout": "0.1"},
        {"bptt": 0}, {"batch_size": 0}, {"max_iter": -1}, {"max_iter": math.inf},
        {"solver": "adma"}, {"learning_rate_init": 0}, {"learning_rate_init": math.nan},
        {"learning_rate": 0.1}, {"momentum": 1.0}, {"beta_1": 1}, {"epsilon": 0},
        {"alpha": -1}, {"max_grad_norm": 0}, {"carry_state": None}, {"shuffle": "yes"},
        {"early_stopping": "auto"}, {"validation_fraction": 1.0},
        {"n_iter_no_change": 0}, {"tol": -1}, {"warm_start": 2}, {"input": "text"},
        {"documents": "word"}, {"n_threads": 0}, {"n_threads": 1_000_000},
        {"n_threads": True}, {"n_threads": 1.0}, {"dtype": "float16"},
        {"dtype": np.float32}, {"verbose": -1}, {"verbose": "yes"},
        {"random_state": -1}, {"random_state": "seed"},
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_named_with_what_is_allowed(
    params: dict[str, Any],
) -> None:
    (name,) = params
    for method in ("fit", "partial_fit"):
        with pytest.raises(ParameterError, match=f"{name}=.*(allowed|a seed lies)"):
            getattr(make(**params), method)(TEXTS)


@pytest.mark.parametrize(
    "params",
    [
        {"n_threads": -1}, {"n_threads": -99}, {"n_threads": np.int64(2)},
        {"n_threads": 9}, {"hidden_size": np.int32(3)}, {"dropout": np.float32(0.5)},
        {"max_grad_norm": None}, {"verbose": False}, {"tie_weights": np.True_},
        {"random_state": np.random.default_rng(0)},
        {"random_state": np.random.RandomState(0)}, {"random_state": 2**64 - 1},
        {"random_state": None}, {"batch_size": 1}, {"batch_size": 1_000_000},
        {"bptt": 1}, {"bptt": 1_000_000}, {"hidden_size": 1}, {"embedding_size": 1},
    ],
)  # fmt: skip
def test_a_parameter_in_range_is_taken(params: dict[str, Any], tmp_path: Any) -> None:
    lm = make(**{"max_iter": 1, **params}).fit(TEXTS)
    assert math.isfinite(lm.score(TEXTS))
    lm.save(tmp_path / "model")  # whatever the parameters' types


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"hidden_size": 0}, ParameterError, "a whole number from 1 to 65,536"),
        ({"learning_rate": 0.1}, ParameterError, "the rate itself is learning_rate_i"),
        ({"cell": "lstn"}, UnknownNameError, "unknown cell 'lstn'; known: "),
        ({"tokenizer": "words"}, UnknownNameError, "unknown tokenizer 'words'; known:"),
        ({"cell": GRU}, ParameterError, "use an instance: cell=GRU()"),
        ({"cell": None}, ParameterError, "allowed: a name, or an instance"),
        ({"cell": 3}, ParameterError, "allowed: a name, or an instance"),
        ({"tokenizer": 3}, ParameterError, "allowed: a name, an instance"),
        ({"tokenizer": str}, ParameterError, "allowed: a name, an instance"),
        ({"tokenizer": "char", "vocabulary": "abc"}, ParameterError, "vocabulary"),
        ({"tokenizer": "byte", "vocabulary": ["a"]}, ParameterError, "has its own"),
    ],
)
def test_a_refusal_says_what_is_allowed(
    params: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make(**params).fit(TEXTS)
    assert message in str(caught.value)


def test_no_warnings_in_ordinary_use() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm = make(num_layers=2, dropout=0.1, early_stopping=True).fit(TEXTS * 5)
        lm.score(TEXTS), lm.generate("the"), lm.transform(TEXTS)


def test_the_schedule_that_is_chosen_hangs_on_what_is_known_of_the_end() -> None:
    chosen = {"learning_rate": "auto", "learning_rate_init": 0.02}
    for named, how in (("one_cycle", {}), ("plateau", {"early_stopping": True})):
        auto, told = (
            make(**chosen | how | changes).fit(TEXTS * 5)
            for changes in ({}, {"learning_rate": named})
        )
        assert bits(auto) == bits(told)
    auto, told = (
        make(**chosen | changes).partial_fit(TEXTS * 5)
        for changes in ({}, {"learning_rate": "constant"})
    )
    assert bits(auto) == bits(told)


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"solver": "adam"}, 8e-3),
        ({"solver": "rmsprop"}, 2e-3),
        ({"solver": "sgd"}, 4.0),
        ({"solver": "sgd", "momentum": 0.5}, 2.0),
    ],
)
def test_a_rate_that_is_not_given_suits_the_solver(
    settings: dict[str, Any], rate: float
) -> None:
    auto, told = (
        make(**settings, learning_rate_init=given).fit(TEXTS * 5)
        for given in (None, rate)
    )
    assert bits(auto) == bits(told)
