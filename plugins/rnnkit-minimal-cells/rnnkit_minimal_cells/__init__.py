# SPDX-License-Identifier: BSD-3-Clause
"""Cells whose states meet no matrix: "mingru", "minlstm", "indrnn" and "sru"."""

from rnnkit_minimal_cells.indrnn import IndRNN
from rnnkit_minimal_cells.mingru import MinGRU
from rnnkit_minimal_cells.minlstm import MinLSTM
from rnnkit_minimal_cells.sru import SRU

__all__ = ["SRU", "IndRNN", "MinGRU", "MinLSTM"]
