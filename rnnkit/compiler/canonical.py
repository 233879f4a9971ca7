# SPDX-License-Identifier: BSD-3-Clause
"""The canonical form of a traced graph: sums of products joined, dead nodes dropped.

Joining fixes the order in which a gate's chain is summed (all biases, then the terms,
those of the input first), so that the core may compute the input's part for all steps
at once without changing a bit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from rnnkit.compiler.builder import live_nodes, renumber
from rnnkit.compiler.graph import Graph, Node, linear_parts


def canonical(graph: Graph) -> Graph:
    """The same step without dead nodes and parameters, added products joined."""
    return _drop_parameters(_drop_nodes(_join_linears(_drop_nodes(graph))))


def reordered(graph: Graph) -> Graph:
    """The same step, nodes and parameters in the order in which its results need them.

    Two cells of the same equations become equal words, in whatever order their lines
    were written.
    """
    order: list[int] = []
    seen: set[int] = set()
    waiting = [(root, False) for root in reversed(_roots(graph))]
    while waiting:
        i, is_ready = waiting.pop()
        if is_ready:
            order.append(i)
        elif i not in seen:
            seen.add(i)
            waiting.append((i, True))
            waiting += [(a, False) for a in reversed(graph.nodes[i].args)]
    at = {old: new for new, old in enumerate(order)}
    nodes = [graph.nodes[i] for i in order]
    used = dict.fromkeys(p for node in nodes for p in _parameters_of(node))
    parameter_at = {old: new for new, old in enumerate(used)}
    return replace(
        graph,
        parameters=tuple(graph.parameters[old] for old in used),
        nodes=tuple(
            _with_parameters(
                node._replace(args=tuple(at[a] for a in node.args)), parameter_at
            )
            for node in nodes
        ),
        n_forward=len(nodes),
        output=at[graph.output],
        states=tuple(replace(s, new=at[s.new]) for s in graph.states),
    )


def _roots(graph: Graph) -> list[int]:
    return [graph.output, *(state.new for state in graph.states)]


def _drop_nodes(graph: Graph) -> Graph:
    nodes, at = renumber(graph.nodes, live_nodes(graph.nodes, _roots(graph)))
    states = tuple(replace(state, new=at[state.new]) for state in graph.states)
    return replace(
        graph,
        nodes=tuple(nodes),
        n_forward=len(nodes),
        output=at[graph.output],
        states=states,
    )


def _join_linears(graph: Graph) -> Graph:
    """Turn each sum of two products that nothing else reads into one product."""
    nodes = list(graph.nodes)
    readers = Counter(a for node in nodes for a in node.args)
    readers.update(_roots(graph))
    moving = _depends_on_state(nodes)
    for i, node in enumerate(nodes):
        if node.op == "linear":
            nodes[i] = _joined([node], moving)
        elif node.op == "add":
            parts = [nodes[a] for a in node.args if readers[a] == 1]
            if [part.op for part in parts] == ["linear", "linear"]:
                nodes[i] = _joined(parts, moving)
    return replace(graph, nodes=tuple(nodes))


def _depends_on_state(nodes: list[Node]) -> list[bool]:
    moving: list[bool] = []
    for node in nodes:
        moving.append(node.op == "state" or any(moving[a] for a in node.args))
    return moving


def _joined(linears: list[Node], moving: list[bool]) -> Node:
    biases: list[tuple[int, int]] = []
    terms: list[tuple[int, tuple[int, int]]] = []
    for node in linears:
        node_biases, weights = linear_parts(node)
        biases += node_biases
        terms += zip(node.args, weights, strict=True)
    terms.sort(key=lambda term: moving[term[0]])  # stable
    pairs = biases + [weight for _, weight in terms]
    attrs = (len(biases), *(number for pair in pairs for number in pair))
    return linears[0]._replace(args=tuple(arg for arg, _ in terms), attrs=attrs)


def _drop_parameters(graph: Graph) -> Graph:
    """Leave out what no node refers to; the others keep their order."""
    used = {index for node in graph.nodes for index in _parameters_of(node)}
    at = {old: new for new, old in enumerate(sorted(used))}
    return replace(
        graph,
        parameters=tuple(graph.parameters[old] for old in sorted(used)),
        nodes=tuple(_with_parameters(node, at) for node in graph.nodes),
    )


def _parameters_of(node: Node) -> tuple[int, ...]:
    if node.op == "vector":
        return node.attrs[:1]
    return node.attrs[1::2] if node.op == "linear" else ()


def _with_parameters(node: Node, at: dict[int, int]) -> Node:
    if node.op == "vector":
        return node._replace(attrs=(at[node.attrs[0]], node.attrs[1]))
    if node.op != "linear":
        return node
    attrs = list(node.attrs)
    attrs[1::2] = [at[index] for index in attrs[1::2]]
    return node._replace(attrs=tuple(attrs))
