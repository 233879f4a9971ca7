# SPDX-License-Identifier: BSD-3-Clause
"""Writing on from prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnkit.errors import InputTypeError, ParameterError
from rnnkit.runtime.beam import BeamSearch
from rnnkit.runtime.controls import Controls
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.generation_config import GenerationConfig
from rnnkit.runtime.rows import Rows, Start, as_read
from rnnkit.runtime.sampling import draw, seed_from, uniform
from rnnkit.runtime.sweep import MAX_ROWS


def generate(
    start: Start,
    encoder: Encoder,
    prompts: Sequence[np.ndarray],
    config: GenerationConfig,
) -> list[list[Any]]:
    """Return the continuations of each prompt, as documents.

    Parameters
    ----------
    start : function
        Makes running texts of prompts that begin with the end token.
    encoder : Encoder
        Text to ids and back.
    prompts : sequence of (n,) int32 arrays
        Beginnings of documents.
    config : GenerationConfig
        How.
    """
    controls = _controls(encoder, config)
    stops = Stops(encoder, config.stops)
    if config.num_beams > 1:
        search = BeamSearch(controls, stops.reached, config)
        found = [
            search.run(start([as_read(prompt, encoder.end_id)]), prompt)
            for prompt in prompts
        ]
    else:
        found = _sampled(start, prompts, controls, stops.reached, config)
    return [[stops.cut(ids) for ids in sequences] for sequences in found]


class Stops:
    """Whether and where a continuation has come to one of some texts."""

    def __init__(self, encoder: Encoder, stops: tuple[str, ...]) -> None:
        if stops and encoder.tokenizer is None:
            raise ParameterError(
                f"stop={stops!r}: this model reads ids, it writes no text to stop at"
            )
        self._decode = encoder.decode
        self._stops = stops

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether one of the texts stands in the continuation."""
        if not self._stops:
            return False
        text = self._decode(ids)
        return any(stop in text for stop in self._stops)

    def cut(self, ids: Sequence[int]) -> Any:
        """Return the continuation, cut before the first of the texts."""
        document = self._decode(ids)
        for stop in self._stops:
            document = document.partition(stop)[0]
        return document


def _controls(encoder: Encoder, config: GenerationConfig) -> Controls:
    bad_words: list[np.ndarray] = []
    if config.bad_words:
        corpus, is_single = encoder.prompts(config.bad_words)
        if is_single:
            raise InputTypeError(
                f"bad_words={config.bad_words!r}; allowed: a list of sequences of ids"
            )
        bad_words = corpus.documents()
        if not all(map(len, bad_words)):
            raise ParameterError(
                f"bad_words={config.bad_words!r}: one of them has no tokens"
            )
    return Controls(
        end_id=encoder.end_id,
        unk_id=encoder.unk_id,
        min_new_tokens=config.min_new_tokens,
        repetition_penalty=config.repetition_penalty,
        no_repeat_ngram_size=config.no_repeat_ngram_size,
        bad_words=bad_words,
    )


def _sampled(
    start: Start,
    prompts: Sequence[np.ndarray],
    controls: Controls,
    is_complete: Callable[[Sequence[int]], bool],
    config: GenerationConfig,
) -> list[list[list[int]]]:
    """Return the tokens of each continuation of each prompt, drawn at random."""
    n_each = config.num_return_sequences
    seed = seed_from(config.random_state)
    found: list[list[list[int]]] = []
    n_prompts = max(1, MAX_ROWS // n_each)
    for first in range(0, len(prompts), n_prompts):
        part = prompts[first : first + n_prompts]
        rows = start([as_read(prompt, controls.end_id) for prompt in part])
        rows.take(np.repeat(range(len(part)), n_each).tolist())
        drafts = [
            _Draft(prompt, seed, first + i + (j << 32))
            for i, prompt in enumerate(part)
            for j in range(n_each)
        ]
        _draw_rows(rows, drafts, controls, is_complete, config)
        new = [draft.new for draft in drafts]
        found += [new[i : i + n_each] for i in range(0, len(new), n_each)]
    return found


@dataclass
class _Draft:
    """A continuation that is being drawn."""

    prompt: np.ndarray
    seed: int
    number: int
    new: list[int] = field(default_factory=list)


def _draw_rows(
    rows: Rows,
    drafts: list[_Draft],
    controls: Controls,
    is_complete: Callable[[Sequence[int]], bool],
    config: GenerationConfig,
) -> None:
    """Write on each row until it is over."""
    for _ in range(config.max_new_tokens):
        going_on = []
        for row, (draft, log_p) in enumerate(
            zip(drafts, rows.log_probabilities(), strict=True)
        ):
            token = draw(
                controls.apply(log_p, draft.prompt, draft.new),
                uniform(draft.seed, draft.number, len(draft.new)),
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
            )
            if token == controls.end_id:
                continue
            draft.new.append(token)
            if not is_complete(draft.new):
                going_on.append(row)
        if not going_on:
            return
        drafts = [drafts[row] for row in going_on]
        rows.take(going_on)
        rows.feed([draft.new[-1] for draft in drafts])
