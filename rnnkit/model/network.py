# SPDX-License-Identifier: BSD-3-Clause
"""A network that can run: its parameters by name, and its programs by use."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnkit.compiler import (
    Graph,
    Parameter,
    differentiate,
    initialise,
    with_masks,
    with_resets,
)
from rnnkit.core import Program, Weights
from rnnkit.errors import CellError
from rnnkit.model.config import NetworkConfig
from rnnkit.model.head import weight

SITES_PER_LAYER = (
    16  # numbers kept for one layer's masks, so that layers never share one
)


class Network:
    """Parameters and programs of a `NetworkConfig`; has no weights, never changes."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.parameters = named_parameters(config)
        self._programs: dict[tuple[bool, bool], list[Program]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Network, (self.config,)

    def programs(self, *, training: bool = False, flags: bool = False) -> list[Program]:
        """Return one program a layer: with backward part, with row flags, or without.

        Only programs for training apply masks. All give the same bits where they do the
        same work; the plainer ones do less of it.
        """
        key = (training, flags)
        if key not in self._programs:
            self._programs[key] = self._compile(training, flags)
        return self._programs[key]

    def weights(self, values: Mapping[str, np.ndarray]) -> Weights:
        """Return weights for the core, filled with `values` of every parameter."""
        weights = self._no_weights()
        for i, parameter in enumerate(self.parameters):
            value = np.ascontiguousarray(values[parameter.name], self.config.dtype)
            weights.set(i, value)
        return weights

    def initial_weights(self, rng: np.random.Generator) -> Weights:
        """Return `weights(initial_values(rng))`, one parameter in memory at a time."""
        weights = self._no_weights()
        for i, parameter in enumerate(self.parameters):
            weights.set(i, first_value(parameter, rng, self.config.dtype))
        return weights

    def _no_weights(self) -> Weights:
        config = self.config
        return Weights(
            config.vocab_size,
            config.embedding_size,
            self.programs(),
            tie_weights=config.tie_weights,
            dtype=config.dtype,
            **config.head.settings(config.hidden_size),
        )

    def values(self, weights: Weights) -> dict[str, np.ndarray]:
        """Return plain copies of the weights under their names."""
        return {p.name: weights.get(i) for i, p in enumerate(self.parameters)}

    def initial_values(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return first values of every parameter, drawn from `rng` in order."""
        return {p.name: first_value(p, rng) for p in self.parameters}

    def _compile(self, training: bool, flags: bool) -> list[Program]:
        """Lower each layer's graph; equal graphs share one program."""
        config = self.config
        programs: dict[bytes, Program] = {}
        result = []
        for k, graph in enumerate(config.graphs):
            if training:
                graph = self._masked(k, graph)
            if flags:
                graph = with_resets(graph)
            if training:
                graph = differentiate(graph)
            words = graph.to_words()
            program = programs.get(words.tobytes())
            if program is None:
                program = Program(words, config.dtype)
                programs[words.tobytes()] = program
            result.append(program)
        return result

    def _masked(self, k: int, graph: Graph) -> Graph:
        """Return layer `k` with dropout before it and, at the top, behind it."""
        rate = self.config.dropout
        if rate == 0.0:
            return graph
        sites = {"input": rate}
        if k == self.config.num_layers - 1:
            sites["output"] = rate
        return with_masks(graph, sites, first_site=SITES_PER_LAYER * k)


def first_value(
    parameter: Parameter, rng: np.random.Generator, dtype: str = "float64"
) -> np.ndarray:
    """Draw the first value of a parameter; it must keep the parameter's limits."""
    value = initialise(parameter, rng, dtype)
    if parameter.limits is not None:
        low, high = np.asarray(parameter.limits, value.dtype)
        if value.min() < low or value.max() > high:
            raise CellError(
                f"{parameter.name} begins with values from {value.min():g} to "
                f"{value.max():g}, beyond its limits {parameter.limits}: give it "
                "another initialiser or other limits"
            )
    return value


def named_parameters(config: NetworkConfig) -> tuple[Parameter, ...]:
    """Return the parameters in the core's order, under PyTorch's names."""
    parameters = [weight("embedding.weight", config.vocab_size, config.embedding_size)]
    for k, graph in enumerate(config.graphs):
        parameters += [replace(p, name=f"rnn.{p.name}_l{k}") for p in graph.parameters]
    parameters += config.head.parameters(
        config.vocab_size, config.hidden_size, config.tie_weights
    )
    return tuple(parameters)
