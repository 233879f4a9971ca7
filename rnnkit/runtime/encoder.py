# SPDX-License-Identifier: BSD-3-Clause
"""Between what a user holds and what the network reads: documents and ids, both ways."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from rnnkit.errors import ParameterError
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.documents import MAX_IDS, read_ids, read_prompts, read_texts
from rnnkit.tokenizers import Tokenizer


class Encoder(Protocol):
    """Documents to ids and back; `TextEncoder` for texts, `IdEncoder` for ids."""

    tokens: Sequence[Any]  # by id
    end_id: int
    unk_id: int | None
    tokenizer: Any  # None: documents are ids

    def learn(self, documents: list[Any]) -> None:
        """Fix the vocabulary."""

    def read(self, X: Iterable, input: str, documents: str | None) -> list[Any]:
        """Return the documents of X, checked."""

    def encode(self, documents: list[Any]) -> Corpus:
        """Return the documents as ids."""

    def prompts(self, prompts: Any) -> tuple[Corpus, bool]:
        """Return prompts as ids, and whether it was a single one."""

    def decode(self, ids: Sequence[int]) -> Any:
        """Return ids as a document."""

    def n_characters(self, documents: list[Any]) -> int | None:
        """Return the documents' size in characters, each document's end being one."""


class IdEncoder:
    """Documents are sequences of ids from 0 to `n_ids` - 1; `n_ids` ends a document."""

    unk_id = None
    tokenizer = None

    def __init__(self, n_ids: int | None = None) -> None:
        self._set(n_ids)

    def learn(self, documents: list[np.ndarray]) -> None:
        """Take the number of ids from the largest one, unless it is known."""
        if self.n_ids is None:
            self._set(1 + max((int(d.max()) for d in documents if len(d)), default=0))

    def _set(self, n_ids: int | None) -> None:
        self.n_ids = n_ids
        self.end_id = n_ids or 0
        self.tokens = [*range(n_ids or 0), "<eos>"]

    def read(self, X: Iterable, input: str, documents: str | None) -> list[np.ndarray]:
        """Return the documents of X as arrays of ids that are in range."""
        return read_ids(X, self.n_ids)

    def encode(self, documents: list[np.ndarray]) -> Corpus:
        """Lay the documents end to end."""
        return Corpus.from_documents(documents)

    def prompts(self, prompts: Any) -> tuple[Corpus, bool]:
        """Return prompts as ids; a flat sequence of numbers is a single one."""
        arrays, single = read_prompts(prompts, with_text=False, n_ids=self.n_ids)
        return Corpus.from_documents(arrays), single

    def decode(self, ids: Sequence[int]) -> np.ndarray:
        """Return ids as an array."""
        return np.array(ids, np.int32)

    def n_characters(self, documents: list[np.ndarray]) -> None:
        """Ids have no characters."""
        return None
