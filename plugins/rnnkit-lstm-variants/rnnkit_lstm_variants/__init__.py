# SPDX-License-Identifier: BSD-3-Clause
"""Relatives of the LSTM: "peephole", "cifg", "capped_lstm", "multiplicative_lstm"."""

from rnnkit_lstm_variants.capped import CappedLSTM
from rnnkit_lstm_variants.cifg import CIFG
from rnnkit_lstm_variants.multiplicative import MultiplicativeLSTM
from rnnkit_lstm_variants.peephole import Peephole

__all__ = ["CIFG", "CappedLSTM", "MultiplicativeLSTM", "Peephole"]
