# SPDX-License-Identifier: BSD-3-Clause
"""Embedding and weight dropout, zoneout, penalties on activations: training and bits.

Against `lstm_oracle`, window by window.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from lstm_oracle import RegularisedLSTM, assert_gradients

from rnnkit.cells import LSTM, Cell, sigmoid, tanh
from rnnkit.compiler import (
    differentiate,
    recurrent_weights,
    trace,
    with_masks,
    with_output_state,
    with_resets,
    with_zoneout,
)
from rnnkit.core import State, Window
from rnnkit.model import Dropout, Network, NetworkConfig, Penalties
from rnnkit.testing import reference

V, H, LAYERS = 9, 5, 2
STEPS, ROWS = 7, 3
SEED, UPDATE = 1234567890123, 41
CASES: dict[str, dict[str, Any]] = {
    "embedding dropout": {"embedding": 0.3},
    "weight dropout": {"weight": 0.4},
    "zoneout": {"zoneout": {"h": 0.2, "c": 0.5}},
    "zoneout of one state": {"zoneout": {"c": 0.3}},
    "activation penalty": {"activation": 2.0},
    "temporal activation penalty": {"temporal": 1.5},
    "both penalties under a mask": {"activation": 2.0, "temporal": 1.5, "output": 0.3},
    "all": {
        "embedding": 0.3,
        "weight": 0.4,
        "zoneout": {"h": 0.2, "c": 0.5},
        "activation": 2.0,
        "temporal": 1.5,
        "output": 0.3,
    },
}


class OutputIsNoState(Cell):
    """Its output has to be carried for its changes to be known."""

    states = ("c",)

    def step(self, x, c):
        f, v, o = self.linear("fvo", x, c)
        c = sigmoid(f) * c + tanh(v)
        return sigmoid(o) * c, c


class NoRecurrentMatrix(Cell):
    states = ("h",)

    def step(self, x, h):
        z, v = self.linear("zv", x)
        z = sigmoid(z)
        return (1 - z) * h + z * v


class Heads(Cell):
    """Its matrices are block-diagonal: each multiplies a part of the state."""

    states = ("h",)
    hidden_multiple = 2

    def step(self, x, h):
        return tanh(self.linear("i", x) + self.linear("a", h, heads=2))


class SharedMatrix(Cell):
    """One matrix multiplies a state, and then what comes of it."""

    states = ("h",)

    def step(self, x, h):
        s = tanh(self.linear("u", h, names="s"))
        return tanh(self.linear("u", s, names="s") + self.linear("w", x))


# -------------------------------------------------------------------------- the core


def oracle_of(**settings: Any) -> RegularisedLSTM:
    return RegularisedLSTM(num_layers=LAYERS, seed=SEED, update=UPDATE, **settings)


def network_of(
    oracle: RegularisedLSTM, cell: Any = None, dtype: str = "float64", vocab: int = V
) -> Network:
    graphs, width = [], H
    for _ in range(LAYERS):
        graphs.append(trace(cell or LSTM(), width, H))
        width = graphs[-1].output_width
    zoneout = tuple(sorted(dict(oracle.zoneout).items()))
    return Network(
        NetworkConfig(vocab, H, tuple(graphs), oracle.tied, dtype, zoneout=zoneout)
    )


def window_of(
    network: Network, oracle: RegularisedLSTM, weights: Any, flags: bool
) -> Any:
    """A window of the oracle's size that trains, and its programs."""
    programs = network.programs(
        training=True,
        flags=flags,
        dropout=Dropout(output=oracle.output),
        penalties=Penalties(oracle.activation, oracle.temporal),
    )
    window = Window(
        weights,
        programs,
        STEPS,
        ROWS,
        training=True,
        embedding_dropout=oracle.embedding,
        weight_dropout=oracle.weight,
        dropped=network.dropped(),
    )
    return window, programs


