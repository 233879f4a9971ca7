# SPDX-License-Identifier: BSD-3-Clause
"""The built-in cells against tensors recorded from PyTorch by record_torch.py."""

from pathlib import Path

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN
from rnnkit.compiler import differentiate, trace
from rnnkit.core import Program, State, Weights, Window

RECORDS = sorted((Path(__file__).parent / "data").glob("torch_*.npz"))
CELLS = {"rnn": RNN(), "relu": RNN("relu"), "lstm": LSTM(), "gru": GRU()}
# Chains of at most 100 sums: some 10 units of the last place, in the norm.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def core_results(cell, record, dtype):
    """What the core computes from a record's inputs, under the record's names."""
    vocab_size, embedding_size = record["embedding.weight"].shape
    num_layers, batch_size, hidden_size = record["h0"].shape
    graphs = [
        differentiate(
            trace(cell, embedding_size if k == 0 else hidden_size, hidden_size)
        )
        for k in range(num_layers)
    ]
    names = ["embedding.weight"]
    for k, graph in enumerate(graphs):
        names += [f"rnn.{p.name}_l{k}" for p in graph.parameters]
    names += ["output.weight", "output.bias"]

    programs = [Program(graph.to_words(), dtype) for graph in graphs]
    weights = Weights(vocab_size, embedding_size, programs, dtype=dtype)
    for i, name in enumerate(names):
        weights.set(i, record[name].astype(dtype))
    state = State(weights, programs, batch_size)
    layers_and_states = [
        (layer, k, f"{name}0")
        for layer in range(num_layers)
        for k, name in enumerate(cell.states)
    ]
    for layer, k, name in layers_and_states:
        state.set(layer, k, record[name][layer].astype(dtype))

    window = Window(weights, programs, *record["ids"].shape, training=True)
    window.forward(record["ids"], state, targets=record["targets"])
    found = {"log_likelihood": window.log_likelihood, "outputs": window.outputs()}
    window.backward(outputs_gradient=record["outputs_gradient"].astype(dtype))
    found |= {f"d{name}": window.gradient(i) for i, name in enumerate(names)}
    for layer, k, name in layers_and_states:
        found[f"{name[0]}, layer {layer}"] = state.get(layer, k)
        found[f"d{name}, layer {layer}"] = window.initial_state_gradient(layer, k)
    return found


def assert_equal_to_record(cell, record, dtype):
    found = core_results(CELLS[cell], record, dtype)
    assert len(found) > 7
    for name, value in found.items():
        tensor, _, layer = name.partition(", layer ")
        expected = record[f"{tensor}:{dtype}"]
        expected = expected[int(layer)] if layer else expected
        assert value.shape == expected.shape and value.dtype == expected.dtype
        error = np.linalg.norm(value - expected) / np.linalg.norm(expected)
        assert error <= TOLERANCE[dtype], f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_values_and_gradients_equal_those_of_pytorch(path, dtype):
    assert_equal_to_record(path.stem.split("_")[1], dict(np.load(path)), dtype)


def test_there_is_a_record_of_each_cell_with_one_and_with_two_layers():
    assert len(RECORDS) == 2 * len(CELLS)
