# SPDX-License-Identifier: BSD-3-Clause
"""What training has given so far."""

from dataclasses import dataclass, field, replace

import numpy as np

from rnnkit.training.progress import EpochResult
from rnnkit.training.windows import Batch


@dataclass
class History:
    """Epoch by epoch; a loss is a mean in nats a token."""

    n_iter: int = 0
    n_tokens_seen: int = 0
    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] = field(default_factory=list)
    best_validation_score: float | None = None

    def add(self, result: EpochResult) -> None:
        """Append one epoch."""
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


class Totals:
    """Sums over the windows of one epoch, in double."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self._n_hits = 0
        self._weighted_loss = 0.0
        self._weight = 0.0

    def add(self, loss: float, weight: float, batch: Batch, hits: np.ndarray) -> None:
        """Add one window; positions of weight 0 do not count."""
        self._weighted_loss += loss * weight
        self._weight += weight
        if batch.weights is None:
            self.n_tokens += batch.ids.size
            self._n_hits += int(np.count_nonzero(hits))
        else:
            scored = batch.weights > 0
            self.n_tokens += int(np.count_nonzero(scored))
            self._n_hits += int(np.count_nonzero(hits[scored]))

    @property
    def loss(self) -> float:
        """Weighted mean of the loss per token."""
        return self._weighted_loss / self._weight if self._weight else 0.0

    @property
    def accuracy(self) -> float:
        """Part of the scored tokens that were the likeliest ones."""
        return self._n_hits / max(1, self.n_tokens)
