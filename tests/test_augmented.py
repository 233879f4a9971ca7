# SPDX-License-Identifier: BSD-3-Clause
"""The augmented loss: a KL divergence to soft targets, beside the cross-entropy."""

import json
from pathlib import Path
from typing import Any

import head_oracle
import numpy as np
import pytest
from core_oracle import Model
from small_models import PLAIN
from test_heads_large import adaptive, sampled, some_window

from rnnkit import RNNLanguageModel
from rnnkit.cells.rnn import RNN
from rnnkit.cli.main import main
from rnnkit.core import Window
from rnnkit.errors import ParameterError
from rnnkit.testing import relative_error

RNG = np.random.default_rng(0)
WORDS = np.array(["the", "a", "cat", "dog", "mouse", "sat", "ran", "on", "off", "mat"])
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(1, 12))) for _ in range(60)]
# One group of the vocabulary, and several (see test_heads.py); one panel, and parts.
VOCABULARIES = [1, 17, 65, 700, 2100]
KINDS = {
    "tied": {"tie_weights": True, "embedding_size": 7},
    "untied": {},
    "without bias": {"output_bias": False},
}


def augmented(model, alpha=2.0, temperature=1.5):
    """A function that trains on a window and returns what there is afterwards."""

    def train(ids, targets, weights=None, *, n_threads=1, **flags):
        window = Window(
            model.weights,
            model.training,
            *ids.shape,
            training=True,
            augmented_loss=alpha,
            augmented_temperature=temperature,
        )
        loss, _ = window.forward(
            ids,
            model.state(ids.shape[1]),
            targets=targets,
            target_weights=weights,
            n_threads=n_threads,
            **flags,
        )
        window.backward(n_threads=n_threads)
        gradients = [window.gradient(i) for i in range(len(model.values))]
        return loss, gradients, window

    return train


def divergence(logits, soft):
    """KL(soft || softmax(logits)) over the last axis; `soft` without zeros."""
    log_q = head_oracle.log_softmax(logits)
    return (soft * (np.log(soft) - log_q)).sum(axis=-1)


def soft_targets(weight, targets, temperature):
    logits = weight[targets] @ weight.T / temperature
    return np.exp(head_oracle.log_softmax(logits))


def augmented_loss(model, values, ids, targets, weights, alpha=2.0, temperature=1.5):
    """In NumPy, also of complex tensors; soft targets are those of the real weights."""
    weight, *bias = model.head_tensors(values)
    hidden = head_oracle.outputs(model, values, ids)
    logits = (hidden @ weight.T + (bias[0] if bias else 0.0)) / temperature
    constant = np.asarray(model.head_tensors(model.values)[0], np.float64)
    scored = np.where(weights > 0, targets, 0)
    soft = soft_targets(constant, scored, temperature)
    kl = (weights * divergence(logits, soft)).sum() / weights.sum()
    plain = head_oracle.loss(model, values, ids, targets, weights)
    return plain + alpha * kl


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocab_size", VOCABULARIES)
def test_gradients_equal_a_complex_step_of_the_loss(vocab_size, kind):
    model = Model(RNN(), vocab_size=vocab_size, scale=0.4, **KINDS[kind])
    ids, targets, weights = some_window(model, 8, 5)
    weights = weights.astype(np.float64)
    loss, gradients, window = augmented(model)(ids, targets, weights.astype(np.float32))
    values = [value.astype(np.float64) for value in model.values]
    assert loss == pytest.approx(
        head_oracle.loss(model, values, ids, targets, weights), rel=1e-12
    )
    assert not window.log_likelihood[weights == 0].any()
    rng = np.random.default_rng(1)
    for i, value in enumerate(values):
        direction = rng.normal(size=value.shape)
        slope = head_oracle.slope(
            lambda values: augmented_loss(model, values, ids, targets, weights),
            values,
            i,
            direction,
        )
        found = (gradients[i] * direction).sum()
        assert found == pytest.approx(slope, rel=1e-9, abs=1e-12), i


