# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""Graphs as words and as JSON: there and back, and whatever may be wrong with them."""

import json
import math
import pickle

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN, Cell, concat, mean, split, tanh
from rnnkit.compiler import Graph, differentiate, trace, with_masks, with_resets
from rnnkit.compiler.words import from_words
from rnnkit.core import Program
from rnnkit.errors import GraphError


class Varied(Cell):
    """One of each: vector, reduction, constants, unequal widths, limits."""

    states = ("h", "m")
    widths = {"m": 2}
    initial = {"m": -math.inf}
    initialisers = {"v": ("uniform", 0.3), "weight_hh": "identity"}
    limits = {"v": (-0.1, math.inf)}
    weight_decay = {"v": True}

    def step(self, x, h, m):
        a, b = self.linear("ab", x, h)
        v, w = self.vector("v", blocks=2)
        h = tanh(a * v + w) - mean(b) * 0.1
        return h, self.linear("m", h, width=2)


class Reordered(Cell):
    """Units taken apart and put together."""

    states = ("h",)

    def step(self, x, h):
        a, b = split(self.linear("h", x, concat(h, x)), (2, 3))
        return concat(tanh(b), a)


CELLS = [RNN(), LSTM(), GRU(), Varied(), Reordered()]


def variants(cell):
    plain = trace(cell, 3, 5)
    masked = with_masks(plain, {"input": 0.1, "output": 0.3}, per_sequence=True)
    return [
        plain,
        differentiate(plain),
        with_resets(plain),
        differentiate(with_resets(masked)),
    ]


def nameless(graph):
    """What words say of a graph."""
    return (
        [(p.is_weight, p.blocks, p.width, p.columns) for p in graph.parameters],
        [(s.width, s.initial, s.new) for s in graph.states],
        graph.nodes,
        graph.output,
        graph.n_forward,
        graph.input_gradient,
        graph.state_gradients,
    )


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_words_and_back_give_the_same_graph(cell):
    for graph in variants(cell):
        words = graph.to_words()
        assert words.dtype == np.int32
        back = from_words(words)
        assert nameless(back) == nameless(graph)
        np.testing.assert_array_equal(back.to_words(), words)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_json_and_back_give_an_equal_graph(cell):
    graph = trace(cell, 3, 5)
    words, text = graph.to_words(), graph.to_json()
    assert Graph.from_json(words, text) == graph
    assert Graph.from_json(words.tolist(), text.encode()) == graph


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_graphs_survive_pickle(cell):
    for graph in variants(cell):
        assert pickle.loads(pickle.dumps(graph)) == graph


def test_json_holds_all_numbers_exactly_and_no_infinity():
    text = trace(Varied(), 3, 5).to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_a_graph_from_json_can_be_differentiated_and_run():
    graph = trace(GRU(), 3, 5)
    twin = Graph.from_json(graph.to_words(), graph.to_json())
    graph = differentiate(with_resets(twin))
    assert Program(graph.to_words(), "float64").can_train


@pytest.mark.parametrize("index", [1, 2, 3])
def test_only_plain_graphs_are_stored(index):
    with pytest.raises(GraphError, match="a stored graph has no"):
        variants(LSTM())[index].to_json()


# ------------------------------------------------------------------------ wrong words


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_every_truncation_is_refused(cell):
    words = variants(cell)[-1].to_words()
    for length in range(len(words)):
        with pytest.raises(GraphError):
            from_words(words[:length])


def test_words_too_many_are_refused():
    words = trace(RNN(), 2, 3).to_words()
    with pytest.raises(GraphError, match="1 words too many"):
        from_words([*words, 0])


def accepted(read):
    """Whether a reader takes what it is given, refusing by a ValueError if not."""
    try:
        read()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("cell", [RNN(), Varied()], ids=repr)
