# SPDX-License-Identifier: BSD-3-Clause
"""What generation may write next, whatever the model thinks of it."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Controls:
    """Changes log-probabilities so that repetitions and unwanted tokens are not chosen.

    Parameters
    ----------
    end_id : int
        The end of a document; never held to be a repetition.
    unk_id : int or None
        The unknown token; never allowed.
    min_new_tokens : int
        The document may not end before.
    repetition_penalty : float
        The log-probability of each token that occurred is multiplied by it.
    no_repeat_ngram_size : int or None
        No sequence of so many tokens may occur twice.
    bad_words : sequence of non-empty int arrays
        No token may complete one of these sequences, begun in the prompt or after it.
    """

    def __init__(
        self,
        *,
        end_id: int,
        unk_id: int | None,
        min_new_tokens: int = 0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int | None = None,
        bad_words: Sequence[np.ndarray] = (),
    ) -> None:
        self.end_id = end_id
        self.unk_id = unk_id
        self.min_new_tokens = min_new_tokens
        self.repetition_penalty = repetition_penalty
        self.no_repeat_ngram_size = no_repeat_ngram_size
        self.bad_words = bad_words
        self._looks_back = (
            repetition_penalty != 1.0
            or no_repeat_ngram_size is not None
            or len(bad_words) > 0
        )

    def apply(
        self, log_probabilities: np.ndarray, prompt: np.ndarray, new: Sequence[int]
    ) -> np.ndarray:
        """Return the log-probabilities (V,) as float64, -inf where a token is barred.

        They are not normalised again. Where nothing is left, the document ends.
        """
        scores = log_probabilities.astype(np.float64)
        if self.unk_id is not None:
            scores[self.unk_id] = -np.inf
        if self._looks_back:  # else a token does not cost what stands before it
            ids = np.concatenate([prompt, np.array(new, np.int32)])
            if self.repetition_penalty != 1.0:
                seen = np.unique(ids[ids != self.end_id])
                scores[seen] *= self.repetition_penalty
            scores[self._barred(ids)] = -np.inf
        must_go_on = len(new) < self.min_new_tokens
        if must_go_on:
            scores[self.end_id] = -np.inf
        if (must_go_on or self._looks_back) and scores.max() == -np.inf:
            scores[self.end_id] = 0.0
        return scores

    def _barred(self, ids: np.ndarray) -> list[int]:
        """Return the tokens that may not stand behind `ids`."""
        barred: list[int] = []
        if self.no_repeat_ngram_size is not None:
            barred += _followers(ids, self.no_repeat_ngram_size - 1)
        for *start, last in self.bad_words:
            if ids[len(ids) - len(start) :].tolist() == start:
                barred.append(last)
        return barred


def _followers(ids: np.ndarray, n: int) -> list[int]:
    """Return what has followed the last `n` of `ids` wherever they stood before."""
    if len(ids) <= n:
        return []
    places = sliding_window_view(ids[:-1], n) if n else ids[:, None][:, :0]
    is_same = (places == ids[len(ids) - n :]).all(axis=1)
    return ids[n:][is_same].tolist()
