# SPDX-License-Identifier: BSD-3-Clause
"""State dicts in and out, against tensors recorded from PyTorch and PyTorch itself."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.cells import GRU, LSTM, RNN, Cell, sigmoid, tanh
from rnnkit.compiler import trace
from rnnkit.errors import ConversionError, ParameterError
from rnnkit.interchange import pytorch
from rnnkit.interchange.pytorch import read_state_dict, to_torch_state_dict
from rnnkit.interchange.running import run
from rnnkit.interchange.safetensors import read_safetensors
from rnnkit.model import Head, Network, NetworkConfig
from rnnkit.runtime import LanguageModel
from rnnkit.runtime.encoder import IdEncoder

RECORDS = sorted((Path(__file__).parent / "data").glob("torch_*.npz"))
RNNS = {"rnn": "rnn", "relu": RNN("relu")}  # what must be said of nn.RNN
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def state_dict(record, dtype):
    """The weights of a record, as PyTorch has them."""
    parts = ("embedding.", "rnn.", "output.")
    return {
        n: a.astype(dtype)
        for n, a in record.items()
        if n.startswith(parts) and ":" not in n
    }


def small(cell="lstm", **changes):
    """A state dict without a model around it."""
    rng = np.random.default_rng(0)
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
    shapes = {
        "encoder.weight": (7, 3),
        "rnn.weight_ih_l0": (gates * 5, 3),
        "rnn.weight_hh_l0": (gates * 5, 5),
        "rnn.bias_ih_l0": (gates * 5,),
        "rnn.bias_hh_l0": (gates * 5,),
        "decoder.weight": (7, 5),
        "decoder.bias": (7,),
        **changes,
    }
    return {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items() if s}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_state_dict_predicts_what_pytorch_does_and_goes_back_unchanged(path, dtype):
    record = dict(np.load(path))
    weights = state_dict(record, dtype)
    lm = rnnkit.from_torch_state_dict(weights, cell=RNNS.get(path.stem.split("_")[1]))
    names = "hc" if "c0" in record else "h"
    layers = range(len(record["h0"]))
    first = [record[f"{name}0"][k] for k in layers for name in names]
    log_p, states = run(lm.to_runtime(), record["ids"], first)
    chosen = np.take_along_axis(log_p, record["targets"][..., None], -1)[..., 0]
    expected = record[f"log_likelihood:{dtype}"]
    np.testing.assert_allclose(chosen, expected, atol=TOLERANCE[dtype])
    finals = [record[f"{name}:{dtype}"][k] for k in layers for name in names]
    for state, final in zip(states, finals, strict=True):
        np.testing.assert_allclose(state, final, atol=TOLERANCE[dtype])
    back = lm.to_torch_state_dict()
    assert set(back) == set(weights)
    for name, array in back.items():
        assert array.dtype == dtype
        assert (array == weights[name]).all(), name


@pytest.mark.parametrize("cell", ["lstm", "gru", "irnn", "lstmp"])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_what_is_trained_here_comes_back_from_its_state_dict(cell, tie_weights):
    made = rnnkit.plugins.make_cell(cell)
    if cell == "lstmp":
        made.set_params(proj_size=6)
    lm = rnnkit.RNNLanguageModel(
        made,
        hidden_size=6,
        num_layers=2,
        tie_weights=tie_weights,
        tokenizer="whitespace",
        max_iter=1,
        random_state=0,
    ).fit(["a b a c", "b a b"] * 4)
    weights = lm.to_torch_state_dict()
    assert ("rnn.weight_hr_l1" in weights) is (cell == "lstmp")
    twin = rnnkit.from_torch_state_dict(
        weights,
        cell=RNN("relu") if cell == "irnn" else None,
        tokenizer="whitespace",
        vocabulary=lm.vocabulary_,
        max_iter=1,
    )
    assert twin.tie_weights is tie_weights
    texts = ["a b c", "c c b a"]
    np.testing.assert_array_equal(twin.score_samples(texts), lm.score_samples(texts))
    twin.partial_fit(texts)  # it goes on learning
    assert twin.score(texts) > lm.score(texts)


def test_a_copy_that_computes_otherwise_is_an_error(monkeypatch):
    """PyTorch's own equations in NumPy find what stands in a wrong place."""
    model = model_of(GRU())
    swapped = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}
    monkeypatch.setattr(pytorch, "OUR_NAME", swapped)
    with pytest.raises(ConversionError, match=r"taken over: log-prob.* differs by up"):
        read_state_dict(small("gru"))
    rng = np.random.default_rng(0)
    values = {n: rng.normal(size=a.shape) for n, a in model.params.items()}
    model = LanguageModel.from_values(model.network.config, values, IdEncoder(6))
    with pytest.raises(ConversionError, match=r"the state dict: .* differs by up to"):
        to_torch_state_dict(model)


