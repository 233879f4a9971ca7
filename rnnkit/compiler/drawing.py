# SPDX-License-Identifier: BSD-3-Clause
"""A graph drawn: a line for each operation, a lane for each value while it is needed.

As `git log --graph`: a value begins at its mark, runs down its lane, and branches off
to each operation that reads it. Constants stand in the operations' own text.
"""

from __future__ import annotations

from html import escape

from rnnkit.compiler.graph import Graph, Node, float_of_words, linear_parts

MARKS = {"input": "x", "state": "@", "linear": "#", "vector": "v"}
PLAIN = "o"
LEGEND = "x input   @ state   # product with weights   v learned vector   o the rest"
_COLOURS = {"x": "#1a7f37", "@": "#cf222e", "#": "#0969da", "v": "#9a6700"}


def draw(graph: Graph) -> str:
    """The forward part in lines of text.

    ::

        x     x (3)
        | @   old h (7)
        #-+   weight_ih * + weight_hh * + bias_ih + bias_hh (7)
        o     tanh   -> output, new h
    """
    lines = [lanes + text for lanes, _, text in _rows(graph)]
    return "\n".join([LEGEND, "", *lines]) + "\n"


def to_html(graph: Graph) -> str:
    """The same for a notebook, marks in colours."""
    lines = []
    for lanes, mark, text in _rows(graph):
        colour = _COLOURS.get(mark, "inherit")
        at = lanes.rindex(mark)
        shown = f'<b style="color:{colour}">{mark}</b>'
        lines.append(lanes[:at] + shown + escape(lanes[at + 1 :] + text))
    drawing = "\n".join([escape(LEGEND), "", *lines])
    return f'<pre style="line-height:1.2">{drawing}</pre>'


def _rows(graph: Graph) -> list[tuple[str, str, str]]:
    """For each node but constants: its lanes, as wide as all, its mark, its text."""
    nodes = graph.nodes[: graph.n_forward]
    last = _last_uses(graph)
    lanes: list[int | None] = []  # the node that each lane carries
    rows = []
    for i, node in enumerate(nodes):
        if node.op == "constant" and i != graph.output:
            continue
        read = {lanes.index(a) for a in node.args if a in lanes}
        before = list(lanes)
        lanes = [a if a is not None and last[a] > i else None for a in lanes]
        free = [lane for lane, a in enumerate(lanes) if a is None]
        own = min(read.intersection(free) or free or {len(lanes)})
        lanes[own : own + 1] = [i]
        mark = MARKS.get(node.op, PLAIN)
        rows.append((_lanes(before, read, own, mark), mark, _text(graph, i, node)))
        lanes = [a if a is None or last[a] > i else None for a in lanes]
        while lanes and lanes[-1] is None:
            lanes.pop()
    margin = max(len(row) for row, _, _ in rows) + 3
    return [(row.ljust(margin), mark, text) for row, mark, text in rows]


def _last_uses(graph: Graph) -> list[int]:
    """For each node the last that reads it; itself if none does."""
    last = list(range(graph.n_forward))
    for i, node in enumerate(graph.nodes[: graph.n_forward]):
        for a in node.args:
            last[a] = i
    return last


def _lanes(before: list[int | None], read: set[int], own: int, mark: str) -> str:
    """One line of lanes: those that pass, those that are read, the node's own."""
    ends = {*read, own}
    cells = []
    for lane in range(max(len(before), own + 1)):
        carried = lane < len(before) and before[lane] is not None
        inside = min(ends) <= lane <= max(ends)
        if lane == own:
            sign = mark
        elif lane in read:
            sign = "+"
        elif carried:
            sign = "|"
        else:
            sign = "-" if inside else " "
        cells.append(sign + ("-" if min(ends) <= lane < max(ends) else " "))
    return "".join(cells).rstrip()


def _text(graph: Graph, i: int, node: Node) -> str:
    """What a node does, and what it is for the cell."""
    roles = ["output"] if i == graph.output else []
    roles += [f"new {state.name}" for state in graph.states if state.new == i]
    arrow = f"   -> {', '.join(roles)}" if roles else ""
    return _operation(graph, node) + arrow


def _operation(graph: Graph, node: Node) -> str:
    if node.op == "input":
        return f"x ({node.width})"
    if node.op == "state":
        return f"old {graph.states[node.attrs[0]].name} ({node.width})"
    if node.op == "vector":
        return f"{_block(graph, node.attrs)} ({node.width})"
    if node.op == "constant":
        return f"{float_of_words(*node.attrs):g}"
    if node.op == "linear":
        biases, weights = linear_parts(node)
        parts = [f"{_block(graph, weight)} *" for weight in weights]
        parts += [_block(graph, bias) for bias in biases]
        return f"{' + '.join(parts)} ({node.width})"
    if node.op == "part":
        return f"part {node.attrs[0]}:{node.attrs[0] + node.width}"
    numbers = [
        f"{float_of_words(*graph.nodes[a].attrs):g}"
        if graph.nodes[a].op == "constant"
        else "."
        for a in node.args
    ]
    plain = set(numbers) == {"."}
    return node.op if plain else f"{node.op} {' '.join(numbers)}"


def _block(graph: Graph, reference: tuple[int, ...]) -> str:
    parameter, block = reference
    return graph.parameters[parameter].block_label(block)