def draw(network: Network) -> Any:
    """Random parameters, ids, targets, states by layer, and resets."""
    rng, vocab = np.random.default_rng(5), network.config.vocab_size
    values = {p.name: rng.normal(0, 0.5, p.shape) for p in network.parameters}
    ids = rng.integers(0, vocab, (STEPS, ROWS), np.int32)
    targets = rng.integers(0, vocab, (STEPS, ROWS), np.int32)
    states = [
        [rng.normal(0, 0.5, (ROWS, s.width)) for s in graph.states]
        for graph in network.config.graphs
    ]
    return values, ids, targets, states, rng.integers(0, 4, ids.shape) == 0


def run_core(
    oracle: RegularisedLSTM, *, flags: bool, n_threads: int = 1, **model: Any
) -> Any:
    """Loss, gradients and final states of one window."""
    network = network_of(oracle, **model)
    values, ids, targets, states, resets = draw(network)
    weights = network.weights(values)
    window, programs = window_of(network, oracle, weights, flags)
    state = State(weights, programs, ROWS)
    for layer, arrays in enumerate(states):
        for k, array in enumerate(arrays):
            state.set(layer, k, array.astype(network.config.dtype))
    given = {"resets": resets.astype(np.uint8)} if flags else {}
    loss, _ = window.forward(
        ids,
        state,
        targets=targets,
        seed=SEED,
        update=UPDATE,
        n_threads=n_threads,
        **given,
    )
    window.backward(n_threads=n_threads)
    gradients = [window.gradient(i) for i in range(len(network.parameters))]
    final = [
        state.get(layer, k)
        for layer, program in enumerate(programs)
        for k in range(program.n_states)
    ]
    return loss, gradients, final


@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("vocab", [V, 70])  # of the first, tokens are embedded once
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_the_oracle(case, vocab, tied, flags):
    oracle = oracle_of(tied=tied, **CASES[case])
    network = network_of(oracle, vocab=vocab)
    values, ids, targets, states, resets = draw(network)
    window = ids, targets, states, resets if flags else np.zeros(ids.shape)
    loss, gradients, _ = run_core(oracle, flags=flags, vocab=vocab)
    arrays = list(values.values())
    np.testing.assert_allclose(loss, oracle.objective(arrays, *window)[0], rtol=1e-12)
    assert_gradients(gradients, arrays, partial(oracle.minimised, window=window))


