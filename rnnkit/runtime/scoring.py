# SPDX-License-Identifier: BSD-3-Clause
"""How well a network predicts a corpus, and what it makes of each document."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.sweep import Engine, Step


@dataclass(frozen=True)
class Evaluation:
    """A report of quality, with all that is needed to compare it with another one.

    Every document's end counts as a token, and as one character. Unknown tokens are
    predicted, and counted, like all others. Logarithms are natural, except in
    `bits_per_character`.
    """

    n_documents: int
    n_tokens: int
    n_unknown: int
    n_characters: int | None  # None: the documents are not texts
    n_hits: int
    log_likelihood: float

    @property
    def score(self) -> float:
        """Mean log-likelihood per token, in nats."""
        return self.log_likelihood / self.n_tokens

    @property
    def perplexity(self) -> float:
        """exp(-score)."""
        return perplexity(-self.score)

    @property
    def accuracy(self) -> float:
        """Part of the tokens that were the likeliest ones."""
        return self.n_hits / self.n_tokens

    @property
    def bits_per_character(self) -> float | None:
        """Negative log-likelihood to the base 2 per character."""
        if self.n_characters is None:
            return None
        return -self.log_likelihood / math.log(2.0) / self.n_characters


def perplexity(loss: float) -> float:
    """Return exp(loss), infinite where that is too large for a double."""
    return math.exp(loss) if loss < 709.0 else math.inf


def score_tokens(steps: Iterable[Step], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihood (N,) float64 and hit (N,) bool of each of `n` targets."""
    log_likelihood = np.empty(n)
    hits = np.empty(n, bool)
    for step in steps:
        real = step.positions >= 0
        places = step.positions[real]
        log_likelihood[places] = step.window.log_likelihood[real]
        hits[places] = step.window.hits[real]
    return log_likelihood, hits


def evaluate(
    engine: Engine,
    corpus: Corpus,
    end_id: int,
    *,
    unk_id: int | None = None,
    n_characters: int | None = None,
    carry_state: bool,
    n_threads: int,
) -> Evaluation:
    """Score a corpus as a whole."""
    inputs, targets = corpus.inputs(end_id), corpus.targets(end_id).ids
    steps = engine.sweep(inputs, targets, carry_state=carry_state, n_threads=n_threads)
    log_likelihood, hits = score_tokens(steps, len(targets))
    return summarise(
        corpus, log_likelihood, hits, unk_id=unk_id, n_characters=n_characters
    )


def summarise(
    corpus: Corpus,
    log_likelihood: np.ndarray,
    hits: np.ndarray,
    *,
    unk_id: int | None,
    n_characters: int | None,
) -> Evaluation:
    """Make a report of what was found at each target of a corpus."""
    unknown = 0 if unk_id is None else np.count_nonzero(corpus.ids == unk_id)
    return Evaluation(
        n_documents=len(corpus),
        n_tokens=len(log_likelihood),
        n_unknown=int(unknown),
        n_characters=n_characters,
        n_hits=int(np.count_nonzero(hits)),
        log_likelihood=math.fsum(log_likelihood),
    )


def next_log_probabilities(
    engine: Engine, prompts: Corpus, end_id: int, *, n_threads: int
) -> np.ndarray:
    """Return the log-probabilities of the token after each prompt, (D, V)."""
    inputs = prompts.inputs(end_id)
    config = engine.network.config
    result = np.empty((len(inputs), config.vocab_size), config.dtype)
    document = np.full(len(inputs.ids), -1)
    document[inputs.offsets[1:] - 1] = np.arange(len(inputs))
    for step in engine.sweep(inputs, n_threads=n_threads):
        here = np.where(step.positions >= 0, document[step.positions], -1).ravel()
        ends = np.flatnonzero(here >= 0).astype(np.int32)
        if len(ends):
            rows = step.window.log_probabilities(ends, n_threads=n_threads)
            result[here[ends]] = rows
    return result


def mean_outputs(
    engine: Engine, corpus: Corpus, end_id: int, *, carry_state: bool, n_threads: int
) -> np.ndarray:
    """Return the mean of the top layer's outputs over each document, (D, H)."""
    inputs = corpus.inputs(end_id)
    config = engine.network.config
    sums = np.zeros((len(inputs), config.hidden_size))
    document = np.repeat(np.arange(len(inputs)), inputs.lengths)
    for step in engine.sweep(inputs, carry_state=carry_state, n_threads=n_threads):
        real = step.positions >= 0
        # Added step by step in double: the sum is the same in any batch.
        np.add.at(sums, document[step.positions[real]], step.window.outputs()[real])
    means: np.ndarray = sums / inputs.lengths[:, None]
    return means.astype(config.dtype)
