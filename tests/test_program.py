# SPDX-License-Identifier: BSD-3-Clause
"""Lowering: what stands in a program, and which words are refused."""

import numpy as np
import pytest
from test_cells_zoo import Reordered

from rnnkit import core
from rnnkit.cells import GRU, LSTM, RNN, Cell, sigmoid, tanh
from rnnkit.compiler import differentiate, trace, with_masks, with_resets


class MinGRU(Cell):
    """A cell without a product of its state."""

    states = ("h",)

    def step(self, x, h):
        z, v = self.linear("zv", x)
        z = sigmoid(z)
        return (1 - z) * h + z * v


class Untouched(Cell):
    """A cell whose second state never changes and whose output ignores it."""

    states = ("h", "d")

    def step(self, x, h, d):
        return tanh(self.linear("a", x, h)), d


def words_of(graph):
    return np.ascontiguousarray(graph.to_words(), dtype=np.int32)


def program_of(cell, *, dtype="float32", training=True):
    graph = trace(cell, 5, 8)
    return core.Program(words_of(differentiate(graph) if training else graph), dtype)


def phase(program, name):
    """The lines of one phase of a printed program."""
    lines, inside = [], False
    for line in str(program).splitlines():
        if not line.startswith(" "):
            inside = line == f"{name}:"
        elif inside:
            lines.append(line.strip())
    return lines


def test_products_of_the_input_stand_before_the_loop():
    lines = phase(program_of(LSTM()), "forward, before the loop")
    assert lines[0].startswith("product")
    assert sum(" x" in line for line in lines) == 4


def test_the_loop_goes_on_from_the_sums_of_the_input():
    lines = phase(program_of(LSTM()), "forward, at each step")
    assert sum("+=" in line and "s0" in line for line in lines) == 4


def test_weight_gradients_stand_after_the_loop():
    lines = phase(program_of(GRU()), "backward, after the loop")
    gradients = [line for line in lines if line.startswith("dp")]
    assert len(gradients) == 6
    assert not any(
        "dp" in line for line in phase(program_of(GRU()), "backward, at each step")
    )


def test_an_lstm_step_is_one_product_and_one_vector_program():
    lines = phase(program_of(LSTM()), "forward, at each step")
    assert sum(line.startswith(("product", "vector", "row")) for line in lines) == 2


def test_a_cell_without_a_product_of_its_state_has_none_in_its_loop():
    assert not program_of(MinGRU()).has_loop_product
    assert program_of(RNN()).has_loop_product
    for name in ("forward, at each step", "backward, at each step"):
        lines = phase(program_of(MinGRU()), name)
        assert not any(line.startswith(("product", "row")) for line in lines)


def test_dropout_is_drawn_again_in_the_backward_part_instead_of_stored():
    graph = differentiate(with_masks(trace(RNN(), 5, 8), {"input": 0.5, "output": 0.5}))
    text = str(core.Program(words_of(graph), "float32"))
    assert text.count("= mask") == 4


def test_an_inference_program_has_no_backward_phase():
    program = program_of(LSTM(), training=False)
    assert not program.can_train
    assert "backward" not in str(program)


def test_a_program_tells_its_shape():
    program = program_of(LSTM())
    assert program.can_train
    assert program.state_widths == [8, 8]
    assert program.parameter_shapes == [(32, 5), (32, 8), (32,), (32,)]
    flagged = core.Program(words_of(with_resets(trace(LSTM(), 5, 8))), "float64")
    assert flagged.reads_flags
    assert not program.reads_flags


def test_a_state_that_stays_as_it_is_lowers():
    assert "s1'" in str(program_of(Untouched()))


BOUNDARIES = [-(2**31), -2, -1, 0, 1, 2, 63, 4095, 2**14 + 1, 2**22 + 1, 2**31 - 1]


@pytest.mark.parametrize(
    "cell", [LSTM(), MinGRU(), Reordered()], ids=["lstm", "mingru", "reordered"]
)
def test_every_altered_word_is_refused_or_still_makes_a_program(cell):
    words = words_of(differentiate(with_resets(trace(cell, 5, 8))))
    refused = 0
    for at in range(len(words)):
        for value in BOUNDARIES:
            altered = words.copy()
            altered[at] = value
            try:
                str(core.Program(altered, "float32"))
            except ValueError as error:
                assert "graph" in str(error)
                refused += 1
    assert refused > 5 * len(words)


def test_every_truncation_is_refused():
    words = words_of(differentiate(trace(LSTM(), 5, 8)))
    for n in range(len(words)):
        with pytest.raises(ValueError, match="graph"):
            core.Program(words[:n], "float32")
    with pytest.raises(ValueError, match="words too many"):
        core.Program(np.append(words, np.int32(0)), "float32")


def test_random_words_are_refused():
    rng = np.random.default_rng(0)
    for n in (1, 7, 40, 1000):
        for _ in range(200):
            words = rng.integers(-3, 60, n).astype(np.int32)
            words[0] = 1
            with pytest.raises(ValueError, match="graph"):
                core.Program(words, "float32")


def test_a_long_chain_of_cheap_values_does_not_exhaust_the_stack():
    class Chain(Cell):
        states = ("h",)

        def step(self, x, h):
            y = self.linear("a", x, h)
            for _ in range(2000):
                y = y + h
            return tanh(y)

    assert program_of(Chain()).can_train
