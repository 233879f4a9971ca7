# SPDX-License-Identifier: BSD-3-Clause
"""A whole language model on NumPy, slow and plain: the oracle of the core's windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.compiler.graph import Graph
from rnnkit.testing.reference import Array, Run, Window, backward, forward


@dataclass(frozen=True)
class ReferenceNetwork:
    """Embedding, layers of graphs, linear softmax; loss: the weighted mean of -log p.

    Tensors are a list in the core's order: embedding (V, E), the parameters of each
    layer, output weight (V, H) unless tied, output bias (V,) if there is one.

    Attributes
    ----------
    graphs : sequence of Graph
        One a layer, with backward parts where gradients are wanted.
    tie_weights : bool, default=False
        The embedding is the output weight as well.
    output_bias : bool, default=True
    """

    graphs: Sequence[Graph]
    tie_weights: bool = False
    output_bias: bool = True

    def forward(
        self,
        tensors: Sequence[Array],
        ids: Array,
        targets: Array,
        *,
        states: Sequence[Sequence[Array]] | None = None,
        target_weights: Array | None = None,
        resets: Array | None = None,
        active: Array | None = None,
        masks: Sequence[Mapping[int, Array]] | None = None,
    ) -> NetworkRun:
        """Run one window.

        Parameters
        ----------
        tensors : sequence of arrays, real or complex
        ids, targets : int arrays of shape (T, B)
        states : sequence over layers of sequences of arrays (B, width), optional
            The cells' initial values by default.
        target_weights : array of shape (T, B), optional
            1 by default; targets of weight 0 are not looked at.
        resets, active : arrays of shape (T, B), optional
            Row flags, read by graphs with resets.
        masks : sequence over layers of mappings from site to array, optional
        """
        layers, weight, bias = self._parts(tensors)
        below = tensors[0][ids]
        runs = []
        for k, graph in enumerate(self.graphs):
            window = Window(
                graph,
                layers[k],
                below,
                None if states is None else states[k],
                resets,
                active,
                {} if masks is None else masks[k],
            )
            runs.append(forward(window))
            below = runs[-1].outputs
        log_p = _log_softmax(below @ weight.T + bias)
        shares = np.ones(ids.shape) if target_weights is None else target_weights
        scored = np.where(shares > 0, targets, 0)
        picked = np.take_along_axis(log_p, scored[..., None], axis=-1)[..., 0]
        return NetworkRun(
            runs=runs,
            tensors=tensors,
            ids=ids,
            targets=scored,
            shares=shares / np.sum(shares, dtype=float),
            log_probabilities=log_p,
            log_likelihood=np.where(shares > 0, picked, 0),
        )

    def backward(
        self, run: NetworkRun, outputs_gradient: Array | None = None
    ) -> NetworkGradients:
        """Gradients of the loss, plus what `outputs_gradient` (T, B, H) brings in."""
        tensors = run.tensors
        _, weight, _ = self._parts(tensors)
        wanted = np.eye(len(weight))[run.targets]
        d_logits = (np.exp(run.log_probabilities) - wanted) * run.shares[..., None]
        d_weight = np.einsum("tbv,tbh->vh", d_logits, run.outputs)
        d_below = d_logits @ weight
        if outputs_gradient is not None:
            d_below = d_below + outputs_gradient
        parameters: list[Array] = []
        states: list[list[Array]] = []
        for layer in reversed(run.runs):
            found = backward(layer, d_below)
            d_below = found.x
            parameters = found.parameters + parameters
            states.insert(0, found.states)
        d_embedding = np.zeros(tensors[0].shape)
        np.add.at(d_embedding, run.ids, d_below)
        if self.tie_weights:
            d_embedding += d_weight
        gradients = [d_embedding, *parameters]
        gradients += [] if self.tie_weights else [d_weight]
        gradients += [d_logits.sum(axis=(0, 1))] if self.output_bias else []
        return NetworkGradients(gradients, states)

    def _parts(self, tensors: Sequence[Array]) -> tuple[list[list[Array]], Array, Any]:
        """Parameters of each layer, output weight, output bias."""
        rest = list(tensors)
        embedding = rest.pop(0)
        layers = []
        for graph in self.graphs:
            layers.append(rest[: len(graph.parameters)])
            rest = rest[len(graph.parameters) :]
        weight = embedding if self.tie_weights else rest.pop(0)
        bias = rest.pop(0) if self.output_bias else 0.0
        return layers, weight, bias


@dataclass
class NetworkRun:
    """What one window gives, and what its backward run needs."""

    runs: list[Run]
    tensors: Sequence[Array]
    ids: Array
    targets: Array
    shares: Array
    log_probabilities: Array
    log_likelihood: Array

    @property
    def loss(self) -> Any:
        """Weighted mean of -log p of the targets, nats."""
        return -np.sum(self.shares * self.log_likelihood)

    @property
    def outputs(self) -> Array:
        """Top layer's outputs (T, B, H)."""
        return self.runs[-1].outputs

    @property
    def states(self) -> list[list[Array]]:
        """States after the last step, by layer."""
        return [run.states for run in self.runs]


@dataclass
class NetworkGradients:
    """Gradients of the tensors, in their order, and of the initial states by layer."""

    tensors: list[Array]
    states: list[list[Array]]


def _log_softmax(logits: Array) -> Array:
    top = np.real(logits).max(axis=-1, keepdims=True)
    shifted = logits - top
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
