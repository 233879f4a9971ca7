# SPDX-License-Identifier: BSD-3-Clause
"""A trained model as one safetensors file, and back.

Here it is written; csrc/modelfile reads it, and refuses what is not whole and sound.
What is left to check are the facts that only Python knows. docs/model_format.md has the
form.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.compiler import Graph
from rnnkit.core import read_model
from rnnkit.errors import GraphError, ModelFormatError
from rnnkit.model import SCALE, Head, NetworkConfig, named_parameters
from rnnkit.storage.files import replace_file
from rnnkit.storage.safetensors import (
    FORMAT_VERSION,
    canonical_json,
    encode,
    strict_json,
)

CURVES = ("history.loss_curve", "history.validation_loss_curve")
METADATA = ("network", "cell", "tokenizer", "parameters", "history")
ORIGIN: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "distribution": (str, type(None)),
    "version": (str, type(None)),
    "is_name": (bool,),
}
HEADS = {  # what is said of a head, beside its kind
    "adaptive": ("cutoffs", "div_value"),
    "sampled": ("n_samples",),
}


@dataclass(frozen=True)
class ModelRecord:
    """What a model file holds.

    Attributes
    ----------
    config : NetworkConfig
        The network.
    values : mapping of str to array
        Its parameters by name; of int8 matrices the scales beside them.
    tokens : tuple of str, or None
        The vocabulary in order of the ids; None for a model of ids.
    cell, tokenizer : dict
        Where the cell and the tokenizer came from (name, distribution, version, and
        whether they were asked for by name); the cell's parameters; the tokenizer's
        `state`, `end_id` and `unk_id`. Empty where nothing is known, or there is none.
    parameters : dict
        The estimator's parameters.
    history : dict
        Figures of the training; curves are lists of float.
    """

    config: NetworkConfig
    values: Mapping[str, np.ndarray]
    tokens: tuple[str, ...] | None
    cell: dict[str, Any]
    tokenizer: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)


def save_model(path: str | os.PathLike[str], record: ModelRecord) -> None:
    """Write `record` to `path`, which at any time holds the old file or the new one."""
    replace_file(path, to_bytes(record))


def load_model(path: str | os.PathLike[str]) -> ModelRecord:
    """Read a model file.

    Raises
    ------
    ModelFormatError
        When anything in it is wrong; the message says what.
    OSError
        When it cannot be read.
    """
    return from_bytes(Path(path).read_bytes())


def to_bytes(record: ModelRecord) -> bytes:
    """Return the one encoding of `record`."""
    tensors = {name: np.asarray(value) for name, value in record.values.items()}
    for k, graph in enumerate(record.config.graphs):
        tensors[f"rnn.graph_l{k}"] = graph.to_words()
        tensors[f"rnn.cell_l{k}"] = _text_tensor(graph.to_json())
    tensors |= _prediction_graphs(record.config)
    tokenizer = dict(record.tokenizer)
    if record.tokens is not None:
        state = canonical_json(tokenizer.pop("state"))
        tensors["tokenizer.state"] = _text_tensor(state)
        tensors |= _vocabulary_tensors(record.tokens)
    history = dict(record.history)
    for name in CURVES:
        curve = history.pop(name.partition(".")[2], None)
        if curve:
            tensors[name] = np.array(curve, np.float64)
    metadata = {
        "format": "rnnkit",
        "format_version": str(FORMAT_VERSION),
        "rnnkit_version": _rnnkit_version(),
        "network": canonical_json(_network(record.config)),
        "cell": canonical_json(record.cell),
        "tokenizer": canonical_json(tokenizer),
        "parameters": canonical_json(record.parameters),
        "history": canonical_json(history),
    }
    return encode(tensors, metadata)


def from_bytes(data: bytes) -> ModelRecord:
    """Return what `data`, the content of a model file, holds.

    Raises
    ------
    ModelFormatError
        When anything in it is wrong; the message says what.
    """
    tensors, metadata = read_model(data)
    missing = {*METADATA, "rnnkit_version"} - set(metadata)
    if missing:
        raise ModelFormatError(f"the metadata have no {min(missing)!r}")
    facts = {name: _read_object(metadata[name], name) for name in METADATA}
    for name in ("cell", "tokenizer"):
        _check_origin(facts[name], name)
    config = _read_network(facts["network"], tensors)
    tokens = None
    if facts["tokenizer"]:
        tokens = _read_vocabulary(tensors)
        state = tensors["tokenizer.state"].tobytes().decode("ascii", "replace")
        facts["tokenizer"]["state"] = _read_object(state, "tokenizer.state")
    history = facts["history"]
    for name in CURVES:
        curve = tensors.get(name, np.empty(0))
        history[name.partition(".")[2]] = [float(loss) for loss in curve]
    return ModelRecord(
        config=config,
        values=_values(tensors, config),
        tokens=tokens,
        cell=facts["cell"],
        tokenizer=facts["tokenizer"],
        parameters=facts["parameters"],
        history=history,
    )


def _network(config: NetworkConfig) -> dict[str, Any]:
    """Return the metadata `network`; csrc/modelfile/config.c reads what stands here."""
    facts: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "embedding_size": config.embedding_size,
        "num_layers": config.num_layers,
        "tie_weights": config.tie_weights,
        "dtype": config.dtype,
    }
    if config.head.kind in HEADS:
        values = {name: getattr(config.head, name) for name in HEADS[config.head.kind]}
        facts["head"] = {"kind": config.head.kind, **values}
    if config.projection:
        facts["projection"] = True
    if config.int8:
        facts["int8"] = True
    if config.zoneout:
        facts["zoneout"] = dict(config.zoneout)
    return facts


def _prediction_graphs(config: NetworkConfig) -> dict[str, np.ndarray]:
    """Return, for readers that derive nothing, the graphs that are not a cell's."""
    return {
        f"prediction.graph_l{k}": graph.to_words()
        for k, graph in enumerate(config.prediction_layers)
        if config.zoneout or k >= config.num_layers
    }