@pytest.mark.parametrize("n_rows", [255, 256, 257, 700])
def test_targets_are_shared_within_chunks_alone(n_rows):
    """Few words come again and again; a row's gradient is as if it stood alone."""
    model = Model(RNN(), vocab_size=65, hidden_size=3)
    rng = np.random.default_rng(0)
    ids, targets = (65 * rng.random((2, n_rows, 1)) ** 3).astype(np.int32)
    weights = rng.choice(
        np.array([0, 1, 3], np.float32), size=ids.shape, p=[0.3, 0.5, 0.2]
    )
    _, gradients, _ = augmented(model)(ids, targets, weights)
    values = [value.astype(np.float64) for value in model.values]
    for i in (0, len(values) - 2, len(values) - 1):
        direction = rng.normal(size=values[i].shape)
        slope = head_oracle.slope(
            lambda values: augmented_loss(
                model, values, ids, targets, weights.astype(np.float64)
            ),
            values,
            i,
            direction,
        )
        assert (gradients[i] * direction).sum() == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_float32_is_close_to_float64(temperature):
    found = []
    for dtype in ("float32", "float64"):
        model = Model(RNN(), vocab_size=700, hidden_size=17, dtype=dtype)
        model.values = [value.astype(np.float32) for value in model.values]
        for i, value in enumerate(model.values):
            model.weights.set(i, value.astype(dtype))
        ids, targets, weights = some_window(model, 30, 3)
        found.append(augmented(model, 3.0, temperature)(ids, targets, weights)[:2])
    (loss, gradients), (exact_loss, exact) = found
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    assert relative_error(gradients, exact) <= 2e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("vocab_size", [65, 2100])
def test_bits_do_not_depend_on_threads(vocab_size, dtype):
    model = Model(RNN(), vocab_size=vocab_size, hidden_size=17, dtype=dtype)
    ids, targets, weights = some_window(model, 90, 4)
    runs = [
        augmented(model)(ids, targets, weights, n_threads=n)[:2] for n in (1, 2, 3, 8)
    ]
    assert len({(loss, *(g.tobytes() for g in grads)) for loss, grads in runs}) == 1


def test_without_weight_nothing_changes_not_a_bit():
    model = Model(RNN(), vocab_size=700, hidden_size=17, dtype="float32")
    ids, targets, weights = some_window(model, 90, 4)
    loss, gradients, window = augmented(model, alpha=0.0)(ids, targets, weights)
    plain = model.window(*ids.shape, training=True)
    given = {"targets": targets, "target_weights": weights}
    assert plain.forward(ids, model.state(4), **given)[0] == loss
    plain.backward()
    for i, gradient in enumerate(gradients):
        assert gradient.tobytes() == plain.gradient(i).tobytes()
    more, others, scored = augmented(model)(ids, targets, weights)
    assert more == loss and not np.array_equal(others[-1], gradients[-1])
    assert np.array_equal(scored.log_likelihood, window.log_likelihood)
    assert np.array_equal(scored.hits, window.hits)


def test_rows_that_have_ended_do_not_count():
    model = Model(RNN(), flags=True)
    ids, targets, _ = some_window(model, 6, 3)
    active = np.ones(ids.shape, np.uint8)
    active[3:, 1] = 0
    weights = active.astype(np.float32)
    train = augmented(model)
    _, gradients, _ = train(ids, targets, weights, active=active)
    ids[3:, 1], targets[3:, 1] = 0, 1
    _, others, _ = train(ids, targets, weights, active=active)
    assert relative_error(gradients, others) == 0


