# SPDX-License-Identifier: BSD-3-Clause
"""What a minimal cell may write."""

from rnnkit.cells import select, sigmoid
from rnnkit.errors import CellError


def candidate(cell, v):
    """v itself, or the positive g(v) of the paper's appendix, as `activation` says."""
    if cell.activation == "identity":
        return v
    if cell.activation == "positive":
        return select(v >= 0, v + 0.5, sigmoid(v))
    raise CellError(
        f"{type(cell).__name__}: activation is {cell.activation!r}, "
        "allowed: 'identity', 'positive'"
    )
