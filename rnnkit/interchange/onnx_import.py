# SPDX-License-Identifier: BSD-3-Clause
"""ONNX models of an embedding, recurrent operators and a linear output.

Nodes are followed from the ids to the logits, and what depends on no input is computed
at once. Operators that only move values (Transpose, Reshape and so on) are let pass:
whether all was understood is found out by running the model beside its copy, which
every import does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rnnkit.errors import ConversionError
from rnnkit.interchange.cells import ACTIVATIONS, OnnxGRU, OnnxLSTM, OnnxRNN
from rnnkit.interchange.onnx_equations import operators
from rnnkit.interchange.onnx_export import GATES, PEEPHOLES, package
from rnnkit.interchange.parts import Array, Layer, Parts
from rnnkit.interchange.running import check_equal, in_double, log_softmax, run
from rnnkit.interchange.standard import layer_of

RECURRENT = {"RNN": OnnxRNN, "GRU": OnnxGRU, "LSTM": OnnxLSTM}
LAYOUT = ("Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Identity", "Cast")
PASSING = (*LAYOUT, "Dropout")  # which does nothing outside of training
ON_IDS = (  # what exporters compute of ids, such as places of negative ones
    "Add", "Sub", "Mul", "Mod", "Cast", "Where", "Not", "And", "Or", "Equal",
    "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Max", "Min", "Clip",
)  # fmt: skip
DEFAULTS = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}
TRIED = 4  # rows and steps: equal, so that it need not be known which axis is which


def read_onnx(source: Any) -> Parts:
    """Take a model apart, and try what was found beside it.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto

    Raises
    ------
    MissingPackageError
        The package onnx is not there.
    ConversionError
        A node is not supported, or the copy computes other numbers.
    """
    model = _loaded(source)
    reader = _Reader(model)
    parts = reader.read()
    _try(model, reader, parts)
    return parts


def _loaded(source: Any) -> Any:
    """Return a model with all its tensors."""
    onnx = package("onnx")
    if isinstance(source, onnx.ModelProto):
        return source
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        return onnx.load(Path(source))
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # of classes of two packages
        what = "bytes" if isinstance(source, bytes) else source
        raise ConversionError(
            f"{what}: no model that the package onnx reads: {error}; allowed: the name "
            "of a file, its bytes, an onnx.ModelProto"
        ) from None


class _Reader:
    """Follows the nodes of a graph; `kinds` says what each value is.

    "ids" are the tokens, "units" what embedding and layers give, "logits" what the
    output layer gives, "side" lengths, shapes, and states before and after.
    """

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.graph = graph = model.graph
        self.opsets = model.opset_import
        try:
            self.constants = {
                t.name: numpy_helper.to_array(t) for t in graph.initializer
            }
        except Exception as error:  # of the package's own classes
            raise ConversionError(
                f"the model's tensors are not all in it: {error}; give the name of its "
                "file, with that of its data beside it"
            ) from None
        self.inputs = [i for i in graph.input if i.name not in self.constants]
        self.kinds = {i.name: "ids" if _is_ids(i) else "side" for i in self.inputs}
        self.on_ids: list[Any] = []
        self.embedding: Array | None = None
        self.layers: list[Layer] = []
        self.weight: Array | None = None
        self.bias: Array | float = 0.0
        self.is_probability = False

    def read(self) -> Parts:
        """Return what the graph is made of."""
        if "ids" not in self.kinds.values():
            names = ", ".join(repr(i.name) for i in self.inputs) or "none"
            raise ConversionError(
                "no input of the model is ids, whole numbers on the two axes of batch "
                f"and steps; there is {names}"
            )
        for node in self.graph.node:
            self._node(node)
        if not any(self.kinds.get(o.name) == "logits" for o in self.graph.output):
            raise ConversionError(
                "no output of the model is made by a linear layer (MatMul or Gemm) of "
                "all positions"
            )
        assert self.embedding is not None and self.weight is not None
        if not self.layers:
            raise ConversionError("the model has no RNN, GRU or LSTM node")
        output = {"output.bias": np.broadcast_to(self.bias, len(self.weight))}
        tied = np.array_equal(self.weight, self.embedding)
        if not tied:
            output["output.weight"] = self.weight
        return Parts(self.embedding, self.layers, output, tie_weights=tied)

    def _node(self, node: Any) -> None:
        given = [name for name in node.input if name]
        kinds = [self.kinds.get(name) for name in given]
        first = kinds[0] if kinds else None
        if node.domain not in ("", "ai.onnx"):
            self._refuse(node, f"its domain {node.domain!r} is not ONNX's own")
        if all(name in self.constants for name in given):
            self._fold(node)
        elif node.op_type in ("Loop", "Scan", "If"):  # which read by name inside, too
            self._refuse(node, "what it computes inside is not looked into")
        elif node.op_type in ("Shape", "Size") or not {*kinds} & {
            "ids",
            "units",
            "logits",
        }:
            self._mark(node, "side")
        elif node.op_type in ON_IDS and {*kinds} <= {"ids", None}:
            self.on_ids.append(node)
            self._mark(node, "ids")
        elif node.op_type in PASSING and first != "side":
            self._mark(node, str(first))
        elif node.op_type == "Gather" and kinds[-1] == "ids":
            self._embedding(node)
        elif node.op_type in RECURRENT and first == "units":
            self._layer(node)
        elif node.op_type in ("MatMul", "Gemm") and first == "units":
            self._output(node)
        elif node.op_type == "Add" and "logits" in kinds:
            self._bias(node)
        elif node.op_type in ("Softmax", "LogSoftmax") and first == "logits":
            self.is_probability = node.op_type == "Softmax"
            self._mark(node, "logits")
        else:
            self._refuse(node, "a language model of other nodes cannot be taken over")

    def _mark(self, node: Any, kind: str) -> None:
        for name in node.output:
            self.kinds[name] = kind

    def _refuse(self, node: Any, why: str) -> NoReturn:
        name = node.name or ", ".join(node.output)
        raise ConversionError(
            f"node {name!r} ({node.op_type}): {why}. Supported are Gather as the "
            "embedding, RNN, GRU and LSTM, MatMul, Gemm and Add as the output, and "
            f"nodes that move values{self._hint()}"
        )

    def _hint(self) -> str:
        """What may be the matter with a model without recurrent operators."""
        if any(node.op_type in RECURRENT for node in self.graph.node):
            return ""
        return (
            ". There is no RNN, GRU or LSTM node: the exporter has written out what "
            "they do; let it keep them (PyTorch: dynamo=False), or give the weights "
            "themselves (from_torch_state_dict, from_keras)"
        )

    def _fold(self, node: Any) -> None:
        """Compute a node that depends on no input."""
        values = self._computed(node, [node], {}, list(node.output))
        self.constants |= dict(zip(node.output, values, strict=True))

    def _computed(
        self, source: Any, nodes: list[Any], feed: dict[str, Array], names: list[str]
    ) -> list[Array]:
        """Run some nodes alone, in the model's opset; refuse `source` if they fail."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        read = {name for node in nodes for name in node.input if name}
        feed = {n: self.constants[n] for n in read if n in self.constants} | feed
        inputs, outputs = (
            [helper.make_tensor_value_info(name, 0, None) for name in given]
            for given in (feed, names)
        )
        graph = helper.make_graph(nodes, "part", inputs, outputs)
        model = helper.make_model(graph, opset_imports=self.opsets)
        try:
            return list(ReferenceEvaluator(model).run(None, feed))
        except Exception as error:  # of many classes
            self._refuse(source, f"its value cannot be computed ({error})")

    def _constant(self, node: Any, i: int, what: str) -> Array:
        """The value of the i-th input, which must be one of the model's weights."""
        name = node.input[i]
        if name not in self.constants:
            self._refuse(node, f"{what} {name!r} is not a constant of the model")
        return np.asarray(self.constants[name])

    # ------------------------------------------------------------ embedding and output

    def _embedding(self, node: Any) -> None:
        table = self._constant(node, 0, "the embedding")
        if table.ndim != 2 or _attributes(node).get("axis", 0) != 0:
            self._refuse(node, "an embedding is a matrix whose rows are gathered")
        if table.dtype not in (np.float32, np.float64):
            self._refuse(
                node,
                f"the model computes in {table.dtype}; let its exporter write float32",
            )
        if self.embedding is not None:
            self._refuse(node, "a second embedding cannot be taken over")
        self.embedding = table[self._places(node, len(table))]
        self._mark(node, "units")

    def _places(self, node: Any, n: int) -> Array:
        """The row of the table of each id, where the model computes it of the id."""
        ids = np.arange(n)
        if all(a.op_type == "Cast" for a in self.on_ids):
            return ids
        before = [a for a in self.graph.node if self.kinds.get(a.output[0]) == "ids"]
        inputs = [i for i in self.inputs if self.kinds[i.name] == "ids"]
        feed = {i.name: ids[None].astype(_dtype(i)) for i in inputs}
        places = self._computed(node, before, feed, [node.input[1]])[0].reshape(-1)
        if places.shape != ids.shape or not ((-n <= places) & (places < n)).all():
            self._refuse(node, f"it has no row for each of the ids 0 to {n - 1}")
        return np.asarray(places, np.int64)

    def _output(self, node: Any) -> None:
        weight = self._constant(node, 1, "the weight")
        attributes = _attributes(node)
        if self.weight is not None or weight.ndim != 2 or attributes.get("transA"):
            self._refuse(node, "one linear layer, the output, can be taken over")
        transposed = weight if attributes.get("transB") else weight.T
        self.weight = attributes.get("alpha", 1.0) * transposed
        if node.op_type == "Gemm" and len(node.input) > 2:
            bias = self._constant(node, 2, "the bias").reshape(-1)
            self.bias = self.bias + attributes.get("beta", 1.0) * bias
        self._mark(node, "logits")

    def _bias(self, node: Any) -> None:
        at = 0 if node.input[0] in self.constants else 1
        bias = self._constant(node, at, "the bias")
        if bias.size not in (1, *bias.shape[-1:]):
            self._refuse(node, f"a bias of the shape {bias.shape}")
        self.bias = self.bias + bias.reshape(-1)
        self._mark(node, "logits")

    # ------------------------------------------------------------------------- layers

    def _layer(self, node: Any) -> None:
        attributes, kind = _attributes(node), node.op_type
        self._check_attributes(node, attributes)
        names = [*node.input, *[""] * 8]
        has_state = [self._first(node, i, attributes) for i in (5, 6)]
        first = [state for state in has_state if state is not None]
        cell: Any = RECURRENT[kind](self._activations(node, attributes))
        cell.first = bool(first)
        if kind == "GRU":
            cell.linear_before_reset = bool(attributes.get("linear_before_reset", 0))
        if kind == "LSTM":
            cell.peepholes = bool(names[7])
        blocks = self._blocks(node, GATES[kind])
        input_size = self._constant(node, 1, "W").shape[2]
        hidden_size = self._constant(node, 2, "R").shape[2]
        zeros = np.zeros(hidden_size, blocks["weight_x", GATES[kind][0]].dtype)
        for name, state in zip("hc", has_state, strict=True):
            blocks[f"first_{name}", ""] = zeros if state is None else state
        source = f"node {node.name or node.output[0]!r} ({kind})"
        self.layers.append(layer_of(source, cell, input_size, hidden_size, blocks))
        self._mark(node, "side")
        self.kinds[node.output[0]] = "units"

    def _check_attributes(self, node: Any, attributes: dict[str, Any]) -> None:
        direction = attributes.get("direction", "forward")
        if direction != "forward":
            self._refuse(
                node,
                f"direction={direction!r} reads what it is to predict; only 'forward' "
                "makes a language model",
            )
        if "clip" in attributes:
            self._refuse(node, "clip is not supported; export the model without it")
        if attributes.get("input_forget", 0):
            self._refuse(node, "input_forget=1 is not supported; use two gates")

    def _activations(self, node: Any, attributes: dict[str, Any]) -> tuple[Any, ...]:
        """The activations with their numbers, which are taken in turn."""
        known = {name.lower(): name for name in ACTIVATIONS}
        alphas = list(attributes.get("activation_alpha", []))
        betas = list(attributes.get("activation_beta", []))
        found = []
        for given in attributes.get("activations", DEFAULTS[node.op_type]):
            if given.lower() not in known:
                self._refuse(
                    node,
                    f"the activation {given!r} is not supported; there are "
                    f"{', '.join(ACTIVATIONS)}",
                )
            name = known[given.lower()]
            numbers = list(ACTIVATIONS[name][1])
            if name == "ThresholdedRelu" and not alphas:
                self._refuse(
                    node,
                    "ThresholdedRelu without activation_alpha, which is 1 in the "
                    "standard and 0 in ONNX Runtime; write down which it is",
                )
            for i, values in zip(range(len(numbers)), (alphas, betas), strict=False):
                numbers[i] = float(values.pop(0)) if values else numbers[i]
            found.append((name, *numbers))
        return tuple(found)

    def _first(self, node: Any, i: int, attributes: dict[str, Any]) -> Array | None:
        """The constant first state, if there is one that is not 0."""
        name = node.input[i] if i < len(node.input) else ""
        if name not in self.constants or not self.constants[name].any():
            return None  # from outside, or the shape alone from there: 0 is tried
        states = self.constants[name]
        axis = 0 if attributes.get("layout", 0) else 1
        rows = np.moveaxis(states, axis, 0).reshape(states.shape[axis], -1)
        if (rows != rows[0]).any():
            self._refuse(node, f"the first state {name!r} differs from row to row")
        return np.asarray(rows[0])

    def _blocks(self, node: Any, gates: str) -> dict[tuple[str, str], Array]:
        """The weights by what they are and by gate."""
        found: dict[tuple[str, str], Array] = {}
        tensors = {"weight_x": self._constant(node, 1, "W")[0]}
        tensors["weight_h"] = self._constant(node, 2, "R")[0]
        names = [*node.input, *[""] * 8]
        if names[3]:
            halves = np.split(self._constant(node, 3, "B")[0], 2)
            tensors |= dict(zip(("bias_x", "bias_h"), halves, strict=True))
        for what, tensor in tensors.items():
            for gate, block in zip(gates, np.split(tensor, len(gates)), strict=True):
                found[what, gate] = block
        if names[7]:
            parts = np.split(self._constant(node, 7, "P")[0], len(PEEPHOLES))
            for gate, block in zip(PEEPHOLES, parts, strict=True):
                found["peephole", gate] = block
        return found


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        return [plain(v) for v in value] if isinstance(value, list) else value

    return {a.name: plain(helper.get_attribute_value(a)) for a in node.attribute}


