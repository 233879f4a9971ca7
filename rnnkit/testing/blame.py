# SPDX-License-Identifier: BSD-3-Clause
"""Which line of a cell's code makes a value that is not finite, or grows too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnkit.compiler.trace import trace_as_written
from rnnkit.compiler.where import text_of_place
from rnnkit.testing.reference import Run, Window, forward

Array = np.ndarray[Any, Any]

LARGEST = 1e6  # beyond it float32 loses what a step adds


def line_to_blame(
    cell: Any, hidden_size: int, parameters: Mapping[str, Array], x: Array
) -> str:
    """The first value that goes wrong when the step runs on `x`, and its line.

    Parameters
    ----------
    cell : Cell
    hidden_size : int
    parameters : mapping of str to array
        By name, in plain shapes.
    x : array of shape (T, B, input width)

    Returns
    -------
    str
        Such as "log gives nan at cell.py, line 7 (return log(h))"; "" where all values
        are finite and small.
    """
    graph, places = trace_as_written(cell, x.shape[2], hidden_size)
    arrays = [parameters.get(p.name, np.zeros(p.shape)) for p in graph.parameters]
    with np.errstate(all="ignore"):
        run = forward(Window(graph, arrays, x))
    starts = [i for i, node in enumerate(graph.nodes) if node.op == "state"]
    for step in range(len(x)):
        i = _first_wrong(run, step, starts)
        if i is None:
            continue
        value = run.values[step][i]
        worst = value.flat[np.argmax(np.where(np.isnan(value), np.inf, np.abs(value)))]
        where = text_of_place(places.get(i))
        op = graph.nodes[i].op
        when = f"in step {step + 1}" if step else "in the first step"
        return f"{op} gives {worst:g} {when}, at {where}" if where else ""
    return ""


def _first_wrong(run: Run, step: int, starts: Sequence[int]) -> int | None:
    """The node that is wrong though what it reads is right; old states do not count."""
    values, nodes = run.values[step], run.window.graph.nodes
    wrong: set[int] = set()
    for i in range(len(nodes)):
        value = values[i]
        if i in starts or nodes[i].op == "constant":
            continue
        if not np.isfinite(value).all() or np.max(np.abs(value)) > LARGEST:
            wrong.add(i)
            if not wrong.intersection(nodes[i].args):
                return i
    return None
