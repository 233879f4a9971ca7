# SPDX-License-Identifier: BSD-3-Clause
"""Variants of a graph for running: dropout masks at sites, resets, ends of rows.

They stand between trace and differentiate; the stored graph has neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnkit.compiler.builder import Builder, rebuild
from rnnkit.compiler.graph import Graph, Kind, Node, words_of_float
from rnnkit.errors import GraphError

# Numbers never change: a mask is a function of its site's number.
SITES = {"input": 0, "output": 1, "state": 2}  # of the first state; then the others
RESET, ACTIVE = 0, 1


def with_masks(
    graph: Graph,
    sites: Mapping[str, float],
    first_site: int = 0,
    per_sequence: bool = False,
) -> Graph:
    """The graph with dropout masks.

    Parameters
    ----------
    graph : Graph
        Without a backward part.
    sites : mapping of str to float
        Rates in [0, 1) by site: "input" masks x before all else, "output" the output
        alone, not the state that is carried, "state" each state where a product reads
        it (Gal & Ghahramani, 2016). A rate of 0 leaves a site as it is.
    first_site : int, default=0
        Added to the sites' numbers.
    per_sequence : bool, default=False
        Draw a mask once a sequence instead of at each step.

    Returns
    -------
    Graph

    Raises
    ------
    ValueError
        For unknown sites and rates out of range.
    """
    _check_forward(graph)
    for site, rate in sites.items():
        if site not in SITES:
            raise ValueError(
                f"unknown dropout site {site!r}; known: {', '.join(SITES)}"
            )
        if not 0 <= rate < 1:
            raise ValueError(
                f"the dropout rate of {site!r} is {rate!r}, allowed is [0, 1)"
            )
    b = Builder()

    def masked(index: int, site: str, width: int, state: int = 0) -> int:
        rate = sites.get(site, 0.0)
        if rate == 0:
            return index
        number = first_site + SITES[site] + state
        attrs = (number, int(per_sequence), *words_of_float(rate))
        return b("mul", index, b.leaf("mask", Kind.FULL, width, *attrs))

    def with_masks_before(node: Node, at: Sequence[int]) -> int | None:
        if node.op == "input":
            return masked(b.append(node), "input", node.width)
        if node.op != "linear":
            return None
        args = []
        for arg in node.args:
            operand = graph.nodes[arg]
            if operand.op == "state":
                args.append(masked(at[arg], "state", operand.width, *operand.attrs))
            else:
                args.append(at[arg])
        return b.append(node._replace(args=tuple(args)))

    at = rebuild(graph, b, with_masks_before)
    output = masked(at[graph.output], "output", graph.output_width)
    return _finished(graph, b, output, [at[state.new] for state in graph.states])


def with_resets(graph: Graph) -> Graph:
    """The graph that obeys row flags: reset before a step, active during it.

    A row that is reset starts from the initial states. A row that is not active keeps
    its states; its output is its frozen state where the output is a state, else 0. All
    by selects, so that windows without flags give the same bits.

    Parameters
    ----------
    graph : Graph
        Without a backward part.
    """
    _check_forward(graph)
    b = Builder()

    def reset_state(node: Node, at: Sequence[int] = ()) -> int | None:
        if node.op != "state":
            return None
        initial = b.number(graph.states[node.attrs[0]].initial)
        return b("select", b.leaf("flag", Kind.ROW, 1, RESET), initial, b.append(node))

    at = rebuild(graph, b, reset_state)
    active = b.leaf("flag", Kind.ROW, 1, ACTIVE)
    new_states = []
    for k, state in enumerate(graph.states):
        leaf = Node("state", Kind.FULL, state.width, (), (k,))
        old = reset_state(leaf)
        assert old is not None
        new_states.append(b("select", active, at[state.new], old))
    for state, new in zip(graph.states, new_states, strict=True):
        if state.new == graph.output:
            return _finished(graph, b, new, new_states)
    output = b("select", active, at[graph.output], b.number(0.0))
    return _finished(graph, b, output, new_states)


def _check_forward(graph: Graph) -> None:
    if graph.has_backward:
        raise GraphError("masks and resets join a graph before it is differentiated")


def _finished(graph: Graph, b: Builder, output: int, new_states: list[int]) -> Graph:
    states = tuple(
        replace(state, new=new)
        for state, new in zip(graph.states, new_states, strict=True)
    )
    return replace(
        graph,
        nodes=tuple(b.nodes),
        n_forward=len(b.nodes),
        output=output,
        states=states,
    )
