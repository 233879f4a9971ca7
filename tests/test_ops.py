# SPDX-License-Identifier: BSD-3-Clause
"""The table of primitives: numbers, values, gradients, edges."""

import itertools
import math
import re

import numpy as np
import pytest

from rnnkit.cells import Cell, mean
from rnnkit.compiler import differentiate, trace
from rnnkit.compiler.ops import BY_NUMBER, OPS
from rnnkit.testing.gradients import complex_step_gradient, relative_error
from rnnkit.testing.reference import Window, backward, forward

INF, NAN = math.inf, math.nan

# What each elementwise primitive is, in Python's own arithmetic.
PLAIN = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "logsigmoid": lambda a: -math.log1p(math.exp(-a)),
    "softplus": lambda a: math.log1p(math.exp(a)),
    "tanh": math.tanh,
    "relu": lambda a: max(a, 0.0),
    "greater": lambda a, b: float(a > b),
    "greater_equal": lambda a, b: float(a >= b),
    "equal": lambda a, b: float(a == b),
    "select": lambda c, a, b: a if c else b,
    "sigmoid_grad": lambda g, y: g * (y * (1 - y)),
    "tanh_grad": lambda g, y: g * (1 - y * y),
    "relu_grad": lambda g, y: g if y > 0 else 0.0,
    "stop_gradient": lambda a: a,
    "muladd": lambda a, b, c: a * b + c,
}
POSITIVE = ("sqrt", "log", "div")


def test_numbers_names_and_operands_are_those_of_the_core(root):
    kernels = (root / "csrc/kernels/kernels.h").read_text()
    graph = (root / "csrc/program/graph.h").read_text()
    core = {
        (name, int(number), int(operands))
        for name, number, operands in re.findall(
            r"X\((\w+), (\d+), (\d)\)", kernels.split("enum rk_vector_op")[0]
        )
    }
    ours = {(op.name, op.number, op.arity) for op in OPS.values() if op.is_elementwise}
    assert ours == core
    core = set(re.findall(r"RK_OP_(\w+) = (\d+)", graph))
    others = {op for op in OPS.values() if not op.is_elementwise}
    assert {(op.name, str(op.number)) for op in others} == core
    assert len(BY_NUMBER) == len(OPS)


def test_every_elementwise_primitive_has_a_plain_twin():
    assert set(PLAIN) == {op.name for op in OPS.values() if op.is_elementwise}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", [float, complex])
def test_values_agree_with_plain_arithmetic(name, dtype):
    rng = np.random.default_rng(0)
    op = OPS[name]
    for _ in range(50):
        args = rng.normal(0, 3, op.arity)
        if name in POSITIVE:
            args = np.abs(args)
        found = op.value(*(np.array([a], dtype=dtype) for a in args))
        expected = PLAIN[name](*map(float, args))
        # A few roundings each way; the sums below 1 are of positive terms.
        assert np.real(found)[0] == pytest.approx(expected, rel=1e-14, abs=1e-15)
        assert np.imag(found)[0] == 0


EDGES = [
    ("sigmoid", (-INF,), 0.0),
    ("sigmoid", (INF,), 1.0),
    ("sigmoid", (-1000.0,), 0.0),
    ("sigmoid", (NAN,), NAN),
    ("logsigmoid", (-1000.0,), -1000.0),
    ("logsigmoid", (-INF,), -INF),
    ("logsigmoid", (INF,), -0.0),
    ("logsigmoid", (NAN,), NAN),
    ("softplus", (1000.0,), 1000.0),
    ("softplus", (INF,), INF),
    ("softplus", (-INF,), 0.0),
    ("softplus", (NAN,), NAN),
    ("tanh", (INF,), 1.0),
    ("tanh", (-INF,), -1.0),
    ("tanh", (NAN,), NAN),
    ("relu", (NAN,), NAN),
    ("relu", (INF,), INF),
    ("relu", (-INF,), 0.0),
    ("abs", (-INF,), INF),
    ("abs", (NAN,), NAN),
    ("exp", (-INF,), 0.0),
    ("exp", (1000.0,), INF),
    ("log", (0.0,), -INF),
    ("log", (-1.0,), NAN),
    ("sqrt", (-1.0,), NAN),
    ("div", (1.0, 0.0), INF),
    ("div", (0.0, 0.0), NAN),
    ("mul", (0.0, INF), NAN),
    ("max", (NAN, 1.0), NAN),
    ("max", (1.0, NAN), NAN),
    ("min", (NAN, 1.0), NAN),
    ("min", (1.0, NAN), NAN),
    ("max", (-INF, 1.0), 1.0),
    ("greater", (NAN, 1.0), 0.0),
    ("greater_equal", (1.0, NAN), 0.0),
    ("equal", (NAN, NAN), 0.0),
    ("greater", (1.0, 1.0), 0.0),
    ("greater_equal", (1.0, 1.0), 1.0),
    ("select", (1.0, 2.0, NAN), 2.0),
    ("select", (0.0, NAN, 2.0), 2.0),
    ("select", (NAN, 2.0, 3.0), 2.0),
    ("row_max", (NAN,), NAN),
]


@pytest.mark.parametrize(("name", "args", "expected"), EDGES)
def test_values_at_zero_infinity_and_nan_are_as_noted(name, args, expected):
    with np.errstate(all="ignore"):
        found = OPS[name].value(*(np.array([a]) for a in args))
    np.testing.assert_equal(float(found[0]), expected)


def test_abs_of_minus_zero_is_zero():
    assert math.copysign(1, OPS["abs"].value(np.array([-0.0]))[0]) == 1


