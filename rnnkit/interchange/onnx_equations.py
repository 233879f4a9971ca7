# SPDX-License-Identifier: BSD-3-Clause
"""ONNX's recurrent operators in NumPy, as the standard words them.

For the trial of a model that ONNX Runtime does not run: it has them in single
precision and in one layout only, and the interpreter of the package onnx does not know
all activations. Nothing here knows a cell or a graph of rnnkit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnkit.interchange.equations import relu, sigmoid
from rnnkit.interchange.parts import Array

Function = Callable[..., Array]
Step = Callable[..., tuple[Array, ...]]

# By name: the function, and its alpha and beta where they are not given.
FUNCTIONS: dict[str, tuple[Function, tuple[float, ...]]] = {
    "tanh": (np.tanh, ()),
    "sigmoid": (sigmoid, ()),
    "relu": (relu, ()),
    "softplus": (lambda a: np.logaddexp(a, 0.0), ()),
    "softsign": (lambda a: a / (1.0 + np.abs(a)), ()),
    "leakyrelu": (lambda a, alpha: np.where(a < 0.0, alpha * a, a), (0.01,)),
    "thresholdedrelu": (lambda a, alpha: np.where(a > alpha, a, 0.0), (1.0,)),
    "elu": (
        lambda a, alpha: np.where(a < 0.0, alpha * np.expm1(np.minimum(a, 0.0)), a),
        (1.0,),
    ),
    "hardsigmoid": (
        lambda a, alpha, beta: np.clip(alpha * a + beta, 0.0, 1.0),
        (0.2, 0.5),
    ),
}
DEFAULTS = {
    "RNN": ("tanh",),
    "GRU": ("sigmoid", "tanh"),
    "LSTM": ("sigmoid", "tanh", "tanh"),
}
INPUTS = ("X", "W", "R", "B", "lengths", "initial_h", "initial_c", "P")


def operators() -> list[Any]:
    """Return the operators for `onnx.reference.ReferenceEvaluator(new_ops=...)`."""
    from onnx.reference.op_run import OpRun

    def made(kind: str) -> Any:
        def _run(self: Any, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
            return operator(kind, inputs, attributes)

        return type(kind, (OpRun,), {"op_domain": "", "_run": _run})

    return [made(kind) for kind in DEFAULTS]


def operator(
    kind: str, inputs: Sequence[Any], attributes: dict[str, Any]
) -> tuple[Array, ...]:
    """Return Y and the last states of one operator, of the forward direction alone."""
    given = dict(zip(INPUTS, inputs, strict=False))
    batch_first = bool(attributes.get("layout"))
    x = np.swapaxes(given["X"], 0, 1) if batch_first else given["X"]
    n_steps, n_rows, _ = x.shape
    size = given["R"].shape[2]
    step = _step(kind, given, attributes)
    states = []
    for name in ("initial_h", "initial_c")[: 2 if kind == "LSTM" else 1]:
        state = given.get(name)
        zeros = np.zeros((n_rows, size), x.dtype)
        states.append(zeros if state is None else state.reshape(n_rows, size))
    lengths = given.get("lengths")
    lengths = np.full(n_rows, n_steps) if lengths is None else lengths
    outputs = []
    for t in range(n_steps):
        goes_on = (t < lengths)[:, None]
        new = step(x[t], *states)
        states = [np.where(goes_on, *p) for p in zip(new, states, strict=True)]
        outputs.append(np.where(goes_on, states[0], 0.0))
    y = np.array(outputs)[:, None]  # (T, directions, B, H)
    last = [state[None] for state in states]
    if batch_first:
        y, last = y.transpose(2, 0, 1, 3), [a.swapaxes(0, 1) for a in last]
    return tuple(np.asarray(a, x.dtype) for a in (y, *last))


def _step(kind: str, given: dict[str, Any], attributes: dict[str, Any]) -> Step:
    """The equations of one step, from the inputs of the operator."""
    f, g, h = (*_functions(kind, attributes), None, None)[:3]
    w, r = given["W"][0], given["R"][0]
    size, n_gates = r.shape[1], {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    bias = given.get("B")
    both = np.zeros(2 * n_gates * size) if bias is None else bias[0]
    of_x, of_h = np.split(both, 2)
    after = bool(attributes.get("linear_before_reset"))
    peepholes = given.get("P")
    p = np.zeros(3 * size) if peepholes is None else peepholes[0]
    p_i, p_o, p_f = np.split(p, 3)

    def rnn(x: Array, state: Array) -> tuple[Array, ...]:
        return (f(x @ w.T + of_x + state @ r.T + of_h),)

    def gru(x: Array, state: Array) -> tuple[Array, ...]:
        x_z, x_r, x_h = np.split(x @ w.T + of_x, 3, axis=1)
        r_z, r_r, r_h = np.split(r, 3)
        b_z, b_r, b_h = np.split(of_h, 3)
        z = f(x_z + state @ r_z.T + b_z)
        reset = f(x_r + state @ r_r.T + b_r)
        if after:
            new = g(x_h + reset * (state @ r_h.T + b_h))
        else:
            new = g(x_h + (reset * state) @ r_h.T + b_h)
        return ((1.0 - z) * new + z * state,)

    def lstm(x: Array, state: Array, c: Array) -> tuple[Array, ...]:
        i, o, forget, new = np.split(x @ w.T + of_x + state @ r.T + of_h, 4, axis=1)
        c = f(forget + p_f * c) * c + f(i + p_i * c) * g(new)
        return f(o + p_o * c) * h(c), c

    steps: dict[str, Step] = {"RNN": rnn, "GRU": gru, "LSTM": lstm}
    return steps[kind]


def _functions(kind: str, attributes: dict[str, Any]) -> list[Any]:
    """The activations; those that have an alpha or a beta take the next of the list."""
    alphas = list(attributes.get("activation_alpha") or [])
    betas = list(attributes.get("activation_beta") or [])
    found = []
    for name in attributes.get("activations") or DEFAULTS[kind]:
        function, numbers = FUNCTIONS[name.lower()]
        taken = [
            its.pop(0) if its else number
            for number, its in zip(numbers, (alphas, betas), strict=False)
        ]
        found.append(lambda a, of=function, at=taken: of(a, *at))
    return found
