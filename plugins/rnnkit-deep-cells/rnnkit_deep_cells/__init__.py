# SPDX-License-Identifier: BSD-3-Clause
"""Cells that take several steps in one: "rhn" and "mogrifier"."""

from rnnkit_deep_cells.mogrifier import Mogrifier
from rnnkit_deep_cells.rhn import RecurrentHighway

__all__ = ["Mogrifier", "RecurrentHighway"]
