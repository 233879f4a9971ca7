# SPDX-License-Identifier: BSD-3-Clause
"""Cells as equations: what an author imports to write one, and the built-in ones."""

from rnnkit.cells.base import Cell
from rnnkit.cells.gru import GRU
from rnnkit.cells.lstm import LSTM
from rnnkit.cells.rnn import RNN
from rnnkit.compiler.symbols import (
    abs,
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
    sqrt,
    stop_gradient,
    sum,
    tanh,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "abs",
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
    "sqrt",
    "stop_gradient",
    "sum",
    "tanh",
]
