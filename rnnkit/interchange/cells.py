# SPDX-License-Identifier: BSD-3-Clause
# mypy: allow-untyped-defs, disable-error-code="override,assignment"
"""ONNX's recurrent operators as cells: activations, peepholes, learned first states."""

from collections.abc import Callable
from typing import Any, ClassVar

from rnnkit.cells import (
    Cell,
    abs,
    exp,
    maximum,
    minimum,
    relu,
    select,
    sigmoid,
    softplus,
    sum,
    tanh,
)

# By ONNX's name: the function, and what alpha and beta are where they are not given.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "Tanh": (tanh, ()),
    "Sigmoid": (sigmoid, ()),
    "Relu": (relu, ()),
    "Softplus": (softplus, ()),
    "Softsign": (lambda a: a / (1 + abs(a)), ()),
    "LeakyRelu": (lambda a, alpha: select(a >= 0, a, alpha * a), (0.01,)),
    "ThresholdedRelu": (lambda a, alpha: select(a > alpha, a, 0), (1.0,)),
    "Elu": (
        lambda a, alpha: select(a >= 0, a, alpha * (exp(minimum(a, 0)) - 1)),
        (1.0,),
    ),
    "HardSigmoid": (
        lambda a, alpha, beta: maximum(minimum(alpha * a + beta, 1), 0),
        (0.2, 0.5),
    ),
}

Activation = tuple[Any, ...]  # a name, then alpha and beta where it has them


class OnnxCell(Cell):
    """What the operators have in common.

    A learned first state is taken where the flag `started` is still 0: so it may differ
    from unit to unit, which the initial value of a state may not.
    """

    memories: ClassVar[tuple[str, ...]] = ("h",)
    activations: tuple[Activation, ...]
    first: bool

    @property
    def states(self):
        """The memories, and whether there was a step before."""
        return (*self.memories, "started") if self.first else self.memories

    @property
    def widths(self):
        """The flag is one unit."""
        return {"started": 1} if self.first else {}

    def step(self, x, *states):
        """The operator's equations, from the first states if these are learned."""
        if not self.first:
            return self.equations(x, *states)
        *states, started = states
        before = sum(started) > 0
        first = [self.vector(f"first_{name}") for name in self.memories]
        states = [select(before, s, f) for s, f in zip(states, first, strict=True)]
        new = self.equations(x, *states)
        return (*(new if isinstance(new, tuple) else (new,)), 1)

    def equations(self, x, *states):
        """The new memories, the output first."""
        raise NotImplementedError

    def activated(self, i, a):
        """The i-th activation of a value."""
        name, *numbers = self.activations[i]
        return ACTIVATIONS[name][0](a, *numbers)


class OnnxRNN(OnnxCell):
    """The operator RNN.

    Parameters
    ----------
    activations : tuple, default=(("Tanh",),)
    first : bool, default=False
        Whether the first state is learned.
    """

    def __init__(self, activations=(("Tanh",),), first=False):
        self.activations = activations
        self.first = first

    def equations(self, x, h):
        """h' = f(W x + R h + b)."""
        return self.activated(0, self.linear("h", x, h, names=("x", "h")))


class OnnxGRU(OnnxCell):
    """The operator GRU.

    Parameters
    ----------
    activations : tuple, default=(("Sigmoid",), ("Tanh",))
    linear_before_reset : bool, default=False
        Whether the reset gate acts after the product.
    first : bool, default=False
        Whether the first state is learned.
    """

    def __init__(
        self,
        activations=(("Sigmoid",), ("Tanh",)),
        linear_before_reset=False,
        first=False,
    ):
        self.activations = activations
        self.linear_before_reset = linear_before_reset
        self.first = first

    @property
    def gates(self):
        """What the products of x and h make together."""
        return "rzn" if self.linear_before_reset else "rz"

    def equations(self, x, h):
        """h' = (1 - z) * n + z * h."""
        if self.linear_before_reset:
            xr, xz, xn = self.linear("rzn", x, names=("x",))
            hr, hz, hn = self.linear("rzn", h, names=("h",))
            r, z = self.activated(0, xr + hr), self.activated(0, xz + hz)
            n = self.activated(1, xn + r * hn)
        else:
            r, z = self.linear("rz", x, h, names=("x", "h"))
            r, z = self.activated(0, r), self.activated(0, z)
            n = self.activated(1, self.linear("n", x, r * h, names=("x", "h")))
        return (1 - z) * n + z * h


class OnnxLSTM(OnnxCell):
    """The operator LSTM.

    Parameters
    ----------
    activations : tuple, default=(("Sigmoid",), ("Tanh",), ("Tanh",))
    peepholes : bool, default=False
        Whether the gates see the memory.
    first : bool, default=False
        Whether the first states are learned.
    """

    memories = ("h", "c")
    gates = "ifgo"

    def __init__(
        self,
        activations=(("Sigmoid",), ("Tanh",), ("Tanh",)),
        peepholes=False,
        first=False,
    ):
        self.activations = activations
        self.peepholes = peepholes
        self.first = first

    def equations(self, x, h, c):
        """c' = f * c + i * g, h' = o * tanh(c')."""
        i, f, g, o = self.linear("ifgo", x, h, names=("x", "h"))
        if self.peepholes:
            p_i, p_f, p_o = self.vector("peephole", blocks="ifo")
            f, i = f + p_f * c, i + p_i * c
        f, i = self.activated(0, f), self.activated(0, i)
        c = f * c + i * self.activated(1, g)
        if self.peepholes:
            o = o + p_o * c
        return self.activated(0, o) * self.activated(2, c), c
