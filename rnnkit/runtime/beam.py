# SPDX-License-Identifier: BSD-3-Clause
"""Beam search: likely continuations of a prompt, a few at hand at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnnkit.runtime.controls import Controls
from rnnkit.runtime.generation_config import GenerationConfig
from rnnkit.runtime.rows import Rows
from rnnkit.runtime.sampling import likeliest


@dataclass(frozen=True)
class Hypothesis:
    """A continuation on trial; the end token counts, but is not among its ids."""

    ids: tuple[int, ...] = ()
    log_probability: float = 0.0
    n_tokens: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the document ends here."""
        return len(self.ids) < self.n_tokens


class BeamSearch:
    """A search for the continuations of the highest score.

    The score is log-probability / number of tokens ** length_penalty. At each step all
    hypotheses are extended by all tokens. Of the extensions, the likeliest first, the
    first `num_beams` that are not complete go on; those that are complete are results
    when they stand among the first `num_beams`. What goes on until `max_new_tokens` is
    a result as well. The search ends sooner only where nothing that goes on can still
    become one of the best.

    Parameters
    ----------
    controls : Controls
        What may be written.
    is_complete : function
        Whether tokens are a whole continuation, though the document has not ended.
    config : GenerationConfig
        For `num_beams`, `num_return_sequences`, `max_new_tokens`, `length_penalty`.
    """

    def __init__(
        self,
        controls: Controls,
        is_complete: Callable[[Sequence[int]], bool],
        config: GenerationConfig,
    ) -> None:
        self._controls = controls
        self._is_complete = is_complete
        self._config = config

    def run(self, rows: Rows, prompt: np.ndarray) -> list[list[int]]:
        """Return the tokens of the best continuations, best first.

        Parameters
        ----------
        rows : Rows
            One row, that has read the prompt.
        prompt : (n,) int32 array
            The same, for the controls.
        """
        n_beams, most = self._config.num_beams, self._config.max_new_tokens
        running, results = [Hypothesis()], list[Hypothesis]()
        for n_tokens in range(1, most + 1):
            parents, going_on = [], list[Hypothesis]()
            for rank, (parent, new) in enumerate(
                self._extensions(rows, running, prompt)
            ):
                if new.has_ended or self._is_complete(new.ids):
                    results += [new] if rank < n_beams else []
                elif len(going_on) < n_beams:
                    parents.append(parent)
                    going_on.append(new)
            running, results = going_on, self._best(results)
            if self._is_decided(running, results):
                return [list(hypothesis.ids) for hypothesis in results]
            if n_tokens < most:
                rows.take(parents)
                rows.feed([hypothesis.ids[-1] for hypothesis in running])
        return [list(hypothesis.ids) for hypothesis in self._best(results + running)]

    def _extensions(
        self, rows: Rows, running: list[Hypothesis], prompt: np.ndarray
    ) -> Iterator[tuple[int, Hypothesis]]:
        """Yield the likeliest extensions, each with the place of what it extends."""
        scores = np.stack(
            [
                old.log_probability + self._controls.apply(log_p, prompt, old.ids)
                for old, log_p in zip(running, rows.log_probabilities(), strict=True)
            ]
        )
        # A hypothesis ends in one way: at least half of so many do not end here.
        for place in likeliest(scores.ravel(), 2 * self._config.num_beams):
            parent, token = divmod(int(place), scores.shape[1])
            log_probability = float(scores[parent, token])
            if log_probability == -np.inf:
                return
            old = running[parent]
            ids = old.ids if token == self._controls.end_id else (*old.ids, token)
            yield parent, Hypothesis(ids, log_probability, old.n_tokens + 1)

    def _score(self, log_probability: float, n_tokens: int) -> float:
        return float(log_probability / max(1, n_tokens) ** self._config.length_penalty)

    def _best(self, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """Return as many as are asked for, best first; of equals the first found."""
        ranked = sorted(
            hypotheses, key=lambda h: -self._score(h.log_probability, h.n_tokens)
        )
        return ranked[: self._config.num_return_sequences]

    def _is_decided(self, running: list[Hypothesis], results: list[Hypothesis]) -> bool:
        """Whether nothing that goes on can become better than the results.

        A log-probability only falls: the best that a hypothesis can come to is what it
        has now, at its least or at its greatest length.
        """
        if not running:
            return True
        if len(results) < self._config.num_return_sequences:
            return False
        lengths = (running[0].n_tokens + 1, self._config.max_new_tokens)
        hope = max(self._score(running[0].log_probability, n) for n in lengths)
        worst = results[-1]
        return hope <= self._score(worst.log_probability, worst.n_tokens)
