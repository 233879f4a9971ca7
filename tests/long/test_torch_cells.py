# SPDX-License-Identifier: BSD-3-Clause
"""Every cell, plugins and strangers' cells too, against PyTorch's autograd.

PyTorch runs the same equations step by step (benchmarks/eager.py), from states that are
not zero; values, gradients of all parameters and of the first states are compared.
"""

import importlib

import numpy as np
import pytest
import test_cells_zoo
import torch
from torch.nn import functional

from rnnkit import plugins
from rnnkit.cells import Cell
from rnnkit.compiler import trace
from rnnkit.testing.bench import Batch, Bench

E, H = 7, 9  # not multiples of any vector's length
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
ZOO = [
    value()
    for value in vars(test_cells_zoo).values()
    if isinstance(value, type) and issubclass(value, Cell) and value is not Cell
]
CELLS = ZOO + [plugins.make_cell(p.name) for p in plugins.list_plugins("cell")]


@pytest.fixture
def eager(root, monkeypatch):
    """The module that turns a cell's graph into PyTorch."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("eager")


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_values_and_gradients_equal_those_of_autograd(cell, dtype, num_layers, eager):
    graphs = [trace(cell, E, H)]
    while len(graphs) < num_layers:
        graphs.append(trace(cell, graphs[-1].output_width, H))
    bench = Bench(graphs, dtype=dtype)
    batch, states = Batch.random(n_steps=12), bench.first_states()
    found = bench.run(batch, states)
    layers = eager.EagerCell(cell, E, H, num_layers, hoist=False)
    expected = torch_results(bench, layers, batch, states)
    for name, value in found.items():
        wanted = expected[name]
        assert value.shape == wanted.shape, name
        error = np.linalg.norm(value - wanted) / (np.linalg.norm(wanted) or 1.0)
        assert error <= TOLERANCE[dtype], f"{name}: relative error {error:.1e}"


def torch_results(bench, layers, batch, states):
    """What PyTorch computes in float64, under the names that the bench uses."""
    tensors = [
        torch.tensor(np.asarray(t), dtype=torch.float64, requires_grad=True)
        for t in (*bench.tensors, *states)
    ]
    names = bench.names
    embedding, *weights = tensors[: len(names) - 2]
    head, bias = tensors[len(names) - 2 : len(names)]
    places = [f"{p.name}_l{k}" for k, g in enumerate(bench.plain) for p in g.parameters]
    first, before = tensors[len(names) :], []
    for graph in bench.plain:
        taken = sum(map(len, before))
        before.append(first[taken : taken + len(graph.states)])
    x = embedding[torch.tensor(batch.ids.astype(np.int64))]
    parameters = dict(zip(places, weights, strict=True))
    outputs, after = torch.func.functional_call(layers, parameters, (x, before))
    targets = torch.tensor(batch.targets.astype(np.int64))
    logits = functional.linear(outputs, head, bias)
    likelihood = functional.log_softmax(logits, -1).gather(2, targets[..., None])
    (-likelihood.mean()).backward()
    suffixes = [f" of layer {k}" if k else "" for k in range(len(bench.plain))]
    state_names = [
        f"{state.name}{suffix}"
        for graph, suffix in zip(bench.plain, suffixes, strict=True)
        for state in graph.states
    ]
    gradients = {
        name: np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
        for name, tensor in zip(
            [*names, *(f"the first {name}" for name in state_names)],
            tensors,
            strict=True,
        )
    }
    final = [state.detach().numpy() for layer in after for state in layer]
    return {
        "the loss": -likelihood.mean().detach().numpy(),
        "the output": outputs.detach().numpy(),
        "the log-likelihood": likelihood[..., 0].detach().numpy(),
        **{f"state {n}": s for n, s in zip(state_names, final, strict=True)},
        **{f"the gradient of {name}": value for name, value in gradients.items()},
    }
