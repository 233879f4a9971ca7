# SPDX-License-Identifier: BSD-3-Clause
"""Trace: a cell's equations, run once on symbols, become a graph.

A cell is any object with `states` and `step`; what its equations cannot say it declares
as data (see `Cell`). The trace keeps all it knows in itself and in its symbols, and
works on a shallow copy of the cell, so two threads may trace the same cell at once.
"""

from __future__ import annotations

import copy
import inspect
from functools import cached_property
from typing import Any

from rnnkit.compiler.canonical import canonical
from rnnkit.compiler.declared import Declared, is_size
from rnnkit.compiler.graph import Graph, Kind, State
from rnnkit.compiler.recorder import Recorder
from rnnkit.compiler.symbols import Symbol
from rnnkit.compiler.where import (
    cell_error,
    line_of_class,
    line_of_function,
    line_of_traceback,
)
from rnnkit.errors import CellError, GraphError


def trace(cell: Any, input_size: int, hidden_size: int) -> Graph:
    """The graph of a cell's step.

    Parameters
    ----------
    cell : object
        With `states` (names) and ``step(x, *states)``; usually a `Cell`. ``step``
        returns either one value for each state, the first of them also the output, or
        the output and then one value for each state.
    input_size : int
        Units of x.
    hidden_size : int
        Units of a state, unless the cell says otherwise.

    Returns
    -------
    Graph
        The plain forward graph.

    Raises
    ------
    CellError
        If the cell's declarations or its step are wrong; the message names the line.
    """
    return canonical(trace_as_written(cell, input_size, hidden_size)[0])


def trace_as_written(
    cell: Any, input_size: int, hidden_size: int
) -> tuple[Graph, dict[int, tuple[str, int] | None]]:
    """The graph before anything is joined or dropped, and the place of each node.

    A place is file and line of the cell's code; nodes that stand for no line of it,
    such as constants, have none.
    """
    if isinstance(cell, type):
        raise CellError(
            f"{cell.__name__} is a class, needed is a cell: {cell.__name__}()"
        )
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not is_size(size):
            raise ValueError(f"{name} is {size!r}, needed is a positive whole number")
    bound = copy.copy(cell)
    _bind(bound, input_size=input_size, hidden_size=hidden_size)
    declared = Declared(bound)
    recorder = Recorder(declared)
    _bind(bound, linear=recorder.linear, vector=recorder.vector)
    arguments = [recorder.argument("x", "input", input_size)]
    for k, name in enumerate(declared.states):
        width = declared.widths[name]
        arguments.append(recorder.argument(name, "state", width, k))
    returned = _run_step(bound, arguments, declared.states)
    _check_not_blocks(recorder, returned, line_of_function(bound.step))
    output, new_states = _results(recorder, returned, line_of_function(bound.step))
    declared.check_names(recorder.parameters, recorder.labels)
    graph = Graph(
        parameters=tuple(recorder.parameters),
        states=tuple(
            State(name, declared.widths[name], declared.initial[name], new)
            for name, new in zip(declared.states, new_states, strict=True)
        ),
        input_width=input_size,
        nodes=tuple(recorder.b.nodes),
        output=output,
        n_forward=len(recorder.b.nodes),
    )
    return graph, recorder.places


def _bind(cell: Any, **tools: Any) -> None:
    """Give a copy of a cell what its step and its declarations read from itself."""
    parameters = cell.get_params() if hasattr(cell, "get_params") else {}
    for name, value in tools.items():
        if name in parameters:
            raise cell_error(
                f"a parameter is called {name!r}, which is rnnkit's own name for "
                "something in a step",
                "call it otherwise",
                where=line_of_class(cell),
            )
        try:
            setattr(cell, name, value)
        except AttributeError:
            raise cell_error(
                f"{type(cell).__name__} does not let the trace set {name!r}",
                "call your own attribute or property otherwise",
                where=line_of_function(getattr(cell, "step", None)),
            ) from None


def _run_step(cell: Any, arguments: list[Symbol], states: tuple[str, ...]) -> Any:
    """What the step of `cell`, a copy bound to a recorder, returns."""
    _check_signature(cell, states)
    before = dict(getattr(cell, "__dict__", {}))
    try:
        returned = cell.step(*arguments)
    except CellError:
        raise
    except GraphError as error:
        where = line_of_traceback(error.__traceback__)
        raise cell_error(str(error), "is there a loop without end?", where) from None
    except Exception as error:
        where = line_of_traceback(error.__traceback__)
        what = f"the step raised {type(error).__name__}: {error}"
        raise cell_error(what, where=where) from error
    _check_untouched(cell, before)
    return returned


def _check_signature(cell: Any, states: tuple[str, ...]) -> None:
    try:
        inspect.signature(cell.step).bind(None, *states)
    except TypeError as error:
        arguments = ", ".join(["self", "x", *states])
        raise cell_error(
            f"step does not take x and the states {', '.join(states)} ({error})",
            f"write def step({arguments})",
            line_of_function(cell.step),
        ) from None

    named = list(inspect.signature(cell.step).parameters)[1:]
    if named != list(states) and sorted(named) == sorted(states):
        raise cell_error(
            f"step takes {', '.join(named)}, the states are {', '.join(states)}",
            "write both in the same order",
            line_of_function(cell.step),
        )


def _check_not_blocks(recorder: Recorder, returned: Any, where: str) -> None:
    """Refuse the blocks of one product where output and states belong."""
    for label, values in recorder.block_tuples:
        if returned is values:
            raise cell_error(
                f"step returns the {len(values)} blocks of linear({label!r}), a letter "
                "each, as if they were output and states",
                f"write [{label!r}] or blocks=1 for a single block, or name the "
                "blocks: a, b = self.linear(...)",
                where,
            )


def _check_untouched(cell: Any, before: dict[str, Any]) -> None:
    for name, value in getattr(cell, "__dict__", {}).items():
        is_cache = isinstance(getattr(type(cell), name, None), cached_property)
        if not is_cache and before.get(name, before) is not value:
            raise cell_error(
                f"the step sets self.{name}, which no later step would see",
                "what is carried from step to step is a state: list it in "
                "`states`, take it as an argument of step and return its new value",
                line_of_function(cell.step),
            )


def _results(recorder: Recorder, returned: Any, where: str) -> tuple[int, list[int]]:
    """Nodes of the output and of the new states."""
    declared = recorder.declared
    names = declared.states
    values = list(returned) if isinstance(returned, tuple | list) else [returned]
    if len(values) == len(names):
        values.insert(0, values[0])
    if len(values) != len(names) + 1:
        raise cell_error(
            f"step returns {len(values)} values, needed are {len(names)} "
            f"({', '.join(names)}; the first is also the output) or "
            f"{len(names) + 1} (the output, then these)",
            "return a new value for each state, in the order of `states`",
            where,
        )
    what = ["output", *(f"state {name!r}" for name in names)]
    widths = [None, *(declared.widths[name] for name in names)]
    if values[0] is values[1]:
        widths[0] = widths[1]
    output, *states = (
        _result(recorder, *result, where)
        for result in zip(values, what, widths, strict=True)
    )
    return output, states


def _result(
    recorder: Recorder, value: Any, what: str, width: int | None, where: str
) -> int:
    if isinstance(value, tuple | list):
        raise cell_error(
            f"step returns {type(value).__name__} of {len(value)} as {what}",
            "a label of several letters gives one block a letter: unpack them, or "
            "write blocks=1 for a single block",
            where,
        )
    if value is None or isinstance(value, str | dict | set):
        raise cell_error(
            f"step returns {'nothing' if value is None else repr(value)} as {what}",
            "end it with return and a new value for each state, in their order",
            where,
        )
    index = recorder.index_of(
        value, f"step returns {type(value).__name__} as {what}", where
    )
    node = recorder.b.nodes[index]
    if node.kind == Kind.CONST and what == "output":
        raise cell_error(
            "step returns a plain number as output", "it is a value of the step", where
        )
    if node.kind in (Kind.FULL, Kind.UNIT) and width not in (None, node.width):
        if node.width != 1:
            raise cell_error(
                f"step returns a value of width {node.width} as {what}, "
                f"which has width {width}",
                "declare the width, as in widths = {'h': 'projection_size'}, or "
                "change it by self.linear(label, ..., width=...)",
                where,
            )
        index = recorder.per_row(index)
    return recorder.b.spread(index, Kind.FULL, width or node.width)
