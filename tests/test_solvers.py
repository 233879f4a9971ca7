# SPDX-License-Identifier: BSD-3-Clause
"""The solvers against their equations, in NumPy from PyTorch's documentation."""

import math

import numpy as np
import pytest
from core_oracle import Model

from rnnkit.cells.lstm import LSTM
from rnnkit.core import Solver
from rnnkit.errors import NonFiniteError, RnnkitError
from rnnkit.testing import relative_error

KINDS = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad"]
THREADS = [1, 2, 3, 8]
N_MOMENTS = dict(zip(KINDS, (0, 1, 1, 2, 2, 1, 1), strict=True))


class Twin:
    """torch.optim's solvers in float64, with clip_grad_norm_ and limits."""

    def __init__(self, values, kind, *, alpha=0.0, limits=None, frozen=None, **options):
        self.values = [value.astype(np.float64) for value in values]
        self.kind, self.options = kind, options
        self.alpha = np.broadcast_to(alpha, len(values))
        self.frozen = frozen or [False] * len(values)
        self.limits = limits or [None] * len(values)
        self.first = [np.zeros_like(value) for value in self.values]
        self.second = [np.zeros_like(value) for value in self.values]
        self.t = 0

    def update(self, gradients, learning_rate, max_grad_norm=0.0):
        self.t += 1
        moving = [
            g for g, stays in zip(gradients, self.frozen, strict=True) if not stays
        ]
        norm = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in moving))
        clip = min(1.0, max_grad_norm / (norm + 1e-6)) if max_grad_norm else 1.0
        for i, gradient in enumerate(gradients):
            if self.frozen[i]:
                continue
            self._step(i, gradient * clip, learning_rate)
            if self.limits[i] is not None:
                self.values[i] = np.clip(self.values[i], *self.limits[i])
        return norm

    def _step(self, i, g, eta):
        w, alpha = self.values[i], self.alpha[i]
        if self.kind == "adamw":
            w = w - eta * alpha * w
        else:
            g = g + alpha * w
        self.values[i] = w - eta * self._direction(i, g)

    def _direction(self, i, g):
        if self.kind == "sgd":
            return g
        if self.kind in ("momentum", "nesterov"):
            mu = self.options.get("momentum", 0.9)
            self.first[i] = mu * self.first[i] + g
            return g + mu * self.first[i] if self.kind == "nesterov" else self.first[i]
        epsilon = self.options.get("epsilon", 1e-8)
        b1, b2 = self.options.get("beta_1", 0.9), self.options.get("beta_2", 0.999)
        if self.kind in ("rmsprop", "adagrad"):
            keep, take = (b2, 1 - b2) if self.kind == "rmsprop" else (1, 1)
            self.second[i] = keep * self.second[i] + take * g**2
            return g / (np.sqrt(self.second[i]) + epsilon)
        self.first[i] = b1 * self.first[i] + (1 - b1) * g
        self.second[i] = b2 * self.second[i] + (1 - b2) * g**2
        root = np.sqrt(self.second[i] / (1 - b2**self.t))
        return self.first[i] / (1 - b1**self.t) / (root + epsilon)


