# SPDX-License-Identifier: BSD-3-Clause
"""A trained model as one safetensors file, and back, with everything checked.

Tensors: the parameters under PyTorch's names; `rnn.graph_l{k}`, the equations of layer
k as the JSON of its graph; `vocabulary`, each token as its length (4 bytes) and UTF-8;
the curves of training. Metadata, each a string of JSON: `network` (sizes), `cell` and
`tokenizer` (names, packages and versions that they came from), `parameters` of the
estimator, `history`. `network` says what its head is where this is no plain softmax,
that there is a projection where there is one, and the rates of zoneout by state where
there are any. A graph is run from the file, so no file needs a cell's package.
"""

import importlib
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.compiler import Graph
from rnnkit.errors import GraphError, ModelFormatError
from rnnkit.model import Head, NetworkConfig, named_parameters
from rnnkit.storage.files import replace_file
from rnnkit.storage.safetensors import (
    FORMAT_VERSION,
    canonical_json,
    decode,
    encode,
    strict_json,
)

MAX_VOCABULARY = 1 << 24
MAX_LAYERS = 64
CURVES = ("history.loss_curve", "history.validation_loss_curve")
METADATA = ("network", "cell", "tokenizer", "parameters", "history")
ORIGIN: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "distribution": (str, type(None)),
    "version": (str, type(None)),
    "is_name": (bool,),
}
NETWORK = {
    "vocab_size": int,
    "embedding_size": int,
    "num_layers": int,
    "tie_weights": bool,
    "dtype": str,
}
HEADS: dict[str, dict[str, type]] = {  # what is said of a head, beside its kind
    "adaptive": {"cutoffs": list, "div_value": float},
    "sampled": {"n_samples": int},
}