def test_nothing_scored_is_a_gradient_of_zero():
    model = Model(RNN())
    ids, targets, _ = some_window(model)
    loss, gradients, _ = augmented(model)(ids, targets, np.zeros(ids.shape, np.float32))
    assert loss == 0 and not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("given", "alpha", "temperature", "message"),
    [
        ({}, -1.0, 1.0, "augmented_loss is -1; it must be finite and at least 0"),
        ({}, np.inf, 1.0, "augmented_loss is inf"),
        ({}, 1.0, 0.0, "augmented_temperature is 0; it must be finite and above 0"),
        ({}, 1.0, np.nan, "augmented_temperature is nan|augmented_temperature is -nan"),
        ({"head": sampled(3)}, 1.0, 1.0, "needs a softmax over all words"),
        ({"head": adaptive((5, 3))}, 1.0, 1.0, "needs a softmax over all words"),
    ],
)
def test_what_the_core_cannot_do_is_refused(given, alpha, temperature, message):
    model = Model(RNN(), **given)
    ids, targets, _ = some_window(model)
    with pytest.raises(ValueError, match=message):
        augmented(model, alpha, temperature)(ids, targets)


# -------------------------------------------------------------------- the estimator


def make(**params: Any) -> RNNLanguageModel:
    defaults: dict[str, Any] = {
        "tokenizer": "whitespace", "hidden_size": 6, "max_iter": 2, "bptt": 5,
        "batch_size": 3, "random_state": 0, "n_threads": 1, "augmented_loss": 1.0,
    }  # fmt: skip
    return RNNLanguageModel(**PLAIN | defaults | params)


def bits(lm: RNNLanguageModel) -> bytes:
    return b"".join(value.tobytes() for value in lm.params_.values())


def test_models_learn_the_same_with_threads_and_after_a_break(tmp_path: Path) -> None:
    given = {"tie_weights": True, "embedding_size": 4, "learning_rate_init": 0.01}
    whole = make(**given, n_threads=3).fit(TEXTS, checkpoint=tmp_path)
    resumed = make(**given).fit(TEXTS, checkpoint=tmp_path, resume=True)
    assert bits(whole) == bits(resumed)
    assert whole.perplexity(TEXTS) < 0.98 * len(whole.vocabulary_)
    others = [{"augmented_loss": 0.0}, {"augmented_temperature": 1.0}]
    for other in others:
        assert bits(make(**{**given, **other}).fit(TEXTS)) != bits(whole)


def test_settings_may_change_from_pass_to_pass() -> None:
    lm = make(shuffle=False).partial_fit(TEXTS)
    lm.set_params(augmented_loss=0.0).partial_fit(TEXTS)
    same = make(shuffle=False).partial_fit(TEXTS).partial_fit(TEXTS)
    assert bits(lm) != bits(same)


def test_the_loss_curve_is_the_cross_entropy() -> None:
    """Of one window from the same weights: what is added shows in the next epoch."""
    curves = [
        make(augmented_loss=a, bptt=200, batch_size=1).fit(TEXTS[:3]).loss_curve_
        for a in (0.0, 5.0)
    ]
    assert curves[0][0] == curves[1][0] and curves[0][1] != curves[1][1]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"augmented_loss": -1}, "augmented_loss=-1; allowed"),
        ({"augmented_temperature": 0}, "augmented_temperature=0; allowed"),
        ({"head": "sampled"}, "augmented_loss=1.0 needs head='softmax'"),
        ({"head": "adaptive"}, "augmented_loss=1.0 needs head='softmax'"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    for method in ("fit", "partial_fit"):
        with pytest.raises(ParameterError, match=message):
            getattr(make(**params), method)(TEXTS)


def test_the_command_line_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, model = tmp_path / "text", tmp_path / "model"
    text.write_text("\n".join(TEXTS))
    options = "--augmented-loss 2 --augmented-temperature 4 --hidden-size 6"
    options += " --max-iter 1 --verbose 0"
    assert main(["fit", str(text), "-o", str(model), *options.split()]) == 0
    assert main(["score", str(model), str(text), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["perplexity"] > 1
