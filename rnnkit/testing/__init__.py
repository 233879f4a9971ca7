# SPDX-License-Identifier: BSD-3-Clause
"""For authors of cells: what a cell must pass, and oracles.

`CellTests` and `check_cell` for cells; a slow interpreter of graphs in NumPy; gradients
from values alone.
"""

from rnnkit.testing.cells import CellTests, check_cell
from rnnkit.testing.gradients import (
    central_difference,
    complex_step_gradient,
    relative_error,
)
from rnnkit.testing.network import ReferenceNetwork

__all__ = [
    "CellTests",
    "ReferenceNetwork",
    "central_difference",
    "check_cell",
    "complex_step_gradient",
    "relative_error",
]
