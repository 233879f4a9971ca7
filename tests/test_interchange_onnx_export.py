# SPDX-License-Identifier: BSD-3-Clause
"""Models written as ONNX, run by ONNX Runtime, against the core."""

import importlib
import json
import math
import sys

import numpy as np
import pytest

import rnnkit
from rnnkit import cells, plugins
from rnnkit.cells import RNN, Cell
from rnnkit.cli.main import main
from rnnkit.compiler import trace
from rnnkit.compiler.ops import OPS
from rnnkit.errors import ConversionError, MissingPackageError
from rnnkit.interchange import onnx_export
from rnnkit.interchange.onnx_export import export_onnx, initial_states
from rnnkit.interchange.running import log_softmax, run
from rnnkit.model import Head, Network, NetworkConfig
from rnnkit.runtime import LanguageModel, save
from rnnkit.runtime.encoder import IdEncoder

onnx = pytest.importorskip("onnx", reason="exports to ONNX need the package onnx")
runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime runs the exports")

PLUGINS = {
    "rnnkit_lstm_variants": ("CIFG", "Peephole", "MultiplicativeLSTM", "CappedLSTM"),
    "rnnkit_minimal_cells": ("IndRNN", "MinLSTM", "SRU"),
    "rnnkit_deep_cells": ("Mogrifier", "RecurrentHighway"),
    "rnnkit_xlstm": ("SLSTM",),
}
NAMES = [*plugins.BUILT_IN["cell"], *(f"{m}:{c}" for m in PLUGINS for c in PLUGINS[m])]
STANDARD = {
    "rnn": "RNN",
    "irnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_reset_before": "GRU",
    "rnnkit_lstm_variants:Peephole": "LSTM",
}


class EveryPrimitive(Cell):
    """No network, but each primitive of a forward graph."""

    states = ("h", "m")

    def step(self, x, h, m):
        a, b, c = self.linear("abc", x, h)
        v = self.vector("v")
        a = cells.relu(a) + cells.abs(b) + cells.sqrt(cells.exp(c)) - v
        b = cells.minimum(a, b) / (1 + cells.softplus(b)) + cells.logsigmoid(-a)
        c = cells.maximum(cells.log(1 + cells.abs(c)), cells.tanh(a))
        d = cells.select(a > b, a, cells.select(b >= c, b, cells.select(a == b, a, c)))
        d = d * cells.sum(b) / 9 - cells.max(c) + cells.stop_gradient(cells.sigmoid(a))
        first, rest = cells.split(d, 2)
        return cells.tanh(cells.concat(rest, first + cells.split(m, 2)[0])), cells.mean(
            d
        )


def made(name):
    """A cell by its name, or of a package in plugins/."""
    module, _, cls = name.partition(":")
    if not cls:
        return plugins.make_cell(name)
    return getattr(importlib.import_module(module), cls)()


@pytest.fixture(autouse=True)
def packages(root, monkeypatch):
    """Packages in plugins/ can be imported."""
    for package in (root / "plugins").glob("rnnkit-*"):
        monkeypatch.syspath_prepend(str(package))


def model_of(cell, *, layers=2, dtype="float32", tie_weights=False, **settings):
    graphs = []
    for _ in range(layers):
        graphs.append(trace(cell, graphs[-1].output_width if graphs else 6, 6))
    config = NetworkConfig(11, 6, tuple(graphs), tie_weights, dtype, **settings)
    rng = np.random.default_rng(0)
    values = Network(config).initial_values(rng)
    values = {n: v + rng.normal(0, 0.2, v.shape) for n, v in values.items()}
    return LanguageModel.from_values(config, values, IdEncoder(10))


def exported(model, folder):
    """The path of a model's file, and a session of it."""
    path = folder / "model.onnx"
    export_onnx(model, path)
    providers = ["CPUExecutionProvider"]
    return path, runtime.InferenceSession(str(path), providers=providers)


