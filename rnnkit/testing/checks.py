# SPDX-License-Identifier: BSD-3-Clause
"""A class of tests, run without a test runner; and what all checks compare with."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnkit.errors import CellError

Array = np.ndarray[Any, Any]


def run_checks(tests: object) -> None:
    """Call each method `test_...`, in the order of their definition.

    Raises
    ------
    AssertionError
        The first that fails; the message begins with its name as a sentence.
    CellError
        A cell's equations cannot be traced.
    """
    for name in check_names(type(tests)):
        try:
            with contextlib.suppress(unittest.SkipTest):
                getattr(tests, name)()
        except CellError:
            raise
        except Exception as error:
            said = str(error) if isinstance(error, AssertionError) else repr(error)
            raise AssertionError(f"{sentence(name)}: {said}") from error


def check_names(tests: type) -> list[str]:
    """Names of the checks in a class of tests, those of its bases first."""
    names = (
        name
        for base in reversed(tests.__mro__)
        for name in vars(base)
        if name.startswith("test_")
    )
    return list(dict.fromkeys(names))


def sentence(name: str) -> str:
    """``not so: it learns`` of ``test_it_learns``."""
    return "not so: " + name.removeprefix("test_").replace("_", " ")


def require(holds: object, message: str) -> None:
    """Raise AssertionError with this message unless it holds."""
    if not holds:
        raise AssertionError(message)


def require_finite(items: Iterable[tuple[str, Array]]) -> None:
    """Raise AssertionError where an array has a NaN or an infinity."""
    for what, found in items:
        require(np.isfinite(found).all(), f"{what} is not finite")


def require_same_bits(
    found: Iterable[tuple[str, Array]], expected: Iterable[tuple[str, Array]], when: str
) -> None:
    """Raise AssertionError where two sets of arrays differ in a bit."""
    for (what, a), (_, b) in zip(found, expected, strict=True):
        same = a.shape == b.shape and a.tobytes() == b.tobytes()
        require(same, f"{what} has other bits {when}")


def require_close(
    found: Iterable[tuple[str, Array]],
    expected: Iterable[tuple[str, Array]],
    tolerance: float,
    other: str,
) -> None:
    """Raise AssertionError where two sets of arrays differ by more than rounding.

    Norm-wise, array by array. What is not finite must be equal.
    """
    for (what, a), (_, b) in zip(found, expected, strict=True):
        require(a.shape == b.shape, f"{what} has shape {a.shape}, {other} {b.shape}")
        finite = np.isfinite(b)
        same = np.array_equal(a[~finite], b[~finite], equal_nan=True)
        require(same, f"{what} is not finite in other places than {other}")
        norm = np.linalg.norm(b[finite]) or 1.0
        error = np.linalg.norm(a[finite] - b[finite]) / norm
        require_small(what, error, tolerance, other)


def require_small(what: str, error: Any, tolerance: float, other: str) -> None:
    """Raise AssertionError where a relative error is too large, or NaN."""
    require(
        error <= tolerance,
        f"{what} differs from {other} by {error:.1e} of its norm, "
        f"allowed is {tolerance:.0e}",
    )
