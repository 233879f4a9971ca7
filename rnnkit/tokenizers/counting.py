# SPDX-License-Identifier: BSD-3-Clause
"""Vocabularies that are counted: which tokens a built-in tokenizer keeps."""

import warnings
from collections.abc import Iterable, Mapping, Set
from typing import Any, ClassVar, Self

import numpy as np

from rnnkit.core import _text
from rnnkit.errors import InputError, ParameterError
from rnnkit.tokenizers.base import END, UNK
from rnnkit.tokenizers.builtin import BuiltinTokenizer, check_tokens, strings
from rnnkit.tokenizers.texts import batches


class CountingTokenizer(BuiltinTokenizer):
    """A built-in tokenizer that learns its vocabulary by counting.

    The vocabulary is `<eos>`, `<unk>`, and the tokens of the texts by decreasing number
    of occurrences, those that occur equally often in the order of their code points.
    """

    can_grow: ClassVar[bool] = True

    def __init__(
        self,
        *,
        lowercase: bool = False,
        min_df: int | float = 1,
        min_count: int = 1,
        max_features: int | None = None,
        vocabulary: Iterable[str] | Mapping[str, int] | None = None,
    ) -> None:
        self.lowercase = lowercase
        self.min_df = min_df
        self.min_count = min_count
        self.max_features = max_features
        self.vocabulary = vocabulary

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the vocabulary; with one given, check it and leave the texts alone.

        Parameters
        ----------
        texts : iterable of str
            Documents, gone through once; their memory is not needed at one time.

        Raises
        ------
        rnnkit.errors.ParameterError
            When a parameter is out of its range.
        rnnkit.errors.InputError
            When a document is no text, or no token is left.
        """
        self._check_parameters()
        if self.vocabulary is None:
            self._adopt([END, UNK, *self._count(texts)])
        else:
            self._adopt(self._given())
        return self

    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data."""
        state = super().get_state()
        # A long list belongs to the vocabulary alone; that it was given is kept.
        state["parameters"]["vocabulary"] = None
        state["vocabulary_is_given"] = self.vocabulary is not None
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fitted tokenizer whose `get_state` gave this.

        Raises
        ------
        rnnkit.errors.ModelFormatError
            When it is malformed.
        """
        made = super().from_state(state)
        if state.get("vocabulary_is_given"):
            made.vocabulary = tuple(made.vocabulary_)
        return made

    def _check_parameters(self) -> None:
        if not isinstance(self.lowercase, (bool, np.bool_)):
            raise ParameterError(f"lowercase={self.lowercase!r} must be True or False")
        is_share = isinstance(self.min_df, float) and 0.0 <= self.min_df <= 1.0
        if not (is_share or _is_count(self.min_df)):
            raise ParameterError(
                f"min_df={self.min_df!r} must be a number of documents, 1 or more, or "
                "a share of them, a float from 0.0 to 1.0"
            )
        if not _is_count(self.min_count):
            raise ParameterError(
                f"min_count={self.min_count!r} must be a whole number, 1 or more"
            )
        if not (self.max_features is None or _is_count(self.max_features)):
            raise ParameterError(
                f"max_features={self.max_features!r} must be a whole number, 1 or "
                "more, or None"
            )

    def _count(self, texts: Iterable[str]) -> list[str]:
        """The tokens of the texts, the commonest first, as far as they are wanted."""
        counter = _text.Counter(self.rule, bool(self.lowercase))
        for data, offsets, goes_on in batches(texts):
            counter.add(data, offsets, goes_on)
        data, offsets, counts = counter.get()
        occurrences, documents = counts.T
        share = isinstance(self.min_df, float)
        least = self.min_df * counter.n_documents if share else self.min_df
        wanted = (documents >= least) & (occurrences >= self.min_count)
        if not len(counts):
            raise InputError(
                f"the texts hold no tokens: there are {counter.n_documents} documents, "
                "and all of them are empty"
            )
        if not wanted.any():
            raise InputError(
                f"none of the {len(counts)} tokens occurs in min_df={self.min_df!r} "
                f"documents and min_count={self.min_count!r} times; there are "
                f"{counter.n_documents} documents"
            )
        tokens = strings(data, offsets)
        kept = [(-occurrences[i], tokens[i]) for i in np.flatnonzero(wanted)]
        return [t for _, t in sorted(kept) if t not in (END, UNK)][: self.max_features]

    def _given(self) -> list[str]:
        """The tokens of the parameter `vocabulary`, in the order of their ids."""
        given: Any = self.vocabulary
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ParameterError(
                f"vocabulary is of type {type(given).__name__}; it must be a list of "
                "tokens, or a mapping from tokens to ids"
            )
        if isinstance(given, Mapping):
            if sorted(given.values()) != list(range(len(given))):
                raise ParameterError(
                    f"the vocabulary's ids must be 0 to {len(given) - 1}, each once"
                )
            given = sorted(given, key=given.__getitem__)
        tokens = check_tokens(sorted(given) if isinstance(given, Set) else list(given))
        if self.lowercase and any(token.lower() != token for token in tokens):
            warnings.warn(
                "the vocabulary has upper-case tokens; lowercase=True never finds them",
                UserWarning,
                stacklevel=3,
            )
        known = set(tokens)
        return [*(t for t in (END, UNK) if t not in known), *tokens]


def _is_count(value: object) -> bool:
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_integer and value >= 1  # type: ignore[operator]
