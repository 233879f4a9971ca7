# SPDX-License-Identifier: BSD-3-Clause
"""Means that the core makes: of gradients for one step, and of weights over steps."""

import numpy as np
import pytest
from core_oracle import Model
from test_solvers import KINDS, THREADS, Twin

from rnnkit.cells.lstm import LSTM
from rnnkit.core import Solver
from rnnkit.errors import NonFiniteError

SAMPLED = {"head": "sampled", "n_samples": 5}
NETWORKS = {
    "rows of the embedding": {},
    "tied": {"tie_weights": True},
    "units of a sampled head": {"head": SAMPLED},
    "sampled and tied": {"head": SAMPLED, "tie_weights": True},
}


def model_of(network, dtype="float64"):
    sizes = {"vocab_size": 300, "embedding_size": 70, "hidden_size": 70}
    return Model(LSTM(), dtype=dtype, **sizes, **NETWORKS[network])


def windows(n, seed=0):
    """Ids, targets and weights; some words in several windows, most in none."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        ids, targets = rng.integers(0, 60, (2, 4, 3), dtype=np.int32)
        yield ids, targets, rng.choice(np.array([0, 1, 2.5], np.float32), ids.shape)


def accumulated(model, solver, n=4, n_threads=1, seed=0):
    """Run some windows; return the gradient of the mean loss over all their targets."""
    window, state = model.window(4, 3, training=True), model.state(3)
    sums, total = [np.zeros(value.shape) for value in model.values], 0.0
    for update, (ids, targets, weights) in enumerate(windows(n, seed)):
        given = {"targets": targets, "target_weights": weights}
        _, weight = window.forward(
            ids, state, **given, update=update, n_threads=n_threads
        )
        window.backward(n_threads=n_threads)
        total += weight
        solver.accumulate(window, weight / total, n_threads)
        for i, gradient in enumerate(sums):
            gradient += weight * window.gradient(i)
    return [gradient / total for gradient in sums]


def values_of(model):
    return [model.weights.get(i) for i in range(len(model.values))]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_takes_the_mean_gradient_of_all_targets(kind, network):
    model = model_of(network)
    solver, twin = Solver(model.weights, kind), Twin(model.values, kind)
    for seed in range(3):  # clipped, and what one mean has left is not in the next
        mean = accumulated(model, solver, seed=seed, n_threads=2)
        expected = twin.update(mean, 0.01, 0.05)
        norm = solver.update(None, 0.01, 0.05, n_threads=2)
        assert norm == pytest.approx(expected, rel=1e-12)
        assert norm > 0.05
        for value, wanted in zip(values_of(model), twin.values, strict=True):
            assert np.abs(value - wanted).max() <= 1e-12


@pytest.mark.parametrize("network", NETWORKS)
def test_a_mean_of_one_gradient_is_that_gradient_to_the_bit(network):
    results = []
    for through_mean in (False, True):
        model = model_of(network, "float32")
        solver = Solver(model.weights, "adam", alpha=0.01)
        window = model.window(4, 3, training=True)
        for ids, targets, _ in windows(3):
            window.forward(ids, model.state(3), targets=targets)
            window.backward()
            if through_mean:
                solver.accumulate(window, 1.0)
            solver.update(None if through_mean else window, 0.01, 0.5)
        results.append([value.tobytes() for value in values_of(model)])
    assert results[0] == results[1]


@pytest.mark.parametrize("network", NETWORKS)
def test_any_number_of_threads_makes_the_same_means(network):
    results = []
    for n_threads in THREADS:
        model = model_of(network, "float32")
        solver, mean = Solver(model.weights, "adam"), model.weights.copy()
        for seed in range(1, 4):
            accumulated(model, solver, n_threads=n_threads, seed=seed)
            solver.update(None, 0.01, 0.5, n_threads)
            mean.average(model.weights, 1 / seed, n_threads)
        means = [mean.get(i) for i in range(len(model.values))]
        results.append([value.tobytes() for value in values_of(model) + means])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-15), ("float32", 1e-6)])
def test_weights_are_averaged_over_steps(dtype, allowed):
    model = model_of("tied", dtype)
    solver, mean = Solver(model.weights, "sgd"), model.weights.copy()
    seen = []
    for n in range(1, 20):
        accumulated(model, solver, n=1, seed=n)
        solver.update(None, 1.0)
        mean.average(model.weights, 1 / n)
        seen.append(values_of(model))
        for i, values in enumerate(zip(*seen, strict=True)):
            wanted = np.mean(values, axis=0, dtype=np.float64)
            assert np.abs(mean.get(i) - wanted).max() <= allowed
    assert np.abs(seen[-1][0] - mean.get(0)).max() > 0.001


def test_what_is_no_mean_is_refused():
    model = model_of("tied")
    solver = Solver(model.weights, "sgd")
    with pytest.raises(ValueError, match="no gradient was accumulated"):
        solver.update(None, 0.1)
    window = model.window(4, 3, training=True)
    with pytest.raises(ValueError, match="backward comes first"):
        solver.accumulate(window, 1.0)
    ids, targets, _ = next(windows(1))
    window.forward(ids, model.state(3), targets=targets)
    window.backward()
    with pytest.raises(ValueError, match="the first gradient of a mean has rate 1"):
        solver.accumulate(window, 0.5)
    for rate in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            solver.accumulate(window, rate)
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            model.weights.copy().average(model.weights, rate)
    with pytest.raises(ValueError, match="n_threads is 1000"):
        model.weights.copy().average(model.weights, 0.5, 1000)
    with pytest.raises(ValueError, match="different shapes"):
        model.weights.average(model_of("rows of the embedding").weights, 0.5)
    other = Solver(model_of("tied").weights, "sgd")
    with pytest.raises(ValueError, match="do not belong to each other"):
        other.accumulate(window, 1.0)


def test_a_mean_that_is_not_finite_touches_nothing_and_leaves_nothing():
    model = model_of("units of a sampled head")
    solver = Solver(model.weights, "sgd")
    good = values_of(model)
    model.weights.set(0, np.full(good[0].shape, np.nan))
    accumulated(model, solver)
    model.weights.set(0, good[0])
    with pytest.raises(NonFiniteError, match="nothing was updated"):
        solver.update(None, 0.1)
    assert all(map(np.array_equal, values_of(model), good))
    mean = accumulated(model, solver, seed=1)
    solver.update(None, 0.1)
    for value, before, gradient in zip(values_of(model), good, mean, strict=True):
        assert np.abs(value - (before - 0.1 * gradient)).max() <= 1e-12
