# SPDX-License-Identifier: BSD-3-Clause
"""What training says while it runs: a line an epoch, in long ones some between."""

import math
import time
from dataclasses import dataclass

from rnnkit.runtime.scoring import Evaluation, perplexity

SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class EpochResult:
    """What one pass over the corpus has given; `loss` is the mean in nats a token."""

    epoch: int
    loss: float
    accuracy: float
    n_tokens: int
    seconds: float
    validation: Evaluation | None = None

    @property
    def watched_loss(self) -> float:
        """What schedules and early stopping look at: validation, if there is one."""
        return self.loss if self.validation is None else -self.validation.score


class Progress:
    """Prints as `verbose` asks: 0 nothing, 1 epochs, 2 more often."""

    def __init__(
        self, verbose: int, max_iter: int, max_time: float | None = None
    ) -> None:
        self._verbose = verbose
        self._max_iter = max_iter
        self._max_time = math.inf if max_time is None else max_time
        self._begin = self._last_line = time.monotonic()
        self._n_done = 0

    def window(self, epoch: int, part: float, loss: float) -> None:
        """Say where a long epoch stands: the part that is done, and its mean loss."""
        now = time.monotonic()
        if self._verbose < 2 or now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        print(f"{self._head(epoch)}  {part:4.0%}  loss {loss:.4f}", flush=True)

    def epoch(self, result: EpochResult) -> None:
        """Say what an epoch has given, and how long the rest will take."""
        self._n_done += 1
        self._last_line = now = time.monotonic()
        if self._verbose < 1:
            return
        report = result.validation
        text = f"{self._head(result.epoch)}  loss {result.loss:.4f}"
        if report is not None:
            text += f"  validation {-report.score:.4f}"
        accuracy = result.accuracy if report is None else report.accuracy
        text += f"  perplexity {perplexity(result.watched_loss):.2f}"
        text += f"  accuracy {accuracy:.3f}"
        speed = result.n_tokens / max(result.seconds, 1e-9)
        spent = now - self._begin
        left = spent / self._n_done * (self._max_iter - self._n_done)
        left = min(left, max(0.0, self._max_time - spent))
        print(f"{text}  {speed:,.0f} tokens/s  {_clock(left)} left", flush=True)

    def _head(self, epoch: int) -> str:
        width = len(str(self._max_iter))
        return f"epoch {epoch:{width}}/{self._max_iter}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