def test_each_of_them_changes_the_gradients():
    plain = run_core(oracle_of(), flags=True)[1]
    for settings in CASES.values():
        found = run_core(oracle_of(**settings), flags=True)[1]
        assert not np.allclose(found[1], plain[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", [LSTM(), OutputIsNoState(), SharedMatrix()], ids=repr)
def test_any_number_of_threads_gives_the_same_bits(cell, dtype):
    names = {"zoneout": {s: 0.3 for s in cell.states}}
    oracle = oracle_of(**CASES["all"] | names, tied=True)

    def bits(n_threads: int) -> bytes:
        loss, gradients, final = run_core(
            oracle, flags=True, cell=cell, dtype=dtype, n_threads=n_threads
        )
        return b"".join(a.tobytes() for a in (np.float64(loss), *gradients, *final))

    assert len({bits(n) for n in (1, 2, 3, 8)}) == 1


def test_float32_is_near_float64():
    for tied in (False, True):
        oracle = oracle_of(tied=tied, **CASES["all"])
        expected = run_core(oracle, flags=True)[1]
        found = run_core(oracle, flags=True, dtype="float32")[1]
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


# -------------------------------------------------------------------- masks and rates


class Hands(Cell):
    """Its output is what it reads."""

    states = ("h",)

    def step(self, x, h):
        return x, 0 * h


class Multiplies(Cell):
    """Its output is a matrix times its state."""

    states = ("h",)

    def step(self, x, h):
        return self.linear("ab", h, bias=False)[1] + 0 * x, h


def outputs_of(
    cell: Any, vocab: int, width: int, ids: Any, update: int, **rates: float
):
    """Outputs of one window from states that are the rows of the identity."""
    network = Network(NetworkConfig(vocab, width, (trace(cell, width, width),)))
    values = {p.name: np.ones(p.shape) for p in network.parameters}
    weights = network.weights(values)
    programs = network.programs(training=True)
    window = Window(
        weights, programs, *ids.shape, training=True, dropped=network.dropped(), **rates
    )
    state = State(weights, programs, ids.shape[1])
    state.set(0, 0, np.eye(ids.shape[1], width, dtype=np.float32))
    window.forward(ids, state, seed=SEED, update=update)
    return window.outputs()


@pytest.mark.parametrize("copies", [1, 3])  # with 3, tokens are embedded once
def test_whole_words_are_dropped_once_a_window(copies):
    words = np.arange(3000, dtype=np.int32)
    ids = np.concatenate([words] * copies).reshape(copies * 100, 30)
    first = outputs_of(Hands(), 3000, 3, ids, 0, embedding_dropout=0.3)
    by_word = first.reshape(copies, 3000, 3)
    assert (by_word == by_word[:1, :, :1]).all()  # a word's units, wherever it stands
    values = by_word[0, :, 0]
    assert set(values.tolist()) == {0.0, np.float32(1 / 0.7)}
    assert abs((values == 0).mean() - 0.3) < 0.05  # 6 standard deviations
    other = outputs_of(Hands(), 3000, 3, ids, 1, embedding_dropout=0.3)
    both = (other == 0).ravel() & (first == 0).ravel()
    assert abs(both.mean() - 0.09) < 0.03


def test_elements_of_a_recurrent_matrix_are_dropped_once_a_window():
    ids = np.zeros((2, 60), np.int32)
    first, again = outputs_of(Multiplies(), 2, 60, ids, 0, weight_dropout=0.4)
    assert (first == again).all()  # the same at both steps
    assert {round(float(v), 5) for v in set(first.ravel())} == {0.0, round(1 / 0.6, 5)}
    assert abs((first == 0).mean() - 0.4) < 0.05
    assert (first == 0).any(axis=0).all()
    assert (first == 0).any(axis=1).all()
    other = outputs_of(Multiplies(), 2, 60, ids, 1, weight_dropout=0.4)[0]
    assert abs(((first == 0) & (other == 0)).mean() - 0.16) < 0.04


def test_a_window_that_does_not_train_drops_nothing():
    network = network_of(oracle_of())
    weights = network.initial_weights(np.random.default_rng(0))
    for rates in ({"embedding_dropout": 0.1}, {"weight_dropout": 0.1}):
        with pytest.raises(match="only a window that trains"):
            Window(
                weights, network.programs(), 2, 2, dropped=network.dropped(), **rates
            )
    programs = network.programs(training=True)
    with pytest.raises(match=r"1.5; allowed is \[0, 1\)"):
        Window(weights, programs, 2, 2, training=True, embedding_dropout=1.5)
    with pytest.raises(match="tensor 0 is no matrix of a layer"):
        everything = [True] * len(network.parameters)
        Window(
            weights,
            programs,
            2,
            2,
            training=True,
            weight_dropout=0.1,
            dropped=everything,
        )


def test_recurrent_weights_are_those_that_multiply_a_state():
    def names(cell: Any) -> set[str]:
        graph = trace(cell, 3, 4)
        return {graph.parameters[i].name for i in recurrent_weights(graph)}

    assert names(LSTM()) == {"weight_hh"}
    assert names(SharedMatrix()) == {"weight_sh"}
    assert names(Heads()) == {"weight_a_h"}
    assert names(NoRecurrentMatrix()) == set()


# ------------------------------------------------------------------ variants of graphs


def test_a_state_that_is_kept_is_the_output_as_well():
    graph = trace(LSTM(), 3, 4)
    for site in (None, 128):
        varied = with_zoneout(graph, {"h": 0.5}, site)
        assert varied.output == varied.states[0].new != graph.output
        assert varied.states[1].new == graph.states[1].new
    assert with_zoneout(graph, {}).nodes == graph.nodes


def test_expectations_lie_between_old_and_new_values():
    graph = trace(LSTM(), 3, 4)
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=p.shape) for p in graph.parameters]
    x, old = rng.normal(size=(1, 2, 3)), [rng.normal(size=(2, 4)) for _ in "hc"]
    plain = reference.forward(reference.Window(graph, parameters, x, old))
    varied = with_zoneout(graph, {"h": 0.25, "c": 0.5})
    found = reference.forward(reference.Window(varied, parameters, x, old))
    for rate, before, new, mixed in zip(
        (0.25, 0.5), old, plain.states, found.states, strict=True
    ):
        np.testing.assert_allclose(mixed, rate * before + (1 - rate) * new)


