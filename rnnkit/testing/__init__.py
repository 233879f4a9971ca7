# SPDX-License-Identifier: BSD-3-Clause
"""Oracles for tests: a slow interpreter of graphs, gradients from values alone."""

from rnnkit.testing.gradients import (
    central_difference,
    complex_step_gradient,
    relative_error,
)
from rnnkit.testing.network import ReferenceNetwork

__all__ = [
    "ReferenceNetwork",
    "central_difference",
    "complex_step_gradient",
    "relative_error",
]
