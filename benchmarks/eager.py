# SPDX-License-Identifier: BSD-3-Clause
"""Any cell as a user of PyTorch would write it: its equations, step by step.

A cell's graph becomes the source of a function, a line for each operation, with
one `linear` for each operand and all of its gates, as a careful author has it.
"""

from collections import defaultdict
from functools import cache

import torch
from torch.nn import functional

from rnnkit.compiler import Graph, trace
from rnnkit.compiler.graph import Node, float_of_words, linear_parts

# Primitives as expressions of their arguments.
EXPRESSIONS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "muladd": "{} * {} + {}",
    "min": "torch.minimum({}, {})",
    "max": "torch.maximum({}, {})",
    "abs": "torch.abs({})",
    "sqrt": "torch.sqrt({})",
    "exp": "torch.exp({})",
    "log": "torch.log({})",
    "sigmoid": "torch.sigmoid({})",
    "logsigmoid": "functional.logsigmoid({})",
    "softplus": "functional.softplus({})",
    "tanh": "torch.tanh({})",
    "relu": "torch.relu({})",
    "greater": "({} > {}).to(x.dtype)",
    "greater_equal": "({} >= {}).to(x.dtype)",
    "equal": "({} == {}).to(x.dtype)",
    "select": "torch.where({} != 0, {}, {})",
    "stop_gradient": "{}.detach()",
    "row_sum": "torch.sum({}, 1, keepdim=True)",
    "row_max": "torch.amax({}, 1, keepdim=True)",
}
TENSOR_ONLY = ("min", "max", "stop_gradient")  # which take no plain number


class EagerCell(torch.nn.Module):
    """Layers of a cell; parameters have rnnkit's names.

    With `hoist` the products of x are made for all steps at once, as nn.LSTM does.
    """

    def __init__(
        self, cell, input_size: int, hidden_size: int, num_layers: int, *, hoist: bool
    ) -> None:
        super().__init__()
        self.graphs = []
        self.layers = []
        for k in range(num_layers):
            graph = trace(cell, input_size, hidden_size)
            for parameter in graph.parameters:
                empty = torch.nn.Parameter(torch.empty(parameter.shape))
                setattr(self, f"{parameter.name}_l{k}", empty)
            self.graphs.append(graph)
            self.layers.append(compiled(Source(graph, hoist).text))
            input_size = graph.output_width
        self.output_width = input_size

    def forward(self, x, state=None):
        """Outputs of the top layer, and the states behind the last step."""
        final = []
        for k, (graph, layer) in enumerate(zip(self.graphs, self.layers, strict=True)):
            weights = [getattr(self, f"{p.name}_l{k}") for p in graph.parameters]
            before = initial_states(graph, x) if state is None else state[k]
            x, after = layer(x, before, *weights)
            final.append(after)
        return x, final


def initial_states(graph: Graph, x):
    """The states that a text begins with."""
    return [x.new_full((x.shape[1], s.width), s.initial) for s in graph.states]


@cache
def compiled(text: str):
    """The function `layer` of a source."""
    names = {"torch": torch, "functional": functional}
    exec(text, names)
    return names["layer"]


