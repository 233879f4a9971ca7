# SPDX-License-Identifier: BSD-3-Clause
"""Whatever can go on with a text, and what can be asked of it."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.documents import read_prompts
from rnnkit.runtime.generation import generate
from rnnkit.runtime.generation_config import GenerationConfig
from rnnkit.runtime.requests import check_integer
from rnnkit.runtime.rows import Rows
from rnnkit.runtime.scorer import Scorer
from rnnkit.runtime.stream import ranked
from rnnkit.runtime.words import words_of


class Predictor(Scorer):
    """A distribution over documents that can be followed token by token.

    A subclass says in `_next` and `_rows` what comes after a prompt; all that can be
    asked about continuations follows from them.
    """

    @abstractmethod
    def _next(self, prompts: Corpus) -> np.ndarray:
        """Return the log-probabilities of the token after each prompt, (D, V)."""

    @abstractmethod
    def _rows(self, prompts: Sequence[np.ndarray]) -> Rows:
        """Return running texts that have read these ids."""

    def predict_next(self, prompts: Any, k: int = 5) -> list[list[tuple[Any, float]]]:
        """Return for each prompt its `k` likeliest next tokens, best first.

        Parameters
        ----------
        prompts : str or list of str
            Beginnings of documents; "" asks for the first token. For a model of ids:
            a sequence of ids, or several.
        k : int, default=5
            At most the whole vocabulary is given.

        Returns
        -------
        list of lists of (token, probability)
        """
        k = check_integer("k", k, 1)
        tokens = self.encoder.tokens
        rows = self._next(self.encoder.prompts(prompts)[0])
        return [ranked(row, k, tokens.__getitem__) for row in rows]

    def predict_next_proba(self, prompts: Any) -> np.ndarray:
        """Return the probability of every token after each prompt, (n_prompts, V)."""
        probabilities: np.ndarray = np.exp(self._next(self.encoder.prompts(prompts)[0]))
        return probabilities

    def predict_next_words(
        self, prompts: Any, k: int = 5, *, max_tokens: int = 32, num_beams: int = 32
    ) -> list[list[tuple[str, float]]]:
        """Return for each prompt its `k` likeliest next words, best first.

        A word is a run of letters, digits, marks and _ ' - (also the typographic
        apostrophe), or any other single character but white space; where tokens are
        words, it is one of these.

        Its probability is that of the document going on with this word, given that the
        prompt's last word is whole: the sum over all ways to spell it by tokens, from
        the white space before it to a token that no longer belongs to it. Together the
        words have what the end of the document and unknown tokens leave of 1.

        Parameters
        ----------
        prompts : str or list of str
            Beginnings of documents, as in `predict_next`.
        k : int, default=5
            Less are given where less are found.
        max_tokens : int, default=32
            Longer words are not found.
        num_beams : int, default=32
            How many beginnings are followed at a time; what the others would lead to is
            not counted, so that a probability is a little too small rather than too
            large. Tokens that are words need no search.

        Raises
        ------
        InputError
            The model reads ids.
        """
        words = words_of(self.encoder, self._rows)
        search = _checked_search(max_tokens, num_beams)
        k = check_integer("k", k, 1)
        texts, _ = read_prompts(prompts, with_text=True, n_ids=None)
        return [words.next_words(text, k, **search) for text in texts]

    def complete(
        self, prompts: Any, k: int = 5, *, max_tokens: int = 32, num_beams: int = 32
    ) -> list[list[tuple[str, float]]]:
        """Return for each prompt the `k` likeliest words that its last one may become.

        Parameters
        ----------
        prompts : str or list of str
            Texts that break off within a word. Where a prompt ends between words, all
            words go on with it, as in `predict_next_words`.
        k, max_tokens, num_beams : int
            As in `predict_next_words`; the tokens of what is typed count as well.

        Returns
        -------
        list of lists of (word, probability)
            Whole words, the typed letters included. The probability is that of the word
            among all that begin with these letters, the letters alone being one of
            them. None where no token fits what was typed.
        """
        words = words_of(self.encoder, self._rows)
        search = _checked_search(max_tokens, num_beams)
        k = check_integer("k", k, 1)
        texts, _ = read_prompts(prompts, with_text=True, n_ids=None)
        return [words.complete(text, k, **search) for text in texts]

    def generate(self, prompts: Any = "", **options: Any) -> Any:
        """Write on from each prompt until its document ends.

        Parameters
        ----------
        prompts : str or list of str, default=""
            Beginnings of documents, or ids as in `predict_next`.
        **options
            Those of `GenerationConfig`: max_new_tokens, min_new_tokens, temperature,
            top_k, top_p, random_state, repetition_penalty, no_repeat_ngram_size,
            bad_words, stop, num_beams, length_penalty, num_return_sequences.

        Returns
        -------
        str, or list of str
            The continuation of each prompt, as one where one was given; arrays of ids
            for a model of ids. The unknown token is never written. With
            `num_return_sequences` above 1 a list of continuations for each prompt.

        Raises
        ------
        ParameterError
            An option is unknown or out of range.
        """
        config = GenerationConfig.from_options(options)
        corpus, single = self.encoder.prompts(prompts)
        found = generate(self._rows, self.encoder, corpus.documents(), config)
        if config.num_return_sequences == 1:
            found = [sequences[0] for sequences in found]
        return found[0] if single else found


def _checked_search(max_tokens: int, num_beams: int) -> dict[str, int]:
    return {
        "max_tokens": check_integer("max_tokens", max_tokens, 1),
        "num_beams": check_integer("num_beams", num_beams, 1),
    }
