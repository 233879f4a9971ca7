# SPDX-License-Identifier: BSD-3-Clause
"""What training has given so far."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from rnnkit.training.progress import EpochResult
from rnnkit.training.windows import Batch


@dataclass
class History:
    """Epoch by epoch, validation by validation; a loss is a mean in nats a token."""

    n_iter: int = 0
    n_tokens_seen: int = 0
    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] = field(default_factory=list)
    best_validation_score: float | None = None

    def add(self, result: EpochResult) -> None:
        """Append one epoch, or a validation within it."""
        if result.is_whole:
            self.n_iter += 1
            self.n_tokens_seen += result.n_tokens
            self.loss_curve.append(result.loss)
        if result.validation is not None:
            score = result.validation.score
            self.validation_loss_curve.append(-score)
            best = self.best_validation_score
            self.best_validation_score = score if best is None else max(best, score)

    def copy(self) -> "History":
        """Return a copy that later epochs do not change."""
        return replace(
            self,
            loss_curve=list(self.loss_curve),
            validation_loss_curve=list(self.validation_loss_curve),
        )


@dataclass
class Totals:
    """Sums over the windows of one epoch, in double."""

    n_tokens: int = 0
    n_hits: int = 0
    weighted_loss: float = 0.0
    weight: float = 0.0

    def numbers(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint."""
        return asdict(self)

    def restore(self, numbers: dict[str, Any]) -> None:
        """Take over what `numbers` has given."""
        for name, value in numbers.items():
            setattr(self, name, value)

    def add(self, loss: float, weight: float, batch: Batch, hits: np.ndarray) -> None:
        """Add one window; positions of weight 0 do not count."""
        self.weighted_loss += loss * weight
        self.weight += weight
        if batch.weights is None:
            self.n_tokens += batch.ids.size
            self.n_hits += int(np.count_nonzero(hits))
        else:
            scored = batch.weights > 0
            self.n_tokens += int(np.count_nonzero(scored))
            self.n_hits += int(np.count_nonzero(hits[scored]))

    @property
    def loss(self) -> float:
        """Weighted mean of the loss per token."""
        return self.weighted_loss / self.weight if self.weight else 0.0

    @property
    def accuracy(self) -> float:
        """Part of the scored tokens that were the likeliest ones."""
        return self.n_hits / max(1, self.n_tokens)
