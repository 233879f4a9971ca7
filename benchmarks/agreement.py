# SPDX-License-Identifier: BSD-3-Clause
"""Before anything is timed: do the engines compute the same?

From the same weights and tokens, the loss and the gradient of every parameter are
compared with those of PyTorch in float64, then the losses of a few steps of training
with each other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from peer_torch import Recurrent, TorchPeer

from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import Tokens, Values

# Sums of up to some 10,000 products in float32, each of whose orders is allowed; an
# error in an equation shows as 1e-2 and more.
GRADIENTS = 1e-4
LOSSES = 1e-5
STEPS = 3


class DisagreementError(RuntimeError):
    """Two engines do not compute the same."""


def check_gradients(
    engines: Mapping[str, Any],
    recurrent: Recurrent,
    shape: Shape,
    values: Values,
    tokens: Tokens,
    *,
    yardstick: str | None = None,
) -> dict[str, float]:
    """Compare one backward pass; return each engine's largest relative error.

    Where gradients grow over the steps, so do errors of rounding, in every engine: with
    a `yardstick`, PyTorch in float32, five times its own error is allowed.

    Raises
    ------
    DisagreementError
        When a loss differs by more than `LOSSES`, or a gradient by more than
        `GRADIENTS` of its norm.
    """
    exact = TorchPeer(
        recurrent, shape, values, tokens, n_threads=1, dtype=torch.float64
    )
    loss, gradients = exact.gradients()
    errors: dict[str, dict[str, float]] = {}
    for engine, peer in engines.items():
        found_loss, found = peer.gradients()
        _compare(engine, "the loss", abs(found_loss - loss) / loss, LOSSES)
        errors[engine] = {
            name: relative_error(found[name], gradient)
            for name, gradient in gradients.items()
        }
    for engine, by_name in errors.items():
        for name, error in by_name.items():
            own = errors[yardstick][name] if yardstick else 0.0
            if engine != yardstick:
                allowed = max(GRADIENTS, 5 * own)
                _compare(engine, f"the gradient of {name}", error, allowed)
    return {engine: max(by_name.values()) for engine, by_name in errors.items()}


def check_training(engines: Mapping[str, Any]) -> None:
    """Compare the losses of the first steps, which the update has a part in.

    Raises
    ------
    DisagreementError
        When they differ from the first engine's by more than `GRADIENTS`.
    """
    losses = {
        engine: np.array([peer.train_step() for _ in range(STEPS)])
        for engine, peer in engines.items()
    }
    first = next(iter(losses.values()))
    for engine, found in losses.items():
        error = float(np.max(np.abs(found - first) / first))
        _compare(engine, f"the loss of {STEPS} steps", error, GRADIENTS)


def check_scores(engines: Mapping[str, Any]) -> None:
    """Compare mean log-likelihoods.

    Raises
    ------
    DisagreementError
        When they differ from the first engine's by more than `LOSSES`.
    """
    scores = {engine: peer.score() for engine, peer in engines.items()}
    first = next(iter(scores.values()))
    for engine, score in scores.items():
        _compare(engine, "the score", abs(score - first) / abs(first), LOSSES)


def check_next_tokens(engines: Mapping[str, Any]) -> None:
    """Compare the distributions after `STEPS` tokens, the state carried.

    Raises
    ------
    DisagreementError
        When log-probabilities differ from the first engine's by more than `GRADIENTS`.
    """
    found = {}
    for engine, peer in engines.items():
        for _ in range(STEPS):
            row = peer.next_token().astype(np.float64)
        found[engine] = row - np.log(np.sum(np.exp(row)))
    first = next(iter(found.values()))
    for engine, row in found.items():
        _compare(engine, "the next token", relative_error(row, first), GRADIENTS)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference by the norm of what is expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _compare(engine: str, what: str, error: float, allowed: float) -> None:
    if not error <= allowed:
        raise DisagreementError(
            f"{engine}: {what} differs by {error:.1e}; {allowed:.0e} is allowed"
        )
