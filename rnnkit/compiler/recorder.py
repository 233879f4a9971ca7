# SPDX-License-Identifier: BSD-3-Clause
"""What a step is recorded in while it runs: nodes and parameters, met one by one."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from rnnkit.compiler.builder import Builder
from rnnkit.compiler.declared import Declared, is_size
from rnnkit.compiler.graph import Kind, Node, Parameter, is_name
from rnnkit.compiler.symbols import Symbol
from rnnkit.compiler.where import cell_error


class Recorder:
    """One run of one step; its symbols point to it, so nothing is shared between runs.

    Attributes
    ----------
    b : Builder
        The nodes.
    parameters : list of Parameter
        In the order of their first use.
    operand_names : dict
        Names of x and of the states by node, for the names of parameters.
    """

    def __init__(self, declared: Declared) -> None:
        self.b = Builder()
        self.declared = declared
        self.parameters: list[Parameter] = []
        self.operand_names: dict[int, str] = {}
        self._main_label = declared.main_label

    def argument(self, name: str, op: str, width: int, *attrs: int) -> Symbol:
        """x or a state, as `step` gets it."""
        index = self.b.leaf(op, Kind.FULL, width, *attrs)
        self.operand_names[index] = name
        return Symbol(self, index)

    def node(self, symbol: Symbol) -> Node:
        """The node that a symbol stands for."""
        return self.b.nodes[symbol._index]

    # ------------------------------------------------------------------ arithmetic

    def apply(self, op: str, *operands: Any) -> Symbol:
        """An elementwise primitive; a width of 1 spreads over the others' units."""
        indices = [
            self.index_of(operand, f"{op} is given {type(operand).__name__}")
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
            indices = [self.per_row(i) for i in indices]
        return Symbol(self, self.b(op, *indices))

    def per_row(self, index: int) -> int:
        """A value of one unit as one a row, which spreads; others as they are."""
        node = self.b.nodes[index]
        if node.width != 1 or node.kind not in (Kind.FULL, Kind.UNIT):
            return index
        return self.b("row_sum", self.b.spread(index, Kind.FULL, 1))

    def index_of(self, value: Any, what: str, where: str | None = None) -> int:
        """The node of a symbol of this trace or of a plain number."""
        if isinstance(value, Symbol):
            if value._recorder is not self:
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
        width = self.declared.hidden_size if width is None else self._width(width)
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
        width = self.declared.hidden_size if width is None else self._width(width)
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
        index = self.index_of(operand, "")
        return self.b.spread(index, Kind.FULL, self.b.nodes[index].width)

    def _suffix(self, name: str, operand: int, position: int) -> str:
        """ih, hh, ... of the main label; label and operand of others."""
        known = self.operand_names.get(operand)
        if name == self._main_label and known is not None:
            return "ih" if known == "x" else f"{known}h"
        return f"{name}_{position if known is None else known}"

    def _width(self, width: Any) -> int:
        if not is_size(width):
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
