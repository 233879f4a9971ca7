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
    softmax,
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
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "stop_gradient",
    "sum",
    "tanh",
]

_INSTEAD = {
    "cumsum": "add the parts of split(a, n) one after the other",
    "dot": "sum(a * b)",
    "matmul": "self.linear(label, a)",
    "norm": "sqrt(sum(a * a) + 1e-12)",
    "clip": "minimum(maximum(a, low), high)",
    "where": "select(condition, a, b)",
    "sign": "select(a > 0, 1.0, -1.0)",
    "concatenate": "concat(a, b)",
    "stack": "concat(a, b)",
    "chunk": "split(a, n)",
    "var": "mean((a - mean(a)) ** 2)",
    "gelu": "a * sigmoid(1.702 * a)",
    "silu": "a * sigmoid(a)",
    "leaky_relu": "maximum(a, 0.01 * a)",
    "elu": "select(a > 0, a, exp(minimum(a, 0)) - 1)",
}


def __getattr__(name: str) -> object:
    """Say what to write instead of a function that is not here."""
    functions = ", ".join(n for n in __all__ if n[0].islower())
    instead = f"; instead: {_INSTEAD[name]}" if name in _INSTEAD else ""
    raise AttributeError(
        f"rnnkit.cells has no {name!r}{instead}. There are: {functions}"
    )
