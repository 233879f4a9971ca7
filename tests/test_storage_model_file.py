# SPDX-License-Identifier: BSD-3-Clause
"""Model files: what was saved comes back to the bit, and nothing else comes through."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import rnnkit
from rnnkit import RNNLanguageModel, plugins, runtime
from rnnkit.cells import GRU, LSTM, RNN, Cell, sigmoid, tanh
from rnnkit.compiler import trace
from rnnkit.core import ModelFile
from rnnkit.errors import (
    ModelFormatError,
    PluginError,
    RnnkitError,
    UnknownNameError,
)
from rnnkit.estimators.components import StoredCell
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime.encoder import IdEncoder
from rnnkit.storage import safetensors
from rnnkit.storage.model_file import from_bytes, load_model, to_bytes
from rnnkit.tokenizers import CharTokenizer, WordTokenizer

TEXTS = ["the cat sat on the mat", "the dog sat", "", "a\tb \u6eff ⛰"]


def make(**params: Any) -> RNNLanguageModel:
    defaults = {"hidden_size": 3, "max_iter": 2, "random_state": 0, "n_threads": 1}
    return RNNLanguageModel(**{**defaults, **params})


def saved(lm: Any, path: Path) -> bytes:
    lm.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def lm() -> RNNLanguageModel:
    return make().fit(TEXTS, X_val=TEXTS[:1])


@pytest.fixture(scope="module")
def data(lm: RNNLanguageModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(lm, tmp_path_factory.mktemp("models") / "model.rnn")


# --------------------------------------------------------------------------- and back


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "gru", "num_layers": 2, "tie_weights": True, "dropout": 0.25},
        {"cell": RNN(activation="relu"), "tokenizer": "char", "dtype": "float64"},
        {"tokenizer": "byte", "carry_state": True, "embedding_size": 5},
        {"tokenizer": WordTokenizer(lowercase=True, min_df=1)},
        {"tokenizer": CharTokenizer(), "vocabulary": ["a", "b"], "random_state": None},
        {"vocabulary": {"cat": 1, "dog": 0}, "hidden_size": np.int64(4)},
        {"random_state": np.random.default_rng(0), "max_grad_norm": None},
        {"max_iter": 0},
        {"tie_weights": True, "embedding_size": 2, "zoneout": {"h": 0.25, "c": 0.5}},
        {"projection": True, "num_layers": 2, "head": "adaptive", "cutoffs": [3]},
        {"zoneout": 0.5, "cell": "gru", "num_layers": 2, "activation_penalty": 0.1},
    ],
)
def test_a_loaded_model_is_the_saved_one(
    params: dict[str, Any], tmp_path: Path
) -> None:
    lm = make(**params).fit(TEXTS)
    first = saved(lm, tmp_path / "a")
    twin = rnnkit.load(tmp_path / "a")
    assert saved(twin, tmp_path / "b") == first
    assert twin.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    assert twin.generate("the", random_state=0) == lm.generate("the", random_state=0)
    for name in ("vocabulary_", "loss_curve_", "n_iter_", "n_tokens_seen_",
                 "n_parameters_", "best_validation_score_"):  # fmt: skip
        assert getattr(twin, name) == getattr(lm, name)
    model = runtime.load(tmp_path / "a")
    assert model.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    runtime.save(model, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == first
    given = {**lm.get_params(), "random_state": 0, "cell": 0, "tokenizer": 0}
    loaded = {**twin.get_params(), "random_state": 0, "cell": 0, "tokenizer": 0}
    assert type(twin.cell) is type(lm.cell)
    assert type(twin.tokenizer) is type(lm.tokenizer)
    if lm.vocabulary is None:
        assert loaded == given
    else:
        assert loaded["vocabulary"] == twin.vocabulary_
    assert clone(twin).fit(TEXTS).vocabulary_ == lm.vocabulary_
    assert twin.partial_fit(TEXTS).n_iter_ == 1


def test_a_model_of_ids_comes_back(tmp_path: Path) -> None:
    X = [[0, 4, 2], [1]]
    lm = make(tokenizer=None, vocabulary=6).fit(X)
    first = saved(lm, tmp_path / "a")
    twin = rnnkit.load(tmp_path / "a")
    assert saved(twin, tmp_path / "b") == first
    assert twin.get_params() == lm.get_params()
    assert twin.score(X) == lm.score(X)
    assert twin.predict_next([0]) == lm.predict_next([0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_many_pieces_come_back(dtype: str, tmp_path: Path) -> None:
    """Pieces of 256 kB end within blocks of gates and within panels of units."""
    graphs = tuple(trace(LSTM(), 150, 150) for _ in range(2))
    network = Network(NetworkConfig(901, 150, graphs, dtype=dtype))
    weights = network.initial_weights(np.random.default_rng(0))
    model = runtime.LanguageModel(network, weights, IdEncoder(900))
    runtime.save(model, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    records = (load_model(tmp_path / "a"), from_bytes(data))
    for values in (record.network.values(record.weights) for record in records):
        for name, value in model.params.items():
            assert values[name].tobytes() == value.tobytes(), name
    for at in (-9, len(data) // 2):
        damaged = bytearray(data)
        damaged[at] ^= 1
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(ModelFormatError, match="was damaged"):
            runtime.load(tmp_path / "a")


def test_what_is_wrong_through_damage_is_called_damage(
    data: bytes, tmp_path: Path
) -> None:
    """Another byte in a graph, in JSON, in the vocabulary: never errors of their own."""
    for part in (b'"states":', b"<eos>", b'"parameters":', b'"is_name'):
        at = data.index(part)
        (tmp_path / "a").write_bytes(data[:at] + b"\x20" + data[at + 1 :])
        for load in (rnnkit.load, runtime.load):
            with pytest.raises(
                ModelFormatError, match=r"was damaged|canonical form at"
            ):
                load(tmp_path / "a")


def test_a_file_that_shrinks_while_it_is_read_is_refused(
    data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(data)
    with open(tmp_path / "a", "rb") as file:
        opened = ModelFile(file)
        os.truncate(tmp_path / "a", len(data) // 2)
        with pytest.raises(ModelFormatError, match="become shorter"):
            opened.check()


def test_any_tool_can_read_the_tensors(lm: RNNLanguageModel, data: bytes) -> None:
    """Read by the safetensors specification, in a dozen lines, with nothing of ours."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert metadata["rnnkit_version"] == rnnkit.__version__
    assert json.loads(metadata["cell"])["name"] == "lstm"
    for name, value in lm.params_.items():
        begin, end = header[name]["data_offsets"]
        assert header[name]["dtype"] == "F32"
        read = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
        assert (read.reshape(header[name]["shape"]) == value).all()
    begin, end = header["vocabulary"]["data_offsets"]
    text = data[8 + length + begin : 8 + length + end]
    begin, end = header["vocabulary.offsets"]["data_offsets"]
    places = np.frombuffer(data[8 + length + begin : 8 + length + end], "<i8")
    tokens = [text[a:b].decode() for a, b in pairwise(places)]
    assert tokens == lm.vocabulary_


