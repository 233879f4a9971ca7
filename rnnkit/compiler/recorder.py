# SPDX-License-Identifier: BSD-3-Clause
"""What a step is recorded in while it runs: nodes and parameters, met one by one."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rnnkit.compiler.builder import Builder
from rnnkit.compiler.declared import Declared, is_size
from rnnkit.compiler.graph import Kind, Node, Parameter, is_name
from rnnkit.compiler.symbols import Symbol
from rnnkit.compiler.where import calling_place, cell_error


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
    places : dict
        File and line of the cell's code that made a node, by node.
    labels : set
        Those of all products.
    block_tuples : list
        The tuples that products of several blocks have given, with their labels.
    """

    def __init__(self, declared: Declared) -> None:
        self.b = Builder()
        self.declared = declared
        self.parameters: list[Parameter] = []
        self.operand_names: dict[int, str] = {}
        self.places: dict[int, tuple[str, int] | None] = {}
        self.labels: set[str] = set()
        self.block_tuples: list[tuple[Any, tuple[Symbol, ...]]] = []
        self._called: dict[str, list[list[str | None]]] = {}  # operands, by label
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
        if op == "div" and indices[1] == self.b.number(0.0):
            raise cell_error("a value is divided by 0", "the quotient is not finite")
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
        return self.made(self.b(op, *indices))

    def made(self, index: int) -> Symbol:
        """A node that the step has just made, or met again, as what it goes on with."""
        if index not in self.places:
            self.places[index] = calling_place()
        return Symbol(self, index)

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

    # ------------------------------------------------------------------------ units

    def split(self, value: Symbol, parts: int | Sequence[int]) -> tuple[Symbol, ...]:
        """See `symbols.split`."""
        whole = self._full(value)
        width = self.b.nodes[whole].width
        if isinstance(parts, list | tuple):
            widths = list(parts)
        elif isinstance(parts, numbers.Integral) and is_size(parts):
            widths = [width // int(parts)] * int(parts)
        else:
            widths = []
        if not widths or not all(map(is_size, widths)) or sum(widths) != width:
            raise cell_error(
                f"a value of width {width} is split into {parts!r}",
                "write a number of equal parts that divides the width, or a list of "
                "widths whose sum it is",
            )
        firsts = [sum(widths[:k]) for k in range(len(widths))]
        return tuple(
            self.made(self.b.part(whole, first, part))
            for first, part in zip(firsts, widths, strict=True)
        )

    def concat(self, values: Sequence[Any]) -> Symbol:
        """See `symbols.concat`."""
        indices = [
            self.index_of(value, f"concat is given {type(value).__name__}")
            for value in values
        ]
        return self.made(self.b.join([self._full_index(i) for i in indices]))

    def _full(self, value: Symbol) -> int:
        return self._full_index(self.index_of(value, ""))

    def _full_index(self, index: int) -> int:
        """A value as one of rows x units, of its own width."""
        return self.b.spread(index, Kind.FULL, self.b.nodes[index].width)

    # ------------------------------------------------------------------ parameters

    def linear(
        self,
        label: str | Sequence[str],
        *operands: Any,
        width: int | None = None,
        bias: bool = True,
        blocks: int | None = None,
        heads: int = 1,
        names: str | Sequence[str] | None = None,
    ) -> Any:
        """See `Cell.linear`."""
        name, block_names = self.declared.block_names(label, blocks)
        if not operands:
            raise cell_error(
                f"linear({label!r}) has no operand", "write self.linear(label, x, h)"
            )
        if not isinstance(bias, bool):
            raise cell_error(f"bias is {bias!r}", "it is True or False")
        if self._main_label is None:
            self._main_label = name
        self.labels.add(name)
        width = self.declared.hidden_size if width is None else self._width(width)
        args = [self._operand(operand, name) for operand in operands]
        suffixes = self._suffixes(name, [o._index for o in operands], names)
        self._check_heads(heads, width, args)
        weights = [
            self._parameter(
                f"weight_{suffix}", block_names, width, self.b.nodes[arg].width, heads
            )
            for suffix, arg in zip(suffixes, args, strict=True)
        ]
        biases = [
            self._parameter(f"bias_{suffix}", block_names, width, None)
            for suffix in suffixes
            if bias
        ]
        make: Callable[..., int] = self._linear_block
        if heads > 1:
            make = partial(self._linear_heads, heads=heads)
        values = tuple(
            self.made(make(block, args, biases, weights, width))
            for block in range(len(block_names))
        )
        if len(values) == 1:
            return values[0]
        self.block_tuples.append((label, values))
        return values

    def _check_heads(self, heads: Any, width: int, args: list[int]) -> None:
        widths = [width, *(self.b.nodes[arg].width for arg in args)]
        if not is_size(heads) or any(w % heads for w in widths):
            raise cell_error(
                f"heads is {heads!r} for blocks of {width} units and operands of "
                f"{' and '.join(map(str, widths[1:]))}",
                "it is a number that divides all of these widths",
            )

    def _linear_block(
        self,
        block: int,
        args: list[int],
        biases: list[int],
        weights: list[int],
        width: int,
    ) -> int:
        """One block of a product: one row of its blocks of weights and biases."""
        attrs = [len(biases)]
        for parameter in biases + weights:
            attrs += [parameter, block]
        node = Node("linear", Kind.FULL, width, tuple(args), tuple(attrs))
        return self.b.append(node)

    def _linear_heads(
        self,
        block: int,
        args: list[int],
        biases: list[int],
        weights: list[int],
        width: int,
        *,
        heads: int,
    ) -> int:
        """One block whose weights are block-diagonal: a small product for each head."""
        products = []
        for head in range(heads):
            parts = []
            for arg in args:
                n = self.b.nodes[arg].width // heads
                parts.append(self.b.part(arg, head * n, n))
            at = block * heads + head
            products.append(self._linear_block(at, parts, [], weights, width // heads))
        total = self.b.join(products)
        for bias in biases:
            vector = self.b.leaf("vector", Kind.UNIT, width, bias, block)
            total = self.b("add", total, vector)
        return total

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
        return self._full(operand)

    def _suffixes(
        self, label: str, operands: list[int], names: str | Sequence[str] | None
    ) -> list[str]:
        """The ends of the parameters' names: ih, hh, ... of the main label."""
        if names is None:
            called = [self.operand_names.get(operand) for operand in operands]
            self._check_meant(label, called)
        else:
            called = list([names] if isinstance(names, str) else names)
            if len(called) != len(operands) or not all(map(_is_operand_name, called)):
                raise cell_error(
                    f"names is {names!r} for {len(operands)} operands",
                    "it is a word for each of them, as in names=('x', 's')",
                )
        suffixes = [
            self._suffix(label, name, position) for position, name in enumerate(called)
        ]
        for i, suffix in enumerate(suffixes):
            if operands[i] != operands[first := suffixes.index(suffix)]:
                raise cell_error(
                    f"operands {first} and {i} of linear({label!r}) are two values, "
                    f"and both would have the weight weight_{suffix}",
                    "give each a name of its own: names=('x', 's')",
                )
        return suffixes

    def _suffix(self, label: str, name: str | None, position: int) -> str:
        if label == self._main_label and name is not None:
            return "ih" if name == "x" else f"{name}h"
        return f"{label}_{position if name is None else name}"

    def _check_meant(self, label: str, called: list[str | None]) -> None:
        """Refuse a label that has a state at one place, then a computed value there.

        In a loop it would mean one weight in the first round and another one later.
        """
        for before in self._called.setdefault(label, []):
            for name, earlier in zip(called, before, strict=False):
                if len(called) == len(before) and (name is None) != (earlier is None):
                    known = name or earlier
                    raise cell_error(
                        f"linear({label!r}) is given {known!r} and, in another call, "
                        "a computed value at the same place: one weight or two?",
                        f"for one, write names=(..., {known!r}) in both calls; for "
                        "two, give them different labels",
                    )
        self._called[label].append(called)

    def _width(self, width: Any) -> int:
        if not is_size(width):
            raise cell_error(
                f"a width is {width!r}",
                "it is a positive number of units, such as self.hidden_size",
            )
        return int(width)

    def _parameter(
        self,
        name: str,
        block_names: tuple[str, ...],
        width: int,
        columns: int | None,
        heads: int = 1,
    ) -> int:
        """Index of the parameter of this name, made at its first use."""
        new = self.declared.parameter(name, block_names, width, columns, heads)
        for i, known in enumerate(self.parameters):
            if known.name == name:
                if known != new:
                    raise cell_error(
                        f"{name} is used twice, once as {_described(known)} and once "
                        f"as {_described(new)}",
                        "one name is one parameter: give the second linear or vector "
                        "another label",
                    )
                return i
        self.parameters.append(new)
        return len(self.parameters) - 1


def _is_operand_name(name: Any) -> bool:
    return isinstance(name, str) and is_name(name) and name not in ("i", "")


def _described(parameter: Parameter) -> str:
    kind = "a weight" if parameter.is_weight else "a vector"
    shape = " x ".join(map(str, parameter.shape))
    return f"{kind} of {shape} in {parameter.blocks} blocks"