class Source:
    """The source of one layer: `layer(xs, states, *weights)` -> outputs, states."""

    def __init__(self, graph: Graph, hoist: bool) -> None:
        self.graph = graph
        self.hoist = hoist
        self.head: list[str] = []  # before the loop
        self.body: list[str] = []  # in it
        self.products: dict[tuple[int, int], str] = {}
        self.gates: dict[tuple[tuple[int, int], ...], str] = {}
        self.sharers = self._sharers()
        for i, node in enumerate(graph.nodes):
            if node.op != "constant":
                self.body.append(f"v{i} = {self._expression(node)}")
        self.text = self._text()

    def _text(self) -> str:
        graph = self.graph
        states = [f"s{k}" for k in range(len(graph.states))]
        new = [f"v{state.new}" for state in graph.states]
        weights = [f"p{k}" for k in range(len(graph.parameters))]
        lines = [
            f"def layer({', '.join(['xs', 'states', *weights])}):",
            f"    {', '.join(states)}, = states",
            *(f"    {line}" for line in self.head),
            "    outputs = []",
            "    for t, x in enumerate(xs):",
            *(f"        {line}" for line in self.body),
            f"        {', '.join(states)}, = {', '.join(new)},",
            f"        outputs.append(v{graph.output})",
            f"    return torch.stack(outputs), [{', '.join(states)}]",
        ]
        return "\n".join(lines)

    def _expression(self, node: Node) -> str:
        args = [self._argument(a, node.op in TENSOR_ONLY) for a in node.args]
        match node.op:
            case "input":
                return "x"
            case "state":
                return f"s{node.attrs[0]}"
            case "vector":
                return self._part(f"p{node.attrs[0]}", "", *node.attrs)
            case "expand":
                return f"x.new_zeros(1) + {args[0]} + x.new_zeros(len(x), {node.width})"
            case "linear":
                return self._linear(node)
            case "part":
                return f"{args[0]}[:, {node.attrs[0]}:{node.attrs[0] + node.width}]"
            case "join":
                return f"torch.cat([{', '.join(args)}], 1)"
        return EXPRESSIONS[node.op].format(*args)

    def _argument(self, i: int, as_tensor: bool) -> str:
        node = self.graph.nodes[i]
        if node.op != "constant":
            return f"v{i}"
        number = repr(float_of_words(*node.attrs))
        return f"x.new_tensor({number})" if as_tensor else f"({number})"

    # ------------------------------------------------------------------- products

    def _sharers(self) -> dict[tuple[int, int], set]:
        """The sums that each product of an operand with a whole weight is part of."""
        sharers = defaultdict(set)
        for node in self.graph.nodes:
            if node.op == "linear":
                for term in self._terms(node):
                    sharers[term].add(self._terms(node))
        return sharers

    def _terms(self, node: Node) -> tuple[tuple[int, int], ...]:
        weights = linear_parts(node)[1]
        return tuple((a, w) for a, (w, _) in zip(node.args, weights, strict=True))

    def _linear(self, node: Node) -> str:
        """A gate: one part of a sum of products, or a sum of parts of products."""
        terms = self._terms(node)
        products = [self._product(*term, node) for term in terms]
        _, weights = linear_parts(node)
        blocks = [block for _, block in weights]
        alone = all(len(self.sharers[term]) == 1 for term in terms)
        if alone and len(set(blocks)) == 1:
            if terms not in self.gates:
                self.gates[terms] = self._name("g", " + ".join(products))
            return self._part(self.gates[terms], ":, ", *weights[0])
        return " + ".join(
            self._part(product, ":, ", *weight)
            for product, weight in zip(products, weights, strict=True)
        )

    def _product(self, operand: int, weight: int, node: Node) -> str:
        """The name of an operand's product with all gates of a weight, and its bias."""
        key = operand, weight
        if key not in self.products:
            bias = self._bias(weight, node)
            is_input = self.graph.nodes[operand].op == "input"
            if self.hoist and is_input:
                name = f"a{len(self.products)}"
                self.head.append(f"{name} = functional.linear(xs, p{weight}{bias})")
                self.products[key] = f"{name}[t]"
            else:
                text = f"functional.linear(v{operand}, p{weight}{bias})"
                self.products[key] = self._name("m", text)
        return self.products[key]

    def _bias(self, weight: int, node: Node) -> str:
        """The bias of the same name, where the node has it."""
        names = [parameter.name for parameter in self.graph.parameters]
        wanted = names[weight].replace("weight_", "bias_", 1)
        for bias, _ in linear_parts(node)[0]:
            if names[bias] == wanted:
                return f", p{bias}"
        return ""

    def _name(self, letter: str, text: str) -> str:
        name = f"{letter}{len(self.body)}"
        self.body.append(f"{name} = {text}")
        return name

    def _part(self, value: str, rows: str, parameter: int, block: int) -> str:
        """The units of one gate of a product or of a vector."""
        found = self.graph.parameters[parameter]
        if found.blocks == 1:
            return value
        return f"{value}[{rows}{block * found.width}:{(block + 1) * found.width}]"
