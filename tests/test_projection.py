# SPDX-License-Identifier: BSD-3-Clause
"""The projection between the top cell and the output layer."""

import json
from pathlib import Path
from typing import Any

import core_oracle as oracle
import head_oracle
import numpy as np
import pytest
from core_oracle import Model
from small_models import PLAIN
from test_heads_large import adaptive, sampled, some_window, trained

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.cells import LSTM, LSTMP
from rnnkit.cli.main import main
from rnnkit.compiler import trace
from rnnkit.core import State, Window
from rnnkit.errors import ModelFormatError, ParameterError
from rnnkit.model import Dropout, Network, NetworkConfig
from rnnkit.model.projection import projection_graph
from rnnkit.runtime import NeuralCache
from rnnkit.storage import safetensors
from rnnkit.testing import relative_error
from rnnkit.training import DynamicEvaluation

RNG = np.random.default_rng(0)
WORDS = np.array(["the", "a", "cat", "dog", "mouse", "sat", "ran", "on", "off", "mat"])
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(1, 12))) for _ in range(60)]
CASES: list[dict[str, Any]] = [
    {"tie_weights": True, "embedding_size": 5, "num_layers": 2, "dropout": 0.2},
    {"tie_weights": True, "cell": LSTMP(proj_size=3)},
    {"projection": True, "embedding_size": 9, "projection_alpha": 0.01},
    {"projection": True, "head": "adaptive", "cutoffs": (3, 7), "embedding_size": 4},
    {"tie_weights": True, "head": "sampled", "n_samples": 3, "embedding_size": 4},
]


class Projected(Model):
    """A network of the core and the oracle with one layer more: the projection."""

    def _traced(self):
        graphs = super()._traced()
        top = projection_graph(graphs[-1].output_width, self.embedding_size)
        return [*graphs, top]


def make(**params: Any) -> RNNLanguageModel:
    defaults: dict[str, Any] = {
        "tokenizer": "whitespace", "hidden_size": 6, "max_iter": 2, "bptt": 5,
        "batch_size": 3, "random_state": 0, "n_threads": 1,
    }  # fmt: skip
    return RNNLanguageModel(**PLAIN | defaults | params)


def bits(lm: RNNLanguageModel) -> bytes:
    return b"".join(value.tobytes() for value in lm.params_.values())


# ------------------------------------------------------------------------- the core


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_values_and_gradients_equal_the_oracle(num_layers, tie_weights):
    """Rows that are reset, that end, and that are not scored among them."""
    model = Projected(
        LSTM(), num_layers=num_layers, tie_weights=tie_weights, flags=True
    )
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(17, size=(2, 9, 5), dtype=np.int32)
    given = {
        "target_weights": rng.choice(np.array([0, 1, 3], np.float32), ids.shape),
        "resets": (rng.random(ids.shape) < 0.2).astype(np.uint8),
        "active": (rng.random(ids.shape) < 0.8).astype(np.uint8),
    }
    states = [model.state(5, seed=1) for _ in range(3)]
    arrays = model.state_arrays(states[0])
    found = [
        oracle.run_core(model, ids, state, targets, n_threads=n, **given)
        for state, n in zip(states, (1, 2, 5), strict=True)
    ]
    expected = oracle.run(model, ids, arrays, targets, **given)
    error = relative_error(oracle.arrays_of(found[0]), oracle.arrays_of(expected))
    assert error <= 1e-12
    assert len({b"".join(oracle.bytes_of(result)) for result in found}) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"head": sampled(5), "tie_weights": True},
        {"head": sampled(5)},
        {"head": adaptive((5, 3), (9, 2))},
    ],
)
def test_gradients_below_heads_for_large_vocabularies_equal_a_complex_step(given):
    model = Projected(LSTM(), **given)
    ids, targets, weights = some_window(model)
    window, _ = trained(model, ids, targets, weights)
    rng = np.random.default_rng(1)
    for i, value in enumerate(model.values):
        direction = rng.normal(size=value.shape)
        slope = head_oracle.slope(
            lambda values: head_oracle.loss(
                model, values, ids, targets, weights, seed=5, update=7
            ),
            model.values,
            i,
            direction,
        )
        assert (window.gradient(i) * direction).sum() == pytest.approx(slope, rel=1e-9)


