# SPDX-License-Identifier: BSD-3-Clause
"""The core's windows: embedding, layers, head, and all that goes back through them."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import core_oracle as oracle
import numpy as np
import pytest
from core_oracle import Model
from test_cells_zoo import CELLS as ZOO

from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit.cells.gru import GRU
from rnnkit.cells.lstm import LSTM
from rnnkit.cells.rnn import RNN
from rnnkit.compiler import trace
from rnnkit.core import (
    Program,
    Solver,
    State,
    Weights,
    Window,
    default_threads,
    isa,
    openmp_runtime,
    supported_isas,
)
from rnnkit.testing import relative_error

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
THREADS = [1, 2, 3, 8]

# float64: sums of a few hundred products; an ulp is 1e-16. float32: 6e-8, and a window
# of steps that hand their errors on.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def some_input(vocab_size, n_steps, batch_size, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(vocab_size, size=(n_steps, batch_size), dtype=np.int32)
    targets = rng.integers(vocab_size, size=(n_steps, batch_size), dtype=np.int32)
    return ids, targets


def some_flags(n_steps, batch_size, seed=0):
    """Resets in mid-window, and rows that end early."""
    rng = np.random.default_rng(seed)
    resets = (rng.random((n_steps, batch_size)) < 0.3).astype(np.uint8)
    lengths = rng.integers(1, n_steps + 1, size=batch_size)
    active = (np.arange(n_steps)[:, None] < lengths).astype(np.uint8)
    return {"resets": resets, "active": active}


def assert_equal_to_oracle(model, ids, targets, *, batch_seed=1, **given):
    state = model.state(ids.shape[1], seed=batch_seed)
    initial = model.state_arrays(state)
    found = oracle.run_core(model, ids, state, targets, **given)
    expected = oracle.run(model, ids, initial, targets, **given)
    pairs = [*zip(oracle.arrays_of(found), oracle.arrays_of(expected), strict=True)]
    for a, b in pairs:  # states may begin at infinity
        assert np.array_equal(a[np.isinf(b)], b[np.isinf(b)])
    finite = [[np.where(np.isinf(b), 0, x) for x in (a, b)] for a, b in pairs]
    assert relative_error(*zip(*finite, strict=True)) <= TOLERANCE[model.dtype]
    assert np.array_equal(found.hits, expected.hits)


# --------------------------------------------------------------- against the oracle


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_loss_and_every_gradient_equal_the_oracle(cell, num_layers, tie_weights, dtype):
    model = Model(
        CELLS[cell](),
        embedding_size=7 if tie_weights else 5,
        num_layers=num_layers,
        tie_weights=tie_weights,
        dtype=dtype,
    )
    assert_equal_to_oracle(model, *some_input(17, 5, 3))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_resets_ended_rows_and_target_weights_equal_the_oracle(cell, num_layers):
    model = Model(CELLS[cell](), num_layers=num_layers, flags=True)
    ids, targets = some_input(17, 6, 5)
    flags = some_flags(6, 5)
    rng = np.random.default_rng(2)
    weights = rng.choice(np.array([0, 0.5, 2], np.float32), size=ids.shape)
    weights *= flags["active"]
    assert 0 < np.count_nonzero(weights) < weights.size
    assert flags["resets"][1:].any() and not flags["active"].all()
    assert_equal_to_oracle(model, ids, targets, target_weights=weights, **flags)


@pytest.mark.parametrize(
    ("vocab_size", "hidden_size", "n_steps", "batch_size"),
    [
        (1, 1, 1, 1),
        (1, 17, 3, 3),
        (3, 1, 17, 1),
        (17, 3, 1, 17),
        (65, 17, 3, 1),
        (65, 65, 2, 3),
        (17, 65, 17, 17),
    ],
)
def test_odd_sizes_equal_the_oracle(vocab_size, hidden_size, n_steps, batch_size):
    for tie_weights in (False, True):
        model = Model(
            LSTM(),
            vocab_size=vocab_size,
            embedding_size=hidden_size if tie_weights else 3,
            hidden_size=hidden_size,
            tie_weights=tie_weights,
        )
        assert_equal_to_oracle(model, *some_input(vocab_size, n_steps, batch_size))


@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize("cell", ZOO, ids=repr)
def test_cells_the_core_has_never_seen_equal_the_oracle(cell, flags):
    """Widths that differ, several products a step, reductions, sub-steps, none."""
    model = Model(cell, num_layers=2, hidden_size=9, flags=flags)
    given = some_flags(5, 3) if flags else {}
    assert_equal_to_oracle(model, *some_input(17, 5, 3), **given)


@pytest.mark.parametrize("per_sequence", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_dropout_draws_the_masks_of_its_counter_forward_and_back(cell, per_sequence):
    model = Model(
        CELLS[cell](),
        embedding_size=19,
        hidden_size=19,
        num_layers=2,
        dropout={"input": 0.4, "output": 0.3, "state": 0.2},
        per_sequence=per_sequence,
    )
    ids, targets = some_input(17, 5, 3)
    seeds = {"seed": 2**63 + 11, "update": 2**32 - 5}
    assert_equal_to_oracle(model, ids, targets, **seeds)
    window = model.window(5, 3, training=True)
    losses = [
        window.forward(ids, model.state(3), targets=targets, seed=seed, update=update)
        for seed, update in [(1, 1), (1, 1), (1, 2), (2, 1)]
    ]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_a_network_without_output_bias_equals_the_oracle():
    assert_equal_to_oracle(Model(GRU(), output_bias=False), *some_input(17, 4, 3))


def test_a_further_gradient_of_the_outputs_is_added_to_the_heads():
    rng = np.random.default_rng(3)
    assert_equal_to_oracle(
        Model(LSTM(), num_layers=2),
        *some_input(17, 4, 3),
        outputs_gradient=rng.normal(size=(4, 3, 7)),
    )


def test_backward_without_targets_has_the_outputs_gradient_alone():
    model = Model(GRU())
    ids, targets = some_input(17, 4, 3)
    d_outputs = np.random.default_rng(3).normal(size=(4, 3, 7))
    state = model.state(3, seed=1)
    initial = model.state_arrays(state)
    found = oracle.run_core(model, ids, state, None, outputs_gradient=d_outputs)
    expected = oracle.run(
        model,
        ids,
        initial,
        targets,
        target_weights=np.zeros(ids.shape, np.float32),
        outputs_gradient=d_outputs,
    )
    assert found.loss == 0
    assert relative_error(found.gradients, expected.gradients) <= TOLERANCE["float64"]


def test_a_smaller_window_after_a_larger_one_leaves_nothing_behind():
    model = Model(LSTM(), num_layers=2, flags=True)
    used = model.window(6, 5, training=True)
    used.forward(*(some_input(17, 6, 5)[:1]), model.state(5), **some_flags(6, 5))
    ids, targets = some_input(17, 3, 2, seed=4)
    losses = []
    for window in (used, model.window(3, 2, training=True)):
        losses.append(window.forward(ids, model.state(2), targets=targets))
        window.backward()
        losses.append([window.gradient(i).tobytes() for i in range(len(model.values))])
    assert losses[:2] == losses[2:]


# ------------------------------------------------------------------------- same bits


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_any_number_of_threads_gives_the_same_bits(cell, tie_weights):
    """Several groups of the vocabulary, several chunks of rows, uneven shares."""
    results = []
    for n_threads in THREADS:
        model = Model(
            CELLS[cell](),
            vocab_size=1100,
            embedding_size=33,
            hidden_size=33,
            num_layers=2,
            tie_weights=tie_weights,
            dtype="float32",
            flags=True,
            scale=0.1,
        )
        ids, targets = some_input(1100, 23, 13)
        window = model.window(23, 13, training=True)
        solver = Solver(model.weights, "adam", alpha=1e-3)
        state = model.state(13, seed=1)
        got = []
        for _ in range(2):
            got += window.forward(
                ids, state, targets=targets, n_threads=n_threads, **some_flags(23, 13)
            )
            log_p = window.log_probabilities(
                np.arange(7, dtype=np.int32), n_threads=n_threads
            )
            got += [window.log_likelihood.tobytes(), log_p.tobytes()]
            window.backward(n_threads=n_threads)
            got.append(solver.update(window, 1e-2, 0.1, n_threads))
        got += [model.weights.get(i).tobytes() for i in range(len(model.values))]
        results.append(got)
    assert all(result == results[0] for result in results)


class Twice(Cell):
    """One matrix multiplies two values of a step."""

    states = ("h",)

    def step(self, x, h):
        first = self.linear("a", sigmoid(x))
        second = self.linear("a", tanh(x))
        return tanh(first * second + self.linear("u", h))


def test_a_weight_used_twice_is_summed_up_by_one_thread():
    """Both sums go into one gradient, in the same stage."""
    found = []
    for n_threads in THREADS:
        model = Model(Twice(), hidden_size=33, dtype="float64")
        ids, targets = some_input(17, 9, 9)
        window = model.window(9, 9, training=True)
        window.forward(ids, model.state(9), targets=targets, n_threads=n_threads)
        window.backward(n_threads=n_threads)
        found.append([window.gradient(i).tobytes() for i in range(len(model.values))])
    assert all(result == found[0] for result in found)
    assert_equal_to_oracle(model, ids, targets)


@pytest.mark.parametrize("batch_size", [8, 33])
@pytest.mark.parametrize("cell", ZOO, ids=str)
def test_rows_dealt_to_shards_of_any_size_give_the_same_bits(cell, batch_size):
    """Uneven shards, a thread without rows (33 to 8), another number in each window."""
    model = Model(
        cell,
        num_layers=2,
        hidden_size=21,
        dtype="float32",
        flags=True,
        dropout={"input": 0.25, "output": 0.4},
    )
    ids, targets = some_input(17, 5, batch_size)
    extra = np.random.default_rng(1).normal(
        size=(5, batch_size, model.weights.hidden_size)
    )
    found = []
    for forward_threads, backward_threads in ((1, 1), (2, 3), (8, 2), (7, 8)):
        window, state = (
            model.window(5, batch_size, training=True),
            model.state(batch_size),
        )
        for n_threads in (3, forward_threads):
            window.forward(
                ids,
                state,
                targets=targets,
                n_threads=n_threads,
                **some_flags(5, batch_size),
            )
        outputs = window.outputs().tobytes()
        window.backward(outputs_gradient=extra, n_threads=backward_threads)
        found.append(
            [outputs, state.get(1, 0).tobytes()]
            + [window.gradient(i).tobytes() for i in range(len(model.values))]
            + [window.initial_state_gradient(0, 0).tobytes()]
        )
    assert all(result == found[0] for result in found)


@pytest.mark.skipif(openmp_runtime() == "none", reason="built without OpenMP")
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="cannot count threads")
def test_as_many_threads_work_as_were_asked_for():
    """OpenMP keeps its team, so that the process has its threads afterwards."""
    model = Model(RNN(), dtype="float32")
    ids, _ = some_input(17, 40, 30)
    for n_threads in (2, 3, 8):
        model.window(40, 30).forward(ids, model.state(30), n_threads=n_threads)
        assert len(os.listdir("/proc/self/task")) >= n_threads


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_alone_equals_the_row_in_a_batch(cell, dtype):
    model = Model(
        CELLS[cell](), vocab_size=700, hidden_size=33, num_layers=2, dtype=dtype
    )
    ids, targets = some_input(700, 9, 17)
    batch, alone = model.window(9, 17), model.window(9, 1)
    state = model.state(17)
    batch.forward(ids, state, targets=targets, n_threads=2)
    for row in (0, 5, 16):
        one = model.state(1)
        its_ids, its_targets = (
            np.ascontiguousarray(a[:, row : row + 1]) for a in (ids, targets)
        )
        alone.forward(its_ids, one, targets=its_targets)
        assert np.array_equal(alone.log_likelihood[:, 0], batch.log_likelihood[:, row])
        assert np.array_equal(alone.hits[:, 0], batch.hits[:, row])
        assert np.array_equal(alone.outputs()[:, 0], batch.outputs()[:, row])
        assert np.array_equal(one.get(1, 0)[0], state.get(1, 0)[row])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS)
def test_one_token_at_a_time_equals_the_window(cell, dtype):
    model = Model(
        CELLS[cell](), vocab_size=700, hidden_size=33, num_layers=2, dtype=dtype
    )
    ids, targets = some_input(700, 9, 1)
    window, token = model.window(9, 1), model.window(1, 1)
    whole, state = model.state(1, seed=1), model.state(1, seed=1)
    window.forward(ids, whole, targets=targets, n_threads=2)
    for t in range(9):
        token.forward(ids[t : t + 1], state)
        log_p = token.log_probabilities(np.zeros(1, np.int32))
        assert log_p[0, targets[t, 0]] == window.log_likelihood[t, 0]
    for layer in range(2):
        assert np.array_equal(state.get(layer, 0), whole.get(layer, 0))


def test_predicting_equals_running_and_asking_for_the_last_rows():
    """A vocabulary of two groups, weights of which two threads have a part each."""
    model = Model(LSTM(), vocab_size=700, hidden_size=130, dtype="float32")
    for n_steps, batch_size in ((1, 1), (3, 1), (4, 9)):
        ids, _ = some_input(700, n_steps, batch_size)
        window = model.window(n_steps, batch_size)
        state, other = model.state(batch_size, seed=1), model.state(batch_size, seed=1)
        last = (n_steps - 1) * batch_size + np.arange(batch_size, dtype=np.int32)
        for n_threads in (1, 2, 2):
            window.forward(ids, state)
            expected = window.log_probabilities(last)
            got = window.predict(ids, other, n_threads=n_threads)
            assert np.array_equal(got, expected)
            assert np.array_equal(other.get(0, 1), state.get(0, 1))


def test_a_window_that_is_training_does_not_predict():
    model = Model(RNN())
    window = model.window(3, 2, training=True)
    with pytest.raises(ValueError, match="a window that is training"):
        window.predict(np.zeros((3, 2), np.int32), model.state(2))


def test_a_long_window_equals_two_short_ones_with_the_state_carried():
    model = Model(LSTM(), num_layers=2)
    ids, targets = some_input(17, 10, 3)
    long, short = model.window(10, 3), model.window(6, 3)
    whole, state = model.state(3, seed=1), model.state(3, seed=1)
    long.forward(ids, whole, targets=targets)
    parts = []
    for part in (slice(0, 6), slice(6, 10)):
        short.forward(ids[part], state, targets=targets[part])
        parts.append(short.log_likelihood)
    assert np.array_equal(np.concatenate(parts), long.log_likelihood)
    assert np.array_equal(state.get(1, 1), whole.get(1, 1))


def test_programs_with_and_without_flags_give_the_same_bits():
    plain, flagged = (
        Model(GRU(), num_layers=2, flags=flags) for flags in (False, True)
    )
    ids, targets = some_input(17, 5, 3)
    results = [
        oracle.run_core(model, ids, model.state(3, seed=1), targets)
        for model in (plain, flagged)
    ]
    assert oracle.bytes_of(results[0]) == oracle.bytes_of(results[1])


def test_threads_of_python_predict_at_once_from_the_same_weights():
    model = Model(LSTM(), vocab_size=300, hidden_size=33, dtype="float32")
    ids, targets = some_input(300, 20, 4)

    def predict(_):
        window = model.window(20, 4)
        window.forward(ids, model.state(4), targets=targets)
        return window.log_likelihood.tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(predict, range(64)))) == 1


# ----------------------------------------------------------------------------- state


def test_a_state_starts_at_the_cells_initial_values_and_keeps_what_is_set():
    model = Model(LSTM(), num_layers=2, hidden_size=17)
    state = model.state(3)
    assert not any(
        array.any() for layer in model.state_arrays(state) for array in layer
    )
    value = np.arange(51.0).reshape(3, 17)
    state.set(1, 0, value)
    copy = state.copy()
    state.set(1, 0, value * 2)
    assert np.array_equal(copy.get(1, 0), value)
    assert not copy.get(0, 1).any()


def test_weights_give_back_what_was_set_and_copies_are_their_own():
    for tie_weights in (False, True):
        model = Model(GRU(), embedding_size=7, tie_weights=tie_weights)
        copy = model.weights.copy()
        assert copy.shapes == model.weights.shapes
        model.weights.set(0, np.zeros(copy.shapes[0]))
        for i, value in enumerate(model.values):
            assert np.array_equal(copy.get(i), value)


def test_tensors_stand_in_the_order_of_the_contract():
    model = Model(LSTM(), num_layers=2)
    layer = [(28, 7), (28, 7), (28,), (28,)]
    first = [(28, 5), *layer[1:]]
    assert model.weights.shapes == [(17, 5), *first, *layer, (17, 7), (17,)]
    tied = Model(LSTM(), embedding_size=7, tie_weights=True, output_bias=False)
    assert tied.weights.shapes == [(17, 7), *layer]


def test_a_program_tells_its_shape():
    program = Model(LSTM()).programs[0]
    assert (program.dtype, program.can_train, program.reads_flags) == (
        "float64",
        False,
        False,
    )
    assert (program.input_size, program.output_size, program.n_states) == (5, 7, 2)
    assert program.state_widths == [7, 7]
    assert program.parameter_shapes == [(28, 5), (28, 7), (28,), (28,)]
    assert program.has_loop_product
    assert "product" in str(program)


# ---------------------------------------------------------------------------- errors


def forward_with(**changed):
    """A forward call that is right but for what is given."""
    model = changed.pop("model", None) or Model(RNN(), flags=True)
    ids, targets = some_input(17, 3, 2)
    state = changed.pop("state", None) or model.state(2)
    given = {"ids": ids, "targets": targets, **changed}
    return model.window(3, 2).forward(given.pop("ids"), state, **given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": np.full((3, 2), 17, np.int32)}, r"ids\[0, 0\] is 17; .* 0 to 16"),
        (
            {"ids": np.array([[0, 1], [2, -1]], np.int32), "targets": None},
            r"ids\[1, 1\] is -1",
        ),
        ({"targets": np.full((3, 2), -5, np.int32)}, r"targets\[0, 0\] is -5"),
        (
            {"targets": np.zeros((2, 2), np.int32)},
            r"targets has shape \(2, 2\).*\(3, 2\)",
        ),
        (
            {"target_weights": np.full((3, 2), -1, np.float32)},
            r"target_weights\[0, 0\] is -1",
        ),
        (
            {"target_weights": np.full((3, 2), np.nan, np.float32)},
            "is nan; it must be finite",
        ),
        (
            {"targets": None, "target_weights": np.ones((3, 2), np.float32)},
            "without targets",
        ),
        ({"resets": np.zeros((3, 1), np.uint8)}, r"resets has shape \(3, 1\)"),
        ({"active": np.zeros((1, 2), np.uint8)}, r"active has shape \(1, 2\)"),
        (
            {"ids": np.zeros((4, 2), np.int32), "targets": None},
            "4 steps; the window takes 1 to 3",
        ),
        ({"ids": np.zeros((0, 2), np.int32), "targets": None}, "0 steps"),
        (
            {"ids": np.zeros((3, 3), np.int32), "targets": None},
            "state is of 2 rows|3 rows",
        ),
        ({"ids": np.zeros((3, 1), np.int32), "targets": None}, "state is of 2 rows"),
        ({"ids": np.zeros((3, 2), np.int64)}, "int"),
        ({"ids": np.zeros((2, 3), np.int32).T}, "contiguous"),
        ({"n_threads": 10**6}, "n_threads is 1000000"),
    ],
)
def test_bad_input_of_a_window_is_a_value_error_that_says_what(changed, message):
    with pytest.raises(ValueError, match=message):
        forward_with(**changed)


def test_flags_for_programs_without_flags_are_refused():
    with pytest.raises(ValueError, match="no program of the window reads them"):
        forward_with(model=Model(RNN()), resets=np.zeros((3, 2), np.uint8))


def test_a_state_of_another_network_is_refused():
    with pytest.raises(ValueError, match="another network"):
        forward_with(state=Model(LSTM()).state(2))


def test_a_target_without_weight_is_not_looked_at():
    model = Model(RNN())
    ids, targets = some_input(17, 3, 2)
    weights = np.ones((3, 2), np.float32)
    weights[1, 1] = 0
    found = []
    for ignored in (0, 5, -1, 10**9):
        targets[1, 1] = ignored
        state = model.state(2)
        found.append(
            oracle.bytes_of(
                oracle.run_core(model, ids, state, targets, target_weights=weights)
            )
        )
    assert all(result == found[0] for result in found)


def test_what_a_window_does_not_have_yet_is_a_value_error():
    model = Model(RNN())
    ids, targets = some_input(17, 3, 2)
    window = model.window(3, 2, training=True)
    rows = np.zeros(1, np.int32)
    for ask in (
        lambda: window.log_likelihood,
        lambda: window.hits,
        window.outputs,
        window.backward,
        lambda: window.gradient(0),
        lambda: window.initial_state_gradient(0, 0),
        lambda: window.log_probabilities(rows),
    ):
        with pytest.raises(ValueError, match=r"first|once|from forward to backward"):
            ask()
    window.forward(ids, model.state(2), targets=targets)
    with pytest.raises(ValueError, match="rows\\[0\\] is 6; it must be from 0 to 5"):
        window.log_probabilities(np.array([6], np.int32))
    assert window.log_probabilities(np.zeros(0, np.int32)).shape == (0, 17)
    window.backward()
    with pytest.raises(ValueError, match="once after each forward"):
        window.backward()
    with pytest.raises(ValueError, match="from forward to backward"):
        window.outputs()
    with pytest.raises(ValueError, match="tensor 7 does not exist; there are 7"):
        window.gradient(7)
    with pytest.raises(ValueError, match="layer 1 does not exist"):
        window.initial_state_gradient(1, 0)


def test_bad_shapes_of_networks_are_value_errors():
    model, other = Model(RNN()), Model(RNN(), embedding_size=6)
    with pytest.raises(ValueError, match="vocab_size is 0"):
        Weights(0, 5, model.programs, dtype="float64")
    with pytest.raises(ValueError, match="takes 5 units, the layer below it has 6"):
        Weights(17, 6, model.programs, dtype="float64")
    with pytest.raises(ValueError, match="differ in dtype"):
        Weights(17, 5, model.programs, dtype="float32")
    with pytest.raises(
        ValueError, match="unknown dtype 'half'; known: float32, float64"
    ):
        Weights(17, 5, model.programs, dtype="half")
    with pytest.raises(ValueError, match="there are 0 programs"):
        Weights(17, 5, [], dtype="float64")
    with pytest.raises(TypeError, match="must be a Program"):
        Weights(17, 5, [None], dtype="float64")
    with pytest.raises(ValueError, match="tie_weights needs outputs as wide"):
        Weights(17, 5, model.programs, dtype="float64", tie_weights=True)
    with pytest.raises(ValueError, match="other parameters or widths"):
        Window(model.weights, other.programs, 3, 2)
    with pytest.raises(ValueError, match="other parameters or widths"):
        State(model.weights, other.programs, 2)
    with pytest.raises(ValueError, match="no backward part"):
        Window(model.weights, model.programs, 3, 2, training=True)
    with pytest.raises(ValueError, match="batch_size is 0"):
        State(model.weights, model.programs, 0)
    with pytest.raises(ValueError, match="at most 2147483647"):
        Window(model.weights, model.programs, 2**31, 2**31)
    with pytest.raises(
        ValueError, match=r"tensor 0 has shape \(5, 17\); it must be \(17, 5\)"
    ):
        model.weights.set(0, np.zeros((5, 17)))
    with pytest.raises(ValueError, match="dtype complex128"):
        model.weights.set(0, np.zeros((17, 5), complex))


def test_sizes_beyond_any_address_are_memory_errors():
    graph = trace(RNN(), 2**20, 1)
    with pytest.raises(MemoryError, match="no memory for weights of"):
        Weights(2**31 - 1, 2**20, [Program(graph.to_words(), "float32")])


def test_words_that_are_no_graph_are_a_value_error():
    with pytest.raises(ValueError):
        Program(np.zeros(0, np.int32), "float32")
    with pytest.raises(ValueError):
        Program(np.full(20, 7, np.int32), "float32")


class Busy:
    """A window with work for seconds in its head, all ids 0."""

    def __init__(self):
        programs = [Program(trace(RNN(), 8, 512).to_words(), "float32")]
        weights = Weights(20_000, 8, programs)
        self.window = Window(weights, programs, 2000, 8)
        self.state = State(weights, programs, 8)
        self.state.set(0, 0, np.ones((8, 512)))
        self.ids = np.zeros((2000, 8), np.int32)

    def forward(self):
        return self.window.forward(self.ids, self.state, targets=self.ids)


@pytest.mark.skipif(sys.platform == "win32", reason="raises a signal")
def test_ctrl_c_stops_a_running_window_and_leaves_the_state_alone():
    busy = Busy()
    main = threading.main_thread().ident
    stop = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    stop.start()
    with pytest.raises(KeyboardInterrupt):
        busy.forward()
    stop.join()
    assert (busy.state.get(0, 0) == 1).all()
    with pytest.raises(ValueError, match="forward comes first"):
        busy.window.hits  # noqa: B018
    busy.window.forward(busy.ids[:1], busy.state)
    assert not busy.state.get(0, 0).any()


@pytest.mark.skipif(sys.platform == "win32", reason="raises a signal")
def test_a_window_that_is_running_refuses_a_second_caller():
    """A signal's handler is called in mid-window; what it raises ends the window."""
    busy = Busy()
    before = signal.signal(signal.SIGALRM, lambda *_: busy.forward())
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(ValueError, match="in use by another call"):
            busy.forward()
    finally:
        signal.signal(signal.SIGALRM, before)
    busy.window.forward(busy.ids[:1], busy.state)


def test_the_machine_is_told():
    assert isa() in supported_isas()
    assert supported_isas()[0] in ("baseline", "neon")
    assert default_threads() >= 1
    assert openmp_runtime()
