# SPDX-License-Identifier: BSD-3-Clause
"""Word vectors in the text format of word2vec, GloVe and fastText."""

import gzip
import math
import os
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from rnnkit.errors import InputError


def read_vectors(
    path: str | os.PathLike[str], words: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the vectors of those of the words that a file has.

    A line is a word and its numbers, parted by blanks; all have equally many. The first
    line may hold the number of words and that of their numbers instead. No more than
    the wanted vectors is in memory. Of a word that comes twice the first one counts.

    Parameters
    ----------
    path : str or path
        The file, in UTF-8; .gz is unpacked.
    words : iterable of str
        The wanted words.

    Raises
    ------
    InputError
        A line is malformed, the file ends too early, or holds nothing.
    OSError
        The file cannot be read.
    """
    wanted = {word.encode(): word for word in words}
    found: dict[str, np.ndarray] = {}
    for where, name, numbers in _rows(path):
        word = wanted.get(name)
        if word is not None and word not in found:
            found[word] = _vector(numbers, where)
    return found


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, bytes, list[bytes]]]:
    """Yield of each line where it stands, its word, and as many numbers as all have."""
    announced, size, n = None, 0, 0
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}: line {number}"
        if number == 1:
            announced = _header(line)
            size = announced[1] if announced else len(line.split()) - 1
            if size < 1:
                raise InputError(f"{where}: it holds no word with numbers behind it")
            if announced:
                continue
        fields = line.rsplit(None, size)
        if len(fields) <= size or _is_number_behind(fields[0]):
            given = max(0, len(line.split()) - 1)
            hint = "; a binary file must be saved as text first" * (b"\0" in line)
            raise InputError(f"{where}: {given} numbers, there must be {size}{hint}")
        n += 1
        yield where, fields[0].strip(), fields[1:]
    if not n or (announced and n != announced[0]):
        wanted = f"{announced[0]:,}" if announced else "at least one"
        raise InputError(f"{path}: it holds {n:,} vectors, there must be {wanted}")


def _lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    opened = gzip.open if os.fsdecode(path).endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: not a whole gzip file ({error})") from None


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and the length of a vector, if the line says so."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _is_number_behind(word: bytes) -> bool:
    """Whether a word of several parts ends in a number: then there is one too many."""
    _, *parts = word.split()
    return bool(parts) and not math.isnan(_number(parts[-1]))


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    vector = np.array([_number(number) for number in numbers])
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        text = numbers[wrong[0]].decode("utf-8", "replace")
        raise InputError(f"{where}: {text!r} is no finite number")
    return vector


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
