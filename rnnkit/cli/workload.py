# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark runs: tokens, a network at work, and the products it makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.cli.shapes import Shape
from rnnkit.compiler import Graph, differentiate, trace
from rnnkit.compiler.graph import linear_parts
from rnnkit.core import Solver, State, Window
from rnnkit.model import Head, Network, NetworkConfig, int8_values

Values = Mapping[str, np.ndarray]

LEARNING_RATE = 1e-3
MAX_GRAD_NORM = 5.0


# ------------------------------------------------------------------------------- tokens


@dataclass(frozen=True)
class Tokens:
    """What a window reads and predicts, each (T, B) int32, and where it is from."""

    source: str
    ids: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, source: str, text: np.ndarray, shape: Shape) -> "Tokens":
        """Cut B neighbouring streams of T + 1 tokens from the start of a text."""
        n = shape.B * (shape.T + 1)
        streams = np.resize(text, n).reshape(shape.B, shape.T + 1).T.astype(np.int32)
        return cls(
            source,
            np.ascontiguousarray(streams[:-1]),
            np.ascontiguousarray(streams[1:]),
        )


def uniform_tokens(shape: Shape) -> Tokens:
    """Every word equally often: nothing is repeated more than chance has it."""
    n = shape.B * (shape.T + 1)
    return Tokens.of("uniform", np.random.default_rng(0).integers(0, shape.V, n), shape)


# ----------------------------------------------------------------------------- products


@dataclass(frozen=True)
class Products:
    """How many multiplications the matrix products of a network make.

    `first` are those of the lowest layer with weights that read the embedding, which
    need be made once for each row that is projected; all others are made for each
    position.

    Attributes
    ----------
    forward, backward : int
        For one position, `first` left out.
    first_forward, first_backward : int
        For one projected row.
    """

    forward: int
    backward: int
    first_forward: int
    first_backward: int

    @classmethod
    def of(cls, graphs: Sequence[Graph], vocab_size: int) -> "Products":
        """Count what stands in the layers' differentiated graphs, and the output layer.

        The output layer makes one product forward and two backward. Padding to whole
        panels is not counted, nor is elementwise work.
        """
        forward = vocab_size * graphs[-1].output_width
        backward = 2 * forward
        first = [0, 0]
        for k, graph in enumerate(graphs):
            on_input = _weights_on_input(graph) if k == 0 else set()
            for i, node in enumerate(graph.nodes):
                if node.op not in ("linear", "linear_transposed", "weight_grad"):
                    continue
                in_backward = i >= graph.n_forward
                for weight in linear_parts(node)[1]:
                    parameter = graph.parameters[weight[0]]
                    n = parameter.width * parameter.columns
                    if weight in on_input:
                        first[in_backward] += n
                    elif in_backward:
                        backward += n
                    else:
                        forward += n
        return cls(forward, backward, *first)

    def scoring_flops(self, n_positions: int, n_projected: int) -> int:
        """Floating-point operations of a forward pass: two for each multiplication."""
        return 2 * (n_positions * self.forward + n_projected * self.first_forward)

    def training_flops(self, n_positions: int, n_projected: int) -> int:
        """Floating-point operations of a forward and a backward pass."""
        backward = n_positions * self.backward + n_projected * self.first_backward
        return self.scoring_flops(n_positions, n_projected) + 2 * backward


def _weights_on_input(graph: Graph) -> set[tuple[int, int]]:
    """The (parameter, block) pairs that multiply x."""
    found = set()
    for node in graph.nodes[: graph.n_forward]:
        if node.op == "linear":
            for operand, weight in zip(node.args, linear_parts(node)[1], strict=True):
                if graph.nodes[operand].op == "input":
                    found.add(weight)
    return found


# ------------------------------------------------------------------------------ at work


def network_of(cell: Any, shape: Shape, head: Head | None = None) -> Network:
    """A network of `cell` with the sizes of `shape`; by default with a softmax."""
    graphs: list[Graph] = []
    for _ in range(shape.L):
        width = graphs[-1].output_width if graphs else shape.E
        graphs.append(trace(cell, width, shape.H))
    config = NetworkConfig(shape.V, shape.E, tuple(graphs), head=head or Head())
    return Network(config)


