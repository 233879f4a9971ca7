# SPDX-License-Identifier: BSD-3-Clause
"""The solvers beside torch.optim itself, fed with the same gradients."""

import pytest
import torch
from test_solvers import KINDS, Trainer

from rnnkit.testing import relative_error

DECAY = {"alpha": 1e-2}


def optimizer(kind, parameters):
    sgd = {"lr": 1.0, "weight_decay": DECAY["alpha"]}
    match kind:
        case "sgd":
            return torch.optim.SGD(parameters, **sgd)
        case "momentum":
            return torch.optim.SGD(parameters, momentum=0.9, **sgd)
        case "nesterov":
            return torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **sgd)
        case "adam":
            return torch.optim.Adam(parameters, **sgd)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, alpha=0.999, **sgd)
        case "adagrad":
            return torch.optim.Adagrad(parameters, eps=1e-8, **sgd)
        case _:
            return torch.optim.AdamW(parameters, **sgd)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_steps_equal_torch_optim(kind, dtype):
    trainer = Trainer(kind, dtype=dtype, **DECAY)
    parameters = [torch.nn.Parameter(torch.tensor(v)) for v in trainer.model.values]
    twin = optimizer(kind, parameters)
    for step in range(1000):
        rate = 1e-2 / (1 + step / 100)
        for parameter, gradient in zip(parameters, trainer.gradients(), strict=True):
            parameter.grad = torch.tensor(gradient)
        norm = trainer.solver.update(trainer.window, rate, 0.7)
        expected = torch.nn.utils.clip_grad_norm_(parameters, 0.7)
        assert norm == pytest.approx(float(expected), rel=1e-6)
        twin.param_groups[0]["lr"] = rate
        twin.step()
    found = [p.detach().numpy() for p in parameters]
    error = relative_error(trainer.weights(), found)
    # Rounding errors add up as a random walk over the steps; the first ones of RMSprop
    # are 30 times as long as the rate.
    allowed = 1e-12 if dtype == "float64" else 1e-6
    assert error <= (3 * allowed if kind == "rmsprop" else allowed)
