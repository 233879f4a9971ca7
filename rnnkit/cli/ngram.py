# SPDX-License-Identifier: BSD-3-Clause
"""Unigram and bigram models, what a language model has to beat.

Witten & Bell's (1991) interpolation: after a context seen n times with t different
successors, the next lower order speaks with weight t / (n + t). The orders here are
bigram, unigram, uniform.
"""

import numpy as np


class WittenBell:
    """Smoothed unigram and bigram probabilities of token ids.

    Parameters
    ----------
    contexts, tokens : ndarray of int, shape (n,)
        Each token of the training text and the one before it; before the first of a
        document stands the end token.
    vocab_size : int
        Number of tokens, V; every id is below it.
    """

    def __init__(
        self, contexts: np.ndarray, tokens: np.ndarray, vocab_size: int
    ) -> None:
        count = np.bincount(tokens, minlength=vocab_size)
        kinds = np.count_nonzero(count)
        self.vocab_size = vocab_size
        self.unigram = (count + kinds / vocab_size) / (len(tokens) + kinds)
        self._pairs, self._pair_count = np.unique(
            self._pair(contexts, tokens), return_counts=True
        )
        self._count = np.bincount(contexts, minlength=vocab_size)
        self._kinds = np.bincount(self._pairs // vocab_size, minlength=vocab_size)

    def bigram(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Probability of each token after its context, shape (n,)."""
        pairs = self._pair(contexts, tokens)
        place = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        seen = np.where(self._pairs[place] == pairs, self._pair_count[place], 0)
        count, kinds = self._count[contexts], self._kinds[contexts]
        unigram = self.unigram[tokens]
        known = (seen + kinds * unigram) / np.maximum(count + kinds, 1)
        return np.asarray(np.where(count > 0, known, unigram))

    def perplexities(
        self, contexts: np.ndarray, tokens: np.ndarray
    ) -> tuple[float, float]:
        """Perplexity of held-out tokens: by the unigram model, by the bigram model."""
        unigram, bigram = (
            float(np.exp(-np.log(p).mean()))
            for p in (self.unigram[tokens], self.bigram(contexts, tokens))
        )
        return unigram, bigram

    def _pair(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """One number for a context and its successor."""
        pairs: np.ndarray = np.int64(self.vocab_size) * contexts + tokens
        return pairs
