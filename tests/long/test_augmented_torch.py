# SPDX-License-Identifier: BSD-3-Clause
"""The augmented loss beside PyTorch's operations and automatic differentiation."""

import numpy as np
import pytest
from core_oracle import Model
from test_augmented import augmented
from test_heads_large import some_window

from rnnkit.cells.rnn import RNN

torch = pytest.importorskip("torch")
functional = torch.nn.functional


@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("vocab_size", [17, 700, 2100])
def test_gradients_of_the_output_layer_are_those_of_pytorch(vocab_size, temperature):
    model = Model(RNN(), vocab_size=vocab_size, hidden_size=17, scale=0.3)
    ids, targets, weights = some_window(model, 100, 4)
    loss, gradients, _ = augmented(model, 3.0, temperature)(ids, targets, weights)
    window = model.window(*ids.shape)
    window.forward(ids, model.state(4), targets=targets)
    hidden = torch.tensor(window.outputs().reshape(400, -1))
    weight, bias = (
        torch.tensor(value, requires_grad=True)
        for value in model.head_tensors(model.values)
    )
    share = torch.tensor(weights.astype(np.float64).ravel() / weights.sum(dtype=float))
    target = torch.tensor(targets.ravel(), dtype=torch.int64)
    logits = hidden @ weight.T + bias
    plain = functional.cross_entropy(logits, target, reduction="none")
    soft = functional.softmax(weight[target] @ weight.T / temperature, -1).detach()
    log_q = functional.log_softmax(logits / temperature, -1)
    further = functional.kl_div(log_q, soft, reduction="none").sum(-1)
    (share * (plain + 3.0 * further)).sum().backward()
    assert loss == pytest.approx((share * plain).sum().item(), rel=1e-12)
    expected = [weight.grad.numpy(), bias.grad.numpy()]
    for found, value in zip(model.head_tensors(gradients), expected, strict=True):
        assert np.abs(found - value).max() <= 1e-11 * np.abs(value).max()
