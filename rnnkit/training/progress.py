# SPDX-License-Identifier: BSD-3-Clause
"""What training says while it runs: a line a validation, in long epochs others."""

import math
import time
from dataclasses import dataclass

from rnnkit.runtime.scoring import Evaluation, perplexity

SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class EpochResult:
    """What one pass over the corpus has given, or its beginning up to a validation.

    `part` of the pass is done, `is_whole` when no more follows; `loss` is the mean in
    nats a token.
    """

    epoch: int
    part: float
    is_whole: bool
    loss: float
    accuracy: float
    n_tokens: int
    tokens_per_second: float
    is_averaged: bool = False
    validation: Evaluation | None = None

    @property
    def watched_loss(self) -> float:
        """What schedules and early stopping look at: validation, if there is one."""
        return self.loss if self.validation is None else -self.validation.score


class Progress:
    """Prints as `verbose` asks: 0 nothing, 1 epochs and validations, 2 more often."""

    def __init__(
        self,
        verbose: int,
        max_iter: int,
        max_time: float | None = None,
        n_done: float = 0.0,
    ) -> None:
        self._verbose = verbose
        self._max_iter = max_iter
        self._max_time = math.inf if max_time is None else max_time
        self._begin = self._last_line = time.monotonic()
        self._n_done = n_done  # epochs that were made before now

    def window(self, epoch: int, part: float, loss: float) -> None:
        """Say where a long epoch stands: the part that is done, and its mean loss."""
        now = time.monotonic()
        if self._verbose < 2 or now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        print(f"{self._head(epoch)}  {part:4.0%}  loss {loss:.4f}", flush=True)

    def epoch(self, result: EpochResult) -> None:
        """Say what an epoch has given, and how long the rest will take."""
        self._last_line = now = time.monotonic()
        if self._verbose < 1:
            return
        report = result.validation
        part = "" if result.is_whole else f"  {result.part:4.0%}"
        text = f"{self._head(result.epoch)}{part}  loss {result.loss:.4f}"
        if report is not None:
            text += f"  validation {-report.score:.4f}"
        accuracy = result.accuracy if report is None else report.accuracy
        text += f"  perplexity {perplexity(result.watched_loss):.2f}"
        text += f"  accuracy {accuracy:.3f}"
        text += f"  {result.tokens_per_second:,.0f} tokens/s"
        text += f"  {_clock(self._left(result, now - self._begin))} left"
        print(text + "  averaged" * result.is_averaged, flush=True)

    def _left(self, result: EpochResult, spent: float) -> float:
        """Return how many seconds are left, at the speed of those that are spent."""
        n_epochs = result.epoch - 1 + result.part
        left = spent / (n_epochs - self._n_done) * (self._max_iter - n_epochs)
        return min(left, max(0.0, self._max_time - spent))

    def _head(self, epoch: int) -> str:
        width = len(str(self._max_iter))
        return f"epoch {epoch:{width}}/{self._max_iter}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
