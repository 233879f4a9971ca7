# SPDX-License-Identifier: BSD-3-Clause
"""Packages of this folder are tested where they stand, installed or not."""

import sys
from pathlib import Path

sys.path[:0] = [str(package) for package in Path(__file__).parent.glob("rnnkit-*")]
