# SPDX-License-Identifier: BSD-3-Clause
"""A running text: feed it, ask for the next token, copy the state, go on."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from rnnkit.core import Window
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.sampling import likeliest
from rnnkit.runtime.sweep import Engine


class Stream:
    """The state of a model after some text; made by `stream()` of a model.

    Memory and the cost of a token do not depend on how much has been fed. One thread
    may use a stream at a time; several streams of one model may run at once.
    """

    def __init__(self, engine: Engine, encoder: Encoder, n_threads: int) -> None:
        self._engine = engine
        self._encoder = encoder
        self._n_threads = n_threads
        self._window = Window(engine.weights, engine.network.programs(), 1, 1)
        self.reset()

    def reset(self) -> Self:
        """Go back to the start of a document."""
        self._state = self._engine.state(1)
        self._last = np.array([self._encoder.end_id], np.int32)
        self._log_probabilities: np.ndarray | None = None
        return self

    def copy(self) -> "Stream":
        """Return a stream that stands where this one does and goes its own way."""
        other = object.__new__(Stream)
        other._engine = self._engine
        other._encoder = self._encoder
        other._n_threads = self._n_threads
        other._log_probabilities = self._log_probabilities
        other._last = self._last
        other._state = self._state.copy()
        programs = self._engine.network.programs()
        other._window = Window(self._engine.weights, programs, 1, 1)
        return other

    def feed(self, text: Any) -> Self:
        """Read more of the document.

        Parameters
        ----------
        text : str, or sequence of int for a model of ids
            Is tokenized by itself: end it where a token ends.

        Raises
        ------
        InputError, InputTypeError
            As for a prompt.
        """
        self.feed_ids(self._encoder.prompts([text])[0].ids)
        return self

    def feed_ids(self, ids: np.ndarray) -> None:
        """Read more ids; the last waits for whoever wants to know what follows."""
        if not len(ids):
            return
        if self._log_probabilities is None:
            ids = np.concatenate([self._last, ids])
        self._engine.read(ids[:-1], self._state, self._n_threads)
        self._last = np.array(ids[-1:], np.int32)
        self._log_probabilities = None

    def log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the next token, (V,)."""
        if self._log_probabilities is None:
            rows = self._window.predict(
                self._last[:, None], self._state, n_threads=self._n_threads
            )
            self._log_probabilities = rows[0]
        return self._log_probabilities

    def predict_next_proba(self) -> np.ndarray:
        """Return the probabilities of the next token, (V,)."""
        probabilities: np.ndarray = np.exp(self.log_probabilities())
        return probabilities

    def predict_next(self, k: int = 5) -> list[tuple[Any, float]]:
        """Return the `k` likeliest next tokens with their probabilities, best first."""
        return ranked(self.log_probabilities(), k, self._encoder.tokens.__getitem__)


def ranked(
    log_probabilities: np.ndarray, k: int, token_of: Callable[[int], Any]
) -> list[tuple[Any, float]]:
    """Return the `k` likeliest tokens as (token, probability), best first."""
    return [
        (token_of(int(i)), float(np.exp(log_probabilities[i])))
        for i in likeliest(log_probabilities, k)
    ]
