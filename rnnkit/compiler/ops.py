# SPDX-License-Identifier: BSD-3-Clause
"""The primitives of a graph, in one table: what each is, gives, and derives to.

A row of `OPS` holds a primitive's number (part of the model file: never renumber), its
arguments, its value as a NumPy function, the gradient rule that `differentiate` applies,
and, in words, what it does at 0, at infinity, at NaN and at ties.

Values take real and complex arrays alike. Comparisons look at real parts alone, so a
complex step passes through every primitive and gives its derivative to the last digit.

A gradient rule ``rule(b, g, y, *args)`` gets a builder, the gradient of the result, the
result and the arguments, all as node indices, and returns one gradient per argument; None
means zero. It need not care about kinds: `differentiate` sums what was spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OP_SET_VERSION = 1

Value = Callable[..., Any]
Rule = Callable[..., tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class Op:
    """One primitive.

    Attributes
    ----------
    name, number : str, int
        What graphs and model files call it.
    arity : int or None
        Number of arguments; None where it varies.
    n_attrs : int or None
        Number of attributes; None where it varies.
    value : function or None
        Arrays to array; None for leaves, products and sinks, which need the window's data.
    rule : function or None
        Gradient rule; None when nothing flows back (or `differentiate` has its own).
    backward : bool
        Belongs to a backward part only.
    note : str
        Meaning, and behaviour at 0, infinities, NaN and ties where it is not plain.
    """

    name: str
    number: int
    arity: int | None
    n_attrs: int | None = 0
    value: Value | None = None
    rule: Rule | None = None
    backward: bool = False
    note: str = ""

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result depends on that element alone."""
        return self.number >= FIRST_ELEMENTWISE


FIRST_ELEMENTWISE = 32


# ------------------------------------------------------------------------------ values


def _is(condition: Any, like: Any) -> Any:
    return np.asarray(condition).astype(np.result_type(like))


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
    return np.where(np.real(a) > 0, a, 0) + np.log1p(np.exp(-_abs(a)))


def _relu(a: Any) -> Any:
    return np.where(np.real(a) <= 0, np.zeros_like(a), a)


def _row_max(a: Any) -> Any:
    at = np.argmax(np.real(a), axis=-1, keepdims=True)  # argmax finds a NaN, if any
    return np.take_along_axis(a, at, axis=-1)


# ----------------------------------------------------------------------- gradient rules


def _rule_div(b: Any, g: int, y: int, num: int, den: int) -> tuple[int | None, ...]:
    d_num = b("div", g, den)
    return d_num, b("neg", b("mul", d_num, y))


def _share_of_first(b: Any, g: int, first_wins: int, x: int, z: int) -> tuple[int, int]:
    """The winner of a pair takes the gradient; at a tie each takes half."""
    half = b("mul", g, b.number(0.5))
    won = b("select", first_wins, g, b.number(0.0))
    d_x = b("select", b("equal", x, z), half, won)
    return d_x, b("sub", g, d_x)


def _rule_min(b: Any, g: int, y: int, x: int, z: int) -> tuple[int | None, ...]:
    return _share_of_first(b, g, b("greater", z, x), x, z)


def _rule_max(b: Any, g: int, y: int, x: int, z: int) -> tuple[int | None, ...]:
    return _share_of_first(b, g, b("greater", x, z), x, z)


def _rule_abs(b: Any, g: int, y: int, x: int) -> tuple[int | None, ...]:
    zero = b.number(0.0)
    falling = b("select", b("greater", zero, x), b("neg", g), zero)
    return (b("select", b("greater", x, zero), g, falling),)


def _rule_select(
    b: Any, g: int, y: int, c: int, x: int, z: int
) -> tuple[int | None, ...]:
    zero = b.number(0.0)
    return None, b("select", c, g, zero), b("select", c, zero, g)


def _rule_row_max(b: Any, g: int, y: int, x: int) -> tuple[int | None, ...]:
    at_max = b("equal", x, y)
    share = b("div", g, b("row_sum", at_max))
    return (b("select", at_max, share, b.number(0.0)),)


# ---------------------------------------------------------------------------- the table

