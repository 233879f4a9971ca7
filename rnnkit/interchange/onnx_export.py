# SPDX-License-Identifier: BSD-3-Clause
"""A model as an ONNX file that computes the same, which is tried before it is written.

Inputs are `ids` (batch, steps) and every state before the window, `h_l0` (batch, width)
and so on; outputs `logits` (batch, steps, V) and every state after it, `h_l0_out`. Of
an adaptive head the logits are log-probabilities.

A layer becomes the operator RNN, LSTM or GRU where its equations are those of one, and
a Scan over its graph's primitives otherwise.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.compiler import Graph, trace
from rnnkit.errors import ConversionError, MissingPackageError
from rnnkit.interchange.onnx_nodes import Array, CellNodes, Constants, Nodes
from rnnkit.interchange.running import run
from rnnkit.interchange.standard import Standard, recognised, tensor_of
from rnnkit.model import PROJECTION
from rnnkit.runtime.model import LanguageModel
from rnnkit.storage.files import replace_file

OPSET, IR_VERSION = 18, 8
MAX_BYTES = (1 << 31) - (1 << 20)  # of a protocol buffer, and room for the nodes
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
BATCHES, WINDOWS = (1, 7), (5, 1, 3)  # what is tried: rows, and steps one after another

# ONNX's order of gates, by rnnkit's names of them.
GATES = {"RNN": "h", "GRU": "zrn", "LSTM": "iofg"}
PEEPHOLES = "iof"
OPERATORS = {
    "RNN": "RNN",
    "GRU": "GRU",
    "ResetBeforeGRU": "GRU",
    "LSTM": "LSTM",
    "OnnxLSTM": "LSTM",
}


def export_onnx(model: LanguageModel, path: str | os.PathLike[str]) -> None:
    """Write a model as ONNX, and what its ids mean as JSON beside it.

    Parameters
    ----------
    model : LanguageModel
    path : str or path
        As in "model.onnx"; the other file is then "model.json".

    Raises
    ------
    MissingPackageError
        The packages onnx and onnxruntime are not there.
    ConversionError
        The model cannot be written, or ONNX Runtime computes other numbers from it;
        then nothing is written.
    """
    content = to_onnx_bytes(model)
    _try(model, content)
    replace_file(path, content)
    replace_file(Path(path).with_suffix(".json"), _description(model))


def to_onnx_bytes(model: LanguageModel) -> bytes:
    """Return the ONNX file's content, not tried yet."""
    model.network.config.require_reals("export to ONNX", ConversionError)
    package("onnx")
    import onnx
    from onnx import helper, numpy_helper

    n_bytes = model.n_parameters * np.dtype(model.network.config.dtype).itemsize
    if n_bytes > MAX_BYTES:
        raise ConversionError(
            f"the weights take {n_bytes:,} bytes, an ONNX file at most {MAX_BYTES:,}; "
            "use float32, fewer units or a smaller vocabulary"
        )
    writer = _Writer(model)
    writer.write()
    tensors = [
        numpy_helper.from_array(array, name)
        for name, array in writer.constants.arrays.items()
    ]
    graph = helper.make_graph(
        writer.nodes.nodes, "rnnkit", writer.inputs, writer.outputs, tensors
    )
    opset = helper.make_opsetid("", OPSET)
    made = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="rnnkit"
    )
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString()
    return content


