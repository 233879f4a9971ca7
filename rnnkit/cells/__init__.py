# SPDX-License-Identifier: BSD-3-Clause
"""Cells as equations: what an author imports to write one, and the built-in ones."""

from rnnkit.cells.base import Cell
from rnnkit.cells.gru import GRU
from rnnkit.cells.gru_reset_before import ResetBeforeGRU
from rnnkit.cells.irnn import IRNN
from rnnkit.cells.layer_norm_lstm import LayerNormLSTM
from rnnkit.cells.lstm import LSTM
from rnnkit.cells.lstmp import LSTMP
from rnnkit.cells.rnn import RNN
from rnnkit.compiler.symbols import (
    abs,
    concat,
    exp,
    log,
    logsigmoid,
    max,
    maximum,
    mean,
    minimum,
    relu,
    select,
    sigmoid,
    softplus,
    split,
    sqrt,
    stop_gradient,
    sum,
    tanh,
)

__all__ = [
    "GRU",
    "IRNN",
    "LSTM",
    "LSTMP",
    "RNN",
    "Cell",
    "LayerNormLSTM",
    "ResetBeforeGRU",
    "abs",
    "concat",
    "exp",
    "log",
    "logsigmoid",
    "max",
    "maximum",
    "mean",
    "minimum",
    "relu",
    "select",
    "sigmoid",
    "softplus",
    "split",
    "sqrt",
    "stop_gradient",
    "sum",
    "tanh",
]
