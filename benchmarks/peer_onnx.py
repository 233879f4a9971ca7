# SPDX-License-Identifier: BSD-3-Clause
"""ONNX Runtime at the same inference, on a graph with the same weights."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import Tokens, Values

OPSET, IR_VERSION = 17, 8  # every ONNX Runtime of the last years reads them

# ONNX's gates by their place in PyTorch's order: i o f c, and z r h.
GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
STATES = {"rnn": ("h",), "lstm": ("h", "c"), "gru": ("h",)}
OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


class OnnxPeer:
    """ONNX Runtime with given weights and tokens; it scores and predicts.

    Parameters
    ----------
    spin : bool
        Whether its threads wait for work spinning, which is the default of the runtime.
    """

    def __init__(
        self,
        cell: str,
        shape: Shape,
        values: Values,
        tokens: Tokens,
        *,
        n_threads: int,
        spin: bool = True,
    ) -> None:
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = n_threads
        spinning = str(int(spin))
        self._options.add_session_config_entry(
            "session.intra_op.allow_spinning", spinning
        )
        self._graph = (cell, shape, values)
        self._sessions: dict[bool, Any] = {}
        states = [f"{s}{k}" for k in range(shape.L) for s in STATES[cell]]
        self._states = states
        zeros = {name: np.zeros((1, shape.B, shape.H), np.float32) for name in states}
        self._window = {
            "ids": tokens.ids.astype(np.int64),
            "targets": tokens.targets.astype(np.int64).reshape(-1, 1),
            **zeros,
        }
        first = {name: zero[:, :1] for name, zero in zeros.items()}
        self._token = {"ids": self._window["ids"][:1, :1], **first}

    def score(self) -> float:
        """Mean log-likelihood of the window's targets."""
        return float(self._session(scoring=True).run(["score"], self._window)[0])

    def next_token(self) -> np.ndarray:
        """Read one token, the state carried; return the next one's logits."""
        logits, *states = self._session(scoring=False).run(None, self._token)
        self._token.update(zip(self._states, states, strict=True))
        return logits.reshape(-1)

    def _session(self, *, scoring: bool) -> Any:
        if scoring not in self._sessions:
            model = language_model(*self._graph, scoring=scoring)
            self._sessions[scoring] = onnxruntime.InferenceSession(
                model, self._options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[scoring]


def language_model(cell: str, shape: Shape, values: Values, *, scoring: bool) -> bytes:
    """A model file: of logits and states, or of the targets' mean log-likelihood."""
    graph = _Graph()
    below = graph.add("Gather", graph.constant(values["embedding.weight"]), "ids")
    outputs = []
    for k in range(shape.L):
        below, finals = _layer(graph, cell, shape, values, k, below)
        outputs += finals
    rows = graph.add("Reshape", below, graph.constant(np.array([-1, shape.H])))
    weight, bias = (graph.constant(values[f"output.{w}"]) for w in ("weight", "bias"))
    logits = graph.add("Gemm", rows, weight, bias, transB=1)
    inputs = [_value("ids", TensorProto.INT64, ["steps", "rows"])]
    state_shape = [1, "rows", shape.H]
    names = [f"{s}{k}" for k in range(shape.L) for s in STATES[cell]]
    inputs += [_value(name, TensorProto.FLOAT, state_shape) for name in names]
    if scoring:
        inputs.append(_value("targets", TensorProto.INT64, ["positions", 1]))
        log_p = graph.add("LogSoftmax", logits, axis=1)
        chosen = graph.add("GatherElements", log_p, "targets", axis=1)
        score = graph.add("ReduceMean", chosen, keepdims=0)
        graph.add("Identity", score, output="score")
        results = [_value("score", TensorProto.FLOAT, [])]
    else:
        graph.add("Identity", logits, output="logits")
        results = [_value("logits", TensorProto.FLOAT, ["positions", shape.V])]
        results += [_value(name, TensorProto.FLOAT, state_shape) for name in outputs]
    return graph.to_bytes(inputs, results)


def _layer(
    graph: "_Graph", cell: str, shape: Shape, values: Values, k: int, below: str
) -> tuple[str, list[str]]:
    """Add a recurrent layer; return its output (T, B, H) and its states' names."""
    weights = [
        _in_order(values[f"rnn.weight_{on}_l{k}"], GATES[cell])[None]
        for on in ("ih", "hh")
    ]
    biases = [
        _in_order(values[f"rnn.bias_{on}_l{k}"], GATES[cell]) for on in ("ih", "hh")
    ]
    constants = [*weights, np.concatenate(biases)[None]]
    arguments = [below, *map(graph.constant, constants), ""]  # "": all rows are full
    arguments += [f"{s}{k}" for s in STATES[cell]]
    attributes = {"linear_before_reset": 1} if cell == "gru" else {}
    hidden = graph.name()
    finals = [f"{s}{k}_out" for s in STATES[cell]]
    graph.nodes.append(
        helper.make_node(
            OPERATORS[cell],
            arguments,
            [hidden, *finals],
            hidden_size=shape.H,
            **attributes,
        )
    )
    one_direction = graph.constant(np.array([1], np.int64))
    return graph.add("Squeeze", hidden, one_direction), finals


def _in_order(array: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
    """Move blocks of rows, one a gate, to other places."""
    blocks = np.split(array, len(gates))
    return np.concatenate([blocks[i] for i in gates])


def _value(name: str, kind: int, shape: list) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


class _Graph:
    """An ONNX graph under way."""

    def __init__(self) -> None:
        self.nodes: list = []
        self.constants: list = []

    def name(self) -> str:
        return f"v{len(self.nodes)}_{len(self.constants)}"

    def constant(self, array: np.ndarray) -> str:
        name = f"k{len(self.constants)}"
        array = np.ascontiguousarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or self.name()
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def to_bytes(self, inputs: list, outputs: list) -> bytes:
        graph = helper.make_graph(
            self.nodes, "model", inputs, outputs, initializer=self.constants
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        return model.SerializeToString()
