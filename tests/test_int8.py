# SPDX-License-Identifier: BSD-3-Clause
"""Weights of int8: what they compute, cost and refuse; their file."""

import json
import pickle
import pydoc_data.topics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnkit
from rnnkit import RNNLanguageModel, runtime
from rnnkit.cells import LSTM, RNN, Cell, concat, split, tanh
from rnnkit.cli import main
from rnnkit.compiler import trace
from rnnkit.core import Solver, State, Weights, Window
from rnnkit.errors import (
    ConversionError,
    ModelFormatError,
    NonFiniteError,
    ParameterError,
)
from rnnkit.interchange.onnx_export import export_onnx
from rnnkit.model import Network, NetworkConfig, int8_values
from rnnkit.model.int8 import quantised
from rnnkit.storage import safetensors
from rnnkit.storage.model_file import from_bytes, to_bytes
from rnnkit.training import DynamicEvaluation

SETTINGS = {"hidden_size": 24, "max_iter": 2, "learning_rate_init": 0.01}
SETTINGS |= {"random_state": 0, "n_threads": 1, "batch_size": 16}


def texts() -> list[str]:
    """Paragraphs of Python's own help."""
    topics: dict[str, str] = pydoc_data.topics.topics
    return [part for name in sorted(topics) for part in topics[name].split("\n\n")]


TRAIN, TEST = texts()[100:700], texts()[:100]


class Heads(Cell):
    """Block-diagonal weights, and a vector that multiplies."""

    states = ("h",)

    def step(self, x: Any, h: Any) -> Any:
        left, right = tanh(self.linear("a", x)), self.linear("b", h, heads=4)
        return tanh(left + right * self.vector("u"))


class Moving(Cell):
    """Units that change places."""

    states = ("h",)

    def step(self, x: Any, h: Any) -> Any:
        first, second = split(tanh(self.linear("a", x, h)), 2)
        return concat(second, first)


@pytest.fixture(scope="module")
def lm() -> RNNLanguageModel:
    return RNNLanguageModel(tokenizer="word", num_layers=2, **SETTINGS).fit(TRAIN)


@pytest.fixture(scope="module")
def small(lm: RNNLanguageModel) -> runtime.LanguageModel:
    return lm.quantize()


@pytest.fixture(scope="module")
def data(small: runtime.LanguageModel) -> bytes:
    return to_bytes(runtime.files.record_of(small))


# ----------------------------------------------------------------------- the numbers


def test_a_row_is_off_by_half_a_scale_at_most() -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(40, 33)) * 10.0 ** rng.integers(-8, 8, (40, 1))).astype(
        np.float32
    )
    matrix[3], matrix[5] = 0.0, 1e-38
    codes, scales = quantised(matrix)
    assert codes.dtype == np.int8 and scales.dtype == np.float32
    assert codes.min() >= -127 and (scales[[3, 5]] == 0).all()
    assert (np.abs(codes).max(axis=1)[scales > 0] == 127).all()
    error = np.abs(matrix - codes * scales[:, None].astype(np.float64))
    assert (error <= 0.5001 * scales[:, None] + 1e-30).all()
    with pytest.raises(NonFiniteError, match="no code"):
        quantised(np.array([[1.0, np.inf]], np.float32))


def product(values: dict[str, np.ndarray], name: str, row: np.ndarray) -> np.ndarray:
    """What a matrix of int8 gives for one operand, in NumPy's whole numbers."""
    largest = np.abs(row).max()
    codes = np.rint(row * (np.float32(127) / largest)).astype(np.int64)
    sums = values[name].astype(np.int64) @ codes
    scales = (largest / np.float32(127)) * values[f"{name}.scale"]
    return sums.astype(np.float32) * scales