def _is_ids(info: Any) -> bool:
    """Whether an input may be tokens: whole numbers on two axes."""
    from onnx import TensorProto

    kind = info.type.tensor_type
    is_integer = kind.elem_type in (TensorProto.INT64, TensorProto.INT32)
    return is_integer and len(kind.shape.dim) == 2


# ------------------------------------------------------------------------------ trial


def _try(model: Any, reader: _Reader, parts: Parts) -> None:
    """Run the foreign model and its copy on random ids, from states of 0."""
    copy = parts.model()
    rng = np.random.default_rng(0)
    feed: dict[str, Array] = {}
    shape: tuple[int, ...] = ()
    for info in reader.inputs:
        if reader.kinds[info.name] == "ids":
            shape = _shape(info)
            feed[info.name] = rng.integers(0, len(parts.embedding), shape)
            ids = feed[info.name]
    for info in reader.inputs:
        dtype = _dtype(info)
        if info.name not in feed:
            its = _shape(info)
            is_length = dtype.kind in "iu"
            fill = ids.size // its[0] if is_length and its else 0
            feed[info.name] = np.full(its, fill)
        feed[info.name] = feed[info.name].astype(dtype)
    at = [reader.kinds.get(o.name) == "logits" for o in model.graph.output].index(True)
    found = np.asarray(_run(model, feed)[at])
    if not np.isfinite(found).all():
        raise ConversionError(
            "the model gives NaN or infinity for random ids, so that its copy cannot "
            "be compared with it; are its weights those of a trained model?"
        )
    dtype = found.dtype  # which says how exact it is
    found = _log_p(found, reader.is_probability)
    exact = in_double(copy)
    choices = []  # which axis is which nobody says
    for order in (ids, ids.T):
        wanted, unrounded = run(copy, order)[0], run(exact, order)[0]
        for turned in ((0, 1, 2), (1, 0, 2)):
            choices.append((wanted.transpose(turned), unrounded.transpose(turned)))
    fitting = [pair for pair in choices if pair[0].size == found.size]
    if not fitting:
        raise ConversionError(
            f"the model gives {found.shape} for ids of {shape}, not the logits of all "
            "positions"
        )
    errors = [np.abs(found.reshape(-1) - a.reshape(-1)).max() for a, _ in fitting]
    wanted, unrounded = fitting[int(np.argmin(errors))]
    if reader.is_probability:
        lowest = np.log(np.finfo(dtype).tiny)
        wanted, unrounded = (np.maximum(a, lowest) for a in (wanted, unrounded))
    found = found.reshape(wanted.shape).astype(dtype)
    check_equal("what was taken over", found, wanted, unrounded)


def _log_p(outputs: Array, is_probability: bool) -> Array:
    """Logits or probabilities as log-probabilities; what is 0 is a lowest number."""
    if is_probability:
        return np.log(np.maximum(outputs, np.finfo(outputs.dtype).tiny))
    return log_softmax(outputs)


def _run(model: Any, feed: dict[str, Array]) -> Sequence[Any]:
    """What the foreign model gives: by ONNX Runtime where it is there and knows all."""
    from onnx.reference import ReferenceEvaluator

    try:
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=providers
        )
        results: Sequence[Any] = session.run(None, feed)
        return results
    except Exception as error:  # not there, or without this type or layout
        reason = error
    try:
        return list(ReferenceEvaluator(model, new_ops=operators()).run(None, feed))
    except Exception as error:
        raise ConversionError(
            f"the model does not run on trial: {reason}; {error}. Is onnxruntime "
            "installed? Are the axes of batch and steps free, or the same everywhere?"
        ) from None


def _shape(info: Any) -> tuple[int, ...]:
    dims = info.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.dim_value > 0 else TRIED for d in dims)


def _dtype(info: Any) -> np.dtype[Any]:
    from onnx import helper

    kind = info.type.tensor_type.elem_type
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind))