def test_dropout_before_the_softmax_masks_what_the_projection_reads() -> None:
    config = NetworkConfig(
        7, 4, (trace(LSTM(), 4, 4),), projection=True, dtype="float64"
    )
    network = Network(config)
    values = network.initial_values(np.random.default_rng(0))
    values |= {"projection.weight": np.eye(4), "projection.bias": np.ones(4)}
    weights = network.weights(values)
    ids = np.arange(70, dtype=np.int32).reshape(10, 7) % 7
    outputs = []
    for dropout in (Dropout(), Dropout(hidden=0.5, output=0.5)):
        window = Window(weights, network.programs(dropout=dropout), 10, 7)
        window.forward(ids, State(weights, network.programs(), 7), seed=1)
        outputs.append(window.outputs() - 1)
    plain, masked = outputs
    kept = masked != 0
    assert 0.4 < kept.mean() < 0.6
    np.testing.assert_allclose(masked[kept], 2 * plain[kept], rtol=1e-9)


def test_as_many_cells_as_there_may_be_have_a_projection_too() -> None:
    graphs = tuple(trace(LSTM(), 1, 1) for _ in range(64))
    network = Network(NetworkConfig(2, 1, graphs, projection=True))
    weights = network.initial_weights(np.random.default_rng(0))
    window = Window(weights, network.programs(), 1, 1)
    state = State(weights, network.programs(), 1)
    log_p = window.predict(np.zeros((1, 1), np.int32), state)
    assert np.exp(log_p).sum() == pytest.approx(1)


# -------------------------------------------------------------------- the estimator


def test_its_parameters_stand_before_those_of_the_output_layer() -> None:
    lm = make(**CASES[0], max_iter=0).fit(TEXTS)
    shapes = {name: value.shape for name, value in lm.params_.items()}
    assert list(shapes)[-3:] == ["projection.weight", "projection.bias", "output.bias"]
    assert shapes["projection.weight"] == (5, 6)
    weight = lm.params_["projection.weight"]
    assert 0.5 * 6**-0.5 < abs(weight).max() <= np.float32(6**-0.5)
    assert not lm.params_["projection.bias"].any()
    untied = make(**CASES[2], max_iter=0).fit(TEXTS).params_
    assert untied["projection.weight"].shape == (9, 6)
    assert untied["output.weight"].shape[1] == 9
    assert make(**CASES[1], max_iter=0).fit(TEXTS).params_[
        "projection.weight"
    ].shape == (6, 3)


def test_there_is_none_where_nothing_needs_it() -> None:
    for params in ({}, {"tie_weights": True}, {"embedding_size": 3}):
        names = make(**params, max_iter=0).fit(TEXTS).params_
        assert not any(name.startswith("projection") for name in names)


@pytest.mark.parametrize("case", CASES)
def test_models_learn_and_come_back_from_a_file(
    case: dict[str, Any], tmp_path: Path
) -> None:
    lm = make(**case, learning_rate_init=0.01, early_stopping=True).fit(TEXTS)
    assert lm.perplexity(TEXTS) < 0.98 * len(lm.vocabulary_)
    lm.save(tmp_path / "model")
    loaded = rnnkit.load(tmp_path / "model")
    assert bits(loaded) == bits(lm) and loaded.score(TEXTS) == lm.score(TEXTS)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    for model in (lm, loaded):
        model.set_params(warm_start=True, max_iter=1).fit(TEXTS)
    assert bits(loaded) == bits(lm)
    assert lm.transform(TEXTS).shape == (60, len(lm.get_feature_names_out()))


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_same_bits_with_threads_and_after_a_break(
    case: dict[str, Any], tmp_path: Path
) -> None:
    whole = make(**case, n_threads=3).fit(TEXTS, checkpoint=tmp_path)
    resumed = make(**case).fit(TEXTS, checkpoint=tmp_path, resume=True)
    assert bits(whole) == bits(resumed) == bits(make(**case).fit(TEXTS))
    parts = make(**case, shuffle=False).partial_fit(TEXTS).partial_fit(TEXTS)
    assert bits(parts) == bits(make(**case, shuffle=False).fit(TEXTS))