class Trainer:
    """A model whose gradients drive a solver and its twin alike."""

    def __init__(
        self, kind, *, dtype="float64", tie_weights=False, vocab_size=17, **options
    ):
        sizes = {"embedding_size": 17, "hidden_size": 17, "num_layers": 2}
        sizes["vocab_size"] = vocab_size
        self.model = Model(LSTM(), tie_weights=tie_weights, dtype=dtype, **sizes)
        self.solver = Solver(self.model.weights, kind, **options)
        self.twin = Twin(self.model.values, kind, **options)
        self.window = self.model.window(4, 3, training=True)
        self.rng = np.random.default_rng(0)

    def gradients(self, n_threads=1):
        """Of a window of random words; the states start anew."""
        words = self.model.vocab_size
        ids, targets = self.rng.integers(words, size=(2, 4, 3), dtype=np.int32)
        self.window.forward(
            ids, self.model.state(3), targets=targets, n_threads=n_threads
        )
        self.window.backward(n_threads=n_threads)
        return [self.window.gradient(i) for i in range(len(self.model.values))]

    def weights(self):
        return [self.model.weights.get(i) for i in range(len(self.model.values))]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_many_steps_equal_pytorchs_equations(kind, dtype):
    """Clipping now and then, decay, a learning rate that changes."""
    trainer = Trainer(kind, dtype=dtype, alpha=1e-2)
    clipped = []
    for step in range(60):
        rate = 1e-2 / (1 + step / 20)
        gradients = trainer.gradients()
        norm = trainer.solver.update(trainer.window, rate, 0.7)
        expected = trainer.twin.update(gradients, rate, 0.7)
        assert norm == pytest.approx(expected, rel=1e-12)
        clipped.append(norm > 0.7)
    assert any(clipped) and not all(clipped)
    assert trainer.solver.steps == 60
    error = relative_error(trainer.weights(), trainer.twin.values)
    assert error <= (1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("momentum", {"momentum": 0.5}),
        ("nesterov", {"momentum": 0.0}),
        ("adam", {"beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-3}),
        ("adamw", {"beta_1": 0.5, "beta_2": 0.0, "epsilon": 1e-5}),
        ("rmsprop", {"beta_2": 0.9, "epsilon": 1e-3}),
        ("adagrad", {"epsilon": 1e-3}),
    ],
)
def test_options_are_used_as_pytorch_uses_them(kind, options):
    trainer = Trainer(kind, tie_weights=True, **options)
    for _ in range(5):
        gradients = trainer.gradients()
        trainer.solver.update(trainer.window, 1e-2)
        trainer.twin.update(gradients, 1e-2)
    assert relative_error(trainer.weights(), trainer.twin.values) <= 1e-12


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_each_tensor_may_have_a_decay_of_its_own(kind):
    trainer = Trainer(kind, alpha=[0.5 * (i % 3) for i in range(11)])
    for _ in range(3):
        gradients = trainer.gradients()
        trainer.solver.update(trainer.window, 1e-2)
        trainer.twin.update(gradients, 1e-2)
    assert relative_error(trainer.weights(), trainer.twin.values) <= 1e-12


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_stays_and_does_not_count_in_the_norm(kind, tie_weights):
    n = len(Trainer(kind, tie_weights=tie_weights).model.values)
    frozen = [i % 3 == 0 for i in range(n)]
    limits = [(0.5, 0.7)] * n  # leave out all values of now, and zero
    trainer = Trainer(
        kind, tie_weights=tie_weights, alpha=0.5, frozen=frozen, limits=limits
    )
    before = trainer.weights()
    for _ in range(3):
        gradients = trainer.gradients()
        norm = trainer.solver.update(trainer.window, 1e-2, 0.1, n_threads=2)
        assert norm == pytest.approx(trainer.twin.update(gradients, 1e-2, 0.1))
    weights = trainer.weights()
    assert relative_error(weights, trainer.twin.values) <= 1e-12
    for stays, now, then in zip(frozen, weights, before, strict=True):
        assert (now == then).all() == stays


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("kind", KINDS)
def test_words_that_a_window_does_not_read_move_as_with_a_zero_gradient(kind, alpha):
    """Their moments decay, and so do they; a block of the table holds some 340."""
    trainer = Trainer(kind, vocab_size=700, alpha=alpha)
    before = trainer.model.weights.get(0)
    for _ in range(5):
        gradients = trainer.gradients()
        trainer.solver.update(trainer.window, 1e-2, 0.1, n_threads=3)
        trainer.twin.update(gradients, 1e-2, 0.1)
    weights = trainer.weights()
    assert relative_error(weights, trainer.twin.values) <= 1e-12
    still = (weights[0] == before).all(axis=1).mean()
    assert still == 0 if alpha else 0.9 < still < 1


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_words_that_no_window_reads_keep_to_their_limits(kind):
    limits = [(-0.3, 0.2)] + [None] * 10
    trainer = Trainer(kind, vocab_size=700, limits=limits)
    gradients = trainer.gradients()
    trainer.solver.update(trainer.window, 1e-2)
    trainer.twin.update(gradients, 1e-2)
    weights = trainer.weights()
    assert relative_error(weights, trainer.twin.values) <= 1e-12
    assert (weights[0].min(), weights[0].max()) == (-0.3, 0.2)


def test_the_gradients_of_a_window_know_nothing_of_the_words_before():
    trainer = Trainer("sgd", vocab_size=700)
    trainer.gradients()
    state = trainer.rng.bit_generator.state
    again = trainer.gradients()
    fresh = Trainer("sgd", vocab_size=700)
    fresh.rng.bit_generator.state = state
    for found, expected in zip(again, fresh.gradients(), strict=True):
        assert found.tobytes() == expected.tobytes()
    assert np.count_nonzero(again[0].any(axis=1)) <= 12


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize(("kind", "n_moments"), list(N_MOMENTS.items()))
def test_a_solver_goes_on_from_a_saved_state_to_the_bit(kind, n_moments, tie_weights):
    first = Trainer(kind, tie_weights=tie_weights)
    for _ in range(3):
        first.gradients()
        first.solver.update(first.window, 1e-2)
    second = Trainer(kind, tie_weights=tie_weights)
    for i, value in enumerate(first.weights()):
        second.model.weights.set(i, value)
    state = first.solver.state()
    assert state["steps"] == 3
    assert len(state["moments"]) == n_moments
    for moment in state["moments"]:
        assert [array.shape for array in moment] == first.model.weights.shapes
        assert all(array.any() for array in moment)
    second.solver.load_state(state)
    second.rng = np.random.default_rng(9)
    first.rng = np.random.default_rng(9)
    for trainer in (first, second):
        trainer.gradients()
        trainer.solver.update(trainer.window, 1e-2)
    assert first.solver.steps == second.solver.steps == 4
    assert [w.tobytes() for w in first.weights()] == [
        w.tobytes() for w in second.weights()
    ]


def test_a_bad_solver_state_is_a_value_error_and_touches_nothing():
    trainer = Trainer("adam")
    trainer.gradients()
    trainer.solver.update(trainer.window, 1e-2)
    good = trainer.solver.state()
    first, second = good["moments"]
    for bad, message in [
        ({"steps": 1}, "has no moments"),
        ({"steps": -1, "moments": good["moments"]}, "steps is -1"),
        ({"steps": 7, "moments": [first]}, "must have 2 moments, each of 11"),
        ({"steps": 7, "moments": [first, second[1:]]}, r"moments of \[11, 10\]"),
        (
            {"steps": 7, "moments": [second, [*first[:-1], first[0]]]},
            r"tensor 10 of moment 1 has shape \(17, 17\); it must be \(17,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.solver.load_state(bad)
    after = trainer.solver.state()
    assert after["steps"] == 1
    for found, expected in zip(after["moments"], good["moments"], strict=True):
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("tie_weights", [False, True])
def test_limits_hold_after_each_update_and_spare_the_padding(tie_weights):
    """Limits without zero would fill lanes beyond a width; no result may show that."""
    n = 10 if tie_weights else 11
    limits = [(0.1, 0.2) if i != 1 else (-math.inf, 0.05) for i in range(n - 1)] + [
        None
    ]
    trainer = Trainer("sgd", tie_weights=tie_weights, limits=limits)
    for _ in range(3):
        gradients = trainer.gradients()
        trainer.solver.update(trainer.window, 1e-2)
        trainer.twin.update(gradients, 1e-2)
    weights = trainer.weights()
    assert relative_error(weights, trainer.twin.values) <= 1e-12
    assert weights[1].max() == 0.05
    fresh = Model(
        LSTM(), embedding_size=17, hidden_size=17, num_layers=2, tie_weights=tie_weights
    )
    for i, value in enumerate(weights):
        fresh.weights.set(i, value)
    ids = np.zeros((4, 3), np.int32)
    results = []
    for model in (trainer.model, fresh):
        window = model.window(4, 3, training=True)
        window.forward(ids, model.state(3), targets=ids)
        window.backward()
        results.append([window.gradient(i).tobytes() for i in range(n)])
    assert results[0] == results[1]


def test_any_number_of_threads_makes_the_same_step():
    results = []
    for n_threads in THREADS:
        trainer = Trainer("adam", dtype="float32", alpha=1e-2)
        for _ in range(3):
            trainer.gradients(n_threads)
            norm = trainer.solver.update(trainer.window, 1e-2, 0.5, n_threads)
        results.append((norm, [value.tobytes() for value in trainer.weights()]))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_touches_nothing(kind, bad):
    trainer = Trainer(kind, alpha=1e-2)
    trainer.gradients()
    trainer.solver.update(trainer.window, 1e-2)
    before = trainer.weights()
    poisoned = trainer.model.weights.get(0)
    trainer.model.weights.set(0, np.full_like(poisoned, bad))
    trainer.gradients()
    trainer.model.weights.set(0, poisoned)
    with pytest.raises(
        NonFiniteError, match=r"norm of the gradient is .*nothing was updated"
    ):
        trainer.solver.update(trainer.window, 1e-2, 1.0)
    assert issubclass(NonFiniteError, FloatingPointError) and issubclass(
        NonFiniteError, RnnkitError
    )
    assert trainer.solver.steps == 1
    assert [w.tobytes() for w in trainer.weights()] == [w.tobytes() for w in before]

    clean = Trainer(kind, alpha=1e-2)
    clean.gradients()
    clean.solver.update(clean.window, 1e-2)
    clean.gradients()
    for one in (trainer, clean):
        one.rng = np.random.default_rng(5)
        one.gradients()
        one.solver.update(one.window, 1e-2)
    assert [w.tobytes() for w in trainer.weights()] == [
        w.tobytes() for w in clean.weights()
    ]


def test_no_update_without_gradients_or_for_other_weights():
    trainer, other = Trainer("adam"), Trainer("adam")
    with pytest.raises(ValueError, match="backward comes first"):
        trainer.solver.update(trainer.window, 1e-2)
    other.gradients()
    with pytest.raises(ValueError, match="do not belong to each other"):
        trainer.solver.update(other.window, 1e-2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"kind": "lion"},
            "unknown solver 'lion'; known: sgd, momentum, nesterov, adam, adamw, "
            "rmsprop, adagrad",
        ),
        ({"beta_1": 1.0}, "beta_1 is 1; it must be at least 0 and below 1"),
        ({"beta_2": -0.1}, "beta_2 is -0.1"),
        ({"epsilon": 0.0}, "epsilon is 0; it must be finite and above 0"),
        ({"alpha": math.nan}, "alpha of tensor 0 is nan|alpha of tensor 0 is -nan"),
        ({"kind": "momentum", "momentum": 1.0}, "momentum is 1"),
        ({"alpha": [0.1]}, r"alpha has shape \(1,\); it must be \(11,\)"),
        ({"limits": [(1, 0)] * 11}, "limits of tensor 0 are 1 and 0"),
        ({"limits": [(math.nan, 0)] * 11}, "limits of tensor 0 are"),
        ({"limits": [None]}, r"limits has shape \(1, 2\); it must be \(11, 2\)"),
    ],
)
def test_bad_options_are_value_errors_that_say_what(changed, message):
    with pytest.raises(ValueError, match=message):
        Trainer(changed.pop("kind", "adam"), **changed)


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_bad_rates_and_norms_are_value_errors(rate):
    trainer = Trainer("sgd")
    trainer.gradients()
    with pytest.raises(ValueError, match="learning_rate is"):
        trainer.solver.update(trainer.window, rate)
    with pytest.raises(ValueError, match="max_grad_norm is"):
        trainer.solver.update(trainer.window, 0.1, rate)