def test_any_changed_word_is_refused_or_understood_here_and_in_the_core(cell):
    words = variants(cell)[-1].to_words()
    values = [-(2**31), -1, 0, 1, 2, 7, 33, 51, 2**20]
    for at in range(len(words)):
        for value in values:
            changed = words.copy()
            changed[at] = value
            if accepted(lambda words=changed: from_words(words)):
                assert accepted(lambda words=changed: Program(words, "float64"))


def test_random_words_are_refused():
    rng = np.random.default_rng(0)
    words = variants(LSTM())[-1].to_words()
    for _ in range(500):
        changed = words.copy()
        at = rng.integers(len(words), size=rng.integers(1, 9))
        changed[at] = rng.integers(-5, 60, size=len(at))
        accepted(lambda words=changed: from_words(words))


def node(*words):
    return list(words)


INPUT, STATE, BIAS = node(0, 2, 0, 0), node(1, 3, 0, 1, 0), node(2, 3, 0, 2, 0, 0)
ONE = node(3, 1, 0, 2, 0, 1072693248)
PARAMETERS = [[0, 1, 3, 1], [1, 2, 3, 2], [1, 1, 3, 3]]


def graph_of(nodes, *, forward=None, output=1, new=1, tail=()):
    """Words of a graph with input 2, one state of width 3, a vector and two weights."""
    n = len(nodes)
    words = [1, len(PARAMETERS), 1, 2, n, n if forward is None else forward, output]
    for parameter in PARAMETERS:
        words += parameter
    words += [3, 0, 0, new]
    return [*words, *(word for entry in nodes for word in entry), *tail]


WRONG = [
    ([INPUT, STATE, [31, 3, 0, 0]], {}, "unknown operation 31"),
    ([INPUT, STATE, [57, 3, 2, 1, 1, 0]], {}, "unknown operation 57"),
    ([[0, 3, 0, 0], STATE], {}, "says width 3, needs 2"),
    ([INPUT, [1, 3, 0, 1, 1]], {}, "there is no state 1"),
    ([INPUT, [1, 3, 0, 0]], {}, "has 0 attributes, needs 1"),
    ([INPUT, STATE, [32, 3, 2, 1, 2, 0]], {}, "is not an earlier value"),
    ([INPUT, STATE, [32, 3, 2, 1, -1, 0]], {}, "is not an earlier value"),
    ([INPUT, STATE, [32, 3, 1, 1, 0]], {}, "has 1 arguments, needs 2"),
    ([INPUT, STATE, [32, 3, 2, 0, 1, 0]], {}, "mixes widths 2 and 3"),
    ([INPUT, STATE, [46, 2, 1, 1, 0]], {}, "says width 2, needs 3"),
    ([INPUT, STATE, ONE, [46, 1, 1, 2, 0]], {}, "constants must be folded"),
    ([INPUT, STATE, [2, 3, 0, 2, 3, 0]], {}, "there is no parameter 3"),
    ([INPUT, STATE, [2, 3, 0, 2, 1, 0]], {}, "a vector for a weight"),
    ([INPUT, STATE, [2, 3, 0, 2, 0, 1]], {}, "has no block 1"),
    ([INPUT, STATE, [2, 2, 0, 2, 0, 0]], {}, "says width 2, needs 3"),
    ([INPUT, STATE, [4, 1, 0, 1, 2]], {}, "there is no flag 2"),
    ([INPUT, STATE, [5, 3, 0, 4, 0, 0, 0, 1072693248]], {}, "rate must be in"),
    ([INPUT, STATE, [5, 3, 0, 4, 0, 2, 0, 0]], {}, "bad site"),
    ([INPUT, STATE, [5, 3, 0, 4, -1, 0, 0, 0]], {}, "bad site"),
    ([INPUT, STATE, [5, 0, 0, 4, 0, 0, 0, 0]], {}, "says width 0"),
    ([INPUT, STATE, [8, 3, 1, 0, 3, 0, 1, 2]], {}, "has no block 2"),
    ([INPUT, STATE, [8, 3, 1, 1, 3, 0, 1, 1]], {}, "is not rows x 2"),
    ([INPUT, STATE, [8, 3, 1, 0, 1, 0]], {}, "counts do not match"),
    ([INPUT, STATE, [8, 3, 1, 0, 0]], {}, "counts do not match"),
    ([INPUT, STATE, [8, 3, 0, 3, 0, 1, 1]], {}, "counts do not match"),
    ([INPUT, STATE, [8, 3, 1, 0, 3, -1, 1, 1]], {}, "counts do not match"),
    ([INPUT, STATE, BIAS, [8, 3, 1, 2, 3, 0, 2, 0]], {}, "is not rows x 3"),
    ([INPUT, STATE, BIAS, [10, 1, 1, 2, 0]], {}, "is not rows x 3"),
    ([INPUT, STATE, [10, 3, 1, 1, 0]], {}, "says width 3, needs 1"),
    ([INPUT, STATE, [15, 2, 1, 1, 0]], {}, "says width 2, needs 3"),
    ([INPUT, STATE, [12, 3, 1, 1, 0]], {}, "belongs to a backward part"),
    ([INPUT, STATE, [53, 3, 2, 1, 1, 0]], {}, "belongs to a backward part"),
    ([INPUT, STATE, [16, 2, 1, 1, 1, 2]], {}, "takes 2 units from 2 on of 3"),
    ([INPUT, STATE, [16, 2, 1, 1, 1, -1]], {}, "takes 2 units from -1 on of 3"),
    ([INPUT, STATE, [16, 2, 1, 1, 0]], {}, "has 0 attributes, needs 1"),
    ([INPUT, STATE, BIAS, [16, 2, 1, 2, 1, 0]], {}, "is not rows x 3"),
    ([INPUT, STATE, [17, 3, 0, 0]], {}, "joins nothing"),
    ([INPUT, STATE, [17, 3, 2, 0, 1, 0]], {}, "says width 3, needs 5"),
    ([INPUT, STATE, BIAS, [17, 6, 2, 1, 2, 0]], {}, "is not rows x 3"),
    ([INPUT, STATE, STATE], {}, "two nodes are equal"),
    ([INPUT, STATE], {"new": 0}, "new state state_0 has width 2, needs 3"),
    ([INPUT, STATE], {"new": 2}, "new-state node is 2"),
    ([INPUT, STATE], {"output": 2}, "output node is 2"),
    ([INPUT, STATE], {"forward": 3}, "number of forward nodes is 3"),
    (
        [INPUT, STATE, [7, 3, 0, 1, 0]],
        {"forward": 2, "tail": [2, 2]},
        "gradient of x has width 3",
    ),
    (
        [INPUT, STATE, [6, 3, 0, 0], [13, 0, 2, 2, 0, 2, 2, 0]],
        {"forward": 2, "tail": [-1, -1]},
        "is not rows x 3",
    ),
    (
        [INPUT, STATE, [6, 3, 0, 0], [14, 0, 1, 2, 2, 0, 0]],
        {"forward": 2, "tail": [-1, -1]},
        "no vector of this width",
    ),
    (
        [INPUT, STATE, [6, 3, 0, 0], [13, 0, 2, 2, 1, 2, 2, 0], [46, 3, 1, 3, 0]],
        {"forward": 2, "tail": [-1, -1]},
        "argument 3 is not an earlier value",
    ),
]


@pytest.mark.parametrize(("nodes", "rest", "message"), WRONG)
def test_each_rule_names_the_node_that_breaks_it(nodes, rest, message):
    words = graph_of(nodes, **rest)
    with pytest.raises(GraphError) as caught:
        from_words(words)
    assert message in str(caught.value)


def test_the_graph_that_the_rules_are_tried_on_is_itself_right():
    from_words(graph_of([INPUT, STATE]))
    sink = [13, 0, 2, 2, 1, 2, 2, 0]
    nodes = [INPUT, STATE, [6, 3, 0, 0], sink]
    from_words(graph_of(nodes, forward=2, tail=[-1, -1]))


# ------------------------------------------------------------------------- wrong JSON


WORDS = trace(Varied(), 3, 5).to_words()


def stored():
    return json.loads(trace(Varied(), 3, 5).to_json())


def without(key):
    def change(content):
        del content[key]

    return change


def setting(*path_and_value):
    *path, last, value = path_and_value

    def change(content):
        for key in path:
            content = content[key]
        content[last] = value

    return change


WRONG_JSON = [
    (without("states"), "it must have parameters, states"),
    (setting("extra", 1), "it must have parameters, states"),
    (setting("states", ["h"]), "states are no list of 2"),
    (setting("states", {"h": 1, "m": 2}), "states are no list of 2"),
    (setting("states", ["h", "h"]), "states have a name twice"),
    (setting("states", ["h", 1]), "1 is no name"),
    (setting("states", ["h", ""]), "'' is no name"),
    (setting("states", ["h", "../m"]), "is no name"),
    (setting("states", ["h", "m" * 101]), "is no name"),
    (setting("parameters", []), "parameters are no list"),
    (setting("parameters", 0, None), "a parameter must have"),
    (setting("parameters", 0, "more", 1), "a parameter must have"),
    (setting("parameters", 0, "name", "weight_hh"), "parameters have a name twice"),
    (setting("parameters", 0, "name", "weight ih"), "is no name"),
    (setting("parameters", 0, "name", None), "None is no name"),
    (setting("parameters", 0, "blocks", ["a"]), "blocks of weight_ih are no list of 2"),
    (setting("parameters", 0, "blocks", ["a", "a"]), "have a name twice"),
    (setting("parameters", 0, "decay", 1), "decay is 1"),
    (setting("parameters", 0, "initialisers", [["zeros", 0]]), "no list of 2"),
    (setting("parameters", 0, "initialisers", 0, ["lecun", 1]), "unknown initialiser"),
    (setting("parameters", 0, "initialisers", 0, "zeros"), "unknown initialiser"),
    (setting("parameters", 0, "initialisers", 0, ["zeros", "0"]), "unknown initiali"),
    (setting("parameters", 0, "initialisers", 0, ["normal", -1]), "is negative"),
    (setting("parameters", 2, "initialisers", 0, ["identity", 1]), "is for weights"),
    (
        setting("parameters", 0, "initialisers", 0, ["constant", math.nan]),
        "unknown initialiser",
    ),
    (
        setting("parameters", 0, "initialisers", 0, ["constant", 10**400]),
        "unknown initialiser",
    ),
    (setting("parameters", 0, "limits", [1, 0]), "limits are [1, 0]"),
    (setting("parameters", 0, "limits", [1]), "limits are [1]"),
    (setting("parameters", 0, "limits", ["a", "b"]), "limits are ['a', 'b']"),
    (setting("parameters", 0, "limits", [math.nan, 1]), "limits are [nan, 1]"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_JSON)
def test_wrong_json_is_refused_with_the_reason(change, message):
    content = stored()
    change(content)
    with pytest.raises(GraphError) as caught:
        Graph.from_json(WORDS, json.dumps(content))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", b"\xff\xfe\x00", "[" * 100_000, '"' * 3]
)
def test_what_is_no_graph_in_json_is_refused(text):
    with pytest.raises(GraphError):
        Graph.from_json(WORDS, text)


def test_every_truncation_of_json_is_refused():
    text = trace(Varied(), 3, 5).to_json()
    for length in range(len(text)):
        with pytest.raises(GraphError):
            Graph.from_json(WORDS, text[:length])


def test_a_stored_graph_with_flags_or_a_backward_part_is_refused():
    text = trace(Varied(), 3, 5).to_json()
    for graph in variants(Varied())[1:]:
        with pytest.raises(GraphError, match="a stored graph has no"):
            Graph.from_json(graph.to_words(), text)