def assert_same_over_windows(model, session, tolerance):
    names = [i.name for i in session.get_inputs()]
    assert names[0] == "ids"
    assert [o.name for o in session.get_outputs()] == [
        "logits",
        *(f"{name}_out" for name in names[1:]),
    ]
    rng = np.random.default_rng(1)
    for n_rows in (1, 7):
        mine = theirs = initial_states(model, n_rows)
        for n_steps in (4, 1, 6):
            ids = rng.integers(0, 11, (n_steps, n_rows))
            expected, mine = run(model, ids, mine)
            feed = dict(zip(names, [ids.T, *theirs], strict=True))
            logits, *theirs = session.run(None, feed)
            assert logits.shape == (n_rows, n_steps, 11)
            found = log_softmax(logits).transpose(1, 0, 2)
            np.testing.assert_allclose(found, expected, tolerance, tolerance)
            for its, state in zip(theirs, mine, strict=True):
                np.testing.assert_allclose(its, state, tolerance, tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_each_cell_computes_the_same_there_over_windows(name, tmp_path):
    model = model_of(made(name))
    path, session = exported(model, tmp_path)
    assert_same_over_windows(model, session, 1e-5)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert STANDARD.get(name, "Scan") in operators
    assert len(operators & {"Scan", "RNN", "GRU", "LSTM"}) == 1


def test_a_layer_of_rectified_units_becomes_an_operator(tmp_path):
    model = model_of(RNN("relu"))
    assert_same_over_windows(model, exported(model, tmp_path)[1], 1e-5)


@pytest.mark.parametrize("name", ["lstm", "rnnkit_xlstm:SLSTM"])
def test_double_precision_is_kept(name, tmp_path):
    model = model_of(made(name), dtype="float64")
    _, session = exported(model, tmp_path)
    assert session.get_outputs()[0].type == "tensor(double)"
    assert_same_over_windows(model, session, 1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_primitive_has_a_form_there(dtype, tmp_path):
    model = model_of(EveryPrimitive(), dtype=dtype)
    used = {node.op for graph in model.network.config.graphs for node in graph.nodes}
    derived = {"flag", "mask", "muladd"}  # that no step has before it is compiled
    assert used == {n for n, op in OPS.items() if not op.backward} - derived
    _, session = exported(model, tmp_path)
    assert_same_over_windows(model, session, 1e-5)


@pytest.mark.parametrize(
    "head", [Head("adaptive", (3, 7), 2.0), Head("sampled"), Head("adaptive", ())]
)
def test_heads_of_large_vocabularies_predict_all_tokens(head, tmp_path):
    model = model_of(cells.GRU(), head=head)
    assert_same_over_windows(model, exported(model, tmp_path)[1], 1e-5)


def test_tied_weights_are_stored_once(tmp_path):
    model = model_of(cells.LSTM(), tie_weights=True)
    path, session = exported(model, tmp_path)
    assert_same_over_windows(model, session, 1e-5)
    shapes = [list(tensor.dims) for tensor in onnx.load(path).graph.initializer]
    assert shapes.count([11, 6]) == 1


def test_a_projection_and_zoneout_are_parts_of_the_model(tmp_path):
    """The first is a layer without states, the second an expectation in the step."""
    zoneout = (("c", 0.3), ("h", 0.2))
    for settings in ({"projection": True}, {"zoneout": zoneout, "projection": True}):
        model = model_of(cells.LSTM(), **settings)
        assert_same_over_windows(model, exported(model, tmp_path)[1], 1e-5)


def test_the_vocabulary_stands_beside_the_model(tmp_path, capsys):
    lm = rnnkit.RNNLanguageModel("gru", hidden_size=4, max_iter=1, random_state=0)
    lm.fit(["the cat sat", "the dog sat"] * 3)
    lm.save(tmp_path / "pets.rnn")
    target = tmp_path / "pets.onnx"
    assert main(["export", str(tmp_path / "pets.rnn"), "--onnx", str(target)]) == 0
    assert capsys.readouterr().out.split() == [
        "model", str(target), "vocabulary", str(tmp_path / "pets.json"),
    ]  # fmt: skip
    facts = json.loads((tmp_path / "pets.json").read_text("utf-8"))
    assert facts["vocabulary"] == lm.vocabulary_
    assert facts["vocabulary"][facts["end_id"]] == "<eos>"
    assert facts["tokenizer"]["name"] == "word"
    assert facts["initial_states"] == {"h_l0": 0.0}
    first = target.read_bytes()
    lm.to_onnx(target)
    assert target.read_bytes() == first


def test_a_first_state_without_a_number_is_a_word(tmp_path):
    model = model_of(made("rnnkit_xlstm:SLSTM"), layers=1)
    path, _ = exported(model, tmp_path)
    facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert float(facts["initial_states"]["m_l0"]) == -math.inf
    assert facts["vocabulary"] is None


def test_a_difference_is_an_error_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_export.GATES, "LSTM", "iogf")
    with pytest.raises(ConversionError, match="logits differs by up to"):
        export_onnx(model_of(cells.LSTM()), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingPackageError, match=rf"{name}: pip install 'rnnkit\[onnx"
    ):
        export_onnx(model_of(cells.LSTM()), tmp_path / "model.onnx")


def test_what_is_too_large_for_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "MAX_BYTES", 1000)
    with pytest.raises(ConversionError, match="the weights take 3,"):
        export_onnx(model_of(cells.LSTM()), tmp_path / "model.onnx")


def test_the_command_must_say_into_what(tmp_path, capsys):
    save(model_of(cells.GRU()), tmp_path / "a.rnn")
    assert main(["export", str(tmp_path / "a.rnn")]) == 2
    assert "--onnx FILE" in capsys.readouterr().err
