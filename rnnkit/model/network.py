# SPDX-License-Identifier: BSD-3-Clause
"""A network that can run: its parameters by name, and its programs by use."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnkit.compiler import (
    Parameter,
    differentiate,
    initialise,
    with_masks,
    with_resets,
)
from rnnkit.core import Program, Weights
from rnnkit.errors import CellError
from rnnkit.model.config import NetworkConfig
from rnnkit.model.dropout import NO_DROPOUT, SITES_PER_LAYER, Dropout
from rnnkit.model.head import weight
from rnnkit.model.projection import PROJECTION


class Network:
    """Parameters and programs of a `NetworkConfig`; has no weights, never changes."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.parameters = named_parameters(config)
        self._programs: dict[tuple[bool, bool, Dropout], list[Program]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Network, (self.config,)

    def programs(
        self,
        *,
        training: bool = False,
        flags: bool = False,
        dropout: Dropout = NO_DROPOUT,
    ) -> list[Program]:
        """Return one program a layer: with backward part, row flags, masks, or without.

        All give the same bits where they do the same work; the plainer ones do less of
        it.
        """
        key = (training, flags, dropout)
        if key not in self._programs:
            self._programs[key] = self._compile(*key)
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

    def _compile(self, training: bool, flags: bool, dropout: Dropout) -> list[Program]:
        """Lower each layer's graph; equal graphs share one program."""
        config = self.config
        programs: dict[bytes, Program] = {}
        result = []
        for k, graph in enumerate(config.layers):
            sites = dropout.sites(k, config.num_layers)
            if any(sites.values()):
                first = SITES_PER_LAYER * k
                graph = with_masks(graph, sites, first, dropout.per_sequence)
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
    for graph in config.layers[config.num_layers :]:
        parameters += [replace(p, name=PROJECTION + p.name) for p in graph.parameters]
    parameters += config.head.parameters(
        config.vocab_size, config.hidden_size, config.tie_weights
    )
    return tuple(parameters)
