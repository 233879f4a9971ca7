# SPDX-License-Identifier: BSD-3-Clause
"""Two relatives of the LSTM, found by rnnkit under the names "peephole" and "cifg"."""

from rnnkit_lstm_variants.cifg import CIFG
from rnnkit_lstm_variants.peephole import Peephole

__all__ = ["CIFG", "Peephole"]
