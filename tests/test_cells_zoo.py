# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""Gradients of cells from the literature, written as their authors would write them.

Each is checked against a complex step: non-zero initial states, resets in mid-window,
rows that end early. These cells live in no package; the compiler has never seen them.
"""

import math

import numpy as np
import pytest

from rnnkit.cells import (
    GRU,
    LSTM,
    RNN,
    Cell,
    concat,
    exp,
    logsigmoid,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    softplus,
    split,
    sqrt,
    stop_gradient,
    tanh,
)
from rnnkit.compiler import differentiate, trace, with_masks, with_resets
from rnnkit.testing.gradients import complex_step_gradient, relative_error
from rnnkit.testing.reference import Window, backward, forward


class PeepholeLSTM(Cell):
    """Gers & Schmidhuber, 2000."""

    states = ("h", "c")

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        pi, pf, po = self.vector("peephole", blocks="ifo")
        c = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * tanh(g)
        return sigmoid(o + po * c) * tanh(c), c


class ProjectionLSTM(Cell):
    """Sak et al., 2014: h is narrower than c."""

    states = ("h", "c")
    widths = {"h": "projection_size"}

    def __init__(self, projection_size=2):
        self.projection_size = projection_size

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        m = sigmoid(o) * tanh(c)
        return self.linear("p", m, width=self.projection_size, bias=False), c


class LayerNormLSTM(Cell):
    """Ba et al., 2016, normalised gate by gate."""

    states = ("h", "c")
    initialisers = {f"{name}_gain": 1.0 for name in ("x", "h", "c")}

    def norm(self, values, name):
        gains = self.vector(f"{name}_gain", blocks=len(values))
        for value, gain in zip(
            values, gains if len(values) > 1 else [gains], strict=True
        ):
            centred = value - mean(value)
            yield gain * centred / sqrt(mean(centred * centred) + 1e-5)

    def step(self, x, h, c):
        xs = self.norm(self.linear("ifgo", x, bias=False), "x")
        hs = self.norm(self.linear("ifgo", h, bias=False), "h")
        biases = self.vector("bias", blocks="ifgo")
        i, f, g, o = (a + b + d for a, b, d in zip(xs, hs, biases, strict=True))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        (normed,) = self.norm([c], "c")
        return sigmoid(o) * tanh(normed), c


class ResetBeforeGRU(Cell):
    """Cho et al., 2014: two products, one after the other."""

    states = ("h",)

    def step(self, x, h):
        r, z = (sigmoid(a) for a in self.linear("rz", x, h))
        n = tanh(self.linear("n", x, r * h))
        return (1 - z) * h + z * n


class RecurrentHighway(Cell):
    """Zilly et al., 2017: sub-steps in depth."""

    states = ("s",)

    def __init__(self, depth=3):
        self.depth = depth

    def step(self, x, s):
        for level in range(self.depth):
            operands = (x, s) if level == 0 else (s,)
            q, t = self.linear((f"q{level}", f"t{level}"), *operands)
            q, t = tanh(q), sigmoid(t)
            s = t * q + (1 - t) * s
        return s


class MinGRU(Cell):
    """Feng et al., 2024: no product of the state."""

    states = ("h",)

    def step(self, x, h):
        z, v = self.linear("zv", x)
        z = sigmoid(z)
        return (1 - z) * h + z * v


class MinLSTM(Cell):
    """Feng et al., 2024."""

    states = ("h",)

    def step(self, x, h):
        f, i, v = self.linear("fiv", x)
        f, i = sigmoid(f), sigmoid(i)
        return f / (f + i) * h + i / (f + i) * v


class LogMinLSTM(Cell):
    """The same in logarithms."""

    states = ("h",)

    def step(self, x, h):
        f, i, v = self.linear("fiv", x)
        s = softplus(-f) - softplus(-i)
        return exp(-softplus(s)) * h + exp(logsigmoid(s)) * v


class IndRNN(Cell):
    """Li et al., 2018."""

    states = ("h",)
    limits = {"u": (-1.01, 1.01)}
    initialisers = {"u": ("uniform", 1.0)}

    def step(self, x, h):
        return relu(self.linear("h", x) + self.vector("u") * h)


class SRU(Cell):
    """Lei et al., 2018: the output is no state."""

    states = ("c",)

    def step(self, x, c):
        w, f, r, highway = self.linear("wfrx", x)
        vf, vr = self.vector("v", blocks="fr")
        f, r = sigmoid(f + vf * c), sigmoid(r + vr * c)
        c = f * c + (1 - f) * w
        return r * tanh(c) + (1 - r) * highway, c


class MultiplicativeLSTM(Cell):
    """Krause et al., 2016."""

    states = ("h", "c")
    gates = "ifgo"

    def step(self, x, h, c):
        m = self.linear("m", x, bias=False) * self.linear("m", h, bias=False)
        i, f, g, o = self.linear("ifgo", x, m)
        c = sigmoid(f) * c + sigmoid(i) * g
        return tanh(sigmoid(o) * c), c


class SLSTM(Cell):
    """Beck et al., 2024, with its stabiliser m, which carries no gradient."""

    states = ("h", "c", "n", "m")
    initial = {"m": -math.inf}

    def step(self, x, h, c, n, m):
        z, i, f, o = self.linear("zifo", x, h)
        log_f = logsigmoid(f)
        new_m = stop_gradient(maximum(log_f + m, i))
        i, f = exp(i - new_m), exp(log_f + m - new_m)
        c = f * c + i * tanh(z)
        n = f * n + i
        return sigmoid(o) * c / n, c, n, new_m


class Mogrifier(Cell):
    """Melis et al., 2020, with factorised weights: x cannot be hoisted."""

    states = ("h", "c")
    gates = "ifgo"

    def __init__(self, rounds=4, rank=2):
        self.rounds = rounds
        self.rank = rank

    def step(self, x, h, c):
        for k in range(self.rounds):
            source, width = (h, x.width) if k % 2 == 0 else (x, h.width)
            low = self.linear((f"low{k}",), source, width=self.rank, bias=False)
            gate = 2 * sigmoid(self.linear((f"high{k}",), low, width=width))
            x, h = (gate * x, h) if k % 2 == 0 else (x, gate * h)
        i, f, g, o = self.linear("ifgo", x, h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class CIFG(Cell):
    """Greff et al., 2015: input and forget gate coupled."""

    states = ("h", "c")

    def step(self, x, h, c):
        f, g, o = self.linear("fgo", x, h)
        f = sigmoid(f)
        c = f * c + (1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c


class CappedLSTM(Cell):
    """Melis et al., 2018: the input gate is at most 1 - f."""

    states = ("h", "c")

    def step(self, x, h, c):
        i, f, g, o = (a for a in self.linear("ifgo", x, h))
        f = sigmoid(f)
        c = f * c + minimum(sigmoid(i), 1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c


class HeadedRNN(Cell):
    """Groups of units that do not see each other's past."""

    states = ("h",)
    hidden_multiple = 3

    def step(self, x, h):
        return tanh(self.linear("h", x) + self.linear("h", h, heads=3))


