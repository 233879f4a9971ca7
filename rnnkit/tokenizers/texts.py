# SPDX-License-Identifier: BSD-3-Clause
"""Documents on their way to csrc/text: checked, as UTF-8, in batches of a size."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from rnnkit.errors import InputError, InputTypeError

Offsets = npt.NDArray[np.int64]

# Bytes to hand to C at once: little memory, and Ctrl-C is soon heard.
BATCH = 1 << 20

EXPECTED = "Iterable over raw text documents expected, {} object received."
SPACE = re.compile(r"\s")


def check_texts(texts: Iterable[str]) -> Iterator[str]:
    """Go through documents; refuse what is none at once, and what is no text in time.

    Raises
    ------
    InputError
        When `texts` is a single str.
    InputTypeError
        When it is no iterable with an order, or one of its elements is no str.
    """
    if isinstance(texts, str):
        raise InputError(EXPECTED.format("string") + " Put it into a list: [text]")
    is_refused = isinstance(texts, (bytes, bytearray, Mapping, Set))
    if is_refused or not isinstance(texts, Iterable):
        raise InputTypeError(EXPECTED.format(type(texts).__name__) + " Pass a list")
    return (check_text(text, i) for i, text in enumerate(texts))


def check_text(text: object, index: int = 0) -> str:
    """Return a document that is a str; refuse any other thing."""
    if isinstance(text, str):
        return text
    remedy = "decode it first" if isinstance(text, (bytes, bytearray)) else "use str()"
    raise InputTypeError(
        f"document {index} is of type {type(text).__name__}, it must be str; {remedy}"
    )


def to_utf8(text: str, index: int = 0, begin: int = 0, what: str = "document") -> bytes:
    """Return a piece of document `index`, which begins there at `begin`, as UTF-8.

    Raises
    ------
    InputError
        When it has a lone surrogate. There is no UTF-8 for one, and to put something
        else in its place would change the text without a word.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} {index} has a lone surrogate, U+{ord(text[error.start]):04X}, at "
            f"position {begin + error.start}, which is no character; read the text "
            "with errors='replace' if it must be used"
        ) from None


def batches(texts: Iterable[str]) -> Iterator[tuple[bytes, Offsets, bool]]:
    """Yield documents end to end as UTF-8, the offsets of each, and whether they go on.

    A document of more than a batch comes in several, of which all but the first go on
    with the one before. It is cut before white space, where no token goes on.
    """
    waiting: list[bytes] = []
    size = 0
    for i, text in enumerate(check_texts(texts)):
        is_long = len(text) > BATCH
        if waiting and (is_long or size > BATCH):
            yield *_joined(waiting), False
            waiting, size = [], 0
        if is_long:
            for begin, end in _cuts(text):
                yield *_joined([to_utf8(text[begin:end], i, begin)]), begin > 0
        else:
            waiting.append(to_utf8(text, i))
            size += len(waiting[-1])
    if waiting:
        yield *_joined(waiting), False


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where the pieces of a long text begin and end."""
    begin = 0
    while begin < len(text):
        space = SPACE.search(text, begin + BATCH)
        end = space.start() if space else len(text)
        yield begin, end
        begin = end


def _joined(parts: list[bytes]) -> tuple[bytes, Offsets]:
    offsets = accumulate(map(len, parts), initial=0)
    return b"".join(parts), np.fromiter(offsets, np.int64, len(parts) + 1)