class _Writer:
    """A model as nodes, inputs and outputs."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.config = model.network.config
        self.constants = Constants(self.config.dtype)
        self.nodes = Nodes(self.constants, "v")
        self.inputs = [self._info("ids", np.int64, "batch", "steps")]
        self.outputs: list[Any] = []

    def write(self) -> None:
        """Add everything, from the ids to the logits."""
        width = self.config.hidden_size
        table = self.constants.add(self._parameter("embedding.weight"), "embedding")
        ids = self.nodes.add("Transpose", "ids", perm=[1, 0])
        below = self.nodes.add("Gather", table, ids)  # (steps, batch, E)
        for k, graph in enumerate(self.model.network.predicting_graphs()):
            below = self._layer(k, graph, below)
        by_row = self.nodes.add("Transpose", below, perm=[1, 0, 2])
        rows = self.nodes.add("Reshape", by_row, np.array([-1, width]))
        adaptive = self.config.head.kind == "adaptive"
        logits = self._adaptive(rows) if adaptive else self._softmax(rows)
        size = np.array([self.config.vocab_size])
        shape = self.nodes.add("Concat", self.nodes.add("Shape", "ids"), size, axis=0)
        self.nodes.add("Reshape", logits, shape, outputs=["logits"])
        real, size_name = self.constants.dtype.type, self.config.vocab_size
        info = self._info("logits", real, "batch", "steps", size_name)
        self.outputs.insert(0, info)

    # ----------------------------------------------------------------------- layers

    def _layer(self, k: int, graph: Graph, below: str) -> str:
        """Add a layer over (steps, batch, width); return its output, of that form."""
        source = f"layer {k} (cell {self.model.facts.cell.get('name')!r})"
        name_of = "rnn.{}_l{}" if k < self.config.num_layers else PROJECTION + "{}"
        values = [self._parameter(name_of.format(p.name, k)) for p in graph.parameters]
        if not graph.states:
            return self._rowwise(graph, values, below, source, k)
        states = [f"{state.name}_l{k}" for state in graph.states]
        for name, state in zip(states, graph.states, strict=True):
            for where, suffix in ((self.inputs, ""), (self.outputs, "_out")):
                real = self.constants.dtype.type
                where.append(self._info(name + suffix, real, "batch", state.width))
        standard = recognised(graph)
        kind = OPERATORS.get(type(standard.cell).__name__) if standard else None
        # ONNX Runtime has these operators in single precision alone.
        if standard is None or kind is None or self.constants.dtype != np.float32:
            return self._scan(graph, values, below, states, source, k)
        named = {
            standard.names[p.name]: value
            for p, value in zip(graph.parameters, values, strict=True)
        }
        return self._operator(kind, standard, named, below, states)

    def _operator(
        self,
        kind: str,
        standard: Standard,
        values: dict[str, Array],
        below: str,
        states: list[str],
    ) -> str:
        """Add a standard operator; its states have an axis for directions."""
        axis = np.array([0])
        given = [self.nodes.add("Unsqueeze", state, axis) for state in states]
        weights = operator_weights(kind, standard, values)
        peepholes = [weights.pop("P")] if "P" in weights else []
        inputs = [*weights.values(), "", *given]
        attributes: dict[str, Any] = {"hidden_size": standard.hidden_size}
        if kind == "GRU":
            after = type(standard.cell).__name__ == "GRU"
            attributes["linear_before_reset"] = int(after)
        if kind == "RNN":
            attributes["activations"] = [standard.cell.activation.capitalize()]
        names = [f"{state}_directions" for state in states]
        hidden = f"{states[0]}_all"
        outputs = [hidden, *names]
        self.nodes.add(kind, below, *inputs, *peepholes, outputs=outputs, **attributes)
        for name, state in zip(names, states, strict=True):
            self.nodes.add("Squeeze", name, axis, outputs=[f"{state}_out"])
        return self.nodes.add("Squeeze", hidden, np.array([1]))

    def _scan(
        self,
        graph: Graph,
        values: list[Array],
        below: str,
        states: list[str],
        source: str,
        k: int,
    ) -> str:
        """Add a loop over the steps whose body is the cell's graph."""
        from onnx import helper

        body = Nodes(self.constants, f"l{k}_")
        real = self.constants.dtype.type
        olds = [f"{state}_old" for state in states]
        x = f"x_l{k}"
        output, new = CellNodes(graph, values, body, source).step(x, olds)
        widths = [state.width for state in graph.states]
        news = [f"{state}_new" for state in states]
        for name, value in zip([*news, f"y_l{k}"], [*new, output], strict=True):
            body.add("Identity", value, outputs=[name])
        rows = f"rows_l{k}"
        infos = [
            [self._info(n, real, rows, w) for n, w in zip(names, widths, strict=True)]
            for names in (olds, news)
        ]
        inside = helper.make_graph(
            body.nodes,
            f"cell_l{k}",
            [*infos[0], self._info(x, real, rows, graph.input_width)],
            [*infos[1], self._info(f"y_l{k}", real, rows, graph.output_width)],
        )
        outputs = [*(f"{state}_out" for state in states), f"outputs_l{k}"]
        self.nodes.add(
            "Scan", *states, below, outputs=outputs, body=inside, num_scan_inputs=1
        )
        return outputs[-1]

    def _rowwise(
        self, graph: Graph, values: list[Array], below: str, source: str, k: int
    ) -> str:
        """Add a layer without a state: all steps are rows of one step."""
        flat = self.nodes.add("Reshape", below, np.array([-1, graph.input_width]))
        output, _ = CellNodes(graph, values, self.nodes, source).step(flat, [])
        size = np.array([graph.output_width])
        shape = self.nodes.add("Shape", below, start=0, end=2)
        whole = self.nodes.add("Concat", shape, size, axis=0)
        return self.nodes.add("Reshape", output, whole)

    # ------------------------------------------------------------------------- heads

    def _softmax(self, rows: str) -> str:
        tied = self.config.tie_weights
        weight = "embedding.weight" if tied else "output.weight"
        return self._product(rows, weight, "output.bias")

    def _adaptive(self, rows: str) -> str:
        """Log-probabilities of all words: of common ones, and cluster by cluster."""
        add, cutoffs = self.nodes.add, self.config.head.cutoffs
        head = self._product(rows, "output.head.weight", "output.head.bias")
        head = add("LogSoftmax", head, axis=1)

        def columns(first: int, end: int) -> str:
            places = (np.array([n]) for n in (first, end, 1))
            return add("Slice", head, *places)

        n_common = cutoffs[0] if cutoffs else self.config.vocab_size
        parts = [columns(0, n_common)]
        for i in range(len(cutoffs)):
            low = self._product(rows, f"output.tail.{i}.0.weight")
            words = add("LogSoftmax", self._product(low, f"output.tail.{i}.1.weight"))
            parts.append(add("Add", words, columns(n_common + i, n_common + i + 1)))
        return add("Concat", *parts, axis=1)

    def _product(self, rows: str, weight: str, *bias: str) -> str:
        tensors = [self._parameter(name) for name in (weight, *bias)]
        return self.nodes.add("Gemm", rows, *tensors, transB=1)

    # ----------------------------------------------------------------------- helpers

    def _parameter(self, name: str) -> Array:
        return self.model.params[name]

    def _info(self, name: str, kind: Any, *shape: int | str) -> Any:
        from onnx import helper

        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return helper.make_tensor_value_info(name, element, shape)


