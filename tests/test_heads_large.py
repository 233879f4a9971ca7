# SPDX-License-Identifier: BSD-3-Clause
"""Heads for large vocabularies: the sampled and the adaptive softmax."""

import head_oracle
import numpy as np
import pytest
from core_oracle import Model

from rnnkit.cells.lstm import LSTM
from rnnkit.cells.rnn import RNN
from rnnkit.core import Solver


def sampled(n_samples):
    return {"head": "sampled", "n_samples": n_samples}


def adaptive(*clusters):
    """Clusters as (first word, width)."""
    cutoffs, widths = np.array([*clusters], np.int32).reshape(-1, 2).T.copy()
    return {"head": "adaptive", "cutoffs": cutoffs, "cluster_widths": widths}


# Vocabularies, heads: one cluster and several, of one word and of many; more samples
# than a panel, fewer, and all words; words beyond one group (see test_heads.py).
HEADS = {
    "adaptive-1": (17, adaptive((5, 3))),
    "adaptive-single": (3, adaptive((1, 1), (2, 1))),
    "adaptive-none": (17, adaptive()),
    "adaptive-3": (65, adaptive((7, 17), (8, 9), (30, 1))),
    "adaptive-groups": (2100, adaptive((520, 17), (1000, 5))),
    "sampled-1": (17, sampled(1)),
    "sampled-20": (65, sampled(20)),
    "sampled-all": (17, sampled(9)),
    "sampled-groups": (2100, sampled(520)),
}


def model_of(name, **given):
    vocab_size, head = HEADS[name]
    given = {"hidden_size": 17, "scale": 0.2, **given}
    return Model(RNN(), vocab_size=vocab_size, head=head, **given)


def some_window(model, n_steps=5, batch_size=3, seed=0):
    """Ids and targets, the first words more often; weights of which some are 0."""
    rng = np.random.default_rng(seed)
    u = rng.random((2, n_steps, batch_size))
    ids, targets = ((model.vocab_size + 1) ** u).astype(np.int32) - 1
    weights = rng.choice(np.array([0, 1, 3], np.float32), ids.shape, p=[0.3, 0.5, 0.2])
    weights[0, 0] = 1
    return ids, targets, weights


def trained(model, ids, targets, weights=None, *, n_threads=1, seed=5, update=7):
    """A window after forward and backward, and its loss."""
    window = model.window(*ids.shape, training=True)
    found, _ = window.forward(
        ids,
        model.state(ids.shape[1]),
        targets=targets,
        target_weights=weights,
        seed=seed,
        update=update,
        n_threads=n_threads,
    )
    window.backward(n_threads=n_threads)
    return window, found


def scored(model, ids, targets, weights=None, n_threads=1):
    window = model.window(*ids.shape)
    window.forward(
        ids,
        model.state(ids.shape[1]),
        targets=targets,
        target_weights=weights,
        n_threads=n_threads,
    )
    return window


def expected_log_p(model, window):
    """From the core's own outputs, so that the head alone is compared."""
    tensors = [value.astype(np.float64) for value in model.values]
    hidden = window.outputs().astype(np.float64)
    return head_oracle.log_p_of(model, model.head_tensors(tensors), hidden)


def loss_of(model, ids, targets, weights):
    """The oracle's loss as a function of all tensors, as `trained` asks for it."""

    def loss(values):
        return head_oracle.loss(model, values, ids, targets, weights, seed=5, update=7)

    return loss


def assert_slopes_equal_the_oracle(model):
    """Along a random direction of each tensor, which no element escapes."""
    given = some_window(model)
    expected, (window, loss) = (
        loss_of(model, *given),
        trained(model, *given, n_threads=3),
    )
    assert loss == pytest.approx(expected(model.values), rel=1e-12)
    rng = np.random.default_rng(0)
    for i, value in enumerate(model.values):
        direction = rng.normal(size=value.shape)
        terms = window.gradient(i) * direction
        slope = head_oracle.slope(expected, model.values, i, direction)
        assert abs(terms.sum() - slope) <= 1e-12 * np.abs(terms).sum(), i


