# SPDX-License-Identifier: BSD-3-Clause
"""What the words of a graph cannot say, as JSON, for the model file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnkit.compiler.graph import Graph, Initialiser, Parameter, is_name
from rnnkit.compiler.initialise import KINDS
from rnnkit.compiler.words import from_words
from rnnkit.errors import GraphError

_KEYS = {"states", "parameters"}
_PARAMETER_KEYS = {"name", "blocks", "initialisers", "limits", "decay"}


def to_json(graph: Graph) -> str:
    """Names, initialisers and limits as JSON; `from_json` wants the words beside it.

    Raises
    ------
    GraphError
        If the graph has a backward part, masks or flags, which are derived when it
        runs.
    """
    _check_plain(graph)
    content = {
        "states": [state.name for state in graph.states],
        "parameters": [_described(parameter) for parameter in graph.parameters],
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":"), sort_keys=True)


def from_json(words: Sequence[int] | np.ndarray, text: str | bytes) -> Graph:
    """The graph of these words and this JSON, which are untrusted: all is checked.

    Raises
    ------
    GraphError
        What is malformed.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"graph: no JSON: {error}") from None
    _check_keys(content, _KEYS, "it")
    graph = from_words(words)
    _check_plain(graph)
    states = _names(content["states"], len(graph.states), "states")
    described = content["parameters"]
    if not isinstance(described, list) or len(described) != len(graph.parameters):
        raise GraphError(f"graph: parameters are no list of {len(graph.parameters)}")
    parameters = tuple(
        _parameter(plain, entry)
        for plain, entry in zip(graph.parameters, described, strict=True)
    )
    _names([p.name for p in parameters], len(parameters), "parameters")
    return replace(
        graph,
        parameters=parameters,
        states=tuple(
            replace(state, name=name)
            for state, name in zip(graph.states, states, strict=True)
        ),
    )


def _check_plain(graph: Graph) -> None:
    if graph.has_backward or any(node.op in ("flag", "mask") for node in graph.nodes):
        raise GraphError(
            "graph: a stored graph has no backward part, no masks and no flags"
        )


def _described(parameter: Parameter) -> dict[str, Any]:
    limits = parameter.limits and [
        bound if math.isfinite(bound) else None for bound in parameter.limits
    ]
    return {
        "name": parameter.name,
        "blocks": list(parameter.block_names),
        "initialisers": [list(spec) for spec in parameter.initialisers],
        "limits": limits,
        "decay": parameter.decay,
    }


def _parameter(plain: Parameter, entry: Any) -> Parameter:
    _check_keys(entry, _PARAMETER_KEYS, "a parameter")
    (name,) = _names([entry["name"]], 1, "parameter names")
    if type(entry["decay"]) is not bool:
        raise GraphError(f"graph: {name}: decay is {entry['decay']!r}")
    specs = entry["initialisers"]
    if not isinstance(specs, list) or len(specs) != plain.blocks:
        raise GraphError(f"graph: {name}: initialisers are no list of {plain.blocks}")
    return replace(
        plain,
        name=name,
        block_names=_names(entry["blocks"], plain.blocks, f"blocks of {name}"),
        initialisers=tuple(_initialiser(name, spec, plain.is_weight) for spec in specs),
        limits=_limits(name, entry["limits"]),
        decay=entry["decay"],
    )


def _initialiser(name: str, spec: Any, is_weight: bool) -> Initialiser:
    known = isinstance(spec, list) and len(spec) == 2 and isinstance(spec[0], str)
    if not known or spec[0] not in KINDS or not _is_number(spec[1]):
        raise GraphError(f"graph: {name}: unknown initialiser {spec!r}")
    if KINDS[spec[0]][1] and not is_weight:
        raise GraphError(f"graph: {name}: {spec[0]} is for weights")
    if spec[0] in ("uniform", "normal") and spec[1] < 0:
        raise GraphError(f"graph: {name}: {spec!r} is negative")
    return Initialiser(spec[0], float(spec[1]))


def _limits(name: str, limits: Any) -> tuple[float, float] | None:
    if limits is None:
        return None
    if not isinstance(limits, list) or len(limits) != 2:
        raise GraphError(f"graph: {name}: limits are {limits!r}")
    low, high = (
        infinite if bound is None else bound
        for bound, infinite in zip(limits, (-math.inf, math.inf), strict=True)
    )
    if not all(bound is None or _is_number(bound) for bound in limits) or low > high:
        raise GraphError(f"graph: {name}: limits are {limits!r}")
    return float(low), float(high)


def _names(names: Any, count: int, what: str) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) != count:
        raise GraphError(f"graph: {what} are no list of {count}")
    for name in names:
        if not isinstance(name, str) or not is_name(name):
            raise GraphError(f"graph: {what}: {name!r} is no name")
    if len(set(names)) < count:
        raise GraphError(f"graph: {what} have a name twice")
    return tuple(names)


def _check_keys(entry: Any, keys: set[str], what: str) -> None:
    if not isinstance(entry, dict) or set(entry) != keys:
        raise GraphError(f"graph: {what} must have {', '.join(sorted(keys))}")


def _is_number(value: Any) -> bool:
    """A number that a float holds: JSON has NaN, infinities and endless integers."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
