# SPDX-License-Identifier: BSD-3-Clause
"""Unigram and bigram models, what a language model has to beat.

Witten & Bell's (1991) interpolation: after a context seen n times with t different
successors, the next lower order speaks with weight t / (n + t). The orders here are
bigram, unigram, uniform.
"""

import numpy as np


class WittenBell:
    """Smoothed unigram and bigram probabilities of a stream of token ids.

    Parameters
    ----------
    stream : ndarray of int, shape (n,)
        The training text: the end token, then documents, each closed by the end token.
        Its first token is context only.
    vocab_size : int
        Number of tokens, V; every id is below it.
    """

    def __init__(self, stream: np.ndarray, vocab_size: int) -> None:
        stream = np.asarray(stream, np.int64)
        tokens, contexts = stream[1:], stream[:-1]
        count = np.bincount(tokens, minlength=vocab_size)
        kinds = np.count_nonzero(count)
        self.vocab_size = vocab_size
        self.unigram = (count + kinds / vocab_size) / (len(tokens) + kinds)
        self._pairs, self._pair_count = np.unique(
            contexts * vocab_size + tokens, return_counts=True
        )
        self._count = np.bincount(contexts, minlength=vocab_size)
        self._kinds = np.bincount(self._pairs // vocab_size, minlength=vocab_size)

    def bigram(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Probability of each token after its context, shape (n,)."""
        contexts, tokens = np.asarray(contexts, np.int64), np.asarray(tokens, np.int64)
        pairs = contexts * self.vocab_size + tokens
        place = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        seen = np.where(self._pairs[place] == pairs, self._pair_count[place], 0)
        count, kinds = self._count[contexts], self._kinds[contexts]
        interpolated = (seen + kinds * self.unigram[tokens]) / np.maximum(
            count + kinds, 1
        )
        return np.where(count > 0, interpolated, self.unigram[tokens])

    def perplexities(self, stream: np.ndarray) -> tuple[float, float]:
        """Perplexity of all tokens of a stream but its first: unigram, bigram."""
        stream = np.asarray(stream, np.int64)
        probabilities = self.unigram[stream[1:]], self.bigram(stream[:-1], stream[1:])
        unigram, bigram = (float(np.exp(-np.log(p).mean())) for p in probabilities)
        return unigram, bigram
