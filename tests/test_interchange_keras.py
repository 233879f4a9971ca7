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
        (small(2), {}, r"'m/rnn': kernel of \(4, 10\), .* over 5 units is neither"),
        (small(3, **{"m/rnn/rnn_cell/bias": None}), {}, "GRU without biases"),
        (small(), {"activation": "swish"}, "the activation 'swish' is not supported"),
        (small(3, **{"m/rnn/rnn_cell/bias": (3, 15)}), {}, r"bias of \(3, 15\) over 5"),
        (small(4, **{"m/rnn/rnn_cell/bias": (2, 20)}), {}, r"bias of \(2, 20\) over 5"),
        (small(**{"m/rnn/rnn_cell/kernel": None}), {}, "'m/rnn' with recurrent_kernel"),
        (small(**{"m/d2/kernel": (V, V)}), {}, "one Dense layer, there is 'm/dense', "),
        (small(**{"m/dense/kernel": None}), {}, "'m/dense' with bias is no Embedding"),
        (small(**{"m/embedding/embeddings": None}), {}, "Embedding layer, there is no"),
        (small(**{"m/rnn/kernel": (E, 20)}), {}, "'m/rnn' has a second kernel"),
        (small(**{"m/norm/gamma": (5,)}), {}, "m/norm/gamma: no name of a weight"),
        (small(**{"m/b/backward_lstm/lstm_cell/kernel": (4, 4)}), {}, "bidirectional"),
        (small(**{"m/dense/kernel": (H + 1, V)}), {}, "output: output.weight has sha"),
        (small(**{"m/rnn/rnn_cell/kernel": (E + 1, 20)}), {}, "layer 0 reads 5 units"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_its_layer(weights, arguments, message):
    with pytest.raises(ConversionError, match=message):
        rnnkit.from_keras(weights, **arguments)


@pytest.mark.parametrize(
    ("name", "gates"), [("lstm", "figo"), ("gru", "rzn"), ("gru_before", "rzn")]
)
def test_a_copy_that_computes_otherwise_is_an_error(name, gates, monkeypatch):
    """Keras's own equations in NumPy find what stands in a wrong place."""
    monkeypatch.setitem(keras.GATES, name.partition("_")[0].upper(), gates)
    with pytest.raises(ConversionError, match=r"taken over: .* differs by up to"):
        read_keras(record_of(name)[0])


def write_h5(path, layers, **attributes):
    """An .h5 file in the form of Keras 2."""
    h5py = pytest.importorskip("h5py", reason="Keras's files are read by h5py")
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = list(layers)
        for name, tensors in layers.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = list(tensors)
            for path_, array in tensors.items():
                group[path_] = array


def old_model(path, activation="hard_sigmoid", version="2.15.0", before="words"):
    """The layers "hard" as Keras 2 stores them, under names of the user's own."""
    weights, ids, logits = record_of("hard")
    arrays = list(weights.values())
    layers = {
        "ids": {},
        "words": {"words/embeddings:0": arrays[0]},
        "gru": {
            f"gru/lstm_cell/{name}:0": array
            for name, array in zip(keras.TENSORS[1:], arrays[1:4], strict=True)
        },
        "dense_3": {"dense_3/kernel:0": arrays[4], "dense_3/bias:0": arrays[5]},
    }
    its = {"activation": "elu", "recurrent_activation": activation}
    entries = [
        ("InputLayer", {"name": "ids"}, []),
        ("Embedding", {"name": "words"}, [[["ids", 0, 0, {}]]]),
        ("LSTM", {"name": "gru", **its}, [[[before, 0, 0, {}]]]),
        ("Dense", {"name": "dense_3", "activation": "linear"}, [[["gru", 0, 0, {}]]]),
    ]
    config = [{"class_name": c, "config": s, "inbound_nodes": n} for c, s, n in entries]
    text = json.dumps({"class_name": "Functional", "config": {"layers": config}})
    write_h5(path, layers, model_config=text, keras_version=version)
    return ids, logits


def test_an_h5_file_in_the_form_of_keras_2_is_read(tmp_path):
    ids, logits = old_model(tmp_path / "a.h5", version="3.15.1")
    assert_same(read_keras(tmp_path / "a.h5").model(), ids, logits)


def test_hard_sigmoid_was_another_function_in_keras_2(tmp_path):
    old_model(tmp_path / "a.h5")
    (layer,) = read_keras(tmp_path / "a.h5").layers
    assert layer.cell.activations[0] == ("HardSigmoid", 0.2, 0.5)


def test_layers_that_do_not_read_each_other_are_refused(tmp_path):
    old_model(tmp_path / "a.h5", before="ids")
    with pytest.raises(ConversionError, match="layer 'gru' reads 'ids', not 'words'"):
        read_keras(tmp_path / "a.h5")


def test_what_is_no_file_of_keras_is_refused(tmp_path):
    pytest.importorskip("h5py", reason="Keras's files are read by h5py")
    for name in ("a.keras", "a.h5"):
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(ConversionError, match=f"{name}: no file of"):
            read_keras(tmp_path / name)


def test_a_gru_without_biases_is_taken_over_when_it_is_said_where_it_resets():
    weights = small(3, **{"m/rnn/rnn_cell/bias": None})
    assert rnnkit.from_keras(weights, reset_after=True).cell == "gru"
    assert rnnkit.from_keras(weights, reset_after=False).cell == "gru_reset_before"