class Workload:
    """rnnkit doing one piece of work again and again, as the peers do theirs.

    Parameters
    ----------
    cell : cell
        Of every layer.
    shape : Shape
        Sizes of the network and of the window.
    n_threads : int
        Threads of every call.
    values : mapping of str to array, optional
        First values of the parameters by name; by default drawn with seed 0.
    tokens : Tokens, optional
        What is read and predicted; by default uniform.
    solver : {"adam", "sgd"}, default="adam"
        Who makes the updates.
    head : Head, optional
        The output layer; by default a softmax.
    """

    def __init__(
        self,
        cell: Any,
        shape: Shape,
        *,
        n_threads: int,
        values: Values | None = None,
        tokens: Tokens | None = None,
        solver: str = "adam",
        head: Head | None = None,
    ) -> None:
        self.shape = shape
        self.n_threads = n_threads
        self.tokens = tokens or uniform_tokens(shape)
        self.network = network_of(cell, shape, head)
        self._solver_kind = solver
        if values is None:
            rng = np.random.default_rng(0)
            self._weights = self.network.initial_weights(rng)
        else:
            self._weights = self.network.weights(values)
        self._windows: dict[tuple[int, int, bool], Window] = {}
        self._states: dict[int, State] = {}
        self._solver: Solver | None = None

    @property
    def products(self) -> Products:
        """What the network multiplies; its head must be a softmax."""
        graphs = [differentiate(graph) for graph in self.network.config.graphs]
        return Products.of(graphs, self.shape.V)

    @property
    def n_projected(self) -> int:
        """Rows that the first layer's products of the input see in a training step.

        A window's repeated tokens are projected once, unless three in four or more
        differ (csrc/network/repeats.c).
        """
        n, distinct = self.shape.n_tokens, len(np.unique(self.tokens.ids))
        return distinct if 4 * distinct <= 3 * n else n

    def train_step(self) -> float:
        """Forward, loss, backward, clip, update, over one window; return the loss."""
        window, loss = self._backward()
        if self._solver is None:
            parameters = self.network.parameters
            self._solver = Solver(
                self._weights,
                self._solver_kind,
                limits=[parameter.limits for parameter in parameters],
            )
        self._solver.update(window, LEARNING_RATE, MAX_GRAD_NORM, self.n_threads)
        return loss

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss of the window and the gradient of every parameter by name."""
        window, loss = self._backward()
        parameters = self.network.parameters
        return loss, {p.name: window.gradient(i) for i, p in enumerate(parameters)}

    def score(self) -> float:
        """Return the mean log-likelihood of the window's targets."""
        return -self._forward(training=False)[1]

    def next_token(self) -> np.ndarray:
        """Read one token, the state carried; return log-probabilities of the next."""
        window = self._window(1, 1, training=False)
        if 1 not in self._states:
            self._states[1] = State(self._weights, self.network.programs(), 1)
        first = self.tokens.ids[:1, :1]
        rows = window.predict(first, self._states[1], n_threads=self.n_threads)
        return np.asarray(rows[0])

    def with_int8(self) -> "Workload":
        """Return the same network with weights of int8; it does not train."""
        config, values = int8_values(self.network, self.network.values(self._weights))
        other = object.__new__(Workload)
        other.__dict__.update(self.__dict__)
        other.network = Network(config)
        other._weights = other.network.weights(values)
        other._windows, other._states = {}, {}
        return other

    def _backward(self) -> tuple[Window, float]:
        window, loss = self._forward(training=True)
        window.backward(n_threads=self.n_threads)
        return window, loss

    def _forward(self, *, training: bool) -> tuple[Window, float]:
        window = self._window(self.shape.T, self.shape.B, training)
        state = State(self._weights, self.network.programs(), self.shape.B)
        loss, _ = window.forward(
            self.tokens.ids,
            state,
            targets=self.tokens.targets,
            update=0 if self._solver is None else self._solver.steps,
            n_threads=self.n_threads,
        )
        return window, loss

    def _window(self, n_steps: int, batch_size: int, training: bool) -> Window:
        key = (n_steps, batch_size, training)
        if key not in self._windows:
            programs = self.network.programs(training=training)
            self._windows[key] = Window(
                self._weights, programs, n_steps, batch_size, training=training
            )
        return self._windows[key]
