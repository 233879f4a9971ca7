# SPDX-License-Identifier: BSD-3-Clause
"""The sLSTM of xLSTM, found by rnnkit under the name "slstm"."""

from rnnkit_xlstm.slstm import SLSTM

__all__ = ["SLSTM"]
