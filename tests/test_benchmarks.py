# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks count, draw and print; that they time is not tested."""

import importlib
import json
import sys
from importlib.metadata import PackageNotFoundError
from typing import ClassVar

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN, Cell, sigmoid, tanh
from rnnkit.cli.main import main
from rnnkit.cli.shapes import SHAPES, Shape, shape_of
from rnnkit.cli.timing import Ratio, Task, in_turn
from rnnkit.cli.workload import Products, Tokens, Workload, network_of, uniform_tokens
from rnnkit.compiler import differentiate
from rnnkit.errors import ParameterError

TINY = Shape(L=2, E=3, H=17, V=65, B=1, T=5)
CELLS = {"rnn": (RNN(), 1), "lstm": (LSTM(), 4), "gru": (GRU(), 3)}


@pytest.fixture
def scripts(root, monkeypatch):
    """Import a module of benchmarks/ as its scripts do."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if not name.startswith("rnnkit"):
            del sys.modules[name]


def products_of(cell, shape):
    graphs = network_of(cell, shape).config.graphs
    return Products.of([differentiate(graph) for graph in graphs], shape.V)


# ----------------------------------------------------------------------------- products


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("shape", [TINY, *SHAPES.values()], ids=str)
def test_products_of_built_in_cells_are_those_of_the_papers(name, shape):
    cell, gates = CELLS[name]
    _, E, H, V = shape.L, shape.E, shape.H, shape.V
    # A gate has a product with what is below and one with h; then the output layer.
    per_position = gates * H * (E + H) + (shape.L - 1) * gates * H * 2 * H + V * H
    products = products_of(cell, shape)
    n = shape.n_tokens
    assert products.scoring_flops(n, n) == 2 * per_position * n
    # Backward makes two products for each of the forward pass.
    assert products.training_flops(n, n) == 6 * per_position * n


def test_a_word_that_is_projected_once_is_counted_once():
    products = products_of(LSTM(), TINY)
    gates, n, n_projected = 4 * TINY.H, 10, 3
    saved = gates * TINY.E * (n - n_projected)
    every, fewer = (products.scoring_flops(n, k) for k in (n, n_projected))
    assert every - fewer == 2 * saved
    every, fewer = (products.training_flops(n, k) for k in (n, n_projected))
    assert every - fewer == 6 * saved


def test_a_product_that_backward_does_not_need_is_not_counted():
    class Frozen(Cell):
        """Its state does not depend on x: no gradient reaches the embedding."""

        states = ("h",)

        def step(self, x, h):
            return tanh(self.linear("a", h))

    H = TINY.H
    products = products_of(Frozen(), Shape(L=1, E=3, H=H, V=65, B=1, T=5))
    assert (products.first_forward, products.first_backward) == (0, 0)
    assert products.forward == H * H + 65 * H
    assert products.backward == 2 * products.forward


def test_products_of_a_product_and_of_narrow_states_are_counted_by_their_weights():
    class Projected(Cell):
        """A state of 5 units beside one of H."""

        states = ("p", "h")
        widths: ClassVar = {"p": 5}

        def step(self, x, p, h):
            h = sigmoid(self.linear("a", x, p)) * h
            return self.linear("r", h, width=5, bias=False), h

    shape = Shape(L=1, E=3, H=17, V=65, B=1, T=5)
    products = products_of(Projected(), shape)
    assert products.first_forward == 17 * 3
    assert products.forward == 17 * 5 + 5 * 17 + 65 * 5


def test_a_graph_without_a_backward_part_counts_the_forward_pass_alone():
    graphs = network_of(RNN(), TINY).config.graphs
    products = Products.of(graphs, TINY.V)
    assert products.first_backward == 0
    assert products.backward == 2 * TINY.V * TINY.H  # of the output layer


# ----------------------------------------------------------------------- shapes, tokens


def test_shapes_are_found_by_name_and_by_their_sizes():
    assert shape_of("seed") == Shape(L=1, E=100, H=128, V=1000, B=64, T=100)
    for shape in SHAPES.values():
        assert shape_of(str(shape)) == shape
    assert shape_of("T5,b1,V65,H17,E3,L2") == TINY


@pytest.mark.parametrize(
    "text", ["", "sed", "L1", "L1,E1,H1,V1,B1,T0", "L1 E1 H1 V1 B1 Tx"]
)
def test_an_unknown_shape_is_an_error_that_names_the_known_ones(text):
    with pytest.raises(ParameterError, match="char512"):
        shape_of(text)


def test_a_target_is_the_next_token_of_its_row():
    tokens = Tokens.of("count", np.arange(1000), Shape(L=1, E=1, H=1, V=1000, B=3, T=7))
    assert tokens.ids.shape == tokens.targets.shape == (7, 3)
    assert tokens.ids.dtype == tokens.targets.dtype == np.int32
    np.testing.assert_array_equal(tokens.targets, tokens.ids + 1)
    np.testing.assert_array_equal(tokens.ids[0], [0, 8, 16])


@pytest.mark.parametrize("vocab_size", [1, 2, 65, 1000, 50_000])
def test_tokens_are_in_the_vocabulary_and_real_ones_repeat_the_frequent(
    scripts, vocab_size
):
    shape = Shape(L=1, E=1, H=1, V=vocab_size, B=17, T=65)
    uniform, real = uniform_tokens(shape), scripts("texts").real_tokens(shape)
    for tokens in (uniform, real):
        assert tokens.ids.min() >= 0 and tokens.targets.max() < vocab_size
    if vocab_size > 2:
        assert len(np.unique(real.ids)) < len(np.unique(uniform.ids))


def test_a_text_of_too_few_words_is_replaced_by_zipfs_law_and_says_so(scripts):
    real_tokens = scripts("texts").real_tokens
    sources = [
        real_tokens(Shape(L=1, E=1, H=1, V=V, B=1, T=1)).source
        for V in (65, 1000, 20_000)
    ]
    assert sources == ["pydoc characters", "pydoc words", "Zipf"]


# ----------------------------------------------------------------------- taking in turn


def test_tasks_are_measured_in_turn_and_warm_rounds_are_left_out(monkeypatch):
    monkeypatch.setattr("rnnkit.cli.timing.PAUSE", 0.0)
    order, times = [], iter(range(100))
    tasks = [
        Task("a", lambda: None, lambda: order.append("a"), lambda _: next(times)),
        Task("b", lambda: None, lambda: order.append("b"), lambda _: next(times)),
    ]
    found = in_turn(tasks, 3)
    assert order == ["a", "b"] * 5
    assert [list(found[name]) for name in "ab"] == [[4, 6, 8], [5, 7, 9]]


def test_a_sample_calls_once_to_warm_up_and_at_least_once_to_measure(monkeypatch):
    monkeypatch.setattr("rnnkit.cli.timing.PAUSE", 0.0)
    calls = []
    assert Task("a", lambda: calls.append(1)).measure(0.0) >= 0.0
    assert len(calls) == 2


def test_a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians():
    slower, faster = np.array([2.0, 30.0, 8.0]), np.array([1.0, 10.0, 2.0])
    ratio = Ratio.of(slower, faster)
    assert (ratio.low, ratio.median, ratio.high) == (2.5, 3.0, 3.5)
    assert str(ratio) == "3.00 [2.50-3.50]"


# --------------------------------------------------------------------------- the report


@pytest.fixture
def row(scripts):
    times = {
        "rnnkit": np.array([1.0, 1.0, 2.0]),
        "peer": np.array([3.0, 3.0, 4.0]),
        "peer, no spin": np.array([2.0, 2.0, 9.0]),
        "product": np.array([0.5, 0.5, 1.0]),
    }
    return scripts("report").Row("scoring", "seed", "gru", "uniform", times)


def test_a_peer_is_taken_at_its_best_setting(row):
    assert row.best(["peer", "peer, no spin"]) == "peer, no spin"


def test_a_ratio_that_misses_its_target_says_what_was_wanted(row):
    row.compare("peer", "peer", 3.5)
    row.compare("other", "peer, no spin", 2.0)
    assert row.columns == {
        "x peer": "3.00 [2.50-3.00] <3.5",
        "x other": "2.00 [2.00-3.25]",
    }


def test_a_share_compares_rates_of_work_within_a_round(row):
    row.share("share", 100, "product", 100, 0.75)
    assert row.columns == {"share": "50% <75%"}
    row.share("share", 100, "product", 50, 0.75)  # the ceiling did half of the work
    assert row.columns == {"share": "100%"}


def test_figures_are_written_whole_as_json(row, scripts, tmp_path):
    row.compare("peer", "peer")
    row.facts["flops"] = 7
    path = tmp_path / "figures.json"
    scripts("report").write_json(path, {"cpu": "one"}, [row])
    answer = json.loads(path.read_text())
    assert answer["machine"] == {"cpu": "one"}
    (record,) = answer["rows"]
    assert record["seconds"]["peer"] == [3.0, 3.0, 4.0]
    assert record["medians"]["peer, no spin"] == 2.0
    assert record["ratios"]["peer"] == {"low": 2.5, "median": 3.0, "high": 3.0}
    assert (record["shape"], record["cell"], record["flops"]) == ("seed", "gru", 7)


def test_a_table_aligns_numbers_to_the_right_and_marks_what_is_missing(scripts):
    table = scripts("report").table
    rows = [{"shape": "seed", "tok/s": "9"}, {"shape": "x", "tok/s": "10", "us": "1"}]
    assert table(rows) == (
        "shape  tok/s  us\n"
        "seed       9   -\n"
        "x         10   1"
    )  # fmt: skip


def test_all_targets_are_of_known_shapes_and_cells(scripts):
    targets = scripts("targets")
    for table in (targets.TRAINING, targets.ONE_TOKEN, targets.SHARE_OF_PRODUCT):
        assert set(table) <= set(SHAPES)
    for table in (targets.TRAINING, targets.ONE_TOKEN):
        assert all(set(row) <= set(CELLS) for row in table.values())


def test_every_part_has_a_file_and_a_line_in_the_readme(scripts, root):
    readme = (root / "benchmarks" / "README.md").read_text("utf-8")
    for part in scripts("run").PARTS:
        assert (root / "benchmarks" / f"{part}.py").exists()
        assert f"| `{part}` |" in readme


def test_a_package_is_as_large_as_its_files_and_those_of_its_needs(scripts):
    start = scripts("start")
    assert "numpy" in start.with_dependencies("scikit-learn")
    assert start.installed_mb("scikit-learn") > start.installed_mb("numpy") > 1
    with pytest.raises(PackageNotFoundError):
        start.installed_mb("rnnkit-is-not-called-so")


# ------------------------------------------------------------------------------ at work


def test_the_workload_trains_scores_and_predicts():
    work = Workload(LSTM(), TINY, n_threads=1)
    first = work.train_step()
    assert abs(first - np.log(TINY.V)) < 0.1  # as good as chance
    assert work.train_step() < first
    loss, gradients = work.gradients()
    assert np.isclose(-work.score(), loss, rtol=1e-6)  # float32: rounding of the sum
    assert gradients["embedding.weight"].shape == (TINY.V, TINY.E)
    rows = [work.next_token() for _ in range(2)]
    assert np.isclose(np.exp(rows[0]).sum(), 1.0, rtol=1e-5)
    assert not np.array_equal(*rows)  # the state was carried


def test_the_command_prints_a_table_or_json(capsys, monkeypatch):
    monkeypatch.setattr("rnnkit.cli.timing.LargeProduct.SIZE", 32)
    monkeypatch.setattr("rnnkit.cli.timing.PAUSE", 0.0)
    tiny = [str(TINY).replace(" ", ","), "--rounds", "1", "--n-threads", "1"]
    assert main(["bench", *tiny, "--cell", "gru", "--cell", "rnn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu")
    assert [line.split()[1] for line in lines[-2:]] == ["gru", "rnn"]
    assert main(["bench", *tiny, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["machine"]["threads"] == "1"
    assert answer["rows"][0]["training"]["tokens_per_second"] > 0


def test_the_command_refuses_what_it_does_not_know(capsys):
    assert main(["bench", "nothing"]) == 2
    assert "known: seed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bench", "--rounds", "0"])
