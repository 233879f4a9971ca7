# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of cells that are numbers of something."""

from numbers import Integral

from rnnkit.errors import CellError


def check_number(cell, name, lowest):
    """Refuse a parameter of a cell that is no whole number, or too small a one."""
    value = getattr(cell, name)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
        raise CellError(
            f"{type(cell).__name__}: {name} is {value!r}, allowed: whole numbers "
            f"from {lowest}"
        )