@dataclass(frozen=True)
class ModelRecord:
    """What a model file holds.

    Attributes
    ----------
    config : NetworkConfig
        The network.
    values : mapping of str to array
        Its parameters by name.
    tokens : tuple of str, or None
        The vocabulary in order of the ids; None for a model of ids.
    cell, tokenizer : dict
        Where the cell and the tokenizer came from (name, distribution, version, and
        whether they were asked for by name); the cell's parameters, the tokenizer's
        state. Empty where nothing is known, or there is none.
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
    config = record.config
    tensors = {name: np.asarray(value) for name, value in record.values.items()}
    for k, graph in enumerate(config.graphs):
        tensors[f"rnn.graph_l{k}"] = _text_tensor(graph.to_json())
    if record.tokens is not None:
        tensors["vocabulary"] = _vocabulary_tensor(record.tokens)
    history = dict(record.history)
    for name in CURVES:
        curve = history.pop(name.partition(".")[2], None)
        if curve:
            tensors[name] = np.array(curve, np.float64)
    network: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "embedding_size": config.embedding_size,
        "num_layers": config.num_layers,
        "tie_weights": config.tie_weights,
        "dtype": config.dtype,
    }
    if config.projection:
        network["projection"] = True
    if config.head.kind in HEADS:
        values = {name: getattr(config.head, name) for name in HEADS[config.head.kind]}
        network["head"] = {"kind": config.head.kind, **values}
    if config.zoneout:
        network["zoneout"] = dict(config.zoneout)
    metadata = {
        "format": "rnnkit",
        "format_version": str(FORMAT_VERSION),
        "rnnkit_version": _rnnkit_version(),
        "network": canonical_json(network),
        "cell": canonical_json(record.cell),
        "tokenizer": canonical_json(record.tokenizer),
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
    tensors, metadata = decode(data)
    missing = {*METADATA, "rnnkit_version"} - set(metadata)
    if missing:
        raise ModelFormatError(f"the metadata have no {min(missing)!r}")
    facts = {name: _read_object(metadata[name], name) for name in METADATA}
    for name in ("cell", "tokenizer"):
        _check_origin(facts[name], name)
    config = _read_network(facts["network"], tensors)
    values = _take_parameters(tensors, config)
    history = facts["history"]
    for name in CURVES:
        history[name.partition(".")[2]] = _take_curve(tensors, name)
    tokens = _take_vocabulary(tensors, config.vocab_size)
    if tensors:
        raise ModelFormatError(
            f"tensor {min(tensors)!r} belongs to no part of the model"
        )
    return ModelRecord(
        config=config,
        values=values,
        tokens=tokens,
        cell=facts["cell"],
        tokenizer=facts["tokenizer"],
        parameters=facts["parameters"],
        history=history,
    )


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
    inner = "parameters" if what == "cell" else "state"
    if not isinstance(facts.get(inner), (dict, type(None))):
        raise ModelFormatError(f"{what}: {inner!r} is no JSON object")


def _read_network(
    facts: dict[str, Any], tensors: dict[str, np.ndarray]
) -> NetworkConfig:
    """Return the network that the file describes; takes its graphs from `tensors`."""
    for name, kind in NETWORK.items():
        if type(facts.get(name)) is not kind:
            raise ModelFormatError(f"network: {name!r} must be of type {kind.__name__}")
    if not 1 <= facts["vocab_size"] <= MAX_VOCABULARY:
        raise ModelFormatError(f"network: a vocabulary of {facts['vocab_size']} tokens")
    if not 1 <= facts["num_layers"] <= MAX_LAYERS:
        raise ModelFormatError(f"network: {facts['num_layers']} layers")
    if facts.get("projection", True) is not True:
        raise ModelFormatError("network: 'projection' must be true, or not be there")
    graphs = tuple(_take_graph(tensors, k) for k in range(facts["num_layers"]))
    try:
        return NetworkConfig(
            vocab_size=facts["vocab_size"],
            embedding_size=facts["embedding_size"],
            graphs=graphs,
            tie_weights=facts["tie_weights"],
            projection="projection" in facts,
            dtype=facts["dtype"],
            head=_read_head(facts.get("head", {"kind": "softmax"})),
            zoneout=_read_zoneout(facts.get("zoneout", {})),
        )
    except ValueError as error:
        raise ModelFormatError(f"network: {error}") from None


def _read_head(facts: Any) -> Head:
    """Return the head that a file describes; one that says nothing has a softmax."""
    if facts == {"kind": "softmax"}:
        return Head()
    kind = facts.get("kind") if isinstance(facts, dict) else None
    kinds = HEADS.get(kind) if isinstance(kind, str) else None
    if kinds is None or set(facts) != {"kind", *kinds}:
        raise ModelFormatError("network: 'head' is of no known form")
    for name, expected in kinds.items():
        if type(facts[name]) is not expected:
            raise ModelFormatError(
                f"network: 'head': {name!r} must be of type {expected.__name__}"
            )
    if any(type(cutoff) is not int for cutoff in facts.get("cutoffs", ())):
        raise ModelFormatError("network: 'head': 'cutoffs' must be a list of int")
    given: dict[str, Any] = dict(facts)
    if "cutoffs" in given:
        given["cutoffs"] = tuple(given["cutoffs"])
    return Head(**given)


def _read_zoneout(facts: Any) -> tuple[tuple[str, float], ...]:
    """Return the rates by state; a file that says nothing has none."""
    if not isinstance(facts, dict) or any(type(r) is not float for r in facts.values()):
        raise ModelFormatError("network: 'zoneout' must be numbers by name")
    return tuple(sorted(facts.items()))


def _take(tensors: dict[str, np.ndarray], name: str, dtype: str) -> np.ndarray:
    """Remove a tensor that must be there and of this dtype."""
    value = tensors.pop(name, None)
    if value is None:
        raise ModelFormatError(f"tensor {name!r} is missing")
    if value.dtype != np.dtype(dtype):
        raise ModelFormatError(
            f"tensor {name!r} has dtype {value.dtype}, it must be {dtype}"
        )
    return value


def _take_graph(tensors: dict[str, np.ndarray], k: int) -> Graph:
    name = f"rnn.graph_l{k}"
    content = _take(tensors, name, "uint8").tobytes()
    try:
        text = content.decode("ascii")
        graph = Graph.from_json(text)
    except (GraphError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"{name}: {error}") from None
    if graph.to_json() != text:
        raise ModelFormatError(f"{name}: the graph is not in the canonical form")
    return graph


def _take_parameters(
    tensors: dict[str, np.ndarray], config: NetworkConfig
) -> dict[str, np.ndarray]:
    """Remove the parameters, each of which must fit the network and be finite."""
    values = {}
    for parameter in named_parameters(config):
        name = parameter.name
        value = _take(tensors, name, config.dtype)
        if value.shape != parameter.shape:
            raise ModelFormatError(
                f"tensor {name!r} has shape {value.shape}, "
                f"the network needs {parameter.shape}"
            )
        if not np.isfinite(value).all():
            raise ModelFormatError(f"tensor {name!r} holds NaN or infinity")
        values[name] = value
    return values


def _take_curve(tensors: dict[str, np.ndarray], name: str) -> list[float]:
    """Remove a curve of the training; none is an empty one."""
    if name not in tensors:
        return []
    curve = _take(tensors, name, "float64")
    if curve.ndim != 1 or not np.isfinite(curve).all():
        raise ModelFormatError(f"tensor {name!r} must be a list of finite numbers")
    return [float(loss) for loss in curve]


def _take_vocabulary(
    tensors: dict[str, np.ndarray], vocab_size: int
) -> tuple[str, ...] | None:
    """Remove the vocabulary, if there is one: as many tokens as the network has."""
    if "vocabulary" not in tensors:
        return None
    content = _take(tensors, "vocabulary", "uint8").tobytes()
    tokens: list[str] = []
    place = 0
    while place < len(content) and len(tokens) <= vocab_size:
        length = int.from_bytes(content[place : place + 4], "little")
        place += 4 + length
        if place > len(content):
            raise ModelFormatError(f"vocabulary: token {len(tokens)} is cut off")
        try:
            tokens.append(content[place - length : place].decode("utf-8"))
        except UnicodeDecodeError:
            raise ModelFormatError(
                f"vocabulary: token {len(tokens)} is not UTF-8"
            ) from None
    if len(tokens) != vocab_size:
        raise ModelFormatError(
            f"the vocabulary does not hold {vocab_size} tokens, as the network needs"
        )
    if len(set(tokens)) != len(tokens):
        raise ModelFormatError("the vocabulary holds a token twice")
    return tuple(tokens)


def _vocabulary_tensor(tokens: Sequence[str]) -> np.ndarray:
    parts = []
    for token in tokens:
        content = token.encode("utf-8")
        parts += [struct.pack("<I", len(content)), content]
    return np.frombuffer(b"".join(parts), np.uint8)


def _text_tensor(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("ascii"), np.uint8)


def _rnnkit_version() -> str:
    """Return the version of the package that this module is a part of."""
    return str(importlib.import_module(__name__.partition(".")[0]).__version__)
