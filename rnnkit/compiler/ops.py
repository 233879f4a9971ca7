# SPDX-License-Identifier: BSD-3-Clause
"""The primitives of a graph, in one table: what each is, gives, and derives to.

A row of `OPS` holds a primitive's number (part of the model file: never renumber), its
arguments, its value as a NumPy function, the gradient rule that `differentiate`
applies, and, in words, what it does at 0, at infinity, at NaN and at ties.

Values take real and complex arrays alike. Comparisons look at real parts alone, so a
complex step passes through every primitive and gives its derivative to the last digit.

A gradient rule ``rule(b, g, y, *args)`` gets a builder, the gradient of the result, the
result and the arguments, all as node indices, and returns one gradient per argument;
None means zero. It need not care about kinds: `differentiate` sums what was spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OP_SET_VERSION = 1

Value = Callable[..., Any]
Gradients = tuple[int | None, ...]
Rule = Callable[..., Gradients]


@dataclass(frozen=True, slots=True)
class Op:
    """One primitive.

    Attributes
    ----------
    name, number : str, int
        What graphs and model files call it.
    arity : int or None
        Number of arguments; None where it varies.
    note : str
        Meaning, and behaviour at 0, infinities, NaN and ties where it is not plain.
    value : function or None
        Arrays to array; None for leaves, products and sinks, which need the window.
    rule : function or None
        Gradient rule; None when nothing flows back (or `differentiate` has its own).
    n_attrs : int or None
        Number of attributes; None where it varies.
    backward : bool
        Belongs to a backward part only.
    """

    name: str
    number: int
    arity: int | None
    note: str = ""
    value: Value | None = None
    rule: Rule | None = None
    n_attrs: int | None = 0
    backward: bool = False

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result depends on that element alone."""
        return self.number >= FIRST_ELEMENTWISE


FIRST_ELEMENTWISE = 32


# ------------------------------------------------------------------------------ values


def _compare(holds: Callable[[Any, Any], Any]) -> Value:
    def value(a: Any, b: Any) -> Any:
        return holds(np.real(a), np.real(b)).astype(np.result_type(a, b))

    return value


def _select(c: Any, a: Any, b: Any) -> Any:
    return np.where(np.real(c) != 0, a, b)


def _maximum(a: Any, b: Any) -> Any:
    larger = np.where(np.real(a) >= np.real(b), a, b)
    return np.where(np.isnan(a), a, np.where(np.isnan(b), b, larger))


def _minimum(a: Any, b: Any) -> Any:
    return -_maximum(-a, -b)


def _abs(a: Any) -> Any:
    return np.where(np.real(a) < 0, -a, a) + 0.0  # -0 + 0 is 0


def _sigmoid(a: Any) -> Any:
    small = np.exp(-_abs(a))  # never above 1: no overflow at either end
    return np.where(np.real(a) >= 0, 1, small) / (1 + small)


def _softplus(a: Any) -> Any:
    positive = np.real(a) > 0
    return np.where(positive, a, 0) + np.log1p(np.exp(np.where(positive, -a, a)))


def _logsigmoid(a: Any) -> Any:
    return -_softplus(-a)


def _relu(a: Any) -> Any:
    return np.where(np.real(a) <= 0, np.zeros_like(a), a)


def _sigmoid_grad(g: Any, y: Any) -> Any:
    return g * (y * (1 - y))


def _tanh_grad(g: Any, y: Any) -> Any:
    return g * (1 - y * y)


def _relu_grad(g: Any, y: Any) -> Any:
    return np.where(np.real(y) > 0, g, np.zeros_like(g))


def _row_sum(a: Any) -> Any:
    return np.sum(a, axis=-1, keepdims=True)


def _row_max(a: Any) -> Any:
    at = np.argmax(np.real(a), axis=-1, keepdims=True)  # argmax finds a NaN, if any
    return np.take_along_axis(a, at, axis=-1)


# ----------------------------------------------------------------------- gradient rules


def _pass_on(b: Any, g: int, y: int, x: int) -> Gradients:
    return (g,)


