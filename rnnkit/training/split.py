# SPDX-License-Identifier: BSD-3-Clause
"""Holding out documents, to see in training how well others are predicted."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnkit.errors import InputError

LINE_END_WITHIN = 2000  # characters to look back for a line's or word's end


def hold_out(
    documents: Sequence[Any], fraction: float, rng: np.random.Generator | None
) -> tuple[list[Any], list[Any], np.ndarray]:
    """Split documents into those to learn from and those to look at.

    Whole documents are held out, drawn by `rng`, or the last ones where there is none
    (a running text). Where they are too few for that, the last part of the text is: the
    document in which it begins is cut in two, at a line's end if one is near.

    Parameters
    ----------
    documents : sequence of str, or of arrays of ids
    fraction : float
        Part to hold out, in (0, 1).
    rng : numpy.random.Generator or None
        Draws the documents.

    Returns
    -------
    rest, held_out : lists
        Both in the order given.
    kept : array of int
        Which document each of `rest` is, or was cut from.

    Raises
    ------
    InputError
        When there is too little to be split at all.
    """
    n = len(documents)
    n_out = round(n * fraction)
    if not 1 <= n_out < n:
        return _cut(documents, fraction)
    out = np.zeros(n, bool)
    out[n - n_out :] = True
    if rng is not None:
        out = rng.permutation(out)
    kept = np.flatnonzero(~out)
    return (
        [documents[int(i)] for i in kept],
        [documents[int(i)] for i in np.flatnonzero(out)],
        kept,
    )


def _cut(
    documents: Sequence[Any], fraction: float
) -> tuple[list[Any], list[Any], np.ndarray]:
    """Hold out the last part of the running text."""
    ends = np.cumsum([len(document) for document in documents])
    boundary = round(ends[-1] * (1.0 - fraction))
    if not 0 < boundary < ends[-1]:
        raise InputError(
            f"validation_fraction={fraction} leaves nothing to learn from, or nothing "
            f"to look at, of {len(documents):,} documents with {ends[-1]:,} characters "
            "or ids in all; choose another one, pass X_val, or set early_stopping=False"
        )
    i = int(np.searchsorted(ends, boundary, side="left"))
    document = documents[i]
    place = boundary - (int(ends[i]) - len(document))
    if isinstance(document, str):
        place = _line_end(document, place)
    rest = [*documents[:i], document[:place]]
    tail = [document[place:]] if place < len(document) else []
    return rest, [*tail, *documents[i + 1 :]], np.arange(i + 1)


def _line_end(text: str, place: int) -> int:
    """Return a place up to `place` after a line's end, or a space, if one is near."""
    first = max(0, place - LINE_END_WITHIN)
    for pattern in (r"\n", r"\s"):
        ends = [match.end() for match in re.finditer(pattern, text[first:place])]
        if ends and first + ends[-1] > 0:
            return first + ends[-1]
    return place
