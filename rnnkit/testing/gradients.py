# SPDX-License-Identifier: BSD-3-Clause
"""Gradients from function values alone, and how far two gradients are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# So small that its square vanishes beside 1 in any arithmetic: no error of truncation.
COMPLEX_STEP = 1e-100


def complex_step_gradient(
    function: Callable[[list[Array]], Any], arrays: Sequence[Array]
) -> list[Array]:
    """The gradient of a real function, exact to rounding: Im f(a + ih) / h.

    Parameters
    ----------
    function : callable
        From a list of complex arrays to a complex number; analytic but for comparisons,
        which look at real parts.
    arrays : sequence of arrays
        Where the gradient is taken.

    Returns
    -------
    list of arrays
        In the shapes of `arrays`.
    """
    points = [np.array(a, dtype=complex) for a in arrays]
    gradients = [np.zeros(a.shape) for a in points]
    for point, gradient in zip(points, gradients, strict=True):
        for index in np.ndindex(point.shape):
            kept = point[index]
            point[index] = kept + COMPLEX_STEP * 1j
            gradient[index] = np.imag(function(points)) / COMPLEX_STEP
            point[index] = kept
    return gradients


def central_difference(
    function: Callable[[list[Array]], Any], arrays: Sequence[Array], step: float = 1e-5
) -> list[Array]:
    """The gradient of a real function to about step ** 2: (f(a + h) - f(a - h)) / 2h.

    Parameters
    ----------
    function : callable
        From a list of float64 arrays to a number.
    arrays : sequence of arrays
        Where the gradient is taken.
    step : float, default=1e-5

    Returns
    -------
    list of arrays
        In the shapes of `arrays`.
    """
    points = [np.array(a, dtype=float) for a in arrays]
    gradients = [np.zeros(a.shape) for a in points]
    for point, gradient in zip(points, gradients, strict=True):
        for index in np.ndindex(point.shape):
            kept = point[index]
            point[index] = kept + step
            above = function(points)
            point[index] = kept - step
            gradient[index] = (above - function(points)) / (2 * step)
            point[index] = kept
    return gradients


def relative_error(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Norm-wise error of the worst array: |found - expected| / |expected|.

    Where an array is expected to be 0 all over, the norm of what was found. NaN where
    either has one.
    """
    errors = [
        np.linalg.norm(np.subtract(a, b)) / (np.linalg.norm(b) or 1.0)
        for a, b in zip(found, expected, strict=True)
    ]
    return float(np.max(errors, initial=0.0))  # unlike max, keeps NaN
