# SPDX-License-Identifier: BSD-3-Clause
"""Which standard layer a graph is, found by its equations and never by its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.cells import GRU, LSTM, LSTMP, RNN, ResetBeforeGRU
from rnnkit.compiler import Graph, trace
from rnnkit.compiler.canonical import reordered
from rnnkit.errors import CellError
from rnnkit.interchange.cells import OnnxLSTM
from rnnkit.interchange.parts import Array, Layer


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


def layer_of(
    source: str,
    cell: Any,
    input_size: int,
    hidden_size: int,
    blocks: dict[tuple[str, str], Array],
) -> Layer:
    """Put blocks together as a cell has them; a built-in cell stands in for it.

    Parameters
    ----------
    source : str
        What the layer is called where it comes from.
    cell : Cell
    input_size, hidden_size : int
    blocks : dict
        By what they are (see `tensor_of`) and rnnkit's name of the gate; what is not
        there is 0. A vector without gates has the name "".
    """
    graph = trace(cell, input_size, hidden_size)
    values = {}
    for parameter in graph.parameters:
        what = tensor_of(parameter.name)
        gates = parameter.block_names if (what, "") not in blocks else ("",)
        found = [blocks.get((what, gate)) for gate in gates]
        if all(block is not None for block in found):  # a bias may be missing
            values[parameter.name] = np.concatenate([b for b in found if b is not None])
    standard = recognised(graph)
    if standard is None:
        return Layer(source, cell, input_size, hidden_size, values)
    named = {standard.names[name]: value for name, value in values.items()}
    return Layer(source, standard.cell, input_size, hidden_size, named)
