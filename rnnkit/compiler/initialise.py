# SPDX-License-Identifier: BSD-3-Clause
"""First values of parameters: specifications as data, and the draw."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnkit.compiler.graph import Initialiser, Parameter

# Each kind: its value where none is given ("H" stands for 1 / sqrt(hidden_size)),
# whether it is for weights alone, and what the value means.
KINDS: dict[str, tuple[float | str | None, bool, str]] = {
    "zeros": (0.0, False, "all 0"),
    "constant": (None, False, "all equal to the value"),
    "uniform": ("H", False, "uniform between -value and value"),
    "normal": ("H", False, "normal with this standard deviation"),
    "glorot": (1.0, True, "uniform, value * sqrt(6 / (rows + columns)) on either side"),
    "orthogonal": (1.0, True, "orthonormal rows or columns, times the value"),
    "identity": (1.0, True, "the value on the diagonal, 0 elsewhere"),
}


DRAWN_AT_ONCE = 1 << 16  # numbers that are drawn before they go into the result


def initialise(
    parameter: Parameter, rng: np.random.Generator, dtype: str = "float64"
) -> np.ndarray:
    """First values of a parameter.

    Parameters
    ----------
    parameter : Parameter
        Each of its blocks is drawn on its own, in order.
    rng : numpy.random.Generator
        Where the random numbers come from.
    dtype : {"float64", "float32"}, default="float64"
        Numbers are drawn in double precision and rounded.

    Returns
    -------
    ndarray of shape ``parameter.shape``
    """
    result = np.empty(parameter.shape, dtype)
    for i, spec in enumerate(parameter.initialisers):
        _fill(result[i * parameter.width : (i + 1) * parameter.width], spec, rng)
    return result


def parse(spec: Any, hidden_size: int, is_weight: bool) -> Initialiser:
    """A specification as an author writes it: 1.0, "orthogonal" or ("normal", 0.01).

    Raises
    ------
    ValueError
        What is wrong, and what is allowed.
    """
    kind, value = _split(spec)
    if kind not in KINDS:
        raise ValueError(f"{spec!r} is none of {', '.join(KINDS)}")
    default, weights_only, _ = KINDS[kind]
    if value is None:
        value = 1 / math.sqrt(hidden_size) if default == "H" else default
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{spec!r} needs a number, as in ({kind!r}, 0.1)")
    if not math.isfinite(value):
        raise ValueError(f"{spec!r} is not finite")
    if kind in ("uniform", "normal") and value < 0:
        raise ValueError(f"{spec!r} is negative")
    if weights_only and not is_weight:
        raise ValueError(f"{spec!r} is for weights, not for vectors")
    return Initialiser(kind, float(value))


def _split(spec: Any) -> tuple[str, Any]:
    if isinstance(spec, numbers.Real) and not isinstance(spec, bool):
        return "constant", spec
    if isinstance(spec, str):
        return spec, None
    if isinstance(spec, tuple | list) and len(spec) == 2 and isinstance(spec[0], str):
        return spec[0], spec[1]
    raise ValueError(f"{spec!r} is no number, no name and no pair of name and number")


def _fill(block: np.ndarray, spec: Initialiser, rng: np.random.Generator) -> None:
    kind, value = spec
    match kind:
        case "uniform":
            _draw(block, lambda shape: rng.uniform(-value, value, shape))
        case "normal":
            _draw(block, lambda shape: rng.normal(0.0, value, shape))
        case "glorot":
            bound = value * math.sqrt(6 / sum(block.shape))
            _draw(block, lambda shape: rng.uniform(-bound, bound, shape))
        case "orthogonal":
            block[:] = value * _orthogonal(block.shape, rng)
        case "identity":
            block[:] = value * np.eye(*block.shape)
        case _:
            block[:] = value


def _draw(block: np.ndarray, draw: Callable[[tuple[int, ...]], np.ndarray]) -> None:
    """Fill a block some rows at a time: in all, the same numbers as at once."""
    rows = max(1, DRAWN_AT_ONCE // math.prod(block.shape[1:]))
    for first in range(0, len(block), rows):
        part = block[first : first + rows]
        part[:] = draw(part.shape)


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform over all such matrices (Mezzadri, 2007): Q of normals, signs by R."""
    tall = rng.normal(size=(max(shape), min(shape)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if shape[0] >= shape[1] else q.T
