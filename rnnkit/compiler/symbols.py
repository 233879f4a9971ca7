# SPDX-License-Identifier: BSD-3-Clause
"""What a cell's step computes with: symbols, and the functions on them.

A symbol stands for a value of the trace that made it; arithmetic on it adds nodes
there. What cannot be traced is refused with the line of the cell and the remedy. The
functions take plain numbers as well, and then give one.
"""

from __future__ import annotations

import builtins
import numbers
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from rnnkit.compiler.graph import Kind
from rnnkit.compiler.ops import OPS
from rnnkit.compiler.where import cell_error

if TYPE_CHECKING:
    from rnnkit.compiler.recorder import Recorder


class Symbol:
    """A value of a trace: rows x units, one a unit, or one a row."""

    __slots__ = ("_index", "_recorder")

    def __init__(self, recorder: Recorder, index: int) -> None:
        self._recorder = recorder
        self._index = index

    @property
    def width(self) -> int:
        """Number of units; 1 for one a row."""
        return self._recorder.node(self).width

    def __repr__(self) -> str:
        return f"<value of width {self.width}>"

    # ------------------------------------------------------------------- arithmetic

    def __add__(self, other: Any) -> Symbol:
        return self._recorder.apply("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self._recorder.apply("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self._recorder.apply("sub", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self._recorder.apply("sub", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self._recorder.apply("mul", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self._recorder.apply("mul", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self._recorder.apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self._recorder.apply("div", other, self)

    def __neg__(self) -> Symbol:
        return self._recorder.apply("neg", self)

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return self._recorder.apply("abs", self)

    def __pow__(self, power: Any) -> Symbol:
        if (
            isinstance(power, bool)
            or not isinstance(power, int)
            or not 1 <= power <= 64
        ):
            raise cell_error(
                f"a power is {power!r}, allowed are whole numbers from 1 to 64",
                "write sqrt(x), 1 / x or exp(a * log(x)) for others",
            )
        half = self ** (power // 2) if power > 1 else self
        if power == 1:
            return self
        return half * half * self if power % 2 else half * half

    # ------------------------------------------------------------------ comparisons

    def __gt__(self, other: Any) -> Symbol:
        return self._recorder.apply("greater", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return self._recorder.apply("greater_equal", self, other)

    def __lt__(self, other: Any) -> Symbol:
        return self._recorder.apply("greater", other, self)

    def __le__(self, other: Any) -> Symbol:
        return self._recorder.apply("greater_equal", other, self)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return self._recorder.apply("equal", self, other)

    def __ne__(self, other: object) -> Symbol:  # type: ignore[override]
        return 1 - self._recorder.apply("equal", self, other)

    __hash__ = object.__hash__

    def __rpow__(self, base: Any) -> Never:
        raise cell_error("a value is an exponent", "write exp(x * log(base))")

    # ------------------------------------------------------------ what is not there

    def __bool__(self) -> Never:
        raise cell_error(
            "the step branches on a value that is not known yet: it is traced once, "
            "for all rows and units",
            "write select(condition, a, b), maximum(a, b) or minimum(a, b); "
            "ifs and loops on plain numbers and settings are fine",
        )

    def __iter__(self) -> Never:
        raise cell_error(
            f"a value of width {self.width} is iterated over or unpacked",
            "name the parts in the label, as in i, f = self.linear('if', x, h), or "
            "write a, b = split(value, 2); for reductions import sum, mean and max "
            "from rnnkit.cells",
        )

    def __len__(self) -> Never:
        raise cell_error("a value has no length", "its number of units is x.width")

    def __getitem__(self, key: Any) -> Never:
        raise cell_error(
            f"a value is indexed with {key!r}",
            "give each part a block of its own, as in i, f = self.linear('if', x, h), "
            "or write a, b = split(value, 2) or split(value, (10, 6))",
        )

    def __setitem__(self, key: Any, value: Any) -> Never:
        raise cell_error(
            "a part of a value is assigned to",
            "values do not change; write split, select or concat to make a new one",
        )

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __round__(self, digits: Any = None) -> Never:
        raise cell_error("a value is rounded", "rounding has no gradient; leave it out")

    def __float__(self) -> Never:
        raise cell_error(
            "a value is turned into a plain number, by float, int or the math module",
            "use the functions of rnnkit.cells, such as tanh and exp",
        )

    __int__ = __index__ = __complex__ = __float__

    def __getattr__(self, name: str) -> Never:
        if name.startswith("_"):  # protocols ask for what may be missing
            raise AttributeError(name)
        raise cell_error(
            f"a value has no attribute {name!r}",
            "it has width, arithmetic and comparisons; functions such as tanh, mean "
            "and select are imported from rnnkit.cells",
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Never:
        raise _numpy_error("turned into a NumPy array")

    def __array_function__(self, function: Any, *args: Any) -> Never:
        raise _numpy_error(f"given to numpy.{function.__name__}")

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        # np.sqrt(2.0) * x ends here: NumPy's own numbers count as plain ones.
        name = _OPERATOR_OF_UFUNC.get(ufunc.__name__)
        if name and method == "__call__" and any(map(_is_numpy_number, inputs)):
            plain = (x.item() if _is_numpy_number(x) else x for x in inputs)
            return getattr(operator, name)(*plain)
        raise _numpy_error(f"given to numpy.{ufunc.__name__}")


def _refuse(symbol: str, remedy: str) -> Callable[..., Never]:
    def method(self: Symbol, *others: Any) -> Never:
        raise cell_error(f"values have no operator {symbol}", remedy)

    return method


_REFUSED = {
    "matmul": ("@", "a matrix product is self.linear(label, x, ...)"),
    "floordiv": ("//", "division is /"),
    "mod": ("%", "there is no remainder of values"),
    "and": ("&", "multiply conditions: (a > 0) * (b > 0)"),
    "or": ("|", "write maximum(a > 0, b > 0)"),
    "xor": ("^", "a power is **"),
    "lshift": ("<<", "multiply by a power of two"),
    "rshift": (">>", "divide by a power of two"),
    "divmod": ("divmod", "division is /"),
    "invert": ("~", "write 1 - condition"),
}
for _name, _texts in _REFUSED.items():
    setattr(Symbol, f"__{_name}__", _refuse(*_texts))
    setattr(Symbol, f"__r{_name}__", _refuse(*_texts))

_OPERATOR_OF_UFUNC = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "equal": "eq",
    "not_equal": "ne",
}


def _is_numpy_number(value: Any) -> bool:
    return isinstance(value, np.generic | np.ndarray) and value.ndim == 0


def _numpy_error(what: str) -> Exception:
    return cell_error(
        f"a value of the step is {what}, which the trace cannot see",
        "use the functions of rnnkit.cells, such as tanh, exp and maximum; "
        "learned numbers come from self.vector and self.linear",
    )


# --------------------------------------------------------------------------- functions


def _apply(op: str, *operands: Any) -> Any:
    for operand in operands:
        if isinstance(operand, Symbol):
            return operand._recorder.apply(op, *operands)
    return _apply_to_numbers(op, operands)


def _apply_to_numbers(op: str, operands: tuple[Any, ...]) -> float:
    if not all(isinstance(operand, numbers.Real) for operand in operands):
        given = ", ".join(type(operand).__name__ for operand in operands)
        raise cell_error(
            f"{op} is given {given}",
            "it takes values of the step or plain numbers; the blocks of a linear are "
            "unpacked first, as in i, f = self.linear('if', x, h)",
        )
    function = OPS[op].value
    assert function is not None
    with np.errstate(all="ignore"):
        return float(function(*map(np.float64, operands)))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return _apply("sigmoid", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _apply("tanh", x)


def relu(x: Any) -> Any:
    """maximum(x, 0), with gradient 0 at 0."""
    return _apply("relu", x)


def exp(x: Any) -> Any:
    """Exponential."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return _apply("log", x)


def sqrt(x: Any) -> Any:
    """Square root."""
    return _apply("sqrt", x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return _apply("softplus", x)


def logsigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return _apply("logsigmoid", x)


def abs(x: Any) -> Any:
    """Absolute value, with gradient 0 at 0; Python's own ``abs`` does the same."""
    return _apply("abs", x)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two, elementwise; at a tie each takes half of the gradient."""
    return _apply("min", a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two, elementwise; at a tie each takes half of the gradient."""
    return _apply("max", a, b)


def select(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` is not 0, else `b`; what is not chosen plays no part."""
    return _apply("select", condition, a, b)


def stop_gradient(x: Any) -> Any:
    """`x`, through which no gradient flows back."""
    return _apply("stop_gradient", x)


def softmax(x: Any) -> Any:
    """exp(x) / sum(exp(x)) over a row's units, without overflow."""
    if not isinstance(x, Symbol):
        raise cell_error(
            f"softmax is given {type(x).__name__}",
            "it is over the units of one value of the step; for several values write "
            "m = maximum(a, b), exp(a - m) and exp(b - m), each divided by their sum",
        )
    e = exp(x - max(x))
    return e / sum(e)


def split(x: Any, parts: int | Sequence[int]) -> tuple[Any, ...]:
    """The units of a value, cut into `parts` of equal width, or of these widths."""
    if not isinstance(x, Symbol):
        raise cell_error(
            f"split is given {type(x).__name__}", "it cuts a value of the step"
        )
    return x._recorder.split(x, parts)


def concat(*values: Any) -> Any:
    """The units of several values, one behind the other, as one value."""
    for value in values:
        if isinstance(value, Symbol):
            return value._recorder.concat(values)
    raise cell_error(
        "concat is given no value of the step", "write concat(a, b), without a list"
    )


def mean(x: Any) -> Any:
    """Mean over a row's units: one value a row."""
    if not isinstance(x, Symbol):
        raise cell_error(
            f"mean is given {type(x).__name__}",
            "it is over the units of one value of the step; for two values there is "
            "(a + b) / 2",
        )
    total = _reduce("row_sum", x)
    return total / x.width if x.width > 1 else total


# Two names of Python's own: on anything but a value of the step they mean what they do
# everywhere, so that importing them takes nothing away.


def sum(x: Any, *others: Any) -> Any:
    """Sum over a row's units: one value a row."""
    is_reduction = isinstance(x, Symbol) and not others
    return _reduce("row_sum", x) if is_reduction else builtins.sum(x, *others)


def max(x: Any, *others: Any, **options: Any) -> Any:
    """Largest of a row's units: one value a row; ties share the gradient equally."""
    is_reduction = isinstance(x, Symbol) and not others
    return (
        _reduce("row_max", x) if is_reduction else builtins.max(x, *others, **options)
    )


def _reduce(op: str, x: Symbol) -> Symbol:
    recorder = x._recorder
    node = recorder.node(x)
    if node.kind == Kind.ROW:
        return x
    full = recorder.b.spread(x._index, Kind.FULL, node.width)
    return recorder.made(recorder.b(op, full))