@pytest.mark.parametrize("case", CASES)
def test_every_question_is_answered(case: dict[str, Any]) -> None:
    lm = make(**case, dtype="float64").fit(TEXTS)
    text = "the cat sat on a mat"
    stream, total = lm.stream(), 0.0
    for word in [*text.split(), "<eos>"]:
        total += np.log(dict(stream.predict_next(k=40))[word])
        if word != "<eos>":
            stream.feed(word)
    assert lm.score_samples([text])[0] == pytest.approx(total, rel=1e-9)
    greedy = lm.generate("the", temperature=0, max_new_tokens=4)
    assert lm.generate("the", num_beams=1, temperature=0, max_new_tokens=4) == greedy
    best = lm.generate("the", num_beams=3, min_new_tokens=4, max_new_tokens=4)
    assert len(best.split()) == 4
    plain = lm.perplexity(TEXTS)
    assert NeuralCache(lm, weight=0.0).perplexity(TEXTS) == pytest.approx(plain)
    assert NeuralCache(lm, weight=0.3).perplexity(TEXTS) != pytest.approx(plain)
    if lm.head != "sampled":  # trains, and so adapts, among a sample
        still, moving = (DynamicEvaluation(lm, learning_rate=r) for r in (0.0, 0.1))
        assert still.perplexity(TEXTS) == pytest.approx(plain)
        assert moving.perplexity(TEXTS) != pytest.approx(plain)


@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_projection_alpha_shrinks_the_projection_alone(solver: str) -> None:
    """After one step, a window: each element has moved by -rate * alpha * itself."""
    given = {
        **CASES[0], "solver": solver, "dropout": 0, "alpha": 0.1, "dtype": "float64",
        "max_grad_norm": None, "learning_rate_init": 0.1, "bptt": 100,
    }  # fmt: skip
    text = [" ".join(WORDS)]
    first = make(**given, max_iter=0).fit(text).params_["projection.weight"]
    plain = make(**given, max_iter=1).fit(text).params_
    decayed = make(**given, max_iter=1, projection_alpha=0.3).fit(text).params_
    for name, value in plain.items():
        moved = decayed[name] - value
        if name != "projection.weight":
            assert not moved.any()
        else:
            np.testing.assert_allclose(moved, -0.03 * first, atol=1e-15)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"tie_weights": True, "embedding_size": 5, "projection": False},
            "embedding_size=5, the top layer gives 6; set embedding_size",
        ),
        ({"projection": 1}, "projection=1; allowed: True or False or None"),
        ({"projection_alpha": -1}, "projection_alpha=-1; allowed"),
        ({"projection_alpha": 0.1}, "projection_alpha=0.1 needs a projection"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    for method in ("fit", "partial_fit"):
        with pytest.raises(ParameterError, match=message):
            getattr(make(**params), method)(TEXTS)


def test_a_projection_cannot_come_and_go_between_fits() -> None:
    lm = make().partial_fit(TEXTS)
    with pytest.raises(ParameterError, match="projection"):
        lm.set_params(projection=True).partial_fit(TEXTS)
    with pytest.raises(ValueError, match=r"'projection.weight' is missing"):
        lm.set_params(warm_start=True).fit(TEXTS)


@pytest.mark.parametrize("value", [False, 1, None, "true"])
def test_a_projection_that_is_wrong_in_a_file_is_refused(
    value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    make(max_iter=0).fit(TEXTS).save(path)
    tensors, metadata = safetensors.decode(path.read_bytes())
    network = json.loads(metadata["network"]) | {"projection": value}
    metadata["network"] = safetensors.canonical_json(network)
    path.write_bytes(safetensors.encode(tensors, metadata))
    with pytest.raises(ModelFormatError, match="'projection' must be true"):
        rnnkit.load(path)


def test_the_command_line_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, model = tmp_path / "text", tmp_path / "model"
    text.write_text("\n".join(TEXTS))
    options = "--tie-weights --embedding-size 4 --hidden-size 6 --projection-alpha 0.01"
    options += " --max-iter 1 --verbose 0"
    assert main(["fit", str(text), "-o", str(model), *options.split()]) == 0
    assert main(["info", str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["projection"] is True
    assert (facts["embedding_size"], facts["hidden_size"]) == (4, 6)
    assert main(["next", str(model), "the cat", "--json"]) == 0