def operator_weights(
    kind: str, standard: Standard, values: dict[str, Array]
) -> dict[str, Array]:
    """Return W, R and B, and P where there are peepholes, in ONNX's order of gates.

    Parameters
    ----------
    kind : {"RNN", "GRU", "LSTM"}
    standard : Standard
    values : dict of str to array
        By the names of the standard cell.
    """
    blocks: dict[tuple[str, str], Array] = {}
    for parameter in trace(standard.cell, 1, standard.hidden_size).parameters:
        rows = np.split(values[parameter.name], parameter.blocks)
        for gate, block in zip(parameter.block_names, rows, strict=True):
            blocks[tensor_of(parameter.name), gate] = block

    def gathered(what: str, gates: str) -> Array:
        return np.concatenate([blocks[what, gate] for gate in gates])

    gates = GATES[kind]
    weights = {
        "W": gathered("weight_x", gates)[None],
        "R": gathered("weight_h", gates)[None],
        "B": np.concatenate([gathered("bias_x", gates), gathered("bias_h", gates)])[
            None
        ],
    }
    if "peephole" in values:
        weights["P"] = gathered("peephole", PEEPHOLES)[None]
    return weights


# ------------------------------------------------------------------------------ trial


def _try(model: LanguageModel, content: bytes) -> None:
    """Run random ids in several windows here and in ONNX Runtime, and compare."""
    runtime = package("onnxruntime")
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # of the runtime's own, without a common class
        raise ConversionError(
            f"ONNX Runtime does not take the model: {error}"
        ) from None
    config = model.network.config
    names = [i.name for i in session.get_inputs()][1:]
    rng = np.random.default_rng(0)
    for n_rows in BATCHES:
        mine = theirs = initial_states(model, n_rows)
        for n_steps in WINDOWS:
            ids = rng.integers(0, config.vocab_size, (n_steps, n_rows))
            expected, mine = run(model, ids, mine)
            feed = {"ids": ids.T, **dict(zip(names, theirs, strict=True))}
            logits, *theirs = session.run(None, feed)
            log_p = log_softmax(logits).transpose(1, 0, 2)
            pairs = {"logits": (log_p, expected)}
            pairs |= dict(zip(names, zip(theirs, mine, strict=True), strict=True))
            for name, (found, wanted) in pairs.items():
                check_equal(f"ONNX Runtime: {name}", found, wanted)


def initial_states(model: LanguageModel, n_rows: int) -> list[Array]:
    """Return the states that a text begins with, layer by layer."""
    dtype = model.network.config.dtype
    return [
        np.full((n_rows, state.width), state.initial, dtype)
        for graph in model.network.config.graphs
        for state in graph.states
    ]


def log_softmax(logits: Array) -> Array:
    """Return logits as log-probabilities, in double."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


def check_equal(what: str, found: Array, wanted: Array) -> None:
    """Raise ConversionError where numbers differ by more than roundings."""
    tolerance = TOLERANCE[str(wanted.dtype)]
    if found.shape != wanted.shape:
        raise ConversionError(f"{what} has the shape {found.shape}, not {wanted.shape}")
    if not np.allclose(found, wanted, rtol=tolerance, atol=tolerance):
        with np.errstate(invalid="ignore"):
            error = np.nanmax(np.abs(found.astype(np.float64) - wanted))
        raise ConversionError(
            f"{what} differs by up to {error:.2g}, more than the "
            f"roundings of {wanted.dtype} can explain ({tolerance:g}); nothing was "
            "converted, please report it"
        )


# ------------------------------------------------------------------------ description


def _description(model: LanguageModel) -> bytes:
    """What the ids mean, and what the states begin with, as JSON."""
    encoder = model.encoder
    facts, tokens = encoder.describe()
    content = {
        "format": "rnnkit-tokenizer",
        "format_version": 1,
        "tokenizer": facts or None,
        "vocabulary": list(tokens) if tokens is not None else None,
        "end_id": encoder.end_id,
        "unk_id": encoder.unk_id,
        "initial_states": {
            f"{state.name}_l{k}": _number(state.initial)
            for k, graph in enumerate(model.network.config.graphs)
            for state in graph.states
        },
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _number(value: float) -> float | str:
    """A number as JSON has it; an infinity is "inf" or "-inf"."""
    return value if math.isfinite(value) else str(value)


def package(name: str) -> Any:
    """Import a package that only this needs."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingPackageError(
            f"ONNX needs the package {name}: pip install 'rnnkit[onnx]'"
        ) from None
