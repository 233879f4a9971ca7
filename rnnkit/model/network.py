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
    recurrent_weights,
    with_masks,
    with_output_state,
    with_resets,
    with_zoneout,
)
from rnnkit.core import Program, Weights
from rnnkit.errors import CellError
from rnnkit.model.config import NetworkConfig
from rnnkit.model.dropout import NO_PENALTIES, SITES_PER_LAYER, Dropout, Penalties
from rnnkit.model.head import weight
from rnnkit.model.projection import PROJECTION

SCALE = ".scale"  # behind the name of a matrix of int8: its scales, as in the file


class Network:
    """Parameters and programs of a `NetworkConfig`; has no weights, never changes."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.parameters = named_parameters(config)
        self._programs: dict[tuple[Any, ...], list[Program]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Network, (self.config,)

    def programs(
        self,
        *,
        training: bool = False,
        flags: bool = False,
        dropout: Dropout | None = None,
        penalties: Penalties = NO_PENALTIES,
    ) -> list[Program]:
        """Return one program a layer: with backward part, row flags, masks, or without.

        All give the same bits where they do the same work; the plainer ones do less of
        it. Zoneout is drawn where `dropout` is given, be it of rates 0, and else its
        expectation. Programs with a penalty on changes may have one more state.
        """
        key = (training, flags, dropout, penalties)
        if key not in self._programs:
            self._programs[key] = self._compile(*key)
        return self._programs[key]

    def predicting_graphs(self) -> tuple[Graph, ...]:
        """Return what each layer computes when nothing is learned, the lowest first.

        States that training lets stand still take their expectation, and what stands
        between the top cell and the output layer is a layer, too.
        """
        n = len(self.config.layers)
        return tuple(
            self._variant(k, False, False, None, NO_PENALTIES) for k in range(n)
        )

    def weights(self, values: Mapping[str, np.ndarray]) -> Weights:
        """Return weights for the core, filled with `values` of every parameter."""
        weights = self.no_weights()
        for i, parameter in enumerate(self.parameters):
            if weights.is_int8(i):
                scales = values[parameter.name + SCALE]
                weights.set_int8(i, values[parameter.name], scales)
                continue
            value = np.ascontiguousarray(values[parameter.name], self.config.dtype)
            weights.set(i, value)
        return weights

    def initial_weights(self, rng: "np.random.Generator") -> Weights:
        """Return `weights(initial_values(rng))`, one parameter in memory at a time."""
        weights = self.no_weights()
        for i, parameter in enumerate(self.parameters):
            weights.set(i, first_value(parameter, rng, self.config.dtype))
        return weights

    def no_weights(self) -> Weights:
        """Return weights for the core that are zero."""
        config = self.config
        return Weights(
            config.vocab_size,
            config.embedding_size,
            self.programs(),
            tie_weights=config.tie_weights,
            dtype=config.dtype,
            int8=config.int8,
            **config.head.settings(config.hidden_size),
        )

    def values(self, weights: Weights) -> dict[str, np.ndarray]:
        """Return plain copies of the weights under their names.

        Of a matrix of int8 the codes, and the scales under its name and ".scale".
        """
        values: dict[str, np.ndarray] = {}
        for i, parameter in enumerate(self.parameters):
            name = parameter.name
            if weights.is_int8(i):
                values[name], values[name + SCALE] = weights.get_int8(i)
            else:
                values[name] = weights.get(i)
        return values

    def initial_values(self, rng: "np.random.Generator") -> dict[str, np.ndarray]:
        """Return first values of every parameter, drawn from `rng` in order."""
        return {p.name: first_value(p, rng) for p in self.parameters}

    def dropped(self) -> list[bool]:
        """Return, by parameter, whether it is a matrix that multiplies a state."""
        dropped = [False]
        for graph in self.config.graphs:
            weights = recurrent_weights(graph)
            dropped += [i in weights for i in range(len(graph.parameters))]
        return dropped + [False] * (len(self.parameters) - len(dropped))

    def _compile(self, *variant: Any) -> list[Program]:
        """Lower each layer's graph; equal graphs share one program."""
        programs: dict[bytes, Program] = {}
        result = []
        for k in range(len(self.config.layers)):
            words = self._variant(k, *variant).to_words()
            program = programs.get(words.tobytes())
            if program is None:
                program = Program(words, self.config.dtype)
                programs[words.tobytes()] = program
            result.append(program)
        return result

    def _variant(
        self,
        k: int,
        training: bool,
        flags: bool,
        dropout: Dropout | None,
        penalties: Penalties,
    ) -> Graph:
        """Return the graph of layer k with all that is asked for."""
        config, first_site = self.config, SITES_PER_LAYER * k
        graph, changes = config.layers[k], {}
        if config.zoneout and graph.states:
            site = None if dropout is None else first_site
            graph = with_zoneout(graph, dict(config.zoneout), site)
        if k != config.num_layers - 1:  # they are of the top cell's output
            penalties = NO_PENALTIES
        if penalties.temporal_activation:
            graph, state = with_output_state(graph)
            changes = {state: penalties.temporal_activation}
        if dropout and any((sites := dropout.sites(k, config.num_layers)).values()):
            graph = with_masks(graph, sites, first_site, dropout.per_sequence)
        if flags:
            graph = with_resets(graph)
        if training:
            graph = differentiate(graph, penalties.activation, changes)
        return graph


def first_value(
    parameter: Parameter, rng: "np.random.Generator", dtype: str = "float64"
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
