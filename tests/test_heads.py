# SPDX-License-Identifier: BSD-3-Clause
"""The softmax head and the embedding, looked at through windows of a small network."""

import core_oracle as oracle
import numpy as np
import pytest
from core_oracle import Model

from rnnkit.cells.rnn import RNN
from rnnkit.testing import relative_error

# A group of the vocabulary has 256 words at least and there are 8 at most; a panel has
# 16 floats or 8 doubles: one group, several, all of them; full and partly full panels.
VOCABULARIES = [1, 3, 16, 17, 65, 512, 513, 771, 2048, 2100]


def scored(model, n_steps, batch_size, seed=0, training=False, **given):
    """A window after forward, with its ids and targets."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(model.vocab_size, size=(n_steps, batch_size), dtype=np.int32)
    targets = rng.integers(model.vocab_size, size=(n_steps, batch_size), dtype=np.int32)
    window = model.window(n_steps, batch_size, training=training)
    loss = window.forward(ids, model.state(batch_size), targets=targets, **given)
    return window, ids, targets, loss


def expected_log_p(model, window):
    """From the core's own outputs, so that the head alone is compared."""
    *_, output, bias = model.parts()
    return oracle.log_softmax(window.outputs().astype(np.float64) @ output.T + bias)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("vocab_size", VOCABULARIES)
def test_log_likelihoods_and_hits_equal_a_plain_softmax(vocab_size, dtype):
    model = Model(RNN(), vocab_size=vocab_size, hidden_size=17, dtype=dtype)
    window, _, targets, (loss, weight_sum) = scored(model, 5, 3)
    log_p = expected_log_p(model, window)
    picked = np.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    # Logits of about 10, of 17 products: a few ulp of 10.
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert np.abs(window.log_likelihood - picked).max() <= tolerance
    assert loss == pytest.approx(
        -picked.mean(), rel=1e-13 if dtype == "float64" else 1e-6
    )
    assert weight_sum == 15
    assert np.array_equal(window.hits, log_p.argmax(-1) == targets)


@pytest.mark.parametrize("vocab_size", VOCABULARIES)
def test_gradients_over_groups_of_the_vocabulary_equal_the_oracle(vocab_size):
    model = Model(RNN(), vocab_size=vocab_size, hidden_size=17, scale=0.2)
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(vocab_size, size=(2, 5, 3), dtype=np.int32)
    found = oracle.run_core(model, ids, model.state(3), targets, n_threads=3)
    expected = oracle.run(model, ids, model.state_arrays(model.state(3)), targets)
    assert relative_error(found.gradients, expected.gradients) <= 1e-12


@pytest.mark.parametrize("n_rows", [255, 256, 257, 700])
def test_chunks_of_rows_equal_the_oracle(n_rows):
    model = Model(RNN(), vocab_size=65, hidden_size=3)
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(65, size=(2, n_rows, 1), dtype=np.int32)
    weights = rng.choice(
        np.array([0, 1, 3], np.float32), size=ids.shape, p=[0.3, 0.5, 0.2]
    )
    given = {"target_weights": weights}
    found = oracle.run_core(model, ids, model.state(1), targets, n_threads=2, **given)
    expected = oracle.run(
        model, ids, model.state_arrays(model.state(1)), targets, **given
    )
    assert relative_error(oracle.arrays_of(found), oracle.arrays_of(expected)) <= 1e-11
    assert np.array_equal(found.hits, expected.hits)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("vocab_size", [1, 17, 700])
def test_log_probabilities_have_the_bits_of_scoring_and_sum_to_one(vocab_size, dtype):
    model = Model(RNN(), vocab_size=vocab_size, hidden_size=17, dtype=dtype)
    window, _, targets, _ = scored(model, 90, 3, n_threads=2)
    rows = np.random.default_rng(1).permutation(270).astype(np.int32)
    log_p = window.log_probabilities(rows, n_threads=3)
    picked = log_p[np.arange(270), targets.ravel()[rows]]
    assert np.array_equal(picked, window.log_likelihood.ravel()[rows])
    assert np.abs(np.exp(log_p.astype(np.float64)).sum(-1) - 1).max() <= 1e-5
    one = np.concatenate([window.log_probabilities(rows[i : i + 1]) for i in range(5)])
    assert np.array_equal(one, log_p[:5])


