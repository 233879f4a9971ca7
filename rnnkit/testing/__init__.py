# SPDX-License-Identifier: BSD-3-Clause
"""For authors of cells: `check_cell`; and the oracles that it and the tests use.

A slow interpreter of graphs in NumPy, and gradients from values alone.
"""

from rnnkit.testing.checks import check_cell
from rnnkit.testing.gradients import (
    central_difference,
    complex_step_gradient,
    relative_error,
)
from rnnkit.testing.network import ReferenceNetwork

__all__ = [
    "ReferenceNetwork",
    "central_difference",
    "check_cell",
    "complex_step_gradient",
    "relative_error",
]