@pytest.mark.parametrize("name", HEADS)
def test_loss_and_gradients_have_the_slopes_of_the_oracle(name):
    assert_slopes_equal_the_oracle(model_of(name))


@pytest.mark.parametrize(
    "name", ["adaptive-3", "sampled-1", "sampled-20", "sampled-all"]
)
def test_a_head_without_a_bias_equals_the_oracle(name):
    assert_slopes_equal_the_oracle(model_of(name, output_bias=False))


@pytest.mark.parametrize("name", ["sampled-1", "sampled-20", "sampled-groups"])
def test_a_sampled_head_with_tied_weights_equals_the_oracle(name):
    model = model_of(name, embedding_size=17, tie_weights=True)
    assert_slopes_equal_the_oracle(model)


@pytest.mark.parametrize(
    "name", ["adaptive-1", "adaptive-3", "sampled-1", "sampled-20"]
)
def test_every_element_of_every_gradient_equals_a_complex_step(name):
    model = model_of(name, hidden_size=3, embedding_size=2)
    given = some_window(model)
    expected, (window, _) = loss_of(model, *given), trained(model, *given)
    for i, value in enumerate(model.values):
        gradient = window.gradient(i)
        for place in np.ndindex(value.shape):
            one = np.zeros(value.shape)
            one[place] = 1
            slope = head_oracle.slope(expected, model.values, i, one)
            assert abs(gradient[place] - slope) <= 1e-12 * np.abs(gradient).max()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", HEADS)
def test_scores_hits_and_predictions_are_exact(name, dtype):
    model = model_of(name, dtype=dtype)
    ids, targets, weights = some_window(model, 90)
    window = scored(model, ids, targets, weights, n_threads=2)
    log_p = expected_log_p(model, window)
    picked = np.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert np.abs(window.log_likelihood - picked * (weights > 0)).max() <= tolerance
    assert np.array_equal(window.hits, (log_p.argmax(-1) == targets) & (weights > 0))
    rows = np.random.default_rng(1).permutation(270).astype(np.int32)
    found = window.log_probabilities(rows, n_threads=3)
    assert np.abs(found - log_p.reshape(270, -1)[rows]).max() <= tolerance
    known = weights.ravel()[rows] > 0
    same = found[np.arange(270), targets.ravel()[rows]]
    assert np.array_equal(same[known], window.log_likelihood.ravel()[rows][known])
    last = model.window(*ids.shape).predict(ids, model.state(3), n_threads=2)
    rows = np.arange(267, 270, dtype=np.int32)
    assert np.array_equal(last, window.log_probabilities(rows))