def test_scoring_gives_the_bits_that_training_gives():
    model = Model(RNN(), vocab_size=700, hidden_size=17, dtype="float32")
    scoring, training = (scored(model, 9, 3, training=flag) for flag in (False, True))
    assert np.array_equal(scoring[0].log_likelihood, training[0].log_likelihood)
    assert scoring[-1] == training[-1]


def test_among_equals_the_first_word_is_the_likeliest():
    for vocab_size in (1, 17, 700):
        model = Model(RNN(), vocab_size=vocab_size, scale=0)
        window, _, targets, (loss, _) = scored(model, 6, 5)
        assert np.array_equal(window.hits, targets == 0)
        assert loss == pytest.approx(np.log(vocab_size), abs=1e-14)


def test_large_logits_neither_overflow_nor_lose_the_answer():
    model = Model(RNN(), vocab_size=3, hidden_size=1, dtype="float32")
    model.weights.set(len(model.values) - 1, np.array([1e4, 0, -1e4]))
    window, ids, *_ = scored(model, 1, 3)
    targets = np.array([[0, 1, 2]], np.int32)
    window.forward(ids, model.state(3), targets=targets)
    assert np.allclose(window.log_likelihood, [[0, -1e4, -2e4]], atol=10)
    assert np.array_equal(window.hits, [[1, 0, 0]])


def test_nothing_scored_is_a_loss_of_zero_and_gradients_of_zero():
    model = Model(RNN())
    weights = np.zeros((3, 2), np.float32)
    window, *_, loss = scored(model, 3, 2, training=True, target_weights=weights)
    assert loss == (0, 0)
    window.backward()
    assert not any(window.gradient(i).any() for i in range(len(model.values)))
    assert not window.log_likelihood.any() and not window.hits.any()


def test_a_row_that_is_not_scored_may_hold_nan():
    model = Model(RNN(), hidden_size=17)
    model.values[0][3] = np.nan
    model.weights.set(0, model.values[0])
    ids = np.array([[3, 4]], np.int32)
    window = model.window(1, 2, training=True)
    weights = np.array([[0, 1]], np.float32)
    loss, _ = window.forward(ids, model.state(2), targets=ids, target_weights=weights)
    window.backward()
    assert window.log_likelihood[0, 0] == 0
    assert np.isfinite(loss)
    assert np.isfinite(window.gradient(len(model.values) - 2)).all()
    assert np.isfinite(window.gradient(len(model.values) - 1)).all()


def test_nan_in_a_scored_row_makes_the_loss_nan_and_never_a_hit():
    model = Model(RNN(), vocab_size=700)
    model.values[-1][5] = np.nan
    model.weights.set(len(model.values) - 1, model.values[-1])
    window, *_, (loss, _) = scored(model, 2, 3)
    assert np.isnan(loss) and not window.hits.any()


@pytest.mark.parametrize("tie_weights", [False, True])
def test_words_that_come_again_add_their_gradients(tie_weights):
    """One word everywhere: its row has the whole gradient, no other row has any."""
    model = Model(RNN(), embedding_size=7, tie_weights=tie_weights, output_bias=False)
    ids = np.full((6, 5), 11, np.int32)
    window = model.window(6, 5, training=True)
    window.forward(ids, model.state(5))
    window.backward(outputs_gradient=np.ones((6, 5, 7)))
    gradient = window.gradient(0)
    nothing = np.zeros((6, 5), np.float32)
    expected = oracle.run(
        model,
        ids,
        model.state_arrays(model.state(5)),
        ids,
        target_weights=nothing,
        outputs_gradient=np.ones((6, 5, 7)),
    )
    assert gradient[11].all() and not np.delete(gradient, 11, axis=0).any()
    assert relative_error([gradient], expected.gradients[:1]) <= 1e-13
