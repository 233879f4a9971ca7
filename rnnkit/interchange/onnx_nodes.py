# SPDX-License-Identifier: BSD-3-Clause
"""ONNX nodes under way, and a cell's graph as such nodes, primitive by primitive."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnkit.compiler import Graph
from rnnkit.compiler.graph import Kind, Node, float_of_words, linear_parts
from rnnkit.errors import ConversionError

Array = np.ndarray[Any, Any]

# Primitives that are one operator of the same arguments.
OPERATORS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "min": "Min",
    "max": "Max",
    "abs": "Abs",
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "stop_gradient": "Identity",
}
COMPARISONS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "equal": "Equal",
}


class Constants:
    """The tensors of a model, each stored once; bodies of loops see them by name."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def add(self, array: Any, name: str | None = None) -> str:
        """Return the name of a tensor, floats in the model's type."""
        value = np.ascontiguousarray(array)
        if value.dtype.kind == "f":
            value = value.astype(self.dtype)
        key = value.dtype.str, value.shape, hashlib.sha256(value.data).digest()
        if key not in self._names:
            self._names[key] = name or f"constant_{len(self.arrays)}"
            self.arrays[self._names[key]] = value
        return self._names[key]


class Nodes:
    """Nodes in the order in which they run, of a model or of the body of a loop.

    Parameters
    ----------
    constants : Constants
    prefix : str
        What the names of the values begin with; unique in the model.
    """

    def __init__(self, constants: Constants, prefix: str) -> None:
        self.constants = constants
        self.prefix = prefix
        self.nodes: list[Any] = []

    def add(
        self,
        operator: str,
        *inputs: Any,
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Append a node; arrays among the inputs become constants.

        Returns
        -------
        str
            The name of its first output.
        """
        from onnx import helper

        names = [i if isinstance(i, str) else self.constants.add(i) for i in inputs]
        given = list(outputs) or [f"{self.prefix}{len(self.nodes)}"]
        name = f"{self.prefix}node_{len(self.nodes)}"
        node = helper.make_node(operator, names, given, name, **attributes)
        self.nodes.append(node)
        return given[0]


class CellNodes:
    """One step of a cell's graph.

    Parameters
    ----------
    graph : Graph
    parameters : sequence of arrays
        In the graph's order.
    nodes : Nodes
        Where the step goes.
    source : str
        The layer, for messages.
    """

    def __init__(
        self, graph: Graph, parameters: Sequence[Array], nodes: Nodes, source: str
    ) -> None:
        self.graph = graph
        self.parameters = parameters
        self.nodes = nodes
        self.source = source
        self.names: list[str] = []

    def step(self, x: str, states: Sequence[str]) -> tuple[str, list[str]]:
        """Add the nodes of x (B, E) and states; return output and new states (B, W)."""
        self.x, self.states = x, states
        self.rows = self.nodes.add("Shape", x, start=0, end=1)
        for node in self.graph.nodes[: self.graph.n_forward]:
            self.names.append(self._value(node))
        output = self._full(self.graph.output, self.graph.output_width)
        return output, [self._full(s.new, s.width) for s in self.graph.states]

    def _full(self, i: int, width: int) -> str:
        """The name of a result, one value a row and unit."""
        if self.graph.nodes[i].kind == Kind.FULL:
            return self.names[i]
        return self._expanded(self.names[i], width)

    def _expanded(self, name: str, width: int) -> str:
        shape = self.nodes.add("Concat", self.rows, np.array([width]), axis=0)
        return self.nodes.add("Expand", name, shape)

    def _block(self, reference: tuple[int, ...]) -> Array:
        index, block = reference
        width = self.graph.parameters[index].width
        return self.parameters[index][block * width : (block + 1) * width]

    def _value(self, node: Node) -> str:
        """Add what computes one node, and return the name of its value."""
        add, args = self.nodes.add, [self.names[a] for a in node.args]
        zero, one = (np.array(number, float) for number in (0.0, 1.0))
        match node.op:
            case "input":
                return self.x
            case "state":
                return self.states[node.attrs[0]]
            case "vector":
                return self.nodes.constants.add(self._block(node.attrs))
            case "constant":
                return self.nodes.constants.add(np.array(float_of_words(*node.attrs)))
            case "linear":
                return self._linear(node, args)
            case "expand":
                return self._expanded(args[0], node.width)
            case "part":
                ends = (node.attrs[0], node.attrs[0] + node.width)
                return add("Slice", args[0], *(np.array([n]) for n in (*ends, 1)))
            case "join":
                return add("Concat", *args, axis=1)
            case "row_sum" | "row_max":
                operator = "ReduceSum" if node.op == "row_sum" else "ReduceMax"
                return add(operator, args[0], np.array([1]), keepdims=1)
            case "muladd":
                return add("Add", add("Mul", args[0], args[1]), args[2])
            case "select":
                chosen = add("Not", add("Equal", args[0], zero))
                return add("Where", chosen, args[1], args[2])
            case "softplus":
                return self._softplus(args[0], one)
            case "logsigmoid":
                return add("Neg", self._softplus(add("Neg", args[0]), one))
        if node.op in COMPARISONS:
            return add("Cast", add(COMPARISONS[node.op], *args), to=self._type())
        if node.op in OPERATORS:
            return add(OPERATORS[node.op], *args)
        raise ConversionError(
            f"{self.source}: the primitive {node.op!r} has no form in ONNX yet"
        )

    def _softplus(self, a: str, one: Array) -> str:
        """log(1 + exp(a)) without overflow, in any type."""
        add = self.nodes.add
        small = add("Exp", add("Neg", add("Abs", a)))
        return add("Add", add("Relu", a), add("Log", add("Add", small, one)))

    def _linear(self, node: Node, args: list[str]) -> str:
        """Biases, then each product, in the graph's order."""
        biases, weights = linear_parts(node)
        total: list[Any] = [sum(self._block(b) for b in biases)] if biases else []
        for arg, weight in zip(args, weights, strict=True):
            block = self._block(weight)
            total = [self.nodes.add("Gemm", arg, block, *total, transB=1)]
        return str(total[0])

    def _type(self) -> int:
        from onnx import helper

        return int(helper.np_dtype_to_tensor_dtype(self.nodes.constants.dtype))