@pytest.mark.parametrize("tied", [False, True])
def test_a_network_computes_what_numpy_does_with_whole_numbers(tied: bool) -> None:
    width = 37
    config = NetworkConfig(53, width, (trace(RNN(), width, width),), tie_weights=tied)
    network = Network(config)
    rng = np.random.default_rng(1)
    reals = {p.name: rng.normal(size=p.shape) / 4 for p in network.parameters}
    config, values = int8_values(network, reals)
    network = Network(config)
    weights = network.weights(values)
    programs = network.programs()
    window, state = Window(weights, programs, 1, 1), State(weights, programs, 1)
    h = np.zeros(width, np.float32)
    output = "embedding.weight" if tied else "output.weight"
    for token in [3, 52, 0, 16, 3]:
        x = values["embedding.weight"][token] * values["embedding.weight.scale"][token]
        total = values["rnn.bias_ih_l0"] + values["rnn.bias_hh_l0"]
        total = total + product(values, "rnn.weight_ih_l0", x)
        if h.any():
            total = total + product(values, "rnn.weight_hh_l0", h)
        h = np.tanh(total)
        got = window.predict(np.array([[token]], np.int32), state)[0]
        assert np.abs(state.get(0, 0)[0] - h).max() < 1e-6
        h = state.get(0, 0)[0]  # so that no code is on the other side of a half
        logits = values["output.bias"] + product(values, output, h)
        assert np.abs(got - (logits - np.log(np.exp(logits).sum()))).max() < 2e-6


def test_bits_do_not_depend_on_threads_batches_and_windows(
    small: runtime.LanguageModel,
) -> None:
    network, weights = small.network, small.weights
    programs = network.programs()
    n = network.config.vocab_size
    ids = np.random.default_rng(0).integers(0, n, (9, 13)).astype(np.int32)
    window, rows = Window(weights, programs, 9, 13), np.arange(9 * 13, dtype=np.int32)
    found = []
    for n_threads in (1, 2, 3):
        state = State(weights, programs, 13)
        window.forward(ids, state, n_threads=n_threads)
        found.append(window.log_probabilities(rows, n_threads=n_threads))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    alone, state = Window(weights, programs, 1, 1), State(weights, programs, 1)
    for t in range(9):
        got = alone.predict(ids[t : t + 1, 4:5].copy(), state, n_threads=2)[0]
        assert np.array_equal(got, found[0][t * 13 + 4])


# -------------------------------------------------------------------------- the cost


