# SPDX-License-Identifier: BSD-3-Clause
"""A graph in readable lines."""

from __future__ import annotations

from rnnkit.compiler.graph import (
    Graph,
    Kind,
    Node,
    Parameter,
    float_of_words,
    linear_parts,
)

_FLAGS = ("reset", "active")
_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
}


def listing(graph: Graph) -> str:
    """One line for each parameter, node and result."""
    lines = [f"input x of {graph.input_width} units"]
    lines += [
        f"state {s.name} of {s.width} units, first {s.initial:g}" for s in graph.states
    ]
    lines += [_parameter_line(p) for p in graph.parameters]
    lines += ["", "forward"]
    lines += [_node_line(graph, i) for i in range(graph.n_forward)]
    lines += [f"  output = %{graph.output}"]
    lines += [f"  new {s.name} = %{s.new}" for s in graph.states]
    if graph.has_backward:
        lines += ["", "backward"]
        lines += [
            _node_line(graph, i) for i in range(graph.n_forward, len(graph.nodes))
        ]
        lines += [_gradient_line("x", graph.input_gradient)]
        lines += [
            _gradient_line(f"old {s.name}", at)
            for s, at in zip(graph.states, graph.state_gradients, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _parameter_line(p: Parameter) -> str:
    kind = "weight" if p.is_weight else "vector"
    shape = " x ".join(map(str, p.shape))
    blocks = f", blocks {' '.join(p.block_names)}" if p.blocks > 1 else ""
    specs = dict.fromkeys(f"{spec.kind} {spec.value:g}" for spec in p.initialisers)
    limits = f", within {p.limits[0]:g} and {p.limits[1]:g}" if p.limits else ""
    return f"{kind} {p.name} ({shape}){blocks}, first {' / '.join(specs)}{limits}"


def _gradient_line(what: str, at: int) -> str:
    return f"  gradient of {what} = {f'%{at}' if at >= 0 else '0'}"


def _node_line(graph: Graph, i: int) -> str:
    node = graph.nodes[i]
    size = {
        Kind.CONST: "number",
        Kind.UNIT: f"units {node.width}",
        Kind.ROW: "rows",
        Kind.FULL: f"rows x {node.width}",
        Kind.SINK: "",
    }[node.kind]
    name = "" if node.kind == Kind.SINK else f"%{i} ="
    return f"{name:>8} {_expression(graph, node):<50} {size}".rstrip()


def _expression(graph: Graph, node: Node) -> str:
    args = [f"%{a}" for a in node.args]
    match node.op:
        case "constant":
            return repr(float_of_words(*node.attrs))
        case "share":
            return f"{float_of_words(*node.attrs)!r} / rows of all steps"
        case "state":
            return f"old {graph.states[node.attrs[0]].name}"
        case "grad_state":
            return f"gradient of new {graph.states[node.attrs[0]].name}"
        case "grad_output":
            return "gradient of output"
        case "flag":
            return f"flag {_FLAGS[node.attrs[0]]}"
        case "mask":
            site, per_sequence, *rate = node.attrs
            drawn = "once a sequence" if per_sequence else "at each step"
            return f"mask of site {site}, rate {float_of_words(*rate):g}, drawn {drawn}"
        case "vector":
            return _block(graph, node.attrs)
        case "linear" | "linear_transposed":
            biases, weights = linear_parts(node)
            turned = "'" if node.op == "linear_transposed" else ""
            parts = [_block(graph, bias) for bias in biases]
            parts += [
                f"{_block(graph, weight)}{turned} {arg}"
                for weight, arg in zip(weights, args, strict=True)
            ]
            return " + ".join(parts)
        case "part":
            first = node.attrs[0]
            return f"{args[0]}[{first}:{first + node.width}]"
        case "weight_grad":
            return f"gradient of {_block(graph, node.attrs)} += {args[0]} (x) {args[1]}"
        case "vector_grad":
            return f"gradient of {_block(graph, node.attrs)} += {args[0]}"
        case op if op in _INFIX:
            return f"{args[0]} {_INFIX[op]} {args[1]}"
        case _:
            return f"{node.op} {', '.join(args)}".rstrip()


def _block(graph: Graph, reference: tuple[int, ...]) -> str:
    parameter, block = reference
    return graph.parameters[parameter].block_label(block)
