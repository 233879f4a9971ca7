# SPDX-License-Identifier: BSD-3-Clause
"""Keras's weights, from a mapping of arrays or a file; Keras is not needed.

Kernels are (inputs, gates x units), that is, transposed; gates are in the order i f c o
and z r h. A GRU with `reset_after` has two biases, all others one. What activations
there are stands in a .keras file alone.
"""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.errors import ConversionError, MissingPackageError
from rnnkit.interchange.cells import OnnxGRU, OnnxLSTM, OnnxRNN
from rnnkit.interchange.equations import (
    Foreign,
    Recurrence,
    check_parts,
    keras_layer,
    linear,
    softmax_of,
)
from rnnkit.interchange.parts import Array, Layer, Parts, as_arrays
from rnnkit.interchange.standard import layer_of

KINDS = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}  # by the number of gates
GATES = {"SimpleRNN": "h", "GRU": "zrn", "LSTM": "ifgo"}
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "tanh": ("Tanh",),
    "sigmoid": ("Sigmoid",),
    "relu": ("Relu",),
    "softplus": ("Softplus",),
    "softsign": ("Softsign",),
    "elu": ("Elu", 1.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "hard_sigmoid_keras_2": ("HardSigmoid", 0.2, 0.5),
}
TENSORS = ("embeddings", "kernel", "recurrent_kernel", "bias")
RECURRENT = tuple(KINDS.values())
CELLS = tuple(f"{kind}Cell" for kind in RECURRENT)  # in a layer RNN
IGNORED = ("InputLayer", "Dropout", "SpatialDropout1D")  # which predict nothing
PASSING = (
    "linear",
    "softmax",
    "log_softmax",
)  # activations after which logits are what they were


@dataclass
class _Layer:
    """A Keras layer: its tensors, and its settings as far as they are known."""

    name: str
    tensors: dict[str, Array] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def read_keras(
    source: Any,
    *,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    reset_after: bool | None = None,
) -> Parts:
    """Take a Keras model apart.

    Parameters
    ----------
    source : mapping of str to array, or path
        ``{w.path: w.numpy() for w in model.weights}``, in this order; a .keras file, or
        a .weights.h5 file, which need the package h5py.
    activation, recurrent_activation : str, optional
        Of the recurrent layers, where they are not in a .keras file. By default "tanh"
        and "sigmoid" for LSTM and GRU; of SimpleRNN the first must be said.
    reset_after : bool, optional
        Of a GRU without biases, which do not say it.

    Raises
    ------
    MissingPackageError
        h5py is not there.
    ConversionError
        What is not supported; the message names the layer.
    """
    said = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "reset_after": reset_after,
    }
    given = {name: value for name, value in said.items() if value is not None}
    is_path = isinstance(source, (str, os.PathLike))
    layers = _read_file(Path(source)) if is_path else _grouped(as_arrays(source))
    embeddings = [a for a in layers if "embeddings" in a.tensors]
    recurrent = [a for a in layers if {"kernel", "recurrent_kernel"} <= set(a.tensors)]
    outputs = [a for a in layers if set(a.tensors) in ({"kernel"}, {"kernel", "bias"})]
    for layer in layers:
        if not any(layer is a for a in (*embeddings, *recurrent, *outputs)):
            raise ConversionError(
                f"layer {layer.name!r} with {', '.join(layer.tensors)} is no "
                "Embedding, SimpleRNN, GRU, LSTM or Dense"
            )
    for what, found in (("Embedding", embeddings), ("Dense", outputs)):
        if len(found) != 1:
            names = ", ".join(repr(a.name) for a in found) or "none"
            raise ConversionError(
                f"there should be one {what} layer, there is {names}; models of other "
                "layers cannot be taken over"
            )
    if not recurrent:
        raise ConversionError("there is no SimpleRNN, GRU or LSTM layer")
    dense = outputs[0].tensors
    output = {"output.weight": dense["kernel"].T}
    if "bias" in dense:
        output["output.bias"] = dense["bias"]
    table = embeddings[0].tensors["embeddings"]
    both = [_recurrent(layer, given) for layer in recurrent]
    parts = Parts(table, [ours for ours, _ in both], output)
    log_p = softmax_of(linear(dense["kernel"].T, dense.get("bias", 0.0)))
    foreign = Foreign(table, [theirs for _, theirs in both], log_p)
    check_parts("what was taken over", parts, foreign)
    return parts


