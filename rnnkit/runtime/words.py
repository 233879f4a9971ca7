# SPDX-License-Identifier: BSD-3-Clause
"""Whole words after a prompt, and the rest of a word that is half typed."""

import numpy as np

from rnnkit.errors import InputError
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.rows import Start, as_read
from rnnkit.runtime.sampling import likeliest
from rnnkit.runtime.spelling import Spelling, is_word_character
from rnnkit.runtime.word_search import WordSearch
from rnnkit.tokenizers import Tokenizer

Words = list[tuple[str, float]]


class WordTokens:
    """Words from a model whose tokens are words: no search is needed."""

    def __init__(self, tokenizer: Tokenizer, start: Start) -> None:
        self._tokenizer = tokenizer
        self._start = start
        self._is_word = np.ones(tokenizer.n_tokens, bool)
        self._is_word[tokenizer.end_id] = False
        if tokenizer.unk_id is not None:
            self._is_word[tokenizer.unk_id] = False

    def next_words(self, prompt: str, k: int, **search: int) -> Words:
        """Return the likeliest words after a prompt."""
        p = self._probabilities(self._tokenizer.encode(prompt))
        return self._ranked(np.where(self._is_word, p, 0.0), k)

    def complete(self, prompt: str, k: int, **search: int) -> Words:
        """Return the likeliest words that begin as the prompt ends."""
        if not prompt or prompt[-1].isspace():
            return self.next_words(prompt, k)
        typed = self._tokenizer.tokenize(prompt)[-1]
        p = self._probabilities(self._tokenizer.encode(prompt)[:-1])
        fits = [token.startswith(typed) for token in self._tokenizer.vocabulary_]
        p = np.where(self._is_word & fits, p, 0.0)
        return self._ranked(p / p.sum(), k) if p.any() else []

    def _probabilities(self, ids: np.ndarray) -> np.ndarray:
        rows = self._start([as_read(ids, self._tokenizer.end_id)])
        return np.exp(rows.log_probabilities()[0].astype(np.float64))

    def _ranked(self, p: np.ndarray, k: int) -> Words:
        vocabulary = self._tokenizer.vocabulary_
        return [(vocabulary[i], float(p[i])) for i in likeliest(p, k) if p[i] > 0.0]


class SpelledWords:
    """Words from a model whose tokens spell them: characters, bytes, subwords."""

    def __init__(self, tokenizer: Tokenizer, spelling: Spelling, start: Start) -> None:
        self._tokenizer = tokenizer
        self._spelling = spelling
        self._start = start

    def next_words(self, prompt: str, k: int, **search: int) -> Words:
        """Return the likeliest words after a prompt, whose last word is whole."""
        return self._search(prompt, b"", bool(_half_word(prompt)), k, **search)

    def complete(self, prompt: str, k: int, **search: int) -> Words:
        """Return the likeliest words that begin as the prompt ends.

        What is typed of the word is taken back, and the white space before it, which
        may belong to the same token; the continuation is known to begin with both.
        """
        typed = _half_word(prompt)
        if not typed:
            return self.next_words(prompt, k, **search)
        before = prompt.removesuffix(typed).rstrip()
        given = self._as_read(prompt).removeprefix(self._as_read(before))
        read = given.lstrip()  # in lower case, if the tokenizer has it so
        if not read:  # the tokenizer has no letters for it
            return []
        words = self._search(before, given.encode(), False, k, **search)
        return [(typed + word.removeprefix(read), p) for word, p in words]

    def _search(
        self, prompt: str, given: bytes, ends_word: bool, k: int, **search: int
    ) -> Words:
        ids = self._tokenizer.encode(prompt)
        rows = self._start([as_read(ids, self._tokenizer.end_id)])
        found = WordSearch(self._spelling, n_words=k, **search).run(
            rows, given=given, ends_word=ends_word, is_start=not len(ids)
        )
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:k]

    def _as_read(self, text: str) -> str:
        return self._tokenizer.decode(self._tokenizer.encode(text))


def words_of(encoder: Encoder, start: Start) -> WordTokens | SpelledWords:
    """Return what finds words with the tokens of a model.

    Raises
    ------
    InputError
        They are ids, and spell nothing.
    """
    tokenizer = encoder.tokenizer
    if tokenizer is None:
        raise InputError(
            "this model reads ids, it knows no words; ask predict_next instead"
        )
    if tokenizer.tokens_are_words:
        return WordTokens(tokenizer, start)
    return SpelledWords(tokenizer, encoder.spelling, start)


def _half_word(text: str) -> str:
    """Return the word that a text breaks off in; "" where it ends between words."""
    start = len(text)
    while start > 0 and is_word_character(text[start - 1]):
        start -= 1
    return text[start:]
