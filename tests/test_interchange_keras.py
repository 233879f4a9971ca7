# SPDX-License-Identifier: BSD-3-Clause
"""Keras's weights against what Keras computed from them (record_keras.py)."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rnnkit
from rnnkit.errors import ConversionError, MissingPackageError
from rnnkit.interchange import keras
from rnnkit.interchange.keras import read_keras
from rnnkit.interchange.running import log_softmax, run

DATA = Path(__file__).parent / "data"
SAID = {  # what the weights alone do not say
    "rnn": {"activation": "tanh"},
    "relu": {"activation": "relu"},
    "hard": {"activation": "elu", "recurrent_activation": "hard_sigmoid"},
}
CELLS = {"lstm": "lstm", "gru": "gru", "gru_before": "gru_reset_before", "rnn": "rnn"}
NAMES = ["rnn", "lstm", "gru", "gru_before", "no_bias", "relu", "hard"]
V, E, H = 9, 4, 5


def record_of(name):
    """Weights by their paths, ids, and logits."""
    record = dict(np.load(DATA / f"keras_{name}.npz"))
    ids, logits = record.pop("ids"), record.pop("logits")
    return {n.replace(":", "/"): a for n, a in record.items()}, ids, logits


def assert_same(model, ids, logits):
    found, _ = run(model, ids.T)
    expected = log_softmax(logits).transpose(1, 0, 2)
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_mapping_of_weights_predicts_what_keras_does(name):
    weights, ids, logits = record_of(name)
    lm = rnnkit.from_keras(weights, **SAID.get(name, {}))
    assert_same(lm.to_runtime(), ids, logits)
    assert CELLS.get(name, lm.cell) == lm.cell
    old_names = {f"{n}:0": a.astype(np.float64) for n, a in weights.items()}
    twin = rnnkit.from_keras(old_names, **SAID.get(name, {}))
    assert twin.dtype == "float64"
    assert_same(twin.to_runtime(), ids, logits)


def test_it_goes_on_learning(tmp_path):
    weights, _, _ = record_of("hard")
    lm = rnnkit.from_keras(weights, **SAID["hard"], max_iter=1, n_threads=1)
    documents = [np.array([1, 2, 3, 4])] * 4
    before = lm.score(documents)
    lm.partial_fit(documents)
    assert lm.score(documents) > before
    lm.save(tmp_path / "a.rnn")
    assert rnnkit.load(tmp_path / "a.rnn").score(documents) == lm.score(documents)


def test_a_keras_file_says_what_its_layers_are():
    pytest.importorskip("h5py", reason="Keras's files are read by h5py")
    _, ids, logits = record_of("mixed")
    assert_same(read_keras(DATA / "keras_mixed.keras").model(), ids, logits)
    with pytest.raises(ConversionError, match="the layers differ"):
        rnnkit.from_keras(DATA / "keras_mixed.keras")


def test_the_weights_alone_do_not_say_their_order(tmp_path):
    pytest.importorskip("h5py", reason="Keras's files are read by h5py")
    with zipfile.ZipFile(DATA / "keras_mixed.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    with pytest.raises(ConversionError, match="in which order the layers gru, lstm,"):
        read_keras(tmp_path / "model.weights.h5")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'rnnkit\[keras\]'"):
        read_keras(DATA / "keras_mixed.keras")


def configured(change):
    """The settings that are found in the file's configuration, with a change."""
    with zipfile.ZipFile(DATA / "keras_mixed.keras") as archive:
        config = json.loads(archive.read("config.json"))
    change(config["config"]["layers"])
    return list(keras._configured(config))


def test_names_in_a_file_are_found_from_its_configuration():
    found = configured(lambda layers: None)
    names = ["embedding", "gru", "lstm", "gru_1", "simple_rnn", "dense"]
    assert [name for _, name, _ in found] == names
    assert found[1][2]["reset_after"] is False


def set_config(i, **values):
    def change(layers):
        layers[i]["config"].update(values)

    return change


def set_class(i, name):
    def change(layers):
        layers[i]["class_name"] = name

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_config(1, mask_zero=True), r"'embedding_\d+' is made with mask_zero=True"),
        (set_config(2, go_backwards=True), r"'gru_\d+' is made with go_backwards=True"),
        (set_class(2, "Conv1D"), r"'gru_\d+' is a Conv1D, which is not supported"),
        (set_class(2, "Bidirectional"), r"'gru_\d+' is a Bidirectional"),
        (
            set_config(-1, activation="tanh"),
            r"'dense_\d+' is Dense with the activation",
        ),
    ],
)
def test_a_layer_of_another_meaning_is_refused_by_name(change, message):
    with pytest.raises(ConversionError, match=message):
        configured(change)


def small(gates=4, **changes):
    shapes = {
        "m/embedding/embeddings": (V, E),
        "m/rnn/rnn_cell/kernel": (E, gates * H),
        "m/rnn/rnn_cell/recurrent_kernel": (H, gates * H),
        "m/rnn/rnn_cell/bias": (gates * H,),
        "m/dense/kernel": (H, V),
        "m/dense/bias": (V,),
        **changes,
    }
    return {n: np.ones(s, np.float32) for n, s in shapes.items() if s}


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        (small(1), {}, "'m/rnn' is a SimpleRNN, whose weights do not say"),
        (small(2), {}, r"'m/rnn': a kernel of \(4, 10\) over 5 units is neither"),
        (small(3, **{"m/rnn/rnn_cell/bias": None}), {}, "GRU without biases"),
        (small(), {"activation": "swish"}, "the activation 'swish' is not supported"),
        (small(**{"m/d2/kernel": (V, V)}), {}, "one Dense layer, there is 'm/dense', "),
        (small(**{"m/dense/kernel": None}), {}, "'m/dense' with bias is no Embedding"),
        (small(**{"m/embedding/embeddings": None}), {}, "Embedding layer, there is no"),
        (small(**{"m/norm/gamma": (5,)}), {}, "m/norm/gamma: no name of a weight"),
        (small(**{"m/b/backward_lstm/lstm_cell/kernel": (4, 4)}), {}, "bidirectional"),
        (small(**{"m/dense/kernel": (H + 1, V)}), {}, "output: output.weight has sha"),
        (small(**{"m/rnn/rnn_cell/kernel": (E + 1, 20)}), {}, "layer 0 reads 5 units"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_its_layer(weights, arguments, message):
    with pytest.raises(ConversionError, match=message):
        rnnkit.from_keras(weights, **arguments)


def test_a_gru_without_biases_is_taken_over_when_it_is_said_where_it_resets():
    weights = small(3, **{"m/rnn/rnn_cell/bias": None})
    assert rnnkit.from_keras(weights, reset_after=True).cell == "gru"
    assert rnnkit.from_keras(weights, reset_after=False).cell == "gru_reset_before"
