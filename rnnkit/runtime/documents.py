# SPDX-License-Identifier: BSD-3-Clause
"""What a user hands over as X, checked and read: texts, files, or sequences of ids."""

import gzip
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np

from rnnkit.errors import InputError, InputTypeError

INPUTS = ("content", "filename", "file")
DOCUMENTS = ("line", "file")
NOT_ITERABLE = "Iterable over raw text documents expected, {} object received."


def read_texts(X: Iterable[Any], input: str, documents: str) -> list[str]:
    """Return the documents of X as texts.

    Parameters
    ----------
    X : iterable of str, of paths, or of open files
        What `input` says; an iterator is read once, to its end.
    input : {"content", "filename", "file"}
        Whether X holds texts, names of files (.gz by suffix), or objects with `read`.
    documents : {"line", "file"}
        Of a file, whether each line is a document, or the whole.

    Raises
    ------
    InputError
        When X is a single str, or empty, or a file is not UTF-8 text.
    InputTypeError
        When X or one of its elements is of another type; the message says which.
    """
    items = _elements(X)
    if input == "content":
        return [_check_text(item, i) for i, item in enumerate(items)]
    open_item = _open_path if input == "filename" else _open_object
    texts = [
        text
        for i, item in enumerate(items)
        for text in _split(_read(open_item(item, i), i), documents)
    ]
    if not texts:
        raise InputError("the files hold no documents: every one of them is empty")
    return texts


def read_ids(X: Iterable[Any], n_ids: int | None) -> list[np.ndarray]:
    """Return the documents of X as arrays of ids from 0 to `n_ids` - 1.

    Raises
    ------
    InputError, InputTypeError
        When X is empty, or an element is not a sequence of whole numbers in range.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2:
        X = list(X)
    return [_check_ids(item, i, n_ids) for i, item in enumerate(_elements(X))]


def read_prompts(
    prompts: Any, with_text: bool, n_ids: int | None
) -> tuple[list[Any], bool]:
    """Return prompts as a list of texts, or of arrays of ids, and whether it was one.

    A single str is one prompt; so is, for a model of ids, a flat sequence of numbers.
    """
    if with_text:
        if isinstance(prompts, str):
            return [_check_text(prompts, 0, "prompt")], True
        return [
            _check_text(p, i, "prompt") for i, p in enumerate(_elements(prompts))
        ], False
    items = _elements(prompts, empty_is_one=True)
    if not items or isinstance(items[0], (int, np.integer)):
        return [_check_ids(items, 0, n_ids, "prompt")], True
    return [_check_ids(p, i, n_ids, "prompt") for i, p in enumerate(items)], False


def _elements(X: Any, empty_is_one: bool = False) -> list[Any]:
    """Return the elements of a collection of documents; refuse what is not one."""
    if isinstance(X, str):
        raise InputError(
            NOT_ITERABLE.format("string") + " Put a single document into a list: [text]"
        )
    unordered = isinstance(X, (Mapping, Set))
    single = isinstance(X, (bytes, bytearray, os.PathLike, io.IOBase)) or X is None
    flat = getattr(X, "ndim", 1) == 1  # a data frame would iterate over its columns
    if unordered or single or not flat or not isinstance(X, Iterable):
        why = "it has no order" if unordered else "pass a list of documents"
        shape = "" if flat else f" of shape {X.shape}"
        raise InputTypeError(
            NOT_ITERABLE.format(type(X).__name__ + shape) + f" ({why})"
        )
    items = list(X)
    if not items and not empty_is_one:
        raise InputError("X is empty: at least one document is needed")
    return items


def _check_text(item: Any, i: int, what: str = "document") -> str:
    if not isinstance(item, str):
        raise InputTypeError(
            f"{what} {i} is of type {type(item).__name__}, it must be str; "
            + (
                "decode bytes first: item.decode('utf-8')"
                if isinstance(item, (bytes, bytearray))
                else "drop missing values, and convert other things with str()"
            )
        )
    return str(item)  # numpy.str_ becomes a plain str


def _check_ids(
    item: Any, i: int, n_ids: int | None, what: str = "document"
) -> np.ndarray:
    """Return one document of ids as int32; refuse booleans, floats, nested lists."""
    if isinstance(item, (str, bytes, Mapping, Set)) or not isinstance(item, Iterable):
        raise InputTypeError(
            f"{what} {i} is of type {type(item).__name__}; without a tokenizer it must "
            "be a sequence of integer ids"
        )
    try:
        ids = np.asarray(item if hasattr(item, "__len__") else list(item))
    except ValueError:
        ids = np.empty((0, 0))
    if ids.size == 0 and ids.ndim == 1:
        return np.empty(0, np.int32)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputTypeError(
            f"{what} {i} must be a flat sequence of integer ids; it has shape "
            f"{ids.shape} and dtype {ids.dtype}"
        )
    low, high = int(ids.min()), int(ids.max())
    limit = MAX_IDS if n_ids is None else n_ids
    if low < 0 or high >= limit:
        raise InputError(
            f"{what} {i} holds the id {low if low < 0 else high}; "
            f"allowed are 0 to {limit - 1}"
        )
    return ids.astype(np.int32)


MAX_IDS = 1 << 24  # the largest vocabulary a model file may hold


def _open_path(item: Any, i: int) -> tuple[str, Any]:
    """Open a file by name, through gzip when the name says so."""
    if not isinstance(item, (str, os.PathLike)):
        raise InputTypeError(
            f"file name {i} is of type {type(item).__name__}, it must be str or a path"
        )
    name = os.fsdecode(item)
    opened = gzip.open if name.endswith(".gz") else open
    return name, opened(name, "rb")


def _open_object(item: Any, i: int) -> tuple[str, Any]:
    """Take a file that the caller has opened; it stays open."""
    if not callable(getattr(item, "read", None)):
        raise InputTypeError(
            f"element {i} is of type {type(item).__name__}: it has no method read()"
        )
    return str(getattr(item, "name", f"file object {i}")), _KeepOpen(item)


class _KeepOpen:
    """A file of the caller's: read like our own, but never closed."""

    def __init__(self, file: Any) -> None:
        self.read = file.read

    def close(self) -> None:
        pass


def _read(source: tuple[str, Any], i: int) -> str:
    """Return the whole text of a file: UTF-8, with any line ends, without a mark."""
    name, file = source
    try:
        content = file.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: not a whole gzip file ({error})") from None
    finally:
        file.close()
    if isinstance(content, (bytes, bytearray)):
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{name}: the text is UTF-16; convert it to UTF-8")
        try:
            content = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}: not UTF-8 text (byte {error.start}); convert it to UTF-8"
            ) from None
    if not isinstance(content, str):
        raise InputTypeError(f"{name}: read() gave {type(content).__name__}, not text")
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _split(text: str, documents: str) -> Iterator[str]:
    """Yield the documents of a file; a line end at its very end begins no new line."""
    if documents == "file":
        yield text
    elif text:
        yield from text.removesuffix("\n").split("\n")
