# SPDX-License-Identifier: BSD-3-Clause
"""How to write on from a prompt: every option of `generate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from rnnkit.errors import ParameterError
from rnnkit.runtime.requests import check_integer, check_real


@dataclass(frozen=True)
class GenerationConfig:
    """How to write on; the names are those of Hugging Face's class.

    Parameters
    ----------
    max_new_tokens : int, default=50
        Stop after so many tokens where the document has not ended before.
    min_new_tokens : int, default=0
        The document may not end before so many.
    temperature : float, default=1.0
        Divides the log-probabilities: below 1 safer, above 1 bolder, 0 always the
        likeliest token.
    top_k : int, optional
        Draw from this many likeliest tokens only.
    top_p : float, optional
        Draw from the fewest likeliest tokens that hold this probability together.
    random_state : None, int, or generator of NumPy's
        The draws of a continuation depend on it, on the prompt's place and on the
        continuation's number alone.
    repetition_penalty : float, default=1.0
        Multiplies the log-probability of each token that the prompt or the continuation
        holds; above 1 they come less often (Keskar et al., 2019, who divide scores).
    no_repeat_ngram_size : int, optional
        No sequence of so many tokens occurs twice in prompt and continuation.
    bad_words : list of str, optional
        What is not written: the tokens of each, one after the other. Lists of ids for a
        model of ids.
    stop : str or list of str, optional
        Stop where one of these texts appears; the continuation ends before it.
    num_beams : int, default=1
        Above 1: do not draw, but search for likely continuations with so many at hand.
    length_penalty : float, default=1.0
        The search ranks by log-probability / number of tokens ** length_penalty.
    num_return_sequences : int, default=1
        How many continuations to give of each prompt; of a search the best ones, where
        there are so many.
    """

    max_new_tokens: int = 50
    min_new_tokens: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    random_state: Any = None
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int | None = None
    bad_words: Sequence[Any] | None = None
    stop: str | Sequence[str] | None = None
    num_beams: int = 1
    length_penalty: float = 1.0
    num_return_sequences: int = 1

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make one of keywords; an unknown one is a ParameterError."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ParameterError(
                    f"generate has no option {name!r}; allowed: {', '.join(known)}"
                )
        return cls(**options)

    def __post_init__(self) -> None:
        check_integer("max_new_tokens", self.max_new_tokens, 0)
        check_integer("min_new_tokens", self.min_new_tokens, 0)
        check_real("temperature", self.temperature, 0.0)
        check_real("length_penalty", self.length_penalty, -np.inf)
        for name in ("num_beams", "num_return_sequences"):
            check_integer(name, getattr(self, name), 1)
        for name in ("top_k", "no_repeat_ngram_size"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)
        if self.top_p is not None:
            check_real("top_p", self.top_p, 0.0, 1.0)
        if not check_real("repetition_penalty", self.repetition_penalty, 0.0) > 0.0:
            raise ParameterError("repetition_penalty=0; allowed: a number > 0")
        if not all(isinstance(text, str) and text for text in self.stops):
            raise ParameterError(
                f"stop={self.stop!r}; allowed: a text that is not empty, or several"
            )
        if isinstance(self.bad_words, str):
            raise ParameterError(
                f"bad_words={self.bad_words!r}; allowed: a list, of texts"
            )
        if self.num_beams > 1:
            self._check_search()

    def _check_search(self) -> None:
        """Refuse settings of draws beside a search, and more results than beams."""
        if (self.temperature, self.top_k, self.top_p) != (1.0, None, None):
            raise ParameterError(
                f"num_beams={self.num_beams} searches and draws nothing; leave out "
                "temperature, top_k and top_p, or set num_beams=1"
            )
        if self.num_return_sequences > self.num_beams:
            raise ParameterError(
                f"num_return_sequences={self.num_return_sequences}; allowed: at most "
                f"num_beams={self.num_beams}"
            )

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a continuation."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