@pytest.mark.parametrize(
    "more",
    [
        {"cell": "gru", "tokenizer": "char"},
        {"cell": "irnn", "tokenizer": "char"},
        {"head": "adaptive", "cutoffs": (50, 400)},
        {"head": "sampled", "n_samples": 200},
        {"projection": True, "tie_weights": True, "embedding_size": 20},
        {"zoneout": {"h": 0.1}},
        {"dtype": "float64"},
        {"cell": Heads()},
        {"cell": Moving()},
    ],
    ids=lambda more: "-".join(map(str, more.values())),
)
def test_the_cost_in_perplexity_is_small(
    more: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lm = RNNLanguageModel(**{"tokenizer": "word", **SETTINGS, **more}).fit(TRAIN)
    small = lm.quantize(TEST)
    before, after = lm.perplexity(TEST), small.perplexity(TEST)
    assert before < 500 and abs(after / before - 1) < 0.01
    said = capsys.readouterr().out
    assert f"{before:.2f} with {lm.dtype}, {after:.2f} with int8 (" in said
    assert small.network.config.dtype == "float32"
    assert small.n_parameters == lm.n_parameters_


def test_it_does_what_a_model_does(
    lm: RNNLanguageModel, small: runtime.LanguageModel
) -> None:
    stream = small.stream()
    stream.feed("the value of")
    [(token, p), *_] = small.predict_next("the value of")[0]
    assert stream.predict_next(1) == [(token, pytest.approx(p, abs=1e-6))]
    draws = {"random_state": 3, "max_new_tokens": 12}
    assert small.generate("the", **draws) == small.generate("the", **draws)
    assert pickle.loads(pickle.dumps(small)).score(TEST) == small.score(TEST)
    both = runtime.Ensemble([lm, small])
    assert both.score(TEST) == pytest.approx(small.score(TEST), abs=0.02)
    cached = runtime.NeuralCache(small, window=20)
    assert np.isfinite(cached.score(TEST))
    assert small.describe()["int8"] and not lm.to_runtime().describe()["int8"]
    assert lm.params_["embedding.weight"].dtype == np.float32  # the estimator's stay


# -------------------------------------------------------------------- what it cannot


def test_int8_does_not_train(lm: RNNLanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "small.rnn"
    lm.quantize().save(path)
    loaded = rnnkit.load(path)
    calls = {
        "fit": lambda: loaded.set_params(warm_start=True).fit(TRAIN),
        "partial_fit": lambda: loaded.partial_fit(TRAIN),
        "set_weights": lambda: loaded.set_weights({}),
        "add_tokens": lambda: loaded.add_tokens(["zyx"]),
        "dynamic": lambda: DynamicEvaluation(loaded, learning_rate=0.1),
        "again": lambda: loaded.quantize(),
    }
    for call in calls.values():
        with pytest.raises(ParameterError, match=r"the weights are int8"):
            call()
    with pytest.raises(ConversionError, match=r"to_torch_state_dict: the weights are"):
        loaded.to_torch_state_dict()
    with pytest.raises(ConversionError, match=r"ONNX: the weights are int8"):
        export_onnx(loaded.to_runtime(), tmp_path / "model.onnx")
    assert np.isfinite(loaded.score(TEST))
    anew = loaded.set_params(warm_start=False).fit(TRAIN[:50])
    assert anew.params_["embedding.weight"].dtype == np.float32


def test_the_core_refuses_what_int8_cannot(small: runtime.LanguageModel) -> None:
    weights = small.weights
    programs = small.network.programs(training=True)
    with pytest.raises(ValueError, match="weights of int8 do not train"):
        Window(weights, programs, 2, 2, training=True)
    with pytest.raises(ValueError, match="weights of int8 do not train"):
        Solver(weights, "sgd")
    with pytest.raises(ValueError, match="weights of int8 do not train"):
        weights.copy().average(weights, 0.5)
    with pytest.raises(ValueError, match="tensor 0 is a matrix of int8"):
        weights.get(0)
    codes, scales = weights.get_int8(0)
    assert weights.is_int8(0) and not weights.is_int8(3)
    with pytest.raises(ValueError, match="tensor 3 is not of int8"):
        weights.get_int8(3)
    codes[0, 0] = -128
    with pytest.raises(ValueError, match="a code is -128"):
        weights.copy().set_int8(0, codes, scales)
    with pytest.raises(ValueError, match="int8 weights need a network of float32"):
        network = Network(NetworkConfig(5, 3, (trace(LSTM(), 3, 4),), dtype="float64"))
        Weights(5, 3, network.programs(), dtype="float64", int8=True)
    with pytest.raises(ParameterError, match="int8 weights need dtype='float32'"):
        NetworkConfig(5, 3, (trace(LSTM(), 3, 4),), dtype="float64", int8=True)


# ------------------------------------------------------------------------- the file


def test_the_file_is_canonical_and_open_to_other_readers(
    lm: RNNLanguageModel, small: runtime.LanguageModel, data: bytes, tmp_path: Path
) -> None:
    assert to_bytes(from_bytes(data)) == data
    for load in (runtime.load, rnnkit.load):
        small.save(tmp_path / "first")
        again = load(tmp_path / "first")
        again.save(tmp_path / "second")
        assert (tmp_path / "second").read_bytes() == data
        assert again.score(TEST) == small.score(TEST)
    plain = lm.params_["rnn.weight_hh_l0"]
    tensors, metadata = safetensors.decode(data)
    assert json.loads(metadata["network"])["int8"] is True
    codes, scales = (tensors[f"rnn.weight_hh_l0{end}"] for end in ("", ".scale"))
    assert codes.dtype == np.int8 and codes.shape == plain.shape
    assert np.abs(codes * scales[:, None] - plain).max() <= scales.max() * 0.5001
    assert tensors["output.bias"].dtype == np.float32
    other = pytest.importorskip("safetensors.numpy").load(data)
    assert np.array_equal(other["embedding.weight"], tensors["embedding.weight"])


CODES, SCALES = "rnn.weight_hh_l0", "rnn.weight_hh_l0.scale"


def changed(name: str, value: Any) -> Any:
    """Another value of a tensor; None: none."""

    def change(tensors: dict[str, Any], _: Any) -> None:
        tensors[name] = value(tensors[name].copy())
        if tensors[name] is None:
            del tensors[name]

    return change


def with_first(number: float) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] = number
        return array

    return change


def with_network(**facts: Any) -> Any:
    def change(_: Any, metadata: dict[str, str]) -> None:
        network = {**json.loads(metadata["network"]), **facts}
        metadata["network"] = safetensors.canonical_json(
            {name: value for name, value in network.items() if value is not None}
        )

    return change


FAULTS: dict[str, tuple[Any, str]] = {
    "no scales": (changed(SCALES, lambda _: None), f"'{SCALES}' is missing"),
    "fewer scales": (changed(SCALES, lambda v: v[1:]), "needs 96"),
    "scales of float64": (changed(SCALES, lambda v: v.astype("f8")), "must be F32"),
    "NaN": (changed(SCALES, with_first(np.nan)), "not finite, or negative"),
    "infinity": (changed(SCALES, with_first(np.inf)), "not finite, or negative"),
    "negative": (changed(SCALES, with_first(-1.0)), "not finite, or negative"),
    "-128": (changed(CODES, with_first(-128)), "holds -128"),
    "shape": (changed(CODES, lambda v: v[1:]), "the network needs 96 x 24"),
    "reals": (changed(CODES, lambda v: v.astype("f4")), "F32, it must be I8"),
    "bytes": (changed(CODES, lambda v: v.astype("u1")), "U8, it must be I8"),
    "not int8": (with_network(int8=None), "I8, it must be F32"),
    "int8 is false": (with_network(int8=False), "'int8' must be true, or not be there"),
    "int8 is 1": (with_network(int8=1), "'int8' must be true, or not be there"),
    "float64": (with_network(dtype="float64"), "'int8' needs 'dtype' float32"),
    "scales of a vector": (
        lambda tensors, _: tensors.update({"output.bias.scale": np.ones(3, "f4")}),
        "'output.bias.scale' belongs to no part",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_refused_with_its_own_message(data: bytes, what: str) -> None:
    change, message = FAULTS[what]
    tensors, metadata = safetensors.decode(data)
    change(tensors, metadata)
    with pytest.raises(ModelFormatError, match=message):
        from_bytes(safetensors.encode(tensors, metadata))


# ---------------------------------------------------------------- the command line


def test_the_command_writes_the_file_and_says_what_it_costs(
    lm: RNNLanguageModel,
    data: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, after, text = (str(tmp_path / name) for name in ("a.rnn", "b.rnn", "text"))
    lm.save(before)
    Path(text).write_text("the value of the expression\n" * 5, "utf-8")
    command = ["export", before, "--int8", "-o", after]
    assert main([*command, "--text", text]) == 0
    said = capsys.readouterr().out
    assert Path(after).read_bytes() == data
    assert f"bytes       {len(data):,}, before " in said and "perplexity  " in said
    assert main([*command, "--text", text, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["bytes"] < 0.5 * answer["bytes_before"]
    assert answer["perplexity"] == pytest.approx(answer["perplexity_before"], rel=0.01)
    assert main(["score", after, text]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--int8"], "--int8 needs a name"),
        ([], "needs to know into what"),
        (["--int8", "--onnx", "x.onnx"], "one at a time"),
        (["--onnx", "x.onnx", "--text", "x"], "belong to --int8"),
    ],
)
def test_a_command_that_is_not_clear_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "model.rnn", *options]) == 2
    assert message in capsys.readouterr().err
