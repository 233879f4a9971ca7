# SPDX-License-Identifier: BSD-3-Clause
"""Whatever gives documents a probability, and what can be asked of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np

from rnnkit.errors import InputTypeError
from rnnkit.model import Network
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.options import Options, resolve_threads
from rnnkit.runtime.requests import check_real
from rnnkit.runtime.rescoring import Ranking, check_lists, check_scores, rank
from rnnkit.runtime.scoring import Evaluation, perplexity, score_tokens, summarise
from rnnkit.runtime.sweep import Step


@dataclass(frozen=True)
class TokenScores:
    """How well each token of one document was predicted, its end included.

    Attributes
    ----------
    ids : (n + 1,) int32 array
        What was predicted; the last one is the end of the document.
    tokens : list
        The same as the vocabulary shows them; an unknown token is "<unk>".
    log_probabilities : (n + 1,) float64 array
        Of each, given all that stands before it, in nats.
    """

    ids: np.ndarray
    tokens: list[Any]
    log_probabilities: np.ndarray


class Scorer(ABC):
    """A distribution over documents.

    A subclass says in `_score` how likely the tokens of a corpus are; all that can be
    asked about texts follows from it. Never changes after it is made.

    Attributes
    ----------
    encoder : Encoder
        Text to ids and back.
    options : Options
        How to read what is given.
    """

    encoder: Encoder
    options: Options

    @abstractmethod
    def _score(
        self, corpus: Corpus, *, carry_state: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return of each target its log-likelihood, (N,), and whether it was likeliest.

        The targets are `corpus.targets`: the tokens and ends of all documents in order.
        """

    def _log_likelihood(self, corpus: Corpus, *, carry_state: bool) -> np.ndarray:
        """Return the first of what `_score` gives; for those that can do it faster."""
        return self._score(corpus, carry_state=carry_state)[0]

    def with_options(self, **changes: Any) -> Self:
        """Return the same model, sharing all that is large, with other options."""
        return self._sharing(options=replace(self.options, **changes))

    def _sharing(self, **attributes: Any) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **attributes)
        return other

    @property
    def n_threads(self) -> int:
        """Threads that a call may use."""
        return resolve_threads(self.options.n_threads)

    # ---------------------------------------------------------------------- scoring

    def evaluate(self, X: Iterable[Any]) -> Evaluation:
        """Return how well the documents are predicted, with the counts behind it."""
        documents = self._read(X)
        corpus = self.encoder.encode(documents)
        log_likelihood, hits = self._score(corpus, carry_state=self.options.carry_state)
        return summarise(
            corpus,
            log_likelihood,
            hits,
            unk_id=self.encoder.unk_id,
            n_characters=self.encoder.n_characters(documents),
        )

    def score(self, X: Iterable[Any]) -> float:
        """Return the mean log-likelihood per token, in nats, ends included."""
        log_likelihood, _ = self._scored(X)
        return math.fsum(log_likelihood) / len(log_likelihood)

    def perplexity(self, X: Iterable[Any]) -> float:
        """Return exp(-score)."""
        return perplexity(-self.score(X))

    def accuracy(self, X: Iterable[Any]) -> float:
        """Return the part of the tokens that the model thought the likeliest."""
        return self.evaluate(X).accuracy

    def score_samples(self, X: Iterable[Any]) -> np.ndarray:
        """Return the log-likelihood of each document, in nats, (n_documents,)."""
        log_likelihood, targets = self._scored(X)
        return np.add.reduceat(log_likelihood, targets.offsets[:-1])

    def score_tokens(self, X: Iterable[Any]) -> list[TokenScores]:
        """Return the log-probability of every token of each document.

        Parameters
        ----------
        X : iterable of str
            Documents, as in `score`.

        Returns
        -------
        list of TokenScores
            One a document: `ids`, `tokens` and `log_probabilities`, its end included.
            Their sum is what `score_samples` gives.
        """
        log_likelihood, targets = self._scored(X)
        vocabulary = self.encoder.tokens
        scores = np.split(log_likelihood, targets.offsets[1:-1])
        return [
            TokenScores(ids, [vocabulary[i] for i in ids], log_probabilities)
            for ids, log_probabilities in zip(targets.documents(), scores, strict=True)
        ]

    def rescore(
        self,
        hypotheses: Iterable[Iterable[Any]],
        scores: Sequence[Sequence[float]] | None = None,
        *,
        weight: float = 1.0,
        length_penalty: float = 0.0,
    ) -> list[Ranking]:
        """Put the hypotheses of another system in the order of their total scores.

        The total is log-linear: the score that was given, and `weight` times the
        model's log-likelihood of the whole document, end included, divided by its
        number of tokens ** `length_penalty`.

        Parameters
        ----------
        hypotheses : iterable of lists of str
            Lists of alternatives, "n-best lists"; sequences of ids for a model of ids.
            Each hypothesis is read from the initial state.
        scores : sequence of sequences of float, optional
            Logarithms, one a hypothesis: higher is better. Without them the model
            decides alone.
        weight : float, default=1.0
            What the model counts beside them, at least 0.
        length_penalty : float, default=0.0
            0 takes the log-likelihood as it is, which favours short documents; 1 its
            mean per token. As in `generate`.

        Returns
        -------
        list of Ranking
            For each list `order`, best first, and the total `scores`.

        Raises
        ------
        InputError, InputTypeError
            The hypotheses are no lists of documents, or the scores do not fit them.
        ParameterError
            A number is out of range.
        """
        weight = check_real("weight", weight, 0.0)
        length_penalty = check_real("length_penalty", length_penalty, -math.inf)
        lists = check_lists(hypotheses)
        given = check_scores(scores, lists)
        reader = self.with_options(carry_state=False, input="content")
        log_likelihood, targets = reader._scored([h for part in lists for h in part])
        sums = np.add.reduceat(log_likelihood, targets.offsets[:-1])
        totals = np.concatenate(given) + weight * sums / targets.lengths**length_penalty
        ends = np.cumsum([len(part) for part in lists])
        return [rank(part) for part in np.split(totals, ends[:-1])]

    def _scored(self, X: Iterable[Any]) -> tuple[np.ndarray, Corpus]:
        """Return the log-likelihood of each target, and the targets."""
        corpus = self.encoder.encode(self._read(X))
        log_likelihood = self._log_likelihood(
            corpus, carry_state=self.options.carry_state
        )
        return log_likelihood, corpus.targets(self.encoder.end_id)

    def _read(self, X: Iterable[Any]) -> list[Any]:
        return self.encoder.read(X, self.options.input, self.options.documents)


class NetworkScorer(Scorer):
    """A Scorer that runs one network over a text, and can show each step of it.

    Attributes
    ----------
    network : Network
    """

    network: Network

    @abstractmethod
    def _steps(
        self, corpus: Corpus, *, carry_state: bool, n_threads: int
    ) -> Iterator[Step]:
        """Run over a corpus; of each step the window holds what it gave."""

    def _score(
        self, corpus: Corpus, *, carry_state: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        steps = self._steps(corpus, carry_state=carry_state, n_threads=self.n_threads)
        return score_tokens(steps, len(corpus.ids) + len(corpus))


S = TypeVar("S", bound=Scorer)


def unwrapped(model: Any, kind: type[S]) -> S:
    """Return a model that is checked to be of a kind; of an estimator, its model."""
    found = model.to_runtime() if hasattr(model, "to_runtime") else model
    if not isinstance(found, kind):
        raise InputTypeError(
            f"a model is of type {type(model).__name__}; allowed: a fitted estimator, "
            f"or a {kind.__name__} of rnnkit.runtime"
        )
    return found