def test_the_header_stays_small_when_training_is_long(tmp_path: Path) -> None:
    lm = make(max_iter=100).fit(TEXTS)
    short = make(max_iter=1).fit(TEXTS)
    sizes = []
    for model in (lm, short):
        data = saved(model, tmp_path / "a")
        sizes.append(int.from_bytes(data[:8], "little"))
    assert sizes[0] - sizes[1] < 32
    assert rnnkit.load(tmp_path / "a").loss_curve_ == short.loss_curve_


def test_the_runtime_needs_no_scikit_learn(
    lm: RNNLanguageModel, tmp_path: Path, run_python: Any
) -> None:
    lm.save(tmp_path / "model")
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from rnnkit import runtime\n"
        f"model = runtime.load({str(tmp_path / 'model')!r})\n"
        "print(repr(model.score(['the cat'])))\n"
        "print(model.predict_next('the', k=1)[0][0][0])\n"
        "print(model.describe()['cell'])\n"
        "heavy = {'sklearn.base', 'joblib', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    token = lm.predict_next("the", k=1)[0][0][0]
    assert result.stdout.split() == [repr(lm.score(["the cat"])), token, "lstm"]


# ---------------------------------------------------------------------------- refusals


def changed(
    data: bytes, change: Callable[[dict[str, Any], dict[str, str]], None]
) -> bytes:
    """The same file with other tensors or metadata, and a checksum that is right."""
    tensors, metadata = safetensors.decode(data)
    tensors = {name: value.copy() for name, value in tensors.items()}
    change(tensors, metadata)
    return safetensors.encode(tensors, metadata)