def test_an_adaptive_head_has_pytorchs_tensors_both_ways():
    config = NetworkConfig(
        20, 3, (trace(GRU(), 3, 8),), head=Head("adaptive", (5, 12), 2.0)
    )
    network = Network(config)
    values = network.initial_values(np.random.default_rng(0))
    model = LanguageModel.from_values(config, values, IdEncoder(19))
    weights = to_torch_state_dict(model)
    twin = read_state_dict(weights, div_value=2.0).model()
    assert twin.network.config.head == config.head
    ids = np.arange(20).reshape(5, 4)
    np.testing.assert_array_equal(run(twin, ids)[0], run(model, ids)[0])
    with pytest.raises(ConversionError, match=r"tail\.0\.0\..* say div_value="):
        read_state_dict(weights)


def test_a_layer_without_biases_has_biases_of_zero():
    weights = small("gru")
    for name in ("rnn.bias_ih_l0", "rnn.bias_hh_l0", "decoder.bias"):
        del weights[name]
    params = rnnkit.from_torch_state_dict(weights).params_
    for name in ("rnn.bias_ih_l0", "rnn.bias_hh_l0", "output.bias"):
        assert not params[name].any()
    assert (params["output.weight"] == weights["decoder.weight"]).all()


def test_layers_in_modules_of_their_own_are_put_in_order():
    above = {f"rnns.10.{n}_l0": a for n, a in _tensors(8, 5, 6).items()}
    below = {f"rnns.9.{n}_l0": a for n, a in _tensors(3, 5, 8).items()}
    ends = small(**{n: None for n in small() if n.startswith("rnn.")})
    ends["decoder.weight"] = np.ones((7, 6), np.float32)
    model = read_state_dict({**above, **below, **ends}).model()
    widths = [graph.output_width for graph in model.network.config.graphs]
    assert widths == [8, 6]
    with pytest.raises(ConversionError, match="the layers differ"):
        rnnkit.from_torch_state_dict({**above, **below, **ends})
    with pytest.raises(ConversionError, match="do not say in which order"):
        read_state_dict({**{f"x{n}": a for n, a in above.items()}, **below, **ends})


def _tensors(input_size, _, hidden_size):
    rng = np.random.default_rng(hidden_size)
    shapes = {"weight_ih": input_size, "weight_hh": hidden_size}
    return {
        name: rng.normal(size=(4 * hidden_size, n)).astype(np.float32)
        for name, n in shapes.items()
    }


