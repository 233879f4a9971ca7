# SPDX-License-Identifier: BSD-3-Clause
"""What a cell declares as data, read and checked once before its step is traced."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rnnkit.compiler.check import MAX_BLOCKS, MAX_STATES, MAX_WIDTH
from rnnkit.compiler.graph import Initialiser, Parameter, is_name
from rnnkit.compiler.initialise import KINDS, parse
from rnnkit.compiler.where import cell_error, line_of_class

DECLARATIONS = ("widths", "initial", "initialisers", "limits", "weight_decay")


class Declared:
    """A cell's declarations; the cell knows its `hidden_size` already.

    Attributes
    ----------
    states : tuple of str
    widths, initial : dict
        By state.
    main_label : str or None
        The label whose parameters are called ``weight_ih``, ``bias_hh`` and so on.
    """

    def __init__(self, cell: Any) -> None:
        self.cell = cell
        self._where = line_of_class(cell)
        self.hidden_size: int = cell.hidden_size
        self._check_spelling()
        self._check_multiple()
        self.states = self._states()
        self.widths = self._widths()
        self.initial = self._initial()
        gates = getattr(cell, "gates", None)
        self.main_label = None
        if gates is not None:
            self.main_label, _ = self.block_names(gates, None, self._where)
        self._initialisers = self._mapping("initialisers")
        self._limits = self._mapping("limits")
        self._decay = self._mapping("weight_decay")
        self._labels: set[str] = set()  # of blocks, as the declarations name them

    def parameter(
        self,
        name: str,
        block_names: tuple[str, ...],
        width: int,
        columns: int | None,
        heads: int = 1,
    ) -> Parameter:
        """A parameter with what is declared for it; without `columns` a vector.

        A block of several heads is so many blocks of the parameter.
        """
        self._labels |= {f"{name}.{block}" for block in block_names}
        is_weight = columns is not None
        default = "uniform" if is_weight else "zeros"
        spec = self._initialisers.get(name, default)
        initialisers = tuple(
            self._initialiser(
                name, self._initialisers.get(f"{name}.{block}", spec), is_weight
            )
            for block in block_names
            for _ in range(heads)
        )
        if heads > 1:
            block_names = tuple(f"{b}_{k}" for b in block_names for k in range(heads))
        decay = self._decay.get(name, is_weight)
        if not isinstance(decay, bool):
            raise self._error(
                f"weight_decay[{name!r}] is {decay!r}", "it is True or False"
            )
        return Parameter(
            name=name,
            is_weight=is_weight,
            block_names=block_names,
            width=width // heads,
            columns=1 if columns is None else columns // heads,
            initialisers=initialisers,
            limits=self._bounds(name),
            decay=decay,
        )

    def check_names(
        self, parameters: Sequence[Parameter], labels: Collection[str]
    ) -> None:
        """Whether everything declared is declared for what there is in the step."""
        if self.main_label is not None and self.main_label not in labels:
            raise self._error(
                f"gates is {self.main_label!r}, which is no label of a linear",
                f"the labels are {', '.join(sorted(labels)) or 'none'}",
            )
        names = [p.name for p in parameters]
        for what, declared, known in (
            ("initialisers", self._initialisers, self._labels.union(names)),
            ("limits", self._limits, names),
            ("weight_decay", self._decay, names),
        ):
            for name in declared:
                if name not in known:
                    raise self._error(
                        f"{what} names {name!r}, which the step does not use",
                        f"its parameters are {', '.join(names) or 'none'}; one block "
                        "of them is written as in 'bias_ih.f'",
                    )

    def block_names(
        self,
        label: str | Sequence[str],
        blocks: int | None,
        where: str | None = None,
    ) -> tuple[str, tuple[str, ...]]:
        """The name that a label gives to parameters, and the names of its blocks."""
        words = [label] if isinstance(label, str) else label
        if (
            not isinstance(words, Sequence)
            or not all(isinstance(word, str) for word in words)
            or not is_name("_".join(words))
        ):
            raise cell_error(
                f"a label is {label!r}",
                "it is a string with a letter for each block, as in 'ifgo', or a list "
                "of names, as in ('reset', 'update')",
                where,
            )
        if blocks is None:
            names = tuple(label)
        elif _is_whole(blocks) and 1 <= blocks <= MAX_BLOCKS:
            names = tuple(str(i) for i in range(blocks))
        else:
            raise cell_error(
                f"blocks is {blocks!r}",
                f"it is a number of blocks, up to {MAX_BLOCKS}",
                where,
            )
        if len(set(names)) < len(names):
            raise cell_error(
                f"the label {label!r} names a block twice",
                "each letter is a block of its own; for one block write blocks=1",
                where,
            )
        return "_".join(words), names

    # ------------------------------------------------------------------- declarations

    def _error(self, what: str, remedy: str) -> Exception:
        return cell_error(what, remedy, where=self._where)

    def _check_spelling(self) -> None:
        """Refuse what looks like a declaration and would not be read."""
        for cls in type(self.cell).__mro__:
            for name, value in vars(cls).items():
                if name in DECLARATIONS or not isinstance(value, Mapping):
                    continue
                if close := get_close_matches(name, DECLARATIONS, cutoff=0.8):
                    raise self._error(
                        f"the class has a dictionary {name!r}, which nothing reads",
                        f"is {close[0]!r} meant?",
                    )

    def _check_multiple(self) -> None:
        multiple = self._resolve(getattr(self.cell, "hidden_multiple", 1))
        if not is_size(multiple):
            raise self._error(
                f"hidden_multiple is {multiple!r}",
                "it is a positive whole number, or the name of an attribute of the "
                "cell that holds it",
            )
        if self.hidden_size % multiple:
            raise self._error(
                f"hidden_size is {self.hidden_size}", f"it is a multiple of {multiple}"
            )

    def _states(self) -> tuple[str, ...]:
        states = getattr(self.cell, "states", None)
        if isinstance(states, str) or not isinstance(states, Sequence) or not states:
            raise self._error(
                f"states is {states!r}", "name the states, as in states = ('h', 'c')"
            )
        if len(states) > MAX_STATES:
            raise self._error(
                f"there are {len(states)} states", f"at most {MAX_STATES}"
            )
        for name in states:
            if not isinstance(name, str) or not (
                name.isascii() and name.isidentifier()
            ):
                raise self._error(
                    f"a state is named {name!r}", "a name is an identifier"
                )
            if name in ("x", "i"):
                raise self._error(
                    f"a state is named {name!r}",
                    "x is the input, and weight_ih its weight: take another name",
                )
        if len(set(states)) < len(states):
            raise self._error(f"states is {states!r}", "each name stands once")
        if not callable(getattr(self.cell, "step", None)):
            raise self._error("there is no step", "define step(self, x, *states)")
        return tuple(states)

    def _widths(self) -> dict[str, int]:
        declared = self._mapping("widths", self.states)
        widths = {}
        for name in self.states:
            width = self._resolve(declared.get(name, self.hidden_size))
            if not is_size(width):
                raise self._error(
                    f"widths[{name!r}] is {width!r}",
                    "a width is a positive number of units, or the name of an "
                    "attribute of the cell that holds it",
                )
            widths[name] = int(width)
        return widths

    def _initial(self) -> dict[str, float]:
        declared = self._mapping("initial", self.states)
        values = {}
        for name in self.states:
            value = self._resolve(declared.get(name, 0.0))
            if not _is_number(value) or math.isnan(value):
                raise self._error(
                    f"initial[{name!r}] is {value!r}",
                    "it is one number for all units, and not NaN",
                )
            values[name] = float(value)
        return values

    def _initialiser(self, name: str, spec: Any, is_weight: bool) -> Initialiser:
        is_kind = isinstance(spec, str) and spec in KINDS
        try:
            resolved = spec if is_kind else self._resolve(spec)
            return parse(resolved, self.hidden_size, is_weight)
        except ValueError as error:
            raise self._error(
                f"the initialiser of {name}: {error}",
                "write a number, a name such as 'orthogonal', or a pair such as "
                "('normal', 0.01)",
            ) from None

    def _bounds(self, name: str) -> tuple[float, float] | None:
        bounds = self._resolve(self._limits.get(name))
        if bounds is None:
            return None
        if (
            not isinstance(bounds, tuple | list)
            or len(bounds) != 2
            or not all(_is_number(bound) for bound in bounds)
            or not bounds[0] <= bounds[1]
        ):
            raise self._error(
                f"limits[{name!r}] is {bounds!r}",
                "write two numbers, (lowest, highest), or the name of one attribute "
                "that holds the pair",
            )
        return float(bounds[0]), float(bounds[1])

    def _mapping(
        self, attribute: str, keys: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        value = getattr(self.cell, attribute, {})
        if not isinstance(value, Mapping):
            raise self._error(f"{attribute} is {value!r}", "it is a dictionary")
        for key in value:
            if keys is not None and key not in keys:
                raise self._error(
                    f"{attribute} names {key!r}, which is no state",
                    f"the states are {', '.join(keys)}",
                )
        return value

    def _resolve(self, value: Any) -> Any:
        """A string that names an attribute of the cell stands for its value."""
        if isinstance(value, str) and hasattr(self.cell, value):
            return getattr(self.cell, value)
        return value


def is_size(value: Any) -> bool:
    """Whether this may be a number of units."""
    return _is_whole(value) and 1 <= value <= MAX_WIDTH


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