def test_hits_of_a_likely_cluster_look_at_its_words():
    """A cluster that is likelier than any word hides that its words are not."""
    model = model_of("adaptive-3", scale=0.0)
    root_bias = model.head_tensors(list(range(len(model.values))))[1]
    model.values[root_bias][:] = 0
    model.values[root_bias][[0, 7 + 2]] = 1, 2  # a word, and the last cluster
    model.weights.set(root_bias, model.values[root_bias])
    ids = np.arange(65, dtype=np.int32).reshape(65, 1)
    window = scored(model, ids, ids)
    assert window.hits.ravel().nonzero()[0].tolist() == [0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", HEADS)
def test_no_bit_depends_on_threads(name, dtype):
    model = model_of(name, dtype=dtype)
    ids, targets, weights = some_window(model, 90)

    def everything(n_threads):
        window, loss = trained(model, ids, targets, weights, n_threads=n_threads)
        gradients = [window.gradient(i).tobytes() for i in range(len(model.values))]
        scoring = scored(model, ids, targets, weights, n_threads)
        results = (
            window.log_likelihood,
            window.hits,
            scoring.log_likelihood,
            scoring.hits,
        )
        return loss, gradients, [result.tobytes() for result in results]

    assert everything(1) == everything(2) == everything(3) == everything(7)


@pytest.mark.parametrize("name", HEADS)
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch(name):
    model = model_of(name, dtype="float32")
    ids, targets, _ = some_window(model, 9, 5)
    together = scored(model, ids, targets)
    for b in range(5):
        column = np.ascontiguousarray(ids[:, b : b + 1])
        wanted = np.ascontiguousarray(targets[:, b : b + 1])
        alone = scored(model, column, wanted)
        assert np.array_equal(alone.log_likelihood[:, 0], together.log_likelihood[:, b])
        assert np.array_equal(alone.hits[:, 0], together.hits[:, b])


def test_adaptive_scoring_gives_the_bits_that_training_gives():
    model = model_of("adaptive-groups", dtype="float32")
    ids, targets, weights = some_window(model, 90)
    training, _ = trained(model, ids, targets, weights)
    scoring = scored(model, ids, targets, weights)
    assert np.array_equal(training.log_likelihood, scoring.log_likelihood)


def test_a_sample_of_all_words_is_the_full_softmax():
    found = []
    for head in (HEADS["sampled-all"][1], {}):
        model = Model(RNN(), hidden_size=17, head=head)
        window, loss = trained(model, *some_window(model))
        gradients = [window.gradient(i).tobytes() for i in range(len(model.values))]
        found.append((loss, gradients))
    assert found[0] == found[1]


def test_samples_hang_on_seed_and_update_alone():
    model = model_of("sampled-20")
    ids, targets, _ = some_window(model)
    losses = {
        (seed, update): trained(model, ids, targets, seed=seed, update=update)[1]
        for seed in (0, 1, 2**40)
        for update in (0, 1)
    }
    assert len(set(losses.values())) == 6
    assert losses[1, 1] == trained(model, ids, targets, seed=1, update=1)[1]


def test_the_words_of_many_samples_have_their_expected_counts():
    """The mean over windows of 1 / (expected count), where drawn, is 1."""
    n_windows, vocab, n_samples = 2000, 40, 10
    total = np.zeros(vocab)
    for update in range(n_windows):
        words, draws = head_oracle.sample(n_samples, vocab, 3, update)
        total[words] += [
            1 / head_oracle.expected_count(word, vocab, draws) for word in words
        ]
    # The number of draws is not fixed, which the formula takes it to be: a few percent,
    # beside 3 standard errors of the rarest words.
    assert np.abs(total / n_windows - 1).max() <= 0.25


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("limits", [None, (-0.1, 0.1)])
def test_an_update_from_some_rows_equals_one_from_all(kind, limits):
    """A sampled head's gradient holds few rows; with tied weights it holds all."""
    steps = []
    for tie_weights in (False, True):
        model = Model(
            LSTM(),
            vocab_size=100,
            embedding_size=70,
            hidden_size=70,
            tie_weights=tie_weights,
            head=sampled(5),
        )
        weight = model.head_tensors(list(range(len(model.values))))[0]
        ids, targets, _ = some_window(model)
        window, _ = trained(model, ids, targets, n_threads=2)
        before, gradient = model.weights.get(weight), window.gradient(weight)
        assert tie_weights or (gradient == 0).all(axis=1).sum() > 50
        given = None if limits is None else [limits] * len(model.values)
        solver = Solver(model.weights, kind, alpha=0.01, limits=given)
        norm = solver.update(window, 0.1, 0.5, n_threads=2)
        every = [window.gradient(i) for i in range(len(model.values))]
        assert norm == pytest.approx(
            np.sqrt(sum(np.square(g).sum() for g in every)), rel=1e-13
        )
        steps.append((before, gradient * min(1, 0.5 / (norm + 1e-6)), model, weight))
    for before, clipped, model, weight in steps:
        g = clipped + (0 if kind == "adamw" else 0.01 * before)
        step = g / (np.abs(g) + 1e-8) if kind.startswith("adam") else g
        shrunk = before * (1 - 0.1 * 0.01) if kind == "adamw" else before
        wanted = shrunk - 0.1 * step
        if limits is not None:
            wanted = np.clip(wanted, *limits)
        assert np.abs(model.weights.get(weight) - wanted).max() <= 1e-12


def test_rows_without_a_gradient_stay_where_nothing_moves_them():
    model = model_of("sampled-groups", dtype="float32")
    ids, targets, _ = some_window(model)
    window, _ = trained(model, ids, targets)
    weight = model.head_tensors(list(range(len(model.values))))[0]
    before, gradient = model.weights.get(weight), window.gradient(weight)
    Solver(model.weights, "sgd").update(window, 0.1)
    after = model.weights.get(weight)
    assert np.array_equal(after, before - np.float32(0.1) * gradient)


def test_nothing_scored_leaves_gradients_of_zero():
    for name in ("adaptive-3", "sampled-20"):
        model = model_of(name)
        ids, targets, weights = some_window(model)
        window, _ = trained(model, ids, targets)
        window.forward(
            ids, model.state(3), targets=targets, target_weights=np.zeros_like(weights)
        )
        window.backward()
        assert not any(window.gradient(i).any() for i in range(len(model.values)))


def test_clusters_without_a_target_have_gradients_of_zero():
    model = model_of("adaptive-3")
    ids = np.zeros((4, 3), np.int32)
    window, _ = trained(model, *some_window(model)[:2])
    window.forward(ids, model.state(3), targets=ids)
    window.backward()
    heads = model.head_tensors(list(range(len(model.values))))
    assert window.gradient(heads[0]).any()
    assert not any(window.gradient(i).any() for i in heads[2:])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "sampled"}, "n_samples is 0; it must be at least 1"),
        ({"head": "full"}, "unknown head 'full'; known: softmax, sampled, adaptive"),
        (adaptive((0, 1)), r"cutoffs\[0\] is 0; cutoffs must ascend, from 1 to 16"),
        (adaptive((5, 1), (5, 1)), r"cutoffs\[1\] is 5; cutoffs must ascend"),
        (adaptive((5, 1), (17, 1)), r"cutoffs\[1\] is 17; cutoffs must ascend"),
        (adaptive((5, 0)), "the width of cluster 0 is 0"),
        (adaptive((5, -1)), "the width of cluster 0 is 0"),
        (
            adaptive(*((i, 1) for i in range(1, 18))),
            "17 cutoffs; there may be up to 16",
        ),
    ],
)
def test_a_head_that_cannot_be_is_refused(given, message):
    vocab_size = 40 if "17 cutoffs" in message else 17
    with pytest.raises(ValueError, match=message):
        Model(RNN(), vocab_size=vocab_size, head=given)


def test_an_adaptive_head_is_not_tied():
    with pytest.raises(ValueError, match="it cannot be tied"):
        model_of("adaptive-1", embedding_size=17, tie_weights=True)


def test_copies_of_weights_have_the_same_head():
    for name in ("adaptive-3", "sampled-20"):
        weights = model_of(name).weights
        copy = weights.copy()
        assert copy.shapes == weights.shapes
        assert all(
            np.array_equal(copy.get(i), weights.get(i)) for i in range(len(copy.shapes))
        )


def test_a_training_window_predicts_with_all_words():
    for name in ("adaptive-3", "sampled-20"):
        model = model_of(name)
        ids, targets, _ = some_window(model)
        window = model.window(*ids.shape, training=True)
        window.forward(ids, model.state(3), targets=targets)
        rows = np.arange(15, dtype=np.int32)
        before = window.log_likelihood
        found = window.log_probabilities(rows)
        expected = scored(model, ids, targets).log_probabilities(rows)
        assert np.array_equal(found, expected)
        window.backward()
        assert np.array_equal(window.log_likelihood, before)
