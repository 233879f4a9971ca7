# SPDX-License-Identifier: BSD-3-Clause
"""Which standard layer a graph is, found by its equations and never by its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rnnkit.cells import GRU, LSTM, LSTMP, RNN, ResetBeforeGRU
from rnnkit.compiler import Graph, trace
from rnnkit.compiler.canonical import reordered
from rnnkit.errors import CellError
from rnnkit.interchange.cells import OnnxLSTM


@dataclass(frozen=True)
class Standard:
    """A layer that other libraries have, too.

    Attributes
    ----------
    cell : Cell
        One of those in `candidates`.
    hidden_size : int
    names : dict of str to str
        What the cell calls the graph's parameters.
    """

    cell: Any
    hidden_size: int
    names: dict[str, str]


def tensor_of(name: str) -> str:
    """Return what a parameter holds: "weight_x" for `weight_ih` and `weight_n_x`.

    So "bias_h" for `bias_hh` and `bias_n_1`, the operand of the second being h, reset.
    """
    tensor, _, side = name.rpartition("_")
    operand = {"ih": "x", "hh": "h", "1": "h"}.get(side, side)
    return f"{tensor.partition('_')[0]}_{operand}" if tensor else name


def recognised(graph: Graph) -> Standard | None:
    """Return the standard layer whose equations these are, node by node; or None."""
    wanted = reordered(graph)
    for cell, hidden_size in _candidates(graph):
        try:
            found = trace(cell, graph.input_width, hidden_size)
        except CellError:
            continue
        found = reordered(found)
        if wanted.to_words().tobytes() == found.to_words().tobytes():
            pairs = zip(wanted.parameters, found.parameters, strict=True)
            return Standard(cell, hidden_size, {p.name: its.name for p, its in pairs})
    return None


def _candidates(graph: Graph) -> Iterator[tuple[Any, int]]:
    """The cells with so many states, and their sizes."""
    widths = [state.width for state in graph.states]
    if len(widths) == 1:
        for cell in (RNN("tanh"), RNN("relu"), GRU(), ResetBeforeGRU()):
            yield cell, widths[0]
    if len(widths) == 2:
        yield LSTM(), widths[1]
        yield OnnxLSTM(peepholes=True), widths[1]
        yield LSTMP(widths[0]), widths[1]
