# SPDX-License-Identifier: BSD-3-Clause
"""What a fitted language model can be asked, whichever estimator has fitted it."""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from rnnkit.estimators.checks import check_parameter
from rnnkit.runtime.model import LanguageModel
from rnnkit.runtime.rescoring import Ranking
from rnnkit.runtime.scorer import TokenScores
from rnnkit.runtime.scoring import Evaluation
from rnnkit.runtime.stream import Stream

READING = ("carry_state", "input", "documents", "n_threads")


class PredictionMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Methods that ask the runtime model `_model`, as the parameters of now say.

    The model never changes, so any number of threads may ask; `fit` puts another one in
    its place.
    """

    _model: LanguageModel

    @abstractmethod
    def _storable(self) -> LanguageModel:
        """Return the model with what a file keeps of the estimator."""

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood per token, in nats: higher is better.

        Every document's end is a token too. With `carry_state` the documents are one
        running text, else each is read from the initial state.
        """
        return self._fitted().score(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-likelihood of each document, in nats, (n_documents,)."""
        return self._fitted().score_samples(X)

    def score_tokens(self, X: Any) -> list[TokenScores]:
        """Return the log-probability of every token of each document.

        Returns
        -------
        list of TokenScores
            One a document: `ids`, `tokens` and `log_probabilities`, its end included.
            Their sum is what `score_samples` gives.
        """
        return self._fitted().score_tokens(X)

    def perplexity(self, X: Any) -> float:
        """Return exp(-score)."""
        return self._fitted().perplexity(X)

    def accuracy(self, X: Any) -> float:
        """Return the part of the tokens that the model thought the likeliest."""
        return self._fitted().accuracy(X)

    def evaluate(self, X: Any) -> Evaluation:
        """Return score, perplexity and accuracy with the counts that they rest on."""
        return self._fitted().evaluate(X)

    def rescore(
        self,
        hypotheses: Any,
        scores: Any = None,
        *,
        weight: float = 1.0,
        length_penalty: float = 0.0,
    ) -> list[Ranking]:
        """Put the hypotheses of another system in the order of their total scores.

        Parameters
        ----------
        hypotheses : iterable of lists of str
            Lists of alternatives; each is read from the initial state.
        scores : sequence of sequences of float, optional
            Logarithms, one a hypothesis: higher is better.
        weight : float, default=1.0
            What the model's log-likelihood counts beside them.
        length_penalty : float, default=0.0
            The log-likelihood is divided by number of tokens ** length_penalty.

        Returns
        -------
        list of Ranking
            For each list `order`, best first, and the total `scores`.
        """
        return self._fitted().rescore(
            hypotheses, scores, weight=weight, length_penalty=length_penalty
        )

    def predict_next(self, prompts: Any, k: int = 5) -> list[list[tuple[Any, float]]]:
        """Return for each prompt the `k` likeliest next tokens as (token, probability).

        Parameters
        ----------
        prompts : str or list of str
            Beginnings of documents; "" asks for the first token. Sequences of ids for a
            model of ids.
        k : int, default=5
            At most the whole vocabulary is given.
        """
        return self._fitted().predict_next(prompts, k)

    def predict_next_proba(self, prompts: Any) -> np.ndarray:
        """Return the probability of each token after each prompt, (n_prompts, V)."""
        return self._fitted().predict_next_proba(prompts)

    def predict_next_words(
        self, prompts: Any, k: int = 5, *, max_tokens: int = 32, num_beams: int = 32
    ) -> list[list[tuple[str, float]]]:
        """Return for each prompt the `k` likeliest next words as (word, probability).

        Whatever the tokens are: characters, bytes and subwords are put together, and
        their probabilities summed, up to the word's end. The prompt's last word is
        taken to be whole.

        Parameters
        ----------
        prompts : str or list of str
            As in `predict_next`.
        k : int, default=5
            Less are given where less are found.
        max_tokens : int, default=32
            Words of more tokens are not found.
        num_beams : int, default=32
            Beginnings of words that are followed at a time.

        See Also
        --------
        rnnkit.runtime.LanguageModel.predict_next_words : what a word is, and the exact
            meaning of its probability.
        """
        return self._fitted().predict_next_words(
            prompts, k, max_tokens=max_tokens, num_beams=num_beams
        )

    def complete(
        self, prompts: Any, k: int = 5, *, max_tokens: int = 32, num_beams: int = 32
    ) -> list[list[tuple[str, float]]]:
        """Return for each prompt the `k` likeliest words that its last one may become.

        Parameters
        ----------
        prompts : str or list of str
            Texts that break off within a word.
        k, max_tokens, num_beams : int
            As in `predict_next_words`.

        Returns
        -------
        list of lists of (word, probability)
            Whole words; the probability is among all words that begin so.
        """
        return self._fitted().complete(
            prompts, k, max_tokens=max_tokens, num_beams=num_beams
        )

    def generate(self, prompts: Any = "", **options: Any) -> Any:
        """Write on from each prompt until its document ends.

        Parameters
        ----------
        prompts : str or list of str, default=""
            Beginnings of documents, or ids as in `predict_next`.
        **options
            Those of `rnnkit.runtime.GenerationConfig`, which tells of each:
            max_new_tokens=50, min_new_tokens=0, temperature=1.0, top_k=None,
            top_p=None, random_state=None, repetition_penalty=1.0,
            no_repeat_ngram_size=None, bad_words=None, stop=None, num_beams=1,
            length_penalty=1.0, num_return_sequences=1.

        Returns
        -------
        str, or list of str
            The continuations alone, without the unknown token; arrays of ids for a
            model of ids. With `num_return_sequences` above 1 a list for each prompt.
        """
        return self._fitted().generate(prompts, **options)

    def transform(self, X: Any) -> np.ndarray:
        """Return one vector a document: the mean of the top layer, (n_documents, H)."""
        return self._fitted().transform(X)

    def stream(self) -> Stream:
        """Return a running text: feed it, ask for the next token, copy the state."""
        return self._fitted().stream()

    def quantize(self, X: Any = None) -> LanguageModel:
        """Return the model with weights of int8: small, fast, a little worse.

        A quarter of the memory, and one token alone takes a small part of the time. It
        has all the methods that ask, and `save`; it does not train, and the estimator
        stays as it is.

        Parameters
        ----------
        X : iterable of str, optional
            Documents that it was not trained on: their perplexity before and after is
            printed.

        Raises
        ------
        ParameterError
            The weights are int8 already, as after loading such a file.

        See Also
        --------
        rnnkit.runtime.LanguageModel.quantize : what becomes of the weights.
        """
        return self._storable().quantize(X)

    def to_runtime(self) -> LanguageModel:
        """Return the model without the estimator, as `rnnkit.runtime.load` gives it.

        What is made of models takes it, and estimators alike: `NeuralCache` and its
        neighbours in `rnnkit.runtime`.
        """
        return self._fitted()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    @property
    def _n_features_out(self) -> int:
        return self._fitted().network.config.hidden_size

    def _fitted(self) -> LanguageModel:
        """Return the model with the parameters of now that say how X is read."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "this RNNLanguageModel is not fitted yet: call fit or partial_fit first"
            )
        options = {name: getattr(self, name) for name in READING}
        for name, value in options.items():
            check_parameter(name, value)
        return self._model.with_options(**options)