def setting(tensor: str, value: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(tensors: dict[str, Any], metadata: Any) -> None:
        if value is None:
            del tensors[tensor]
        else:
            tensors[tensor] = value(tensors.get(tensor)) if callable(value) else value

    return change


def fact(name: str, /, **changes: Any) -> Callable[[Any, dict[str, str]], None]:
    def change(tensors: Any, metadata: dict[str, str]) -> None:
        facts = {**json.loads(metadata[name]), **changes}
        facts = {key: value for key, value in facts.items() if value is not ...}
        metadata[name] = safetensors.canonical_json(facts)

    return change


def metadata_text(name: str, text: str | None) -> Callable[[Any, dict[str, str]], None]:
    def change(tensors: Any, metadata: dict[str, str]) -> None:
        if text is None:
            del metadata[name]
        else:
            metadata[name] = text

    return change


def with_nan(value: np.ndarray) -> np.ndarray:
    value.flat[-1] = np.nan
    return value


def bytes_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def at(place: int, number: int) -> Callable[[np.ndarray], np.ndarray]:
    """Another number at one place of a list."""

    def change(value: np.ndarray) -> np.ndarray:
        value[place] = number
        return value

    return change


def text(old: str, new: str) -> Callable[[np.ndarray], np.ndarray]:
    """Another text in a list of bytes."""

    def change(value: np.ndarray) -> np.ndarray:
        assert old in value.tobytes().decode()
        return bytes_of(value.tobytes().decode().replace(old, new))

    return change


REFUSED: dict[str, tuple[Any, str]] = {
    "no tensor": (setting("output.bias", None), "'output.bias' is missing"),
    "no graph": (setting("rnn.graph_l0", None), "'rnn.graph_l0' is missing"),
    "one too many": (setting("extra", np.ones(1, "f4")), "'extra' belongs to no part"),
    "one layer too many": (
        setting("rnn.graph_l1", np.ones(1, "u1")), "belongs to no part",
    ),
    "dtype": (
        setting("output.bias", lambda v: v.astype("f8")), "F64, it must be F32",
    ),
    "shape": (setting("output.bias", lambda v: v[:-1]), "the network needs"),
    "rank": (setting("output.bias", lambda v: v[:, None]), "has shape"),
    "NaN": (setting("output.bias", with_nan), "holds NaN or infinity"),
    "infinity": (setting("output.bias", lambda v: v + np.inf), "holds NaN or infinity"),
    "another op-set": (setting("rnn.graph_l0", at(0, 99)), "op-set version is 99"),
    "graph is malformed": (setting("rnn.graph_l0", at(-1, 99)), "rnn.graph_l0: "),
    "graph is cut": (setting("rnn.graph_l0", lambda v: v[:-1]), "rnn.graph_l0: "),
    "graph is a table": (setting("rnn.graph_l0", lambda v: v[None]), "one dimension"),
    "graph is floats": (setting("rnn.graph_l0", np.ones(9, "f4")), "must be I32"),
    "no cell": (setting("rnn.cell_l0", None), "'rnn.cell_l0' is missing"),
    "cell is no JSON": (setting("rnn.cell_l0", bytes_of("{")), "not describe the 4"),
    "cell is not ASCII": (setting("rnn.cell_l0", bytes_of("ü")), "not describe the 4"),
    "cell without parameters": (
        setting("rnn.cell_l0", bytes_of('{"parameters":[],"states":["h"]}')),
        "not describe the 4",
    ),
    "cell with spaces": (
        setting("rnn.cell_l0", text('"states":', '"states": ')), "canonical form",
    ),
    "parameter of another name": (
        setting("rnn.cell_l0", text("weight_ih", "weight_xh")),
        "'rnn.weight_xh_l0' is missing",
    ),
    "parameters of one name": (
        setting("rnn.cell_l0", text("weight_ih", "weight_hh")),
        "stand for two|the network needs",
    ),
    "no vocabulary": (setting("vocabulary", None), "'vocabulary' is missing"),
    "no offsets": (setting("vocabulary.offsets", None), "'vocabulary.offsets' is miss"),
    "vocabulary is cut": (setting("vocabulary", lambda v: v[:-1]), "does not hold"),
    "vocabulary is short": (
        setting("vocabulary.offsets", lambda v: v[:9]), "does not hold",
    ),
    "offsets begin behind 0": (
        setting("vocabulary.offsets", at(0, 1)), "does not hold",
    ),
    "offsets are negative": (setting("vocabulary.offsets", at(1, -9)), "not ascend"),
    "offsets are huge": (setting("vocabulary.offsets", at(1, 2**62)), "not ascend"),
    "offsets descend": (setting("vocabulary.offsets", at(1, 11)), "not ascend"),
    "an empty token": (setting("vocabulary.offsets", at(1, 0)), "token 0 .* is empty"),
    "vocabulary is no UTF-8": (setting("vocabulary", at(0, 0xFF)), "is not UTF-8"),
    "token twice": (
        setting("vocabulary", text("<eos><unk>", "<unk><unk>")), "are equal",
    ),
    "no end": (setting("vocabulary", text("<eos>", "<fin>")), "has no <eos>"),
    "curve of two rows": (
        setting("history.loss_curve", np.ones((2, 2))), "must be a list of F64",
    ),
    "curve with NaN": (
        setting("history.loss_curve", np.array([np.nan])), "holds NaN or infinity",
    ),
    "no network": (metadata_text("network", None), "have no 'network'"),
    "no version": (metadata_text("rnnkit_version", None), "have no 'rnnkit_version'"),
    "network is no JSON": (metadata_text("network", "{"), "'dtype' must be float32"),
    "network is a list": (metadata_text("network", "[]"), "not a JSON object"),
    "cell with blanks": (metadata_text("cell", '{"a": 1}'), "canonical form"),
    "a number is infinite": (metadata_text("cell", '{"a":1e999}'), "is too large"),
    "network is more": (fact("network", zoom=1), "more than this rnnkit knows.*zoom"),
    "network with a name twice": (metadata_text("cell", '{"a":1,"a":2}'), "'a' twice"),
    "deep metadata": (metadata_text("cell", "[" * 99_999), "'cell' is not JSON"),
    "vocab_size is text": (fact("network", vocab_size="9"), "'vocab_size' must be a"),
    "vocab_size is huge": (fact("network", vocab_size=2**40), "from 1 to 16777216"),
    "vocab_size is negative": (fact("network", vocab_size=-1), "from 1 to 16777216"),
    "vocab_size is another": (fact("network", vocab_size=5), "the network needs"),
    "embedding_size is huge": (
        fact("network", embedding_size=2**62), "from 1 to 4194304",
    ),
    "num_layers is 0": (fact("network", num_layers=0), "from 1 to 64"),
    "num_layers is huge": (fact("network", num_layers=10**9), "from 1 to 64"),
    "num_layers is another": (fact("network", num_layers=2), "is missing"),
    "tie_weights is 1": (fact("network", tie_weights=1), "must be true or false"),
    "tie_weights is another": (fact("network", tie_weights=True), "belongs to no part"),
    "dtype is unknown": (
        fact("network", dtype="float16"), "must be float32 or float64",
    ),
    "dtype is another": (fact("network", dtype="float64"), "it must be F64"),
    "no dtype": (fact("network", dtype=...), "'dtype' must be"),
    "tokenizer has no name": (fact("tokenizer", name=3), "'name' is missing or of"),
    "tokenizer has no state": (setting("tokenizer.state", None), "its state"),
    "tokenizer's state is wrong": (
        setting("tokenizer.state", bytes_of('{"parameters":{"spin":1}}')), "spin",
    ),
    "tokenizer's state with blanks": (
        setting("tokenizer.state", bytes_of('{ }')), "canonical form",
    ),
    "tokenizer of another kind": (fact("tokenizer", name="byte"), "is all 256"),
    "end_id is another": (fact("tokenizer", end_id=1), "not those of its vocabulary"),
    "end_id is none": (fact("tokenizer", end_id=999), "must be ids below"),
    "unk_id is missing": (fact("tokenizer", unk_id=...), "must be ids below"),
    "head is unknown": (fact("network", head={"kind": "x"}), "of no known form"),
    "zoneout is no object": (fact("network", zoneout=0.5), "numbers by name"),
    "zoneout is empty": (fact("network", zoneout={}), "numbers by name"),
    "zoneout without graphs": (
        fact("network", zoneout={"h": 0.5}), "'prediction.graph_l0' is missing"
    ),
    "projection is false": (fact("network", projection=False), "must be true"),
    "projection without a graph": (
        fact("network", projection=True), "'prediction.graph_l1' is missing"
    ),
    "head with too much": (
        fact("network", head={"kind": "sampled", "n_samples": 3, "z": 1}),
        "no known form",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_is_wrong_is_refused_with_its_own_message(
    data: bytes, what: str, tmp_path: Path
) -> None:
    change, message = REFUSED[what]
    path = tmp_path / "model"
    path.write_bytes(changed(data, change))
    for load in (rnnkit.load, runtime.load):
        with pytest.raises(ModelFormatError, match=message):
            load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fact("parameters", hidden_size=-1), "hidden_size=-1; allowed"),
        (fact("parameters", spin=1), "spin"),
        (fact("history", n_iter="two"), "'two' is no count"),
        (fact("history", best_validation_score=True), "is no score"),
        (fact("history", more=1), "unknown figures"),
    ],
)
def test_an_estimator_with_wrong_facts_is_refused(
    data: bytes, change: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(changed(data, change))
    with pytest.raises(ModelFormatError, match=message):
        rnnkit.load(path)


@pytest.mark.parametrize("change", ["rate", "states", "graph", "projection"])
def test_the_graphs_that_predict_must_follow_from_the_network(
    change: str, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    whole = saved(make(zoneout={"h": 0.5}, projection=True).fit(TEXTS), path)

    def plain_graph(tensors: Any, metadata: Any) -> None:
        tensors["prediction.graph_l0"] = tensors["rnn.graph_l0"]

    def cell_as_projection(tensors: Any, metadata: Any) -> None:
        tensors["prediction.graph_l1"] = tensors["rnn.graph_l0"]

    changes = {
        "rate": (fact("network", zoneout={"h": 0.25}), "not what follows"),
        "states": (fact("network", zoneout={"x": 0.5}), "no state 'x'"),
        "graph": (plain_graph, "not what follows"),
        "projection": (cell_as_projection, "two parameters, no states"),
    }
    how, message = changes[change]
    path.write_bytes(changed(whole, how))
    for load in (rnnkit.load, runtime.load):
        with pytest.raises(ModelFormatError, match=message):
            load(path)


def test_bytes_and_records_are_two_forms_of_one_thing(data: bytes) -> None:
    assert to_bytes(from_bytes(data)) == data
    assert changed(data, lambda tensors, metadata: None) == data


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 8, b"PK\x03\x04" * 9, b"\x80\x04" * 99]
)
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError):
        rnnkit.load(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rnnkit.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        runtime.load(tmp_path)


# ------------------------------------------------------------------ plugins and files


class Spam(Cell):
    """A cell that no package offers; its output is not a state."""

    states = ("h", "k")
    widths = {"k": 2}  # noqa: RUF012

    def __init__(self, scale: float = 0.5) -> None:
        self.scale = scale

    def step(self, x: Any, h: Any, k: Any) -> Any:
        k = tanh(self.linear("k", x, k, width=2))
        h = self.scale * h + tanh(self.linear("g", x, h, k))
        return sigmoid(h), h, k


class Letters(CharTokenizer):
    """A tokenizer that no package offers."""


@pytest.fixture
def spam() -> Iterator[Callable[[], None]]:
    """Offer both for a while; the value takes them away again."""
    rnnkit.register_cell("spam", Spam)
    rnnkit.register_tokenizer("letters", Letters)

    def forget() -> None:
        plugins._registered.pop(("cell", "spam"), None)
        plugins._registered.pop(("tokenizer", "letters"), None)

    yield forget
    forget()


@pytest.mark.parametrize("cell", ["spam", Spam(), Spam(scale=0.25)])
def test_a_cell_runs_and_trains_from_the_file_where_its_class_is_missing(
    spam: Callable[[], None], cell: Any, tmp_path: Path
) -> None:
    lm = make(cell=cell, num_layers=2).fit(TEXTS)
    first = saved(lm, tmp_path / "a")
    assert type(rnnkit.load(tmp_path / "a").cell) is (
        str if isinstance(cell, str) else StoredCell
    )
    spam()
    twin = rnnkit.load(tmp_path / "a")
    assert isinstance(twin.cell, StoredCell)
    assert saved(twin, tmp_path / "b") == first
    assert twin.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    again = clone(twin).fit(TEXTS)
    assert again.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    assert saved(again, tmp_path / "c") == first
    assert twin.partial_fit(TEXTS).n_iter_ == 1
    with pytest.raises(
        UnknownNameError, match=r"hidden_size=3 .*that defines the cell"
    ):
        twin.set_params(hidden_size=4).fit(TEXTS)
    with pytest.raises(ValueError, match="parameters are fixed"):
        twin.set_params(cell__scale=1.0)


def test_a_stored_cell_of_other_sizes_is_traced_where_its_class_is_known(
    spam: Callable[[], None], tmp_path: Path
) -> None:
    make(cell=Spam(scale=0.25)).fit(TEXTS).save(tmp_path / "a")
    twin = rnnkit.load(tmp_path / "a").set_params(hidden_size=5).fit(TEXTS)
    expected = make(cell=Spam(scale=0.25), hidden_size=5).fit(TEXTS)
    assert twin.score(TEXTS) == expected.score(TEXTS)


def test_a_missing_tokenizer_is_named_and_never_imported_unasked(
    spam: Callable[[], None], tmp_path: Path
) -> None:
    lm = make(tokenizer="letters").fit(TEXTS)
    first = saved(lm, tmp_path / "a")
    for load in (rnnkit.load, runtime.load):
        with pytest.raises(PluginError, match=r"plugins=\['letters'\]"):
            load(tmp_path / "a")
    twin = rnnkit.load(tmp_path / "a", plugins=["letters"])
    assert twin.score(TEXTS) == lm.score(TEXTS)
    assert saved(twin, tmp_path / "b") == first
    spam()
    with pytest.raises(UnknownNameError, match="unknown tokenizer 'letters'"):
        rnnkit.load(tmp_path / "a", plugins=["letters"])


@pytest.mark.parametrize(
    "name", ["os", "os.path:join", "../x", "antigravity", "__import__", "", "a" * 999]
)
def test_hostile_names_import_nothing(data: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    for kind in ("cell", "tokenizer"):
        path.write_bytes(changed(data, fact(kind, name=name, is_name=True)))
        before = set(sys.modules)
        try:
            rnnkit.load(path).score(TEXTS)
        except (PluginError, ModelFormatError):
            assert kind == "tokenizer"
        assert set(sys.modules) == before


# ------------------------------------------------------------------- written as a whole


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    lm: RNNLanguageModel, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def fail(*arguments: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    if call == "write":
        original = os.fdopen

        def fdopen(*arguments: Any) -> Any:
            file = original(*arguments)

            class Full:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *error: Any) -> None:
                    file.close()

                write = fail

            return Full()

        monkeypatch.setattr("os.fdopen", fdopen)
    else:
        monkeypatch.setattr(f"os.{call}", fail)
    with pytest.raises(OSError, match="No space"):
        lm.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_killed_save_loop_leaves_a_file_that_loads(
    lm: RNNLanguageModel, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    lm.save(path)
    code = (
        "import sys; from rnnkit import runtime; path = sys.argv[1]\n"
        "model = runtime.load(path)\nprint(flush=True)\n"
        "while True: runtime.save(model, path)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    for _ in range(20):
        assert rnnkit.load(path).score(TEXTS) == lm.score(TEXTS)
    child.kill()
    child.communicate()
    assert rnnkit.load(path).score(TEXTS) == lm.score(TEXTS)


def test_a_cell_instance_of_a_builtin_class_is_made_again(tmp_path: Path) -> None:
    make(cell=GRU()).fit(TEXTS).save(tmp_path / "a")
    assert rnnkit.load(tmp_path / "a").cell == GRU()


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """Some part of a JSON value exchanged for another kind of thing."""
    others = [None, True, -1, 0, 2**63, 0.5, "", "x", [], {}, ["a"], {"a": 1}, value]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = sorted(value)[rng.integers(len(value))]
        return {**value, key: mutated(value[key], rng)}
    return others[rng.integers(len(others))]


def test_mutated_files_load_or_are_refused(data: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "model"
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(600):
        tensors, metadata = safetensors.decode(data)
        names = ("network", "cell", "tokenizer", "parameters", "history")
        name = names[rng.integers(len(names))]
        changed_facts = mutated(json.loads(metadata[name]), rng)
        metadata[name] = safetensors.canonical_json(changed_facts)
        path.write_bytes(safetensors.encode(tensors, metadata))
        for load in (rnnkit.load, runtime.load):
            try:
                load(path).predict_next("the")
                outcomes["loaded"] += 1
            except RnnkitError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes
