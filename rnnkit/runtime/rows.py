# SPDX-License-Identifier: BSD-3-Clause
"""Several running texts side by side, fed a token each at a time."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from rnnkit.core import Window
from rnnkit.runtime.sweep import Engine


class Rows(Protocol):
    """Running texts, one a row; what a search over continuations needs of a model."""

    def log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the next token of each row, (B, V)."""

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be taken several times."""

    def feed(self, tokens: Sequence[int]) -> None:
        """Give each row its next token."""


Start = Callable[[Sequence[np.ndarray]], Rows]  # from what was read to running texts


def as_read(prompt: np.ndarray, end_id: int) -> np.ndarray:
    """Return what a model reads of a prompt: the end of what was before, then it."""
    return np.concatenate([np.array([end_id], np.int32), prompt])


class ModelRows:
    """Running texts of one network.

    Parameters
    ----------
    engine : Engine
        The network.
    prompts : sequence of (n,) int32 arrays
        What each row has read so far: at least the end token before a document.
    n_threads : int
        Threads of the core.
    """

    def __init__(
        self, engine: Engine, prompts: Sequence[np.ndarray], n_threads: int
    ) -> None:
        self._engine = engine
        self._n_threads = n_threads
        states = [engine.state(1) for _ in prompts]
        for ids, state in zip(prompts, states, strict=True):
            engine.read(ids[:-1], state, n_threads)
        self._state = engine.gather(states, range(len(prompts)))
        self._window: Window | None = None
        self._log_probabilities: np.ndarray
        self.feed([ids[-1] for ids in prompts])

    def log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the next token of each row, (B, V)."""
        return self._log_probabilities

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be taken several times."""
        if list(rows) == list(range(self._state.batch_size)):
            return
        self._state = self._engine.gather([self._state], rows)
        self._log_probabilities = self._log_probabilities[rows]
        self._window = None

    def feed(self, tokens: Sequence[int]) -> None:
        """Give each row its next token."""
        if self._window is None:
            programs = self._engine.network.programs()
            n_rows = self._state.batch_size
            self._window = Window(self._engine.weights, programs, 1, n_rows)
        ids = np.array([tokens], np.int32)
        self._log_probabilities = self._window.predict(
            ids, self._state, n_threads=self._n_threads
        )