class Reordered(Cell):
    """Units taken apart, turned round and put together, some of them twice."""

    states = ("h", "s")
    widths = {"s": 5}

    def step(self, x, h, s):
        n = h.width
        first, rest = split(s, (2, 3))
        turned = concat(*reversed(split(h, n)))
        a, b = split(concat(h, tanh(turned)), (n // 2 + 1, 2 * n - n // 2 - 1))
        w, _ = split(concat(b, a, 0.5 * mean(h)), (n, n + 1))
        h = tanh(self.linear("h", x, w)) * 0.5 + 0.25 * turned
        return h, self.linear("s", concat(rest, first, x), h, width=5)


CELLS = [
    RNN(),
    RNN("relu"),
    LSTM(),
    GRU(),
    PeepholeLSTM(),
    ProjectionLSTM(),
    LayerNormLSTM(),
    ResetBeforeGRU(),
    RecurrentHighway(),
    MinGRU(),
    MinLSTM(),
    LogMinLSTM(),
    IndRNN(),
    SRU(),
    MultiplicativeLSTM(),
    SLSTM(),
    Mogrifier(),
    CIFG(),
    CappedLSTM(),
    HeadedRNN(),
    Reordered(),
]

STEPS, ROWS, INPUT, HIDDEN = 4, 3, 2, 3
SITES = {"input": 0.25, "output": 0.4}


def problem(cell, seed, scale=1.0):
    """A graph and arrays: parameters, x, initial states; flags; masks."""
    rng = np.random.default_rng(seed)
    graph = trace(cell, INPUT, HIDDEN)
    parameters = [scale * rng.normal(size=p.shape) for p in graph.parameters]
    x = rng.normal(size=(STEPS, ROWS, INPUT))
    # Some states must stay positive (the normaliser of sLSTM): 1 and more.
    states = [1 + rng.random((ROWS, s.width)) for s in graph.states]
    resets = np.zeros((STEPS, ROWS))
    resets[2, 0] = resets[1, 2] = resets[3, 2] = 1
    active = np.ones((STEPS, ROWS))
    active[2:, 1] = active[3:, 2] = 0
    return graph, [*parameters, x, *states], resets, active


def window_of(graph, arrays, **kwargs):
    n = len(graph.parameters)
    return Window(graph, arrays[:n], arrays[n], arrays[n + 1 :], **kwargs)


def gradients(graph, arrays, seed, **kwargs):
    """The derived gradients, and those by a complex step of the forward part.

    The loss weighs outputs at all steps and final states, but for the stabiliser of
    sLSTM, which may end at minus infinity and carries no gradient.
    """
    rng = np.random.default_rng(seed)
    output_weights = rng.normal(size=(STEPS, ROWS, graph.output_width))
    state_weights = [
        rng.normal(size=(ROWS, s.width)) * np.isfinite(s.initial) for s in graph.states
    ]

    def loss(arrays):
        run = forward(window_of(graph, arrays, **kwargs))
        total = np.sum(run.outputs * output_weights)
        for state, weights in zip(run.states, state_weights, strict=True):
            total = total + np.sum(state[weights != 0] * weights[weights != 0])
        return total

    run = forward(window_of(graph, arrays, **kwargs))
    found = backward(run, output_weights, state_weights)
    expected = complex_step_gradient(loss, arrays)
    return [*found.parameters, found.x, *found.states], expected


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_gradients_equal_a_complex_step_with_resets_and_ended_rows(cell):
    graph, arrays, resets, active = problem(cell, seed=1)
    graph = differentiate(with_resets(graph))
    found, expected = gradients(graph, arrays, 2, resets=resets, active=active)
    assert (
        relative_error(found, expected) <= 1e-13
    )  # some thousand roundings of 1.1e-16


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_gradients_equal_a_complex_step_under_masks(cell):
    graph, arrays, resets, active = problem(cell, seed=3)
    graph = differentiate(with_resets(with_masks(graph, SITES)))
    rng = np.random.default_rng(4)
    widths = {0: INPUT, 1: graph.output_width}
    masks = {
        site: rng.choice([0.0, 1.5], size=(STEPS, ROWS, width))
        for site, width in widths.items()
    }
    found, expected = gradients(
        graph, arrays, 5, resets=resets, active=active, masks=masks
    )
    assert relative_error(found, expected) <= 1e-13


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_gradients_are_right_where_gates_saturate(cell):
    graph, arrays, _, _ = problem(cell, seed=6, scale=10.0)
    found, expected = gradients(differentiate(graph), arrays, 7)
    # 1 - y * y has an absolute error of 1e-16, so a weight behind saturated units alone
    # has no digits; the gradient as a whole has them all.
    found, expected = (
        np.concatenate([np.ravel(a) for a in g]) for g in (found, expected)
    )
    assert relative_error([found], [expected]) <= 1e-13