def _rule_mul(b: Any, g: int, y: int, x: int, z: int) -> Gradients:
    return b("mul", g, z), b("mul", g, x)


def _rule_muladd(b: Any, g: int, y: int, x: int, z: int, c: int) -> Gradients:
    return b("mul", g, z), b("mul", g, x), g


def _rule_sqrt(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("div", b("mul", g, b.number(0.5)), y),)


def _rule_log(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("div", g, x),)


def _rule_sigmoid(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("sigmoid_grad", g, y),)


def _rule_logsigmoid(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("mul", g, b("sigmoid", b("neg", x))),)


def _rule_softplus(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("mul", g, b("sigmoid", x)),)


def _rule_tanh(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("tanh_grad", g, y),)


def _rule_relu(b: Any, g: int, y: int, x: int) -> Gradients:
    return (b("relu_grad", g, y),)


def _rule_div(b: Any, g: int, y: int, num: int, den: int) -> Gradients:
    d_num = b("div", g, den)
    return d_num, b("neg", b("mul", d_num, y))


def _share_of_first(b: Any, g: int, first_wins: int, x: int, z: int) -> tuple[int, int]:
    """The winner of a pair takes the gradient; at a tie each takes half."""
    half = b("mul", g, b.number(0.5))
    won = b("select", first_wins, g, b.number(0.0))
    d_x = b("select", b("equal", x, z), half, won)
    return d_x, b("sub", g, d_x)


def _rule_min(b: Any, g: int, y: int, x: int, z: int) -> Gradients:
    return _share_of_first(b, g, b("greater", z, x), x, z)


def _rule_max(b: Any, g: int, y: int, x: int, z: int) -> Gradients:
    return _share_of_first(b, g, b("greater", x, z), x, z)


def _rule_abs(b: Any, g: int, y: int, x: int) -> Gradients:
    zero = b.number(0.0)
    falling = b("select", b("greater", zero, x), b("neg", g), zero)
    return (b("select", b("greater", x, zero), g, falling),)


def _rule_select(b: Any, g: int, y: int, c: int, x: int, z: int) -> Gradients:
    zero = b.number(0.0)
    return None, b("select", c, g, zero), b("select", c, zero, g)


def _rule_row_max(b: Any, g: int, y: int, x: int) -> Gradients:
    at_max = b("equal", x, y)
    share = b("div", g, b("row_sum", at_max))
    return (b("select", at_max, share, b.number(0.0)),)


# ---------------------------------------------------------------------------- the table

_LEAVES = (
    Op("input", 0, 0, "x of this step"),
    Op("state", 1, 0, "a state before the step: which", n_attrs=1),
    Op("vector", 2, 0, "a learned vector: parameter, block", n_attrs=2),
    Op("constant", 3, 0, "a float64: low and high word of its bits", n_attrs=2),
    Op("flag", 4, 0, "1 or 0 a row: 0 reset, 1 active", n_attrs=1),
    Op("mask", 5, 0, "0 or 1 / (1 - rate): site, per sequence, rate", n_attrs=4),
    Op("grad_output", 6, 0, "gradient of the output", backward=True),
    Op("grad_state", 7, 0, "of a new state: which", n_attrs=1, backward=True),
)

_LINEAR = """biases in order, then each weight block times its operand in order:
number of biases, (vector, block) of each, (weight, block) of each term"""
_TRANSPOSED = "transposed blocks times deltas: (weight, block) of each"
_SUM_ROWS = "sum over all rows and steps, one a unit"
_MAX = "largest of a row's units; NaN if any is; ties share the gradient equally"
_OUTER = "sink: delta times operand over all rows and steps: weight, block"
_VECTOR = "sink: gradient of a vector: vector, block"
_PART = "units of a value, from its attribute on, as many as the width says"
_JOIN = "the units of several values, one behind the other"
_SHARE = "a float64, as a constant is, divided by the rows of all steps of the window"

