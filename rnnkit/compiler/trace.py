# SPDX-License-Identifier: BSD-3-Clause
"""Trace: a cell's equations, run once on symbols, become a graph.

A cell is any object with `states` and `step`; what its equations cannot say it declares
as data (see `Cell`). The trace keeps all it knows in itself and in its symbols, and
works on a shallow copy of the cell, so two threads may trace the same cell at once.
"""

from __future__ import annotations

import copy
import inspect
import math
import numbers
from collections.abc import Sequence
from typing import Any

from rnnkit.compiler.builder import Builder
from rnnkit.compiler.canonical import canonical
from rnnkit.compiler.declared import Declared
from rnnkit.compiler.graph import Graph, Kind, Node, Parameter, State, is_name
from rnnkit.compiler.symbols import Symbol
from rnnkit.compiler.where import cell_error, line_of_function, line_of_traceback
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
    declared = Declared(cell, input_size, hidden_size)
    running = Trace(declared, input_size, hidden_size)
    x = running.leaf("input", input_size)
    states = [
        running.leaf("state", declared.widths[name], k)
        for k, name in enumerate(declared.states)
    ]
    running.operand_names = {
        value._index: name
        for value, name in zip([x, *states], ["x", *declared.states], strict=True)
    }
    returned = running.run_step(cell, x, states)
    output, new_states = running.results(returned, line_of_function(cell.step))
    declared.check_names(running.parameters)
    return canonical(
        Graph(
            parameters=tuple(running.parameters),
            states=tuple(
                State(name, declared.widths[name], declared.initial[name], new)
                for name, new in zip(declared.states, new_states, strict=True)
            ),
            input_width=input_size,
            nodes=tuple(running.b.nodes),
            output=output,
            n_forward=len(running.b.nodes),
        )
    )


class Trace:
    """One run of one step: the nodes and parameters met so far."""

    def __init__(self, declared: Declared, input_size: int, hidden_size: int) -> None:
        self.b = Builder()
        self.declared = declared
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.parameters: list[Parameter] = []
        self.operand_names: dict[int, str] = {}
        self._main_label: str | None = declared.main_label

    def leaf(self, op: str, width: int, *attrs: int) -> Symbol:
        return Symbol(self, self.b.leaf(op, Kind.FULL, width, *attrs))

    def node(self, symbol: Symbol) -> Node:
        return self.b.nodes[symbol._index]

    # -------------------------------------------------------------------- the step

    def run_step(self, cell: Any, x: Symbol, states: Sequence[Symbol]) -> Any:
        """What the step returns, run on a copy of the cell bound to this trace."""
        bound = copy.copy(cell)
        tools = {
            "linear": self.linear,
            "vector": self.vector,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
        }
        for name, value in tools.items():
            try:
                setattr(bound, name, value)
            except AttributeError:
                raise cell_error(
                    f"{type(cell).__name__} does not let the trace set {name!r}",
                    "call your own attribute or property otherwise",
                    line_of_function(cell.step),
                ) from None
        self._check_signature(cell)
        before = dict(vars(bound)) if hasattr(bound, "__dict__") else {}
        try:
            returned = bound.step(x, *states)
        except CellError:
            raise
        except GraphError as error:
            where = line_of_traceback(error.__traceback__)
            raise cell_error(
                str(error), "is there a loop without end?", where
            ) from None
        except Exception as error:
            where = line_of_traceback(error.__traceback__)
            what = f"the step raised {type(error).__name__}: {error}"
            raise cell_error(what, where=where) from error
        self._check_untouched(cell, before, getattr(bound, "__dict__", {}))
        return returned

    def _check_signature(self, cell: Any) -> None:
        try:
            inspect.signature(cell.step).bind(None, *self.declared.states)
        except TypeError as error:
            arguments = ", ".join(["self", "x", *self.declared.states])
            raise cell_error(
                f"step does not take x and the states {self._state_list()} ({error})",
                f"write def step({arguments})",
                line_of_function(cell.step),
            ) from None

    def _check_untouched(
        self, cell: Any, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        for name in after:
            if name not in before or after[name] is not before[name]:
                raise cell_error(
                    f"the step sets self.{name}, which no later step would see",
                    "what is carried from step to step is a state: list it in "
                    "`states`, take it as an argument of step and return its new value",
                    line_of_function(cell.step),
                )

    def _state_list(self) -> str:
        return ", ".join(self.declared.states)

    # ----------------------------------------------------------------- the results

    def results(self, returned: Any, where: str) -> tuple[int, list[int]]:
        """Nodes of the output and of the new states."""
        names = self.declared.states
        values = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(values) == len(names):
            values.insert(0, values[0])
        if len(values) != len(names) + 1:
            raise cell_error(
                f"step returns {len(values)} values, needed are {len(names)} "
                f"({self._state_list()}; the first is also the output) or "
                f"{len(names) + 1} (the output, then these)",
                "return a new value for each state, in the order of `states`",
                where,
            )
        what = ["output", *(f"state {name!r}" for name in names)]
        widths = [None, *(self.declared.widths[name] for name in names)]
        if values[0] is values[1]:
            widths[0] = widths[1]
        output, *states = (
            self._result(*result, where)
            for result in zip(values, what, widths, strict=True)
        )
        return output, states

    def _result(self, value: Any, what: str, width: int | None, where: str) -> int:
        if isinstance(value, tuple | list):
            raise cell_error(
                f"step returns {type(value).__name__} of {len(value)} as {what}",
                "a label of several letters gives one block a letter: unpack them, or "
                "write blocks=1 for a single block",
                where,
            )
        index = self._index(
            value, f"step returns {type(value).__name__} as {what}", where
        )
        node = self.b.nodes[index]
        if node.kind in (Kind.FULL, Kind.UNIT) and width not in (None, node.width):
            if node.width != 1:
                raise cell_error(
                    f"step returns a value of width {node.width} as {what}, "
                    f"which has width {width}",
                    "declare the width, as in widths = {'h': 'projection_size'}, or "
                    "change it by self.linear(label, ..., width=...)",
                    where,
                )
            index = self._per_row(index)
        return self.b.spread(index, Kind.FULL, width or node.width)

    # ------------------------------------------------------------------ arithmetic

    def apply(self, op: str, *operands: Any) -> Symbol:
        """An elementwise primitive; a width of 1 spreads over the others' units."""
        indices = [
            self._index(operand, f"{op} is given {type(operand).__name__}")
            for operand in operands
        ]
        widths = {self.b.nodes[i].width for i in indices} - {1}
        if len(widths) > 1:
            given = " and ".join(str(self.b.nodes[i].width) for i in indices)
            raise cell_error(
                f"{op} mixes values of widths {given}",
                "elementwise operands have equal widths; self.linear(label, x, "
                "width=...) changes a width",
            )
        if widths:
            indices = [self._per_row(i) for i in indices]
        return Symbol(self, self.b(op, *indices))

    def _per_row(self, index: int) -> int:
        """A value of one unit as one a row, which spreads; others as they are."""
        node = self.b.nodes[index]
        if node.width != 1 or node.kind not in (Kind.FULL, Kind.UNIT):
            return index
        return self.b("row_sum", self.b.spread(index, Kind.FULL, 1))

    def _index(self, value: Any, what: str, where: str | None = None) -> int:
        """The node of a symbol of this trace or of a plain number."""
        if isinstance(value, Symbol):
            if value._trace is not self:
                raise cell_error(
                    "a value belongs to another trace",
                    "a step may use its arguments and its own results only; "
                    "keep nothing between traces",
                    where,
                )
            return value._index
        if not isinstance(value, numbers.Real):
            raise cell_error(
                what,
                "needed are values of the step or real numbers; blocks of a linear are "
                "unpacked first, as in i, f = self.linear('if', x, h)",
                where,
            )
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise cell_error(
                f"a constant is {value!r}", "constants are finite numbers", where
            )
        return self.b.number(number)

    # ------------------------------------------------------------------ parameters

    def linear(
        self,
        label: str | Sequence[str],
        *operands: Any,
        width: int | None = None,
        bias: bool = True,
        blocks: int | None = None,
    ) -> Any:
        """See `Cell.linear`."""
        name, block_names = self.declared.block_names(label, blocks)
        if not operands:
            raise cell_error(
                f"linear({label!r}) has no operand", "write self.linear(label, x, h)"
            )
        if self._main_label is None:
            self._main_label = name
        width = self.hidden_size if width is None else self._width(width)
        args = [self._operand(operand, name) for operand in operands]
        suffixes = [
            self._suffix(name, operand._index, position)
            for position, operand in enumerate(operands)
        ]
        weights = [
            self._parameter(
                f"weight_{suffix}", block_names, width, self.b.nodes[arg].width
            )
            for suffix, arg in zip(suffixes, args, strict=True)
        ]
        biases = [
            self._parameter(f"bias_{suffix}", block_names, width, None)
            for suffix in suffixes
            if bias
        ]
        values = tuple(
            self._linear_block(block, args, biases, weights, width)
            for block in range(len(block_names))
        )
        return values if len(values) > 1 else values[0]

    def _linear_block(
        self,
        block: int,
        args: list[int],
        biases: list[int],
        weights: list[int],
        width: int,
    ) -> Symbol:
        attrs = [len(biases)]
        for parameter in biases + weights:
            attrs += [parameter, block]
        node = Node("linear", Kind.FULL, width, tuple(args), tuple(attrs))
        return Symbol(self, self.b.append(node))

    def vector(
        self,
        name: str,
        *,
        width: int | None = None,
        blocks: str | Sequence[str] | int | None = None,
    ) -> Any:
        """See `Cell.vector`."""
        if not isinstance(name, str) or not is_name(name):
            raise cell_error(f"a vector is named {name!r}", "a name is an identifier")
        if blocks is None:
            block_names: tuple[str, ...] = ("0",)
        elif isinstance(blocks, int):
            _, block_names = self.declared.block_names(name, blocks)
        else:
            _, block_names = self.declared.block_names(blocks, None)
        width = self.hidden_size if width is None else self._width(width)
        parameter = self._parameter(name, block_names, width, None)
        values = tuple(
            Symbol(self, self.b.leaf("vector", Kind.UNIT, width, parameter, block))
            for block in range(len(block_names))
        )
        return values if len(values) > 1 else values[0]

    def _operand(self, operand: Any, name: str) -> int:
        if not isinstance(operand, Symbol):
            raise cell_error(
                f"an operand of linear({name!r}) is {type(operand).__name__}",
                "operands are values of the step, as in self.linear(label, x, h)",
            )
        index = self._index(operand, "")
        return self.b.spread(index, Kind.FULL, self.b.nodes[index].width)

    def _suffix(self, name: str, operand: int, position: int) -> str:
        """ih, hh, ... of the main label; label and operand of others."""
        known = self.operand_names.get(operand)
        if name == self._main_label and known is not None:
            return "ih" if known == "x" else f"{known}h"
        return f"{name}_{position if known is None else known}"

    def _width(self, width: Any) -> int:
        if (
            isinstance(width, bool)
            or not isinstance(width, numbers.Integral)
            or width < 1
        ):
            raise cell_error(
                f"a width is {width!r}",
                "it is a positive number of units, such as self.hidden_size",
            )
        return int(width)

    def _parameter(
        self, name: str, block_names: tuple[str, ...], width: int, columns: int | None
    ) -> int:
        """Index of the parameter of this name, made at its first use."""
        new = self.declared.parameter(name, block_names, width, columns)
        for i, known in enumerate(self.parameters):
            if known.name == name:
                if known != new:
                    raise cell_error(
                        f"{name} is used twice, once with shape {known.shape} and once "
                        f"with {new.shape}",
                        "one name is one parameter: give the second linear or vector "
                        "another label",
                    )
                return i
        self.parameters.append(new)
        return len(self.parameters) - 1
