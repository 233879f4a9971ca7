# SPDX-License-Identifier: BSD-3-Clause
"""Variants of a graph for running: zoneout, dropout masks, resets, ends of rows.

They stand between trace and differentiate, in this order; the stored graph has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnkit.compiler.builder import Builder, rebuild
from rnnkit.compiler.graph import (
    Graph,
    Kind,
    Node,
    State,
    linear_parts,
    words_of_float,
)
from rnnkit.errors import GraphError

# Numbers never change: a mask is a function of its site's number.
SITES = {"input": 0, "output": 1, "state": 2}  # of the first state; then the others
ZONEOUT_SITE = 64  # likewise; a cell of more than 62 states has masks that are alike
RESET, ACTIVE = 0, 1


def with_zoneout(
    graph: Graph, rates: Mapping[str, float], first_site: int | None = None
) -> Graph:
    """The graph whose states keep old values (Krueger et al., 2017).

    Parameters
    ----------
    graph : Graph
        Without a backward part.
    rates : mapping of str to float
        By state, in [0, 1): how often a unit keeps its value.
    first_site : int, optional
        Draw which units keep theirs, at each step anew, with masks whose sites are
        numbered from here. None: each unit takes its expectation.

    Returns
    -------
    Graph
        Its output is what becomes of a state where it was one.

    Raises
    ------
    ValueError
        For unknown states, rates out of range, and states that begin at infinity,
        which would stay there.
    """
    _check_forward(graph)
    for name, rate in rates.items():
        _check_zoneout(graph, name, rate)
    b, new_states = Builder(graph.nodes), [state.new for state in graph.states]
    for k, state in enumerate(graph.states):
        rate = rates.get(state.name, 0.0)
        if not rate:
            continue
        new, old = state.new, b.leaf("state", Kind.FULL, state.width, k)
        if first_site is None:
            kept = b("mul", b.number(rate), old)
            new_states[k] = b("add", kept, b("mul", b.number(1 - rate), new))
        else:
            attrs = (first_site + ZONEOUT_SITE + k, 0, *words_of_float(rate))
            mask = b.leaf("mask", Kind.FULL, state.width, *attrs)
            new_states[k] = b("select", mask, new, old)
    which = _output_state(graph)
    output = graph.output if which is None else new_states[which]
    return _finished(graph, b, output, new_states)


def _check_zoneout(graph: Graph, name: str, rate: float) -> None:
    states = {state.name: state for state in graph.states}
    if name not in states:
        raise ValueError(
            f"the cell has no state {name!r}; its states: {', '.join(states)}"
        )
    if not 0 <= rate < 1:
        raise ValueError(f"the rate of state {name!r} is {rate!r}; allowed: [0, 1)")
    if rate and not math.isfinite(states[name].initial):
        raise ValueError(
            f"state {name!r} begins at {states[name].initial}, where zoneout would "
            "keep it; name the states that take part, as in zoneout={'h': 0.1}"
        )


def with_output_state(graph: Graph) -> tuple[Graph, int]:
    """The graph with its output among the states, and which of them it is.

    An output that is none becomes one more, 0 at first, which the step does not read.

    Parameters
    ----------
    graph : Graph
        Without a backward part, before masks.
    """
    _check_forward(graph)
    b, states, k = Builder(graph.nodes), graph.states, _output_state(graph)
    if k is None:
        k = len(states)
        states = (*states, State("output", graph.output_width, 0.0, graph.output))
    b.leaf("state", Kind.FULL, states[k].width, k)
    graph = replace(graph, states=states)
    return _finished(graph, b, graph.output, [state.new for state in states]), k


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


def recurrent_weights(graph: Graph) -> set[int]:
    """The parameters, by index, that a product applies to a state or a part of one."""
    nodes, found = graph.nodes[: graph.n_forward], set()
    for node in nodes:
        if node.op != "linear":
            continue
        for arg, (weight, _) in zip(node.args, linear_parts(node)[1], strict=True):
            while nodes[arg].op == "part":
                (arg,) = nodes[arg].args
            if nodes[arg].op == "state":
                found.add(weight)
    return found


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
    which = _output_state(graph)
    if which is not None:
        return _finished(graph, b, new_states[which], new_states)
    output = b("select", active, at[graph.output], b.number(0.0))
    return _finished(graph, b, output, new_states)


def _output_state(graph: Graph) -> int | None:
    """Which state the output is, the first one; None where it is none."""
    new = [state.new for state in graph.states]
    return new.index(graph.output) if graph.output in new else None


def _check_forward(graph: Graph) -> None:
    if graph.has_backward:
        raise GraphError("variants are made of a graph before it is differentiated")


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
