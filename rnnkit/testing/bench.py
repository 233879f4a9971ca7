# SPDX-License-Identifier: BSD-3-Clause
"""A small network of a cell, on the core and in NumPy, and windows to run it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.compiler import (
    Graph,
    differentiate,
    initialise,
    with_masks,
    with_resets,
)
from rnnkit.core import Program, State, Weights, Window
from rnnkit.testing.network import ReferenceNetwork

Array = np.ndarray[Any, Any]

VOCAB_SIZE, N_STEPS, N_ROWS = 7, 5, 3
SITES_PER_LAYER = 16


@dataclass(frozen=True)
class Batch:
    """A window of tokens: ids, targets and row flags, (T, B) each."""

    ids: Array
    targets: Array
    resets: Array | None = None
    active: Array | None = None

    @classmethod
    def random(
        cls, n_steps: int = N_STEPS, n_rows: int = N_ROWS, *, flags: bool = False
    ) -> Batch:
        """Random tokens; with flags, resets in mid-window and rows that end early."""
        rng = np.random.default_rng(n_steps + n_rows)
        size = 2, n_steps, n_rows
        ids, targets = rng.integers(VOCAB_SIZE, size=size, dtype=np.int32)
        if not flags:
            return cls(ids, targets)
        resets = np.zeros((n_steps, n_rows), np.uint8)
        active = np.ones((n_steps, n_rows), np.uint8)
        resets[2, 0] = resets[1, 2] = resets[3, 2] = 1
        active[2:, 1] = active[4:, 2] = 0
        return cls(ids, targets, resets, active)

    def part(self, steps: slice = slice(None), rows: slice = slice(None)) -> Batch:
        """Some steps of some rows."""

        def cut(array: Any) -> Any:
            return None if array is None else np.ascontiguousarray(array[steps, rows])

        arrays = (self.ids, self.targets, self.resets, self.active)
        return Batch(*map(cut, arrays))

    @property
    def flags(self) -> dict[str, Array | None]:
        """What windows of the core and of the reference take; ended rows count 0."""
        weights = None if self.active is None else self.active.astype(np.float32)
        return {
            "resets": self.resets,
            "active": self.active,
            "target_weights": weights,
        }


@dataclass
class Result:
    """What one window gives; gradients and states by name."""

    loss: float
    outputs: Array
    log_likelihood: Array
    states: dict[str, Array]
    gradients: dict[str, Array]

    def items(self) -> Iterator[tuple[str, Array]]:
        """Everything, under names for messages."""
        yield "the loss", np.asarray(self.loss)
        yield "the output", self.outputs
        yield "the log-likelihood", self.log_likelihood
        for name, state in self.states.items():
            yield f"state {name}", state
        for name, gradient in self.gradients.items():
            yield f"the gradient of {name}", gradient


class Bench:
    """A network with random weights: layers of graphs between embedding and head.

    Parameters
    ----------
    graphs : sequence of Graph
        Plain forward graphs, one a layer.
    dtype : {"float64", "float32"}, default="float64"
    flags : bool, default=False
        Whether rows may be reset or end.
    dropout : float, default=0.0
        Rate of the masks before and behind each layer.
    tensors : sequence of arrays, optional
        Weights in the core's order; random ones by default.
    scale : float, default=1.0
        Times the embedding.
    """

    def __init__(
        self,
        graphs: Sequence[Graph],
        *,
        dtype: str = "float64",
        flags: bool = False,
        dropout: float = 0.0,
        tensors: Sequence[Array] | None = None,
        scale: float = 1.0,
    ) -> None:
        self.plain = list(graphs)
        self.dtype = dtype
        self.dropout = dropout
        variants = []
        for k, graph in enumerate(graphs):
            if dropout:
                rates = {"input": dropout, "output": dropout}
                graph = with_masks(graph, rates, first_site=SITES_PER_LAYER * k)
            variants.append(differentiate(with_resets(graph) if flags else graph))
        self.reference = ReferenceNetwork(variants)
        self.programs = [Program(graph.to_words(), dtype) for graph in variants]
        self.weights = Weights(
            VOCAB_SIZE, graphs[0].input_width, self.programs, dtype=dtype
        )
        self.tensors = list(self._random(scale) if tensors is None else tensors)
        self.set_tensors(self.tensors)

    @property
    def names(self) -> list[str]:
        """Names of the tensors, in the core's order."""
        layers = [
            f"{p.name}{f' of layer {k}' if k else ''}"
            for k, graph in enumerate(self.plain)
            for p in graph.parameters
        ]
        return ["the embedding", *layers, "the output's weight", "the output's bias"]

    def set_tensors(self, tensors: Sequence[Array]) -> None:
        """Give the core other weights."""
        for i, tensor in enumerate(tensors):
            self.weights.set(i, np.ascontiguousarray(tensor, self.dtype))

    def first_states(self) -> list[Array]:
        """States that the cell itself has reached, so that its equations allow them."""
        ids = np.random.default_rng(1).integers(VOCAB_SIZE, size=(3, N_ROWS))
        plain = ReferenceNetwork(self.plain)
        with np.errstate(all="ignore"):
            run = plain.forward(self.tensors, ids, ids)
        return [np.array(state) for layer in run.states for state in layer]

    def run(
        self,
        batch: Batch,
        states: Sequence[Array] | None = None,
        *,
        n_threads: int = 1,
        seed: int = 0,
        update: int = 0,
    ) -> Result:
        """One window on the core, forward and backward.

        Parameters
        ----------
        batch : Batch
        states : sequence of arrays (B, width), optional
            Before the window, layer by layer; the cell's initial ones by default.
        n_threads, seed, update : int
            As in `rnnkit.core.Window.forward`.
        """
        n_steps, n_rows = batch.ids.shape
        state = State(self.weights, self.programs, n_rows)
        places = [
            (layer, k, f"{spec.name}{f' of layer {layer}' if layer else ''}")
            for layer, graph in enumerate(self.plain)
            for k, spec in enumerate(graph.states)
        ]
        if states is not None:
            for (layer, k, _), value in zip(places, states, strict=True):
                state.set(layer, k, np.ascontiguousarray(value, self.dtype))
        window = Window(self.weights, self.programs, n_steps, n_rows, training=True)
        how = {"seed": seed, "update": update, "n_threads": n_threads}
        given: dict[str, Any] = batch.flags | how
        loss, _ = window.forward(batch.ids, state, targets=batch.targets, **given)
        outputs, log_likelihood = window.outputs(), np.array(window.log_likelihood)
        window.backward(n_threads=n_threads)
        gradients = {name: window.gradient(i) for i, name in enumerate(self.names)}
        for layer, k, name in places:
            gradient = window.initial_state_gradient(layer, k)
            gradients[f"the first {name}"] = gradient
        return Result(
            loss,
            outputs,
            log_likelihood,
            {name: state.get(layer, k) for layer, k, name in places},
            gradients,
        )

    def reference_loss(
        self, batch: Batch, tensors: Sequence[Array], states: Sequence[Array]
    ) -> Any:
        """The loss in NumPy, of one layer; complex where the arrays are."""
        given: dict[str, Any] = batch.flags
        run = self.reference.forward(
            tensors, batch.ids, batch.targets, states=[states], **given
        )
        return run.loss

    def _random(self, scale: float) -> Iterator[Array]:
        """Weights of which none is 0 and all keep their limits."""
        rng = np.random.default_rng(0)
        embedding, *_, head, bias = self.weights.shapes
        yield scale * rng.normal(size=embedding)
        for graph in self.plain:
            for p in graph.parameters:
                value = initialise(p, rng) + rng.normal(0, 0.3, p.shape)
                yield np.clip(value, *(p.limits or (-np.inf, np.inf)))
        yield rng.normal(0, 0.5, head)
        yield rng.normal(0, 0.5, bias)
