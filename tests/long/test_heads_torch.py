# SPDX-License-Identifier: BSD-3-Clause
"""The adaptive softmax beside PyTorch's, with its own tensors."""

import numpy as np
import pytest
from core_oracle import Model
from test_heads_large import adaptive, some_window

from rnnkit.cells.rnn import RNN
from rnnkit.model import Head

torch = pytest.importorskip("torch")

CASES = [(20, 8, (5,), 4.0), (65, 17, (7, 30), 2.0), (2100, 65, (520, 1000, 2000), 4.0)]


def twins(vocab_size, hidden_size, cutoffs, div_value, *, bias):
    """The core's model, and PyTorch's module with the weights of its head."""
    settings = Head("adaptive", cutoffs, div_value).settings(hidden_size)
    clusters = zip(cutoffs, settings["cluster_widths"], strict=True)
    model = Model(
        RNN(),
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        scale=0.2,
        output_bias=bias,
        head=adaptive(*clusters),
    )
    twin = torch.nn.AdaptiveLogSoftmaxWithLoss(
        hidden_size,
        vocab_size,
        list(cutoffs),
        div_value=div_value,
        head_bias=bias,
        dtype=torch.float64,
    )
    parameters = dict(twin.named_parameters())
    names = ["head.weight", *(["head.bias"] if bias else [])]
    names += [f"tail.{i}.{k}.weight" for i in range(len(cutoffs)) for k in (0, 1)]
    assert set(names) == set(parameters)
    parameters = [parameters[name] for name in names]
    for parameter, value in zip(
        parameters, model.head_tensors(model.values), strict=True
    ):
        assert tuple(parameter.shape) == value.shape
        parameter.data = torch.tensor(value)
    return model, twin, parameters


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_pytorch(case, bias):
    model, twin, parameters = twins(*case, bias=bias)
    ids, targets, _ = some_window(model, 30)
    window = model.window(*ids.shape, training=True)
    loss, _ = window.forward(ids, model.state(3), targets=targets)
    hidden = torch.tensor(window.outputs().reshape(90, -1), requires_grad=True)
    found = twin(hidden, torch.tensor(targets.ravel(), dtype=torch.int64))
    found.loss.backward()
    window.backward()
    assert loss == pytest.approx(found.loss.item(), rel=1e-12)
    expected = found.output.detach().numpy().reshape(ids.shape)
    assert np.abs(window.log_likelihood - expected).max() <= 1e-12
    for i, parameter in zip(
        model.head_tensors(list(range(len(model.values)))), parameters, strict=True
    ):
        expected = parameter.grad.numpy()
        error = np.abs(window.gradient(i) - expected).max()
        assert error <= 1e-12 * np.abs(expected).max(), i


@pytest.mark.parametrize("case", CASES)
def test_predictions_and_hits_are_those_of_pytorch(case):
    model, twin, _ = twins(*case, bias=True)
    ids, _, _ = some_window(model, 30)
    window = model.window(*ids.shape)
    window.forward(ids, model.state(3), targets=ids)
    hidden = torch.tensor(window.outputs().reshape(90, -1))
    with torch.no_grad():
        log_p = twin.log_prob(hidden).numpy()
        likeliest = twin.predict(hidden).numpy().astype(np.int32).reshape(ids.shape)
    found = window.log_probabilities(np.arange(90, dtype=np.int32))
    assert np.abs(found - log_p).max() <= 1e-12
    window.forward(ids, model.state(3), targets=likeliest)
    assert window.hits.all()
