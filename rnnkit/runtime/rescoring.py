# SPDX-License-Identifier: BSD-3-Clause
"""Choosing among hypotheses of another system, such as a speech recogniser."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.errors import InputError, InputTypeError


@dataclass(frozen=True)
class Ranking:
    """The hypotheses of one list, compared.

    Attributes
    ----------
    order : (n,) int array
        Places in the list that was given, the best first; of equals the first one.
    scores : (n,) float64 array
        Total score of each hypothesis, in the order that was given.
    """

    order: np.ndarray
    scores: np.ndarray


def rank(scores: np.ndarray) -> Ranking:
    """Put hypotheses in the order of their scores."""
    return Ranking(np.argsort(-scores, kind="stable"), scores)


def check_lists(hypotheses: Any) -> list[list[Any]]:
    """Return lists of hypotheses; refuse a flat list, and one that is empty."""
    what = "hypotheses must be a list of lists of documents"
    if isinstance(hypotheses, str) or not isinstance(hypotheses, Iterable):
        raise InputTypeError(f"{what}, not of type {type(hypotheses).__name__}")
    lists = []
    for i, given in enumerate(hypotheses):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise InputTypeError(f"{what}; list {i} is of type {type(given).__name__}")
        lists.append(list(given))
        if not lists[-1]:
            raise InputError(f"list {i} of the hypotheses is empty")
    if not lists:
        raise InputError("hypotheses is empty: at least one list is needed")
    return lists


def check_scores(
    scores: Sequence[Sequence[float]] | None, lists: list[list[Any]]
) -> list[np.ndarray]:
    """Return the scores given with hypotheses, 0 where there are none."""
    if scores is None:
        return [np.zeros(len(given)) for given in lists]
    if len(scores) != len(lists):
        raise InputError(f"there are {len(lists)} lists and {len(scores)} of scores")
    checked = []
    for i, (row, given) in enumerate(zip(scores, lists, strict=True)):
        try:
            numbers = np.asarray(row, np.float64)
        except (TypeError, ValueError):
            raise InputTypeError(f"the scores of list {i} are not numbers") from None
        if numbers.shape != (len(given),):
            raise InputError(
                f"list {i} holds {len(given)} hypotheses, its scores have the shape "
                f"{numbers.shape}"
            )
        if not np.isfinite(numbers).all():
            raise InputError(f"the scores of list {i} are not all finite")
        checked.append(numbers)
    return checked
