# SPDX-License-Identifier: BSD-3-Clause
"""Several models as one: the mean of their probabilities."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.model import LanguageModel
from rnnkit.runtime.predictor import Predictor
from rnnkit.runtime.requests import check_real
from rnnkit.runtime.rows import Rows
from rnnkit.runtime.scorer import unwrapped


class Ensemble(Predictor):
    """Models of one vocabulary, whose probabilities are averaged at each token.

    It can be asked all that a model can. How it reads what it is given it has from the
    first model, see `with_options`.

    Parameters
    ----------
    models : sequence of LanguageModel, or of fitted estimators
        At least one. Their cells and sizes may differ, their tokenizers may not.
    weights : sequence of float, optional
        What each model counts, at least 0; divided by their sum. All alike by default.

    Raises
    ------
    InputError
        The models do not have the same tokenizer and vocabulary.
    ParameterError
        The weights do not fit the models, or one of them is out of range.
    """

    def __init__(
        self, models: Iterable[Any], weights: Sequence[float] | None = None
    ) -> None:
        if isinstance(models, (str, LanguageModel)) or not isinstance(models, Iterable):
            raise InputTypeError(
                f"models is of type {type(models).__name__}; allowed: a list of models"
            )
        self.models = [unwrapped(model, LanguageModel) for model in models]
        if not self.models:
            raise InputError("models is empty: at least one model is needed")
        self.encoder = self.models[0].encoder
        self.options = self.models[0].options
        for i, model in enumerate(self.models):
            _check_same_vocabulary(self.models[0], model, i)
        self.weights = _normalised(weights, len(self.models))

    def with_options(self, **changes: Any) -> Self:
        """Return the same models with other options, all of them."""
        options = replace(self.options, **changes)
        models = [model.with_options(**changes) for model in self.models]
        return self._sharing(options=options, models=models)

    def _log_likelihood(self, corpus: Corpus, *, carry_state: bool) -> np.ndarray:
        return self._mean(
            [m._log_likelihood(corpus, carry_state=carry_state) for m in self.models]
        )

    def _score(
        self, corpus: Corpus, *, carry_state: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return also where the target is the likeliest, which takes all of p."""
        inputs = corpus.inputs(self.encoder.end_id)
        targets = corpus.targets(self.encoder.end_id).ids
        hits = np.empty(len(targets), bool)
        sweeps = [
            model.engine.sweep(
                inputs, carry_state=carry_state, n_threads=self.n_threads
            )
            for model in self.models
        ]
        # The models read alike: a step of each is at the same positions.
        for steps in zip(*sweeps, strict=True):
            parts = [step.distributions(self.n_threads) for step in steps]
            for found in zip(*parts, strict=True):
                places = found[0][0]
                mean = self._mean([log_p for _, log_p in found])
                hits[places] = mean.argmax(axis=1) == targets[places]
        return self._log_likelihood(corpus, carry_state=carry_state), hits

    def _next(self, prompts: Corpus) -> np.ndarray:
        return self._mean([model._next(prompts) for model in self.models])

    def _rows(self, prompts: Sequence[np.ndarray]) -> "EnsembleRows":
        return EnsembleRows(self, [model._rows(prompts) for model in self.models])

    def _mean(self, log_probabilities: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logarithm of the weighted mean of probabilities, float64."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        mean = np.full(log_probabilities[0].shape, -np.inf)
        for log_weight, log_p in zip(log_weights, log_probabilities, strict=True):
            np.logaddexp(mean, log_weight + log_p.astype(np.float64), out=mean)
        return mean


class EnsembleRows:
    """Running texts of several models side by side."""

    def __init__(self, ensemble: Ensemble, rows: Sequence[Rows]) -> None:
        self._ensemble = ensemble
        self._rows = rows

    def log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the next token of each row, (B, V)."""
        return self._ensemble._mean([rows.log_probabilities() for rows in self._rows])

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be taken several times."""
        for each in self._rows:
            each.take(rows)

    def feed(self, tokens: Sequence[int]) -> None:
        """Give each row its next token."""
        for each in self._rows:
            each.feed(tokens)


def _check_same_vocabulary(first: LanguageModel, other: LanguageModel, i: int) -> None:
    """Refuse a model whose ids do not mean what those of the first one mean."""
    mine, theirs = (list(model.encoder.tokens) for model in (first, other))
    if len(mine) != len(theirs):
        raise InputError(
            f"model {i} has a vocabulary of {len(theirs)} tokens, model 0 of "
            f"{len(mine)}; fit them with the same tokenizer or vocabulary"
        )
    for k, (token, its) in enumerate(zip(mine, theirs, strict=True)):
        if token != its:
            raise InputError(
                f"token {k} is {its!r} for model {i}, {token!r} for model 0; fit them "
                "with the same tokenizer or vocabulary"
            )
    if _rule(first) != _rule(other):
        raise InputError(
            f"the tokenizer of model {i} is not that of model 0: {_rule(other)} "
            f"instead of {_rule(first)}"
        )


def _rule(model: LanguageModel) -> dict[str, Any]:
    """What a tokenizer does, beside its vocabulary."""
    facts = model.encoder.describe()[0]
    state = facts.get("state", {})
    return {"name": facts.get("name"), **state}


def _normalised(weights: Sequence[float] | None, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1.0 / n)
    if len(weights) != n:
        raise ParameterError(f"weights has {len(weights)} numbers for {n} models")
    checked = np.array([check_real("weight", weight, 0.0) for weight in weights])
    if not checked.sum() > 0.0:
        raise ParameterError("weights are all 0; allowed: numbers >= 0, one above it")
    return checked / checked.sum()