# -------------------------------------------------------------------------- one layer


def _recurrent(layer: _Layer, given: Mapping[str, Any]) -> tuple[Layer, Recurrence]:
    """Return a recurrent layer as rnnkit has it, and as Keras computes it."""
    kind = _kind(layer)
    kernel, recurrent = (layer.tensors[n] for n in ("kernel", "recurrent_kernel"))
    bias = layer.tensors.get("bias")
    settings = _settings(layer.name, kind, {**given, **layer.settings}, bias)
    tensors = {"weight_x": kernel.T, "weight_h": recurrent.T}
    if bias is not None:
        halves = bias if bias.ndim == 2 else (bias,)
        tensors |= dict(zip(("bias_x", "bias_h"), halves, strict=False))
    gates = GATES[kind]
    blocks = {
        (what, gate): block
        for what, tensor in tensors.items()
        for gate, block in zip(gates, np.split(tensor, len(gates)), strict=True)
    }
    if "bias_x" in tensors and "bias_h" not in tensors:
        blocks |= {("bias_h", g): 0 * blocks["bias_x", g] for g in gates}
    source = f"layer {layer.name!r} ({kind})"
    ours = layer_of(source, _cell(kind, settings), len(kernel), len(recurrent), blocks)
    return ours, keras_layer(kind, layer.tensors, settings)


def _kind(layer: _Layer) -> str:
    """What the shapes of a layer's tensors say that it is."""
    shapes = {name: array.shape for name, array in layer.tensors.items()}
    inputs, units = shapes["kernel"][0], shapes["recurrent_kernel"][0]
    for n_gates, kind in KINDS.items():
        width = n_gates * units
        biases = [None, (width,), *([(2, width)] if kind == "GRU" else [])]
        rest = shapes | {"kernel": (inputs, width), "recurrent_kernel": (units, width)}
        if rest == shapes and shapes.get("bias") in biases:
            return kind
    listed = ", ".join(f"{name} of {shape}" for name, shape in shapes.items())
    raise ConversionError(
        f"layer {layer.name!r}: {listed} over {units} units is neither SimpleRNN, GRU "
        "nor LSTM"
    )


def _settings(
    name: str, kind: str, said: Mapping[str, Any], bias: Any
) -> dict[str, Any]:
    """What the weights leave open: activations, and where a GRU resets."""
    if kind == "SimpleRNN" and "activation" not in said:
        raise ConversionError(
            f"layer {name!r} is a SimpleRNN, whose weights do not say its activation: "
            "give activation='tanh', say, or the .keras file"
        )
    after = said.get("reset_after") if bias is None else bias.ndim == 2
    if kind == "GRU" and after is None:
        raise ConversionError(
            f"layer {name!r} is a GRU without biases, which do not say where it "
            "resets: give reset_after=True or False"
        )
    found = {
        "activation": said.get("activation", "tanh"),
        "recurrent_activation": said.get("recurrent_activation", "sigmoid"),
    }
    for what, activation in found.items():
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ConversionError(
                f"layer {name!r}: the {what} {activation!r} is not supported; there "
                f"are {', '.join(ACTIVATIONS)}"
            )
    return {**found, "reset_after": bool(after)}


def _cell(kind: str, settings: Mapping[str, Any]) -> Any:
    """The cell of a layer."""
    main = ACTIVATIONS[settings["activation"]]
    gate = ACTIVATIONS[settings["recurrent_activation"]]
    if kind == "SimpleRNN":
        return OnnxRNN((main,))
    if kind == "LSTM":
        return OnnxLSTM((gate, main, main))
    return OnnxGRU((gate, main), linear_before_reset=settings["reset_after"])


# ----------------------------------------------------------------- mappings and files