def test_a_penalty_on_changes_carries_an_output_that_is_no_state():
    graph = trace(OutputIsNoState(), 3, 4)
    carried, k = with_output_state(graph)
    assert k == 1
    assert carried.states[1].new == graph.output
    again, other = with_output_state(trace(LSTM(), 3, 4))
    assert (len(again.states), other) == (2, 0)


@pytest.mark.parametrize("cell", [LSTM(), OutputIsNoState()], ids=repr)
@pytest.mark.parametrize("flags", [False, True])
def test_penalties_have_the_gradients_of_finite_differences(cell, flags):
    """Of the mean squares of what is handed on, and of changes but for resets."""
    graph, k = with_output_state(trace(cell, 3, 4))
    graph = with_masks(graph, {"output": 0.5})
    graph = with_resets(graph) if flags else graph
    trained = differentiate(graph, 2.0, {k: 3.0})
    rng = np.random.default_rng(1)
    parameters = [rng.normal(size=p.shape) for p in graph.parameters]
    x = rng.normal(size=(5, 2, 3))
    states = [rng.normal(size=(2, 4)) for _ in graph.states]
    resets = rng.integers(0, 3, (5, 2)) == 0
    masks = {1: 2.0 * rng.integers(0, 2, (5, 2, 4))}

    def run(arrays: Any) -> Any:
        return reference.forward(
            reference.Window(trained, arrays, x, states, resets, masks=masks)
        )

    def penalty(arrays: Any) -> Any:
        """Zero where the output's mask is: the change is that of the state."""
        done, before = run(arrays), states[k]
        changes = []
        for t in range(5):
            value = done.values[t][trained.states[k].new]
            again = resets[t][:, None] & flags
            changes.append(np.where(again, 0, value - before))
            before = value
        return 2 * np.mean(done.outputs**2) + 3 * np.mean(np.stack(changes) ** 2)

    found = reference.backward(run(parameters), np.zeros((5, 2, 4))).parameters
    assert_gradients(found, parameters, penalty)


def test_a_share_belongs_to_the_window_at_hand():
    """One program, windows of two lengths: means are over the steps that there are."""
    oracle = oracle_of(activation=5.0)
    network = network_of(oracle)
    values, ids, targets, *_ = draw(network)
    weights = network.weights(values)
    window, programs = window_of(network, oracle, weights, False)
    for n_steps in (STEPS, 3, STEPS):
        part = ids[:n_steps].copy(), targets[:n_steps].copy()
        window.forward(part[0], State(weights, programs, ROWS), targets=part[1])
        window.backward()
        states, resets = [[np.zeros((ROWS, H))] * 2] * LAYERS, np.zeros(part[0].shape)
        assert_gradients(
            [window.gradient(i) for i in range(len(values))],
            list(values.values()),
            partial(oracle.minimised, window=(*part, states, resets)),
        )