def _read_object(text: str, name: str) -> dict[str, Any]:
    """Return one of the metadata's objects, which must be spelled canonically."""
    value = strict_json(text, f"metadata {name!r}")
    if not isinstance(value, dict):
        raise ModelFormatError(f"metadata {name!r} is not a JSON object")
    if canonical_json(value) != text:
        raise ModelFormatError(f"metadata {name!r} is not in the canonical form")
    return value


def _check_origin(facts: dict[str, Any], what: str) -> None:
    """Check where a cell or a tokenizer is said to come from, if it is said."""
    for name, kinds in ORIGIN.items():
        if facts and not (name in facts and isinstance(facts[name], kinds)):
            raise ModelFormatError(f"{what}: {name!r} is missing or of a wrong type")
    if not isinstance(facts.get("parameters"), (dict, type(None))):
        raise ModelFormatError(f"{what}: 'parameters' is no JSON object")


def _read_network(
    facts: dict[str, Any], tensors: dict[str, np.ndarray]
) -> NetworkConfig:
    """Return the network of facts that the core has found to be right."""
    facts["graphs"] = tuple(
        _read_graph(tensors, k) for k in range(facts.pop("num_layers"))
    )
    if "head" in facts:
        head = dict(facts["head"])
        if "cutoffs" in head:
            head["cutoffs"] = tuple(head["cutoffs"])
        if not isinstance(head.get("div_value", 1.0), float):
            raise ModelFormatError("network: 'head': 'div_value' must be a real number")
    if "zoneout" in facts:
        facts["zoneout"] = _read_zoneout(facts["zoneout"])
    try:
        if "head" in facts:
            facts["head"] = Head(**head)
        config = NetworkConfig(**facts)
    except ValueError as error:
        raise ModelFormatError(f"network: {error}") from None
    for name, words in _prediction_graphs(config).items():
        if not np.array_equal(tensors[name], words):
            raise ModelFormatError(f"{name} is not what follows from 'network'")
    return config


def _read_zoneout(facts: Any) -> tuple[tuple[str, float], ...]:
    """Return the rates by state, of which there must be some."""
    known = isinstance(facts, dict) and facts
    if not known or any(type(rate) is not float for rate in facts.values()):
        raise ModelFormatError("network: 'zoneout' must be numbers by name")
    return tuple(sorted(facts.items()))


def _read_graph(tensors: dict[str, np.ndarray], k: int) -> Graph:
    """Return the graph of a layer: its words, and what these cannot say."""
    text = tensors[f"rnn.cell_l{k}"].tobytes()
    try:
        graph = Graph.from_json(tensors[f"rnn.graph_l{k}"], text)
    except GraphError as error:
        raise ModelFormatError(f"layer {k}: {error}") from None
    if graph.to_json().encode("ascii") != text:
        raise ModelFormatError(f"rnn.cell_l{k} is not in the canonical form")
    return graph


def _values(
    tensors: dict[str, np.ndarray], config: NetworkConfig
) -> dict[str, np.ndarray]:
    """Return the parameters, which stand where core and Python alike expect them."""
    values = {}
    for parameter in named_parameters(config):
        value = tensors.get(parameter.name)
        if value is None or value.shape != parameter.shape:
            raise ModelFormatError(
                f"tensor {parameter.name!r} does not have the shape {parameter.shape}"
            )
        values[parameter.name] = value
        if config.int8 and parameter.is_weight:
            values[parameter.name + SCALE] = tensors[parameter.name + SCALE]
    return values


def _read_vocabulary(tensors: dict[str, np.ndarray]) -> tuple[str, ...]:
    text, places = tensors["vocabulary"].tobytes(), tensors["vocabulary.offsets"]
    return tuple(
        text[begin:end].decode("utf-8") for begin, end in pairwise(places.tolist())
    )


def _vocabulary_tensors(tokens: Sequence[str]) -> dict[str, np.ndarray]:
    """Return all tokens end to end in UTF-8, and the places where they begin."""
    parts = [token.encode("utf-8") for token in tokens]
    return {
        "vocabulary": np.frombuffer(b"".join(parts), np.uint8),
        "vocabulary.offsets": np.cumsum([0, *map(len, parts)], dtype=np.int64),
    }


def _text_tensor(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("ascii"), np.uint8)


def _rnnkit_version() -> str:
    """Return the version of the package that this module is a part of."""
    return str(importlib.import_module(__name__.partition(".")[0]).__version__)