def _grouped(arrays: Mapping[str, Array]) -> list[_Layer]:
    """Return the layers of tensors that are called by their paths, in their order."""
    layers: dict[str, _Layer] = {}
    for path, array in arrays.items():
        *folders, tensor = path.removesuffix(":0").split("/")
        if tensor not in TENSORS or not folders:
            raise ConversionError(
                f"{path}: no name of a weight as in 'model/lstm/lstm_cell/kernel', "
                f"which ends in {', '.join(TENSORS)}"
            )
        if len(folders) > 1 and folders[-1].endswith("cell"):
            folders.pop()
        if any(folder.startswith("backward") for folder in folders):
            raise ConversionError(
                f"{path}: a bidirectional layer has read the token that it is to "
                "predict; a language model reads forward only"
            )
        name = "/".join(folders)
        tensors = layers.setdefault(name, _Layer(name)).tensors
        if tensor in tensors:
            raise ConversionError(
                f"{path}: layer {name!r} has a second {tensor}; a layer of several "
                "cells cannot be taken over, layers of one cell each can"
            )
        tensors[tensor] = array
    return list(layers.values())


def _read_file(path: Path) -> list[_Layer]:
    """Return the layers of a .keras or .h5 file."""
    if path.suffix != ".keras":
        with _opened(path) as file:
            weights = file.get("model_weights", file)
            if "layer_names" not in weights.attrs:
                return _in_order(_numbered(file))
            layers = _named(weights)
            config = file.attrs.get("model_config")
            version = _text(file.attrs.get("keras_version", ""))
        if config is None:
            return layers
        configured = [(name, its) for name, _, its in _configured(json.loads(config))]
        return _set(layers, configured, version)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            version = json.loads(archive.read("metadata.json"))["keras_version"]
            content = io.BytesIO(archive.read("model.weights.h5"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ConversionError(f"{path}: no file of Keras: {error}") from None
    configured = [(number, its) for _, number, its in _configured(config)]
    with _opened(content) as file:
        return _set(_numbered(file), configured, version)


def _opened(file: Any) -> Any:
    """Return an .h5 file."""
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(
            "files of Keras need the package h5py: pip install 'rnnkit[keras]'; or "
            "give a mapping: {w.path: w.numpy() for w in model.weights}"
        ) from None
    try:
        return h5py.File(file, "r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConversionError(f"{file}: no file of HDF5: {error}") from None


def _numbered(file: Any) -> list[_Layer]:
    """Return the layers of a file of Keras 3, in no order."""
    arrays: dict[str, Array] = {}

    def keep(name: str, item: Any) -> None:
        if hasattr(item, "shape") and not name.startswith("optimizer"):
            arrays[name] = item[()]

    file.visititems(keep)
    layers: dict[str, _Layer] = {}
    for name, array in arrays.items():
        match = re.match(r"(?:.*/)?layers/(\w+)(/layer|/cell)?/vars/(\d+)\Z", name)
        if match is None:
            raise ConversionError(
                f"{name}: not as Keras 3 writes weights of a layer that can be taken "
                "over; load the model there and give a mapping: "
                "{w.path: w.numpy() for w in model.weights}"
            )
        layer = layers.setdefault(match[1], _Layer(match[1]))
        layer.tensors[_tensor(match, array)] = as_arrays({name: array})[name]
    return list(layers.values())


def _named(weights: Any) -> list[_Layer]:
    """Return the layers of an .h5 file in the form of Keras 2, in their order."""
    found = []
    for name in map(_text, weights.attrs["layer_names"]):
        stored = weights[name]
        paths = [_text(path) for path in stored.attrs["weight_names"]]
        if paths:
            layers = _grouped(as_arrays({path: stored[path][()] for path in paths}))
            if len(layers) > 1:
                raise ConversionError(
                    f"layer {name!r} is made of {', '.join(a.name for a in layers)}; "
                    "layers within layers cannot be taken over"
                )
            found.append(_Layer(name, layers[0].tensors))
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _set(
    stored: list[_Layer], configured: list[tuple[str, dict[str, Any]]], version: str
) -> list[_Layer]:
    """Return the layers in the order of a configuration, with their settings."""
    layers = {layer.name: layer for layer in stored}
    found = []
    for name, settings in configured:
        if name not in layers:
            raise ConversionError(f"the file has no weights of layer {name!r}")
        found.append(layers.pop(name))
        is_old = version < "3"
        found[-1].settings = _of_keras_2(settings) if is_old else settings
    if layers:
        raise ConversionError(f"layer {min(layers)!r} is not in the configuration")
    return found


def _of_keras_2(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of Keras 2, whose hard_sigmoid was another function."""
    renamed = {"hard_sigmoid": "hard_sigmoid_keras_2"}
    return {
        n: renamed.get(v, v) if isinstance(v, str) else v for n, v in settings.items()
    }


def _tensor(match: re.Match[str], array: Array) -> str:
    """What a numbered tensor of a file is."""
    i = int(match[3])
    if match[2] == "/cell":
        return ("kernel", "recurrent_kernel", "bias")[i] if i < 3 else f"tensor {i}"
    if match[1].startswith("embedding"):
        return "embeddings" if i == 0 else f"tensor {i}"
    return ("kernel", "bias")[i] if i < 2 and array.ndim == 2 - i else f"tensor {i}"


def _in_order(layers: list[_Layer]) -> list[_Layer]:
    """Order layers of one kind by their numbers; refuse where that says nothing."""
    recurrent = [a for a in layers if "recurrent_kernel" in a.tensors]
    kinds = {re.sub(r"_\d+\Z", "", layer.name) for layer in recurrent}
    if len(kinds) > 1:
        raise ConversionError(
            "the file does not say in which order the layers "
            f"{', '.join(sorted(kinds))} are; give the .keras file, or a mapping in "
            "their order"
        )

    def number(layer: _Layer) -> int:
        match = re.search(r"_(\d+)\Z", layer.name)
        return int(match[1]) if match else 0

    return sorted(layers, key=number)


def _configured(config: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield of each layer with weights its name, its stored one, and its settings."""
    counts: dict[str, int] = {}
    try:
        entries = [(a["class_name"], a["config"]) for a in config["config"]["layers"]]
    except (KeyError, TypeError):
        raise ConversionError(
            "the model is neither Sequential nor Functional: give a mapping of its "
            "weights"
        ) from None
    _check_chain(config["config"]["layers"])
    for kind, settings in entries:
        stored = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
        stored = {"SimpleRNN": "simple_rnn"}.get(kind, stored)
        number = counts.setdefault(stored, 0)
        counts[stored] += 1
        name = settings.get("name")
        inner, its = kind, settings
        if kind == "TimeDistributed":
            inner, its = settings["layer"]["class_name"], settings["layer"]["config"]
        if kind == "RNN" and settings["cell"]["class_name"] in CELLS:
            inner = settings["cell"]["class_name"].removesuffix("Cell")
            its = {**settings, **settings["cell"]["config"]}
        if inner in IGNORED or (
            inner in ("Activation", "Softmax")
            and its.get("activation", "softmax") in PASSING
        ):
            continue
        _check(name, inner, its)
        yield name, (f"{stored}_{number}" if number else stored), its


def _check_chain(layers: list[Any]) -> None:
    """Refuse a model whose layers do not each read the one before."""
    before = None
    for layer in layers:
        if layer["class_name"] == "InputLayer":
            continue
        read = _sources(layer.get("inbound_nodes", []))
        if before is not None and read and read[0] != before:
            raise ConversionError(
                f"layer {layer['config'].get('name')!r} reads {read[0]!r}, not "
                f"{before!r}; layers that each read the one before can be taken over"
            )
        before = layer["config"].get("name")


def _sources(node: Any) -> list[str]:
    """The names of layers whose results a call in a configuration reads."""
    if isinstance(node, Mapping):
        if "keras_history" in node:
            return [node["keras_history"][0]]
        return [name for value in node.values() for name in _sources(value)]
    if not isinstance(node, list):
        return []
    if len(node) == 4 and isinstance(node[0], str) and isinstance(node[1], int):
        return [node[0]]  # as Keras 2 has it
    return [name for value in node for name in _sources(value)]


def _check(name: Any, kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse a layer that computes something else than its weights say."""
    wrong = None
    if kind not in ("Embedding", "Dense", *RECURRENT):
        wrong = f"a {kind}, which is not supported"
    elif kind == "Dense" and settings.get("activation") not in PASSING:
        wrong = f"Dense with the activation {settings.get('activation')!r}"
    elif settings.get("go_backwards"):
        wrong = "made with go_backwards=True, so that it reads what it is to predict"
    elif settings.get("mask_zero"):
        wrong = (
            "made with mask_zero=True, which rnnkit has not (if no text holds the id "
            "0, give a mapping of the weights, which are then all there is to it)"
        )
    if wrong:
        raise ConversionError(
            f"layer {name!r} is {wrong}; a language model of Embedding, SimpleRNN, "
            "GRU, LSTM and a linear Dense can be taken over"
        )
