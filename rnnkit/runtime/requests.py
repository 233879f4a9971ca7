# SPDX-License-Identifier: BSD-3-Clause
"""Arguments of requests, checked in one place."""

import math
import numbers
from typing import Any

from rnnkit.errors import ParameterError


def check_integer(name: str, value: Any, low: int) -> int:
    """Return a whole number of at least `low`; refuse booleans, floats and all else."""
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_number or value < low:
        raise ParameterError(f"{name}={value!r}; allowed: a whole number >= {low}")
    return int(value)


def check_real(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return a finite number from `low` to `high`; refuse booleans and all else."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        allowed = f">= {low:g}" if high == math.inf else f"{low:g} to {high:g}"
        raise ParameterError(f"{name}={value!r}; allowed: a number {allowed}")
    return float(value)