_TABLE = (
    # Leaves.
    Op("input", 0, 0, note="x of this step"),
    Op("state", 1, 0, 1, note="a state before the step; attribute: which"),
    Op("vector", 2, 0, 2, note="a learned vector; attributes: parameter, block"),
    Op(
        "constant", 3, 0, 2, note="a float64; attributes: low and high word of its bits"
    ),
    Op("flag", 4, 0, 1, note="1 or 0 a row; attribute: 0 reset, 1 active"),
    Op(
        "mask",
        5,
        0,
        4,
        note="0 or 1 / (1 - rate) a unit; attributes: site, per_sequence, rate's two words",
    ),
    Op("grad_output", 6, 0, backward=True, note="gradient of the output"),
    Op(
        "grad_state",
        7,
        0,
        1,
        backward=True,
        note="gradient of a new state, from the next step; attribute: which",
    ),
    # Products, reductions, sinks.
    Op(
        "linear",
        8,
        None,
        None,
        note="biases in order, then each weight block times its operand in order; "
        "attributes: number of biases, (vector, block) of each, (weight, block) of each term",
    ),
    Op(
        "linear_transposed",
        9,
        None,
        None,
        backward=True,
        note="sum of transposed blocks times deltas; attributes: (weight, block) of each",
    ),
    Op(
        "row_sum",
        10,
        1,
        value=lambda a: np.sum(a, axis=-1, keepdims=True),
        rule=lambda b, g, y, x: (g,),
        note="sum over a row's units",
    ),
    Op(
        "row_max",
        11,
        1,
        value=_row_max,
        rule=_rule_row_max,
        note="largest of a row's units; NaN if any is; ties share the gradient equally",
    ),
    Op("column_sum", 12, 1, backward=True, note="sum over all rows and steps, a unit"),
    Op(
        "weight_grad",
        13,
        2,
        2,
        backward=True,
        note="sink: delta times operand over all rows and steps; attributes: weight, block",
    ),
    Op(
        "vector_grad",
        14,
        1,
        2,
        backward=True,
        note="sink: gradient of a vector; attributes: vector, block",
    ),
    Op(
        "expand",
        15,
        1,
        value=lambda a: a,
        rule=lambda b, g, y, x: (g,),
        note="spreads over rows and units",
    ),
    # Elementwise.
    Op("add", 32, 2, value=lambda a, b: a + b, rule=lambda b, g, y, x, z: (g, g)),
    Op(
        "sub",
        33,
        2,
        value=lambda a, b: a - b,
        rule=lambda b, g, y, x, z: (g, b("neg", g)),
    ),
    Op(
        "mul",
        34,
        2,
        value=lambda a, b: a * b,
        rule=lambda b, g, y, x, z: (b("mul", g, z), b("mul", g, x)),
        note="0 times infinity is NaN",
    ),
    Op(
        "div",
        35,
        2,
        value=lambda a, b: a / b,
        rule=_rule_div,
        note="x / 0 is infinite, 0 / 0 NaN",
    ),
    Op("neg", 36, 1, value=lambda a: -a, rule=lambda b, g, y, x: (b("neg", g),)),
    Op(
        "min",
        37,
        2,
        value=_minimum,
        rule=_rule_min,
        note="NaN if either is; at a tie each takes half of the gradient",
    ),
    Op(
        "max",
        38,
        2,
        value=_maximum,
        rule=_rule_max,
        note="NaN if either is; at a tie each takes half of the gradient",
    ),
    Op("abs", 39, 1, value=_abs, rule=_rule_abs, note="gradient 0 at 0"),
    Op(
        "sqrt",
        40,
        1,
        value=np.sqrt,
        rule=lambda b, g, y, x: (b("div", b("mul", g, b.number(0.5)), y),),
        note="NaN below 0; gradient infinite at 0",
    ),
    Op(
        "exp",
        41,
        1,
        value=np.exp,
        rule=lambda b, g, y, x: (b("mul", g, y),),
        note="0 at -infinity",
    ),
    Op(
        "log",
        42,
        1,
        value=np.log,
        rule=lambda b, g, y, x: (b("div", g, x),),
        note="-infinity at 0, NaN below",
    ),
    Op(
        "sigmoid",
        43,
        1,
        value=_sigmoid,
        rule=lambda b, g, y, x: (b("sigmoid_grad", g, y),),
        note="1 / (1 + exp(-a)); 0 and 1 at the infinities",
    ),
    Op(
        "logsigmoid",
        44,
        1,
        value=lambda a: -_softplus(-a),
        rule=lambda b, g, y, x: (b("mul", g, b("sigmoid", b("neg", x))),),
        note="log(sigmoid(a)) without overflow; -infinity and 0 at the infinities",
    ),
    Op(
        "softplus",
        45,
        1,
        value=_softplus,
        rule=lambda b, g, y, x: (b("mul", g, b("sigmoid", x)),),
        note="log(1 + exp(a)) without overflow; 0 and infinity at the infinities",
    ),
    Op(
        "tanh",
        46,
        1,
        value=np.tanh,
        rule=lambda b, g, y, x: (b("tanh_grad", g, y),),
        note="-1 and 1 at the infinities",
    ),
    Op(
        "relu",
        47,
        1,
        value=_relu,
        rule=lambda b, g, y, x: (b("relu_grad", g, y),),
        note="max(a, 0); gradient 0 at 0; NaN stays NaN",
    ),
    Op(
        "greater",
        48,
        2,
        value=lambda a, b: _is(np.real(a) > np.real(b), a),
        note="1 where a > b, else 0 (also where either is NaN); no gradient",
    ),
    Op(
        "greater_equal",
        49,
        2,
        value=lambda a, b: _is(np.real(a) >= np.real(b), a),
        note="1 where a >= b, else 0 (also where either is NaN); no gradient",
    ),
    Op(
        "equal",
        50,
        2,
        value=lambda a, b: _is(np.real(a) == np.real(b), a),
        note="1 where a == b, else 0 (also where either is NaN); no gradient",
    ),
    Op(
        "select",
        51,
        3,
        value=lambda c, a, b: np.where(np.real(c) != 0, a, b),
        rule=_rule_select,
        note="a where c is not 0 (NaN is not), else b; what is not chosen gets gradient 0",
    ),
    Op(
        "sigmoid_grad",
        52,
        2,
        backward=True,
        value=lambda g, y: g * (y * (1 - y)),
        note="g * (y * (1 - y)), y the sigmoid",
    ),
    Op(
        "tanh_grad",
        53,
        2,
        backward=True,
        value=lambda g, y: g * (1 - y * y),
        note="g * (1 - y * y), y the tanh",
    ),
    Op(
        "relu_grad",
        54,
        2,
        backward=True,
        value=lambda g, y: np.where(np.real(y) > 0, g, np.zeros_like(g)),
        note="g where y > 0, else 0",
    ),
    Op("stop_gradient", 55, 1, value=lambda a: a, note="a; nothing flows back"),
    Op(
        "muladd",
        56,
        3,
        value=lambda a, b, c: a * b + c,
        rule=lambda b, g, y, x, z, c: (b("mul", g, z), b("mul", g, x), g),
        note="a * b + c, each rounded",
    ),
)

OPS = {op.name: op for op in _TABLE}
BY_NUMBER = {op.number: op for op in _TABLE}