# --------------------------------------------------------------------------- gradients


class OneOp(Cell):
    """One primitive on three states, each as it is, as one a row, or as one a unit."""

    states = ("a", "b", "c")

    def __init__(self, op, kinds="fff"):
        self.op = op
        self.kinds = kinds

    def step(self, x, a, b, c):
        vectors = self.vector("v", blocks=3)
        of_kind = {
            "f": lambda k: (a, b, c)[k],
            "r": lambda k: mean((a, b, c)[k]),
            "u": lambda k: vectors[k],
        }
        args = [of_kind[kind](k) for k, kind in enumerate(self.kinds)]
        y = a._recorder.apply(self.op, *args[: OPS[self.op].arity])
        return y + 0 * (vectors[0] + a), a, b, c  # the vectors are always used


def gradients(cell, arrays, rows=3):
    """Derived and complex-step gradients of a weighted sum over two steps."""
    graph = differentiate(trace(cell, 1, 4))
    x = np.zeros((2, rows, 1))
    weights = np.random.default_rng(1).normal(size=(2, rows, graph.output_width))
    n = len(graph.parameters)

    def run(arrays):
        return forward(Window(graph, arrays[:n], x, arrays[n:]))

    found = backward(run(arrays), weights)
    expected = complex_step_gradient(lambda a: np.sum(run(a).outputs * weights), arrays)
    return [*found.parameters, *found.states], expected


DIFFERENTIABLE = [n for n in PLAIN if OPS[n].rule or n == "stop_gradient"]
KINDS = {
    n: ["".join(k) for k in itertools.product("fru", repeat=OPS[n].arity)]
    for n in DIFFERENTIABLE
}


@pytest.mark.parametrize(
    ("name", "kinds"), [(n, kinds) for n in KINDS for kinds in KINDS[n]]
)
def test_gradients_equal_a_complex_step_for_all_kinds_of_operands(name, kinds):
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=12), *(rng.normal(size=(3, 4)) for _ in range(3))]
    if name in POSITIVE:
        arrays = [np.abs(array) + 0.1 for array in arrays]
    found, expected = gradients(OneOp(name, kinds + "f" * (3 - len(kinds))), arrays)
    assert relative_error(found, expected) <= 1e-14


@pytest.mark.parametrize("op", ["row_sum", "row_max"])
@pytest.mark.parametrize("width", [1, 3, 17])
def test_gradients_of_reductions_equal_a_complex_step(op, width):
    class Reduced(Cell):
        states = ("a",)

        def step(self, x, a):
            b = a._recorder.b
            row = type(a)(a._recorder, b(op, a._index))
            return row * row * a, a

    rng = np.random.default_rng(3)
    graph = differentiate(trace(Reduced(), 1, width))
    state, x = rng.normal(size=(2, width)), np.zeros((1, 2, 1))

    def run(arrays):
        return forward(Window(graph, [], x, arrays))

    found = backward(run([state]), np.ones((1, 2, width)))
    expected = complex_step_gradient(lambda a: np.sum(run(a).outputs), [state])
    assert relative_error(found.states, expected) <= 1e-14


TIES = [
    ("max", (2.0, 2.0), (0.5, 0.5)),
    ("max", (3.0, 2.0), (1.0, 0.0)),
    ("min", (2.0, 2.0), (0.5, 0.5)),
    ("min", (3.0, 2.0), (0.0, 1.0)),
    ("max", (-INF, 1.0), (0.0, 1.0)),
    ("abs", (0.0,), (0.0,)),
    ("abs", (-2.0,), (-1.0,)),
    ("relu", (0.0,), (0.0,)),
    ("relu", (-1.0,), (0.0,)),
    ("sqrt", (0.0,), (INF,)),
    ("select", (1.0, 5.0, NAN), (0.0, 1.0, 0.0)),
    ("select", (0.0, NAN, 5.0), (0.0, 0.0, 1.0)),
    ("greater", (1.0, 1.0), (0.0, 0.0)),
    ("stop_gradient", (1.0,), (0.0,)),
]


@pytest.mark.parametrize(("name", "args", "expected"), TIES)
def test_gradients_at_ties_and_edges_are_as_noted(name, args, expected):
    class AtEdge(Cell):
        states = ("a", "b", "c")

        def step(self, x, a, b, c):
            y = a._recorder.apply(name, *(a, b, c)[: len(args)])
            return y, 0, 0, 0

    graph = differentiate(trace(AtEdge(), 1, 1))
    states = [np.full((1, 1), a) for a in (*args, 0.0, 0.0)[:3]]
    with np.errstate(all="ignore"):
        run = forward(Window(graph, [], np.zeros((1, 1, 1)), states))
        found = backward(run, np.ones((1, 1, 1)))
    assert [float(g[0, 0]) for g in found.states[: len(args)]] == list(expected)


def test_ties_of_a_row_maximum_share_the_gradient():
    class RowMax(Cell):
        states = ("a",)

        def step(self, x, a):
            return type(a)(a._recorder, a._recorder.b("row_max", a._index)), a

    graph = differentiate(trace(RowMax(), 1, 4))
    states = [np.array([[1.0, 3.0, 3.0, 3.0], [5.0, 1.0, 2.0, 0.0]])]
    run = forward(Window(graph, [], np.zeros((1, 2, 1)), states))
    (found,) = backward(run, np.full((1, 2, 1), 6.0)).states
    np.testing.assert_array_equal(found, [[0, 2, 2, 2], [6, 0, 0, 0]])
