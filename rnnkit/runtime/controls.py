# SPDX-License-Identifier: BSD-3-Clause
"""What generation may write next, whatever the model thinks of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnkit import core


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
        self._looks_back = (
            repetition_penalty != 1.0
            or no_repeat_ngram_size is not None
            or len(bad_words) > 0
        )
        each_ended = [np.append(word, -1) for word in bad_words]
        self._how: dict[str, Any] = {
            "end_id": end_id,
            "unk_id": -1 if unk_id is None else unk_id,
            "min_new_tokens": min_new_tokens,
            "repetition_penalty": repetition_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size or 0,
            "bad_words": np.concatenate([[], *each_ended]).astype(np.int32),
        }

    def apply(
        self, log_probabilities: np.ndarray, prompt: np.ndarray, new: Sequence[int]
    ) -> np.ndarray:
        """Return the log-probabilities (V,) as float64, -inf where a token is barred.

        They are not normalised again. Where nothing is left, the document ends.
        """
        scores = log_probabilities.astype(np.float64)
        ids = prompt
        if self._looks_back:  # else a token does not cost what stands before it
            ids = np.concatenate([prompt, np.array(new, np.int32)])
        core.control(scores, ids, len(new), **self._how)
        return scores
