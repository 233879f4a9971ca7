# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``rnnkit fit | score | next | generate | info | ...``."""

from rnnkit.cli.doctor import show_versions
from rnnkit.cli.main import main

__all__ = ["main", "show_versions"]
