# SPDX-License-Identifier: BSD-3-Clause
"""A search over tokens for the words that they spell."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from rnnkit.runtime.rows import Rows
from rnnkit.runtime.sampling import likeliest
from rnnkit.runtime.spelling import Spelling, first_word

NEGLIGIBLE = 1e-4  # what is still on its way, beside the least of the answers


@dataclass(frozen=True)
class Beginning:
    """Tokens on the way to a word: what they spell, and how likely they are."""

    text: bytes = b""
    log_probability: float = 0.0

    def word(self) -> tuple[str, bool]:
        """Return the first word so far, and whether it is sure to end there."""
        return first_word(self.text.decode("utf-8", "ignore"))

    @property
    def is_between_characters(self) -> bool:
        """Whether it does not break off within a character."""
        return self.text.decode("utf-8", "ignore").encode() == self.text


class WordSearch:
    """Sums the probabilities of all ways to write a word, the likeliest ones first.

    One search: `run` is called once.

    Parameters
    ----------
    spelling : Spelling
        Of the model's tokens.
    n_words : int
        How many words are wanted.
    max_tokens : int
        A word of more tokens, its white space and end included, is not found.
    num_beams : int
        Beginnings that are followed; what the others lead to is not counted.
    """

    def __init__(
        self, spelling: Spelling, *, n_words: int, max_tokens: int, num_beams: int
    ) -> None:
        self._spelling = spelling
        self._n_words = n_words
        self._max_tokens = max_tokens
        self._num_beams = num_beams
        self._found: defaultdict[str, float] = defaultdict(float)

    def run(
        self, rows: Rows, *, given: bytes, ends_word: bool, is_start: bool
    ) -> dict[str, float]:
        """Return the probabilities of the words found, given what is known of the text.

        Parameters
        ----------
        rows : Rows
            One row, that has read the prompt.
        given : bytes
            What the continuation is known to begin with.
        ends_word : bool
            Whether it is known that the first token ends the prompt's last word.
        is_start : bool
            Whether the prompt is empty.
        """
        spelling = self._spelling
        running, known = [Beginning()], 0.0
        for n_tokens in range(self._max_tokens):
            pieces = (
                spelling.pieces if n_tokens or not is_start else spelling.first_pieces
            )
            scores = rows.log_probabilities().astype(np.float64)
            if n_tokens == 0 and ends_word:
                scores[0, ~spelling.closes] = -np.inf
                known = float(np.exp(scores).sum())
            for old, row in zip(running, scores, strict=True):
                row += old.log_probability
                known += _keep_to(given[len(old.text) :], row, pieces)
                self._close(old, row, given)
            parents, tokens, running = self._extended(running, scores, pieces, given)
            if self._is_decided(running):
                break
            rows.take(parents)
            rows.feed(tokens)
        scale = known if given or ends_word else 1.0
        return {word: p / scale for word, p in self._found.items()}

    def _close(self, old: Beginning, row: np.ndarray, given: bytes) -> None:
        """Count all tokens at once that end the word, and take them out of the row."""
        word, _ = old.word()
        if word and len(old.text) >= len(given) and old.is_between_characters:
            self._found[word] += float(np.exp(row[self._spelling.closes]).sum())
            row[self._spelling.closes] = -np.inf

    def _extended(
        self,
        running: list[Beginning],
        scores: np.ndarray,
        pieces: list[bytes],
        given: bytes,
    ) -> tuple[list[int], list[int], list[Beginning]]:
        """Return the likeliest that go on: what each extends, its token, itself."""
        scores[:, self._spelling.silent] = -np.inf
        parents, tokens, extended = [], [], []
        for place in likeliest(scores.ravel(), self._num_beams):
            parent, token = divmod(int(place), scores.shape[1])
            log_probability = float(scores[parent, token])
            if log_probability == -np.inf:
                break
            new = Beginning(running[parent].text + pieces[token], log_probability)
            word, is_whole = new.word()
            if is_whole and len(new.text) >= len(given):
                self._found[word] += float(np.exp(log_probability))
            else:
                parents.append(parent)
                tokens.append(token)
                extended.append(new)
        return parents, tokens, extended

    def _is_decided(self, running: list[Beginning]) -> bool:
        """Whether what goes on is too little to change the answer."""
        left = sum(float(np.exp(new.log_probability)) for new in running)
        best = sorted(self._found.values(), reverse=True)[: self._n_words]
        least = best[-1] if len(best) == self._n_words else 0.0
        return left <= NEGLIGIBLE * least


def _keep_to(rest: bytes, row: np.ndarray, pieces: list[bytes]) -> float:
    """Bar what does not spell `rest`; return the probability of spelling all of it."""
    if not rest:
        return 0.0
    spells_all = np.array([piece.startswith(rest) for piece in pieces])
    fits = [rest.startswith(piece) for piece in pieces]
    row[~(spells_all | fits)] = -np.inf
    return float(np.exp(row[spells_all]).sum())