def to_safetensors(tensors, types):
    """The bytes of a file as the library safetensors writes it."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in tensors.items():
        raw = array.tobytes()
        header[name] = {
            "dtype": types[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


TYPES = {"<f4": "F32", "<f8": "F64", "<f2": "F16", "<u2": "BF16"}


@pytest.mark.parametrize("kind", ["<f4", "<f8", "<f2", "<u2"])
def test_a_safetensors_file_is_read(tmp_path, kind):
    exact = {n: np.float32(a * 8).astype(np.int8) / 8 for n, a in small().items()}
    if kind == "<u2":  # the upper half of a float32
        stored = {
            n: (a.astype("<f4").view("<u4") >> 16).astype(kind)
            for n, a in exact.items()
        }
    else:
        stored = {n: a.astype(kind) for n, a in exact.items()}
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_safetensors(stored, TYPES))
    lm = rnnkit.from_torch_state_dict(path)
    assert lm.dtype == ("float64" if kind == "<f8" else "float32")
    assert (lm.params_["embedding.weight"] == exact["encoder.weight"]).all()
    assert (lm.params_["output.bias"] == exact["decoder.bias"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"PK\x03\x04" + d, "a file of torch.save"),
        (lambda d: d[:40], "was cut off"),
        (lambda d: d[:-8], "'decoder.bias' does not lie within the file"),
        (lambda d: d.replace(b"F32", b"I64"), "of type I64; allowed: F64"),
        (lambda d: d.replace(b"[7, 3]", b"[7,-3]"), "does not lie within"),
        (lambda d: d.replace(b'"shape"', b'"shale"'), "has no dtype, shape"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, change, message):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(change(to_safetensors(small(), TYPES)))
    with pytest.raises(ConversionError, match=message):
        read_safetensors(path)


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        (small("rnn"), {}, "rnn, layer 0 is an nn.RNN, whose weights do not say"),
        (small(), {"cell": "gru"}, "is an nn.LSTM, not what cell='gru' says"),
        (small(**{"rnn.weight_ih_l0": (11, 3)}), {}, "weight_ih has 11 rows"),
        (small(**{"rnn.weight_ih_l0": None}), {}, "layer 0: weight_ih is missing"),
        (small(**{"rnn.weight_ih_l0_reverse": (20, 3)}), {}, "_l0_reverse: a bidir"),
        (
            small(**{"rnn.weight_ih_l2": (20, 5), "rnn.weight_hh_l2": (20, 5)}),
            {},
            "but no layer 1",
        ),
        (small(**{"norm.weight": (5,)}), {}, "norm.weight of shape"),
        (small(**{"conv.weight": (5, 3, 3)}), {}, "conv.weight of shape"),
        (small(**{"mid.weight": (5, 5), "mid.bias": (5,)}), {}, "'mid' is neither"),
        (small(**{"encoder.weight": (7, 4)}), {}, "no module is an embedding of 3"),
        (small(**{"encoder.weight": None}), {"tie_weights": True}, "layer 0 reads 3"),
        (small(), {"tie_weights": True}, "have not the same weight"),
        (small(), {"embedding": "emb"}, "no module 'emb'; there are 'encoder'"),
        (small(**{"decoder.bias": (8,)}), {}, r"output.bias has shape \(8,\)"),
        (small(**{"decoder.weight": (8, 5)}), {}, "output.weight has shape"),
        ({"a": np.ones(3)}, {}, "there is no recurrent layer"),
        ({"a": np.ones(3, int)}, {}, "a is of type int64; allowed"),
        ({"a": object()}, {}, "a is of type object"),
        ([1], {}, "weights are of type list"),
        (small(), {"hidden_size": 5}, "hidden_size is known from the weights"),
        (small(), {"tokenizer": "word"}, "needs vocabulary="),
        (small(), {"tokenizer": "byte"}, "tokens, <eos> and <unk> included, the"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_name(weights, arguments, message):
    with pytest.raises(ConversionError, match=message):
        rnnkit.from_torch_state_dict(weights, **arguments)


def test_weights_that_are_not_finite_are_refused_by_name():
    weights = small()
    weights["rnn.weight_hh_l0"][0, 0] = np.nan
    with pytest.raises(ConversionError, match=r"rnn, layer 0: rnn.weight_hh_l0 holds"):
        rnnkit.from_torch_state_dict(weights)


def test_parameters_of_the_estimator_are_checked_as_ever():
    with pytest.raises(ParameterError, match="max_iter"):
        rnnkit.from_torch_state_dict(small(), max_iter=-1)


class Coupled(Cell):
    """An LSTM that no module of PyTorch is."""

    states = ("h", "c")

    def step(self, x, h, c):
        f, g, o = self.linear("fgo", x, h)
        f = sigmoid(f)
        c = f * c + (1 - f) * tanh(g)
        return sigmoid(o) * tanh(c), c


class MyLSTM(Cell):
    """The LSTM with its gates in another order, and its lines too."""

    states = ("h", "c")
    gates = "ifgo"

    def step(self, x, h, c):
        i, f, g, o = self.linear("ifgo", x, h)
        gate, written = sigmoid(o), sigmoid(i) * tanh(g)
        c = sigmoid(f) * c + written
        return gate * tanh(c), c


def model_of(*cells):
    graphs = []
    for cell in cells:
        graphs.append(trace(cell, graphs[-1].output_width if graphs else 3, 4))
    config = NetworkConfig(7, 3, tuple(graphs))
    values = Network(config).initial_values(np.random.default_rng(0))
    return LanguageModel.from_values(config, values, IdEncoder(6))


def test_a_layer_is_known_by_its_equations():
    weights = to_torch_state_dict(model_of(MyLSTM()))
    twin = read_state_dict(weights).model()
    ids = np.arange(6).reshape(3, 2)
    expected = run(model_of(MyLSTM()), ids)[0]
    np.testing.assert_allclose(run(twin, ids)[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((LSTM(), Coupled()), r"layer 1 .* its equations are not those of nn\.RNN"),
        ((LSTM(), GRU()), r"layer 1 is GRU\(\) of 4 units, layer 0 LSTM"),
    ],
)
def test_a_model_without_a_module_is_refused_by_its_layer(cells, message):
    with pytest.raises(ConversionError, match=message):
        to_torch_state_dict(model_of(*cells))


# ----------------------------------------------------------------------- PyTorch itself


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneD")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "projected"])
def test_trained_in_turns_here_and_in_pytorch_both_predict_the_same(kind, tied, dtype):
    torch = pytest.importorskip("torch", reason="compares with PyTorch as it runs")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    name, size = ("LSTM", 5) if kind == "projected" else (kind, 5)
    extra = {"proj_size": size} if kind == "projected" else {}
    rnn = getattr(torch.nn, name)(size, 9 if extra else size, 2, **extra)
    module = torch.nn.ModuleDict(
        {"embedding": torch.nn.Embedding(8, size), "rnn": rnn}
        | {"output": torch.nn.Linear(size, 8)}
    ).to(getattr(torch, dtype))
    if tied:
        module["output"].weight = module["embedding"].weight
    cell = "rnn" if kind == "RNN" else None
    lm = rnnkit.from_torch_state_dict(module.state_dict(), cell=cell, n_threads=1)
    assert lm.tie_weights is tied
    documents = [np.array([1, 2, 3, 1, 2, 3, 4]), np.array([5, 1, 2])] * 3
    ids = np.array([[7, 1, 2, 3], [7, 5, 1, 2]]).T
    for _ in range(2):
        _compare(lm, module, torch, ids, TOLERANCE[dtype])
        lm.partial_fit(documents)
        back = {n: torch.as_tensor(a) for n, a in lm.to_torch_state_dict().items()}
        module.load_state_dict(back)
        _compare(lm, module, torch, ids, TOLERANCE[dtype])
        solver = torch.optim.SGD(module.parameters(), 0.5)
        solver.zero_grad()
        logits = module["output"](rnn(module["embedding"](torch.tensor(ids)))[0])
        logits.logsumexp(-1).sum().backward()
        solver.step()
        before = lm.params_["output.bias"]
        lm = rnnkit.from_torch_state_dict(module.state_dict(), cell=cell, n_threads=1)
        assert (lm.params_["output.bias"] != before).any()


def _compare(lm, module, torch, ids, tolerance):
    with torch.no_grad():
        outputs, final = module["rnn"](module["embedding"](torch.tensor(ids)))
        expected = torch.log_softmax(module["output"](outputs), -1).numpy()
    log_p, states = run(lm.to_runtime(), ids)
    np.testing.assert_allclose(log_p, expected, atol=tolerance)
    finals = final if isinstance(final, tuple) else (final,)
    theirs = [f[k].numpy() for k in range(2) for f in finals]
    for state, its in zip(states, theirs, strict=True):
        np.testing.assert_allclose(state, its, atol=tolerance)


def test_a_projection_goes_along_and_zoneout_is_refused():
    texts, params = ["a b c"], {"hidden_size": 6, "max_iter": 0, "random_state": 0}
    lm = RNNLanguageModel(embedding_size=4, tie_weights=True, **params).fit(texts)
    found = lm.to_torch_state_dict()
    for name in ("projection.weight", "projection.bias"):
        np.testing.assert_array_equal(found[name], lm.params_[name])
    with pytest.raises(ConversionError, match=r"layer 0 .*'lstm'.*its equations"):
        RNNLanguageModel(zoneout=0.1, **params).fit(texts).to_torch_state_dict()