_PRODUCTS_AND_SUMS = (
    Op("linear", 8, None, _LINEAR, n_attrs=None),
    Op("linear_transposed", 9, None, _TRANSPOSED, n_attrs=None, backward=True),
    Op("row_sum", 10, 1, "sum over a row's units", _row_sum, _pass_on),
    Op("row_max", 11, 1, _MAX, _row_max, _rule_row_max),
    Op("column_sum", 12, 1, _SUM_ROWS, backward=True),
    Op("weight_grad", 13, 2, _OUTER, n_attrs=2, backward=True),
    Op("vector_grad", 14, 1, _VECTOR, n_attrs=2, backward=True),
    Op("expand", 15, 1, "spreads over rows and units", lambda a: a, _pass_on),
    Op("part", 16, 1, _PART, n_attrs=1),
    Op("join", 17, None, _JOIN),
    Op("share", 18, 0, _SHARE, n_attrs=2, backward=True),
)

_TIE = "NaN if either is; at a tie each takes half of the gradient"
_LOG_SIGMOID = "log(sigmoid(a)) without overflow; -infinity and 0 at the infinities"
_SOFTPLUS = "log(1 + exp(a)) without overflow; 0 and infinity at the infinities"
_COMPARED = "1 or 0; 0 if either is NaN; no gradient"
_SELECT = "a where c is not 0 (nor is NaN), else b; what is not chosen plays no part"
_MULADD = "a * b + c, each rounded"

_ELEMENTWISE = (
    Op("add", 32, 2, "", np.add, lambda b, g, y, x, z: (g, g)),
    Op("sub", 33, 2, "", np.subtract, lambda b, g, y, x, z: (g, b("neg", g))),
    Op("mul", 34, 2, "0 times infinity is NaN", np.multiply, _rule_mul),
    Op("div", 35, 2, "x / 0 is infinite, 0 / 0 NaN", np.divide, _rule_div),
    Op("neg", 36, 1, "", np.negative, lambda b, g, y, x: (b("neg", g),)),
    Op("min", 37, 2, _TIE, _minimum, _rule_min),
    Op("max", 38, 2, _TIE, _maximum, _rule_max),
    Op("abs", 39, 1, "gradient 0 at 0", _abs, _rule_abs),
    Op("sqrt", 40, 1, "NaN below 0; gradient infinite at 0", np.sqrt, _rule_sqrt),
    Op("exp", 41, 1, "0 at -infinity", np.exp, lambda b, g, y, x: (b("mul", g, y),)),
    Op("log", 42, 1, "-infinity at 0, NaN below", np.log, _rule_log),
    Op("sigmoid", 43, 1, "0 and 1 at the infinities", _sigmoid, _rule_sigmoid),
    Op("logsigmoid", 44, 1, _LOG_SIGMOID, _logsigmoid, _rule_logsigmoid),
    Op("softplus", 45, 1, _SOFTPLUS, _softplus, _rule_softplus),
    Op("tanh", 46, 1, "-1 and 1 at the infinities", np.tanh, _rule_tanh),
    Op("relu", 47, 1, "NaN stays NaN; gradient 0 at 0", _relu, _rule_relu),
    Op("greater", 48, 2, f"a > b: {_COMPARED}", _compare(np.greater)),
    Op("greater_equal", 49, 2, f"a >= b: {_COMPARED}", _compare(np.greater_equal)),
    Op("equal", 50, 2, f"a == b: {_COMPARED}", _compare(np.equal)),
    Op("select", 51, 3, _SELECT, _select, _rule_select),
    Op("sigmoid_grad", 52, 2, "g * (y * (1 - y))", _sigmoid_grad, backward=True),
    Op("tanh_grad", 53, 2, "g * (1 - y * y)", _tanh_grad, backward=True),
    Op("relu_grad", 54, 2, "g where y > 0, else 0", _relu_grad, backward=True),
    # The real part: a complex step does not pass either.
    Op("stop_gradient", 55, 1, "a; nothing flows back", np.real),
    Op("muladd", 56, 3, _MULADD, lambda a, b, c: a * b + c, _rule_muladd),
)

_TABLE = _LEAVES + _PRODUCTS_AND_SUMS + _ELEMENTWISE
OPS = {op.name: op for op in _TABLE}
BY_NUMBER = {op.number: op for op in _TABLE}
