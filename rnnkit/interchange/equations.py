# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch's and Keras's own equations in NumPy: weights carry no program to run.

Tensors are read as they stand there, in their order of gates and their orientation;
nothing here knows a graph, a cell, or how rnnkit names and orders what it is given.
So that a weight in a wrong place is found by numbers, at each conversion.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnkit.interchange.parts import Array, Parts
from rnnkit.interchange.running import check_equal, in_double, log_softmax, run
from rnnkit.runtime.model import LanguageModel

Function = Callable[[Array], Array]
Step = Callable[..., tuple[Array, ...]]
STEPS, ROWS = 4, 3  # of the trial


@dataclass(frozen=True)
class Recurrence:
    """A recurrent layer.

    Attributes
    ----------
    widths : tuple of int
        Of its states; the first is its output.
    step : function
        Of the input and the states; returns the new states.
    """

    widths: tuple[int, ...]
    step: Step


@dataclass(frozen=True)
class Foreign:
    """A language model as its own library computes it.

    Attributes
    ----------
    embedding : array of shape (V, E)
    layers : sequence of Recurrence
    log_probabilities : function
        Of the uppermost layer's output, (B, width) to (B, V).
    """

    embedding: Array
    layers: Sequence[Recurrence]
    log_probabilities: Function

    def run(self, ids: Array, states: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Return what `running.run` returns, in double."""
        states = list(states)
        outputs = []
        for tokens in ids:
            x, at = np.asarray(self.embedding[tokens], np.float64), 0
            for layer in self.layers:
                places = slice(at, at + len(layer.widths))
                states[places] = layer.step(x, *states[places])
                x, at = states[at], places.stop
            outputs.append(x)
        log_p = self.log_probabilities(np.concatenate(outputs))
        return log_p.reshape(*ids.shape, -1), states


def check_parts(what: str, parts: Parts, foreign: Foreign) -> None:
    """Raise ConversionError where the parts compute something else."""
    in_double = replace(parts, embedding=parts.embedding.astype(np.float64))
    check_same(what, in_double.model(), foreign)


def check_same(what: str, model: LanguageModel, foreign: Foreign) -> None:
    """Raise ConversionError where a model computes something else, from any states.

    Both compute in double precision: what differs there is no rounding.
    """
    rng = np.random.default_rng(0)
    ids = rng.integers(0, len(foreign.embedding), (STEPS, ROWS))
    widths = [width for layer in foreign.layers for width in layer.widths]
    first = [rng.normal(size=(ROWS, width)) for width in widths]
    wanted, wanted_states = foreign.run(ids, first)
    if model.network.config.dtype != "float64":
        model = in_double(model)
    found, states = run(model, ids, first)
    check_equal(f"{what}: log-probabilities", found, wanted)
    for i, pair in enumerate(zip(states, wanted_states, strict=True)):
        check_equal(f"{what}: state {i}", *pair)


# --------------------------------------------------------------------------- functions


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * a)))


def relu(a: Array) -> Array:
    """max(a, 0)."""
    return np.maximum(a, 0.0)


KERAS_FUNCTIONS: dict[str, Function] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softplus": lambda a: np.logaddexp(a, 0.0),
    "softsign": lambda a: a / (np.abs(a) + 1.0),
    "elu": lambda a: np.where(a > 0.0, a, np.expm1(np.minimum(a, 0.0))),
    "hard_sigmoid": lambda a: np.clip(a + 3.0, 0.0, 6.0) / 6.0,
    "hard_sigmoid_keras_2": lambda a: np.clip(0.2 * a + 0.5, 0.0, 1.0),
}


def linear(weight: Array, bias: Array | float = 0.0) -> Function:
    """The function of `nn.Linear` and, of its transposed kernel, of Dense."""
    return lambda a: a @ weight.T.astype(np.float64) + bias


def softmax_of(logits: Function) -> Function:
    """Log-probabilities of a linear output."""
    return lambda a: log_softmax(logits(a))


# ----------------------------------------------------------------------------- PyTorch


def torch_layer(tensors: Mapping[str, Array], activation: Function) -> Recurrence:
    """A layer of `nn.RNN`, `nn.GRU` or `nn.LSTM`, by the number of its gates.

    Parameters
    ----------
    tensors : mapping of str to array
        "weight_ih", "weight_hh", and where they are "bias_ih", "bias_hh", "weight_hr".
    activation : function
        Of `nn.RNN`.
    """
    of_x = linear(tensors["weight_ih"], tensors.get("bias_ih", 0.0))
    of_h = linear(tensors["weight_hh"], tensors.get("bias_hh", 0.0))
    width = tensors["weight_hh"].shape[1]
    projection = tensors.get("weight_hr")

    def rnn(x: Array, h: Array) -> tuple[Array, ...]:
        return (activation(of_x(x) + of_h(h)),)

    def gru(x: Array, h: Array) -> tuple[Array, ...]:
        x_r, x_z, x_n = np.split(of_x(x), 3, axis=1)
        h_r, h_z, h_n = np.split(of_h(h), 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        return ((1.0 - z) * np.tanh(x_n + r * h_n) + z * h,)

    def lstm(x: Array, h: Array, c: Array) -> tuple[Array, ...]:
        i, f, g, o = np.split(of_x(x) + of_h(h), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h if projection is None else linear(projection)(h)), c

    memory = width if projection is None else projection.shape[-1]
    if len(tensors["weight_ih"]) == 4 * memory:
        return Recurrence((width, memory), lstm)
    return Recurrence((width,), gru if len(tensors["weight_ih"]) == 3 * width else rnn)


def torch_adaptive(tensors: Mapping[str, Array]) -> Function:
    """The log-probabilities of `nn.AdaptiveLogSoftmaxWithLoss` as "output"."""

    def of(name: str) -> Function:
        bias = tensors.get(f"output.{name}.bias", 0.0)
        return linear(tensors[f"output.{name}.weight"], bias)

    def log_probabilities(a: Array) -> Array:
        n_clusters = sum(name.startswith("output.tail.") for name in tensors) // 2
        common = log_softmax(of("head")(a))
        n_common = common.shape[1] - n_clusters
        parts = [common[:, :n_common]]
        for i in range(n_clusters):
            words = of(f"tail.{i}.1")(of(f"tail.{i}.0")(a))
            parts.append(common[:, n_common + i, None] + log_softmax(words))
        return np.concatenate(parts, axis=1)

    return log_probabilities


# ------------------------------------------------------------------------------- Keras


def keras_layer(
    kind: str, tensors: Mapping[str, Array], settings: Mapping[str, Any]
) -> Recurrence:
    """A SimpleRNN, GRU or LSTM.

    Parameters
    ----------
    kind : {"SimpleRNN", "GRU", "LSTM"}
    tensors : mapping of str to array
        "kernel", "recurrent_kernel", and "bias" where there is one.
    settings : mapping
        "activation" and "recurrent_activation"; of a GRU "reset_after".
    """
    kernel = np.asarray(tensors["kernel"], np.float64)
    recurrent = np.asarray(tensors["recurrent_kernel"], np.float64)
    bias = tensors.get("bias", np.zeros(kernel.shape[1]))
    units = len(recurrent)
    activation = KERAS_FUNCTIONS[settings["activation"]]
    gate = KERAS_FUNCTIONS[settings["recurrent_activation"]]

    def simple(x: Array, h: Array) -> tuple[Array, ...]:
        return (activation(x @ kernel + bias + h @ recurrent),)

    def gru(x: Array, h: Array) -> tuple[Array, ...]:
        of_x, of_h = bias if bias.ndim == 2 else (bias, np.zeros(3 * units))
        x_z, x_r, x_h = np.split(x @ kernel + of_x, 3, axis=1)
        if settings["reset_after"]:
            z_h, r_h, h_h = np.split(h @ recurrent + of_h, 3, axis=1)
            z, r = gate(x_z + z_h), gate(x_r + r_h)
            candidate = activation(x_h + r * h_h)
        else:
            z_h, r_h = np.split(h @ recurrent[:, : 2 * units], 2, axis=1)
            z, r = gate(x_z + z_h), gate(x_r + r_h)
            candidate = activation(x_h + (r * h) @ recurrent[:, 2 * units :])
        return (z * h + (1.0 - z) * candidate,)

    def lstm(x: Array, h: Array, c: Array) -> tuple[Array, ...]:
        a = x @ kernel + h @ recurrent + bias
        i, f, candidate, o = np.split(a, 4, axis=1)
        c = gate(f) * c + gate(i) * activation(candidate)
        return gate(o) * activation(c), c

    steps: dict[str, Step] = {"SimpleRNN": simple, "GRU": gru, "LSTM": lstm}
    return Recurrence((units, units) if kind == "LSTM" else (units,), steps[kind])
