# SPDX-License-Identifier: BSD-3-Clause
"""Regularisers as the estimator offers them: steps, files, what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstm_oracle import RegularisedLSTM, assert_gradients
from sklearn.base import clone
from small_models import PLAIN
from test_regularisers import NoRecurrentMatrix, OutputIsNoState

import rnnkit
from rnnkit import RNNLanguageModel, runtime
from rnnkit.cli import main
from rnnkit.cli.options import value_of
from rnnkit.errors import ModelFormatError, ParameterError
from rnnkit.storage.model_file import from_bytes, to_bytes
from rnnkit.storage.safetensors import decode, encode
from rnnkit.training import DynamicEvaluation

TEXTS = ["the cat sat on the mat", "the dog sat on the rug", "the mouse ran"]
ZONEOUT = {"h": 0.2, "c": 0.5}
EACH: dict[str, tuple[str, Any]] = {  # what the oracle calls it, and a value
    "embedding_dropout": ("embedding", 0.3),
    "weight_dropout": ("weight", 0.4),
    "zoneout": ("zoneout", ZONEOUT),
    "activation_penalty": ("activation", 2.0),
    "temporal_activation_penalty": ("temporal", 1.0),
}
ALL = {name: value for name, (_, value) in EACH.items()}


def make(**params: Any) -> RNNLanguageModel:
    small = {"hidden_size": 6, "max_iter": 2, "random_state": 3, "n_threads": 1}
    return RNNLanguageModel(**PLAIN | small | params)


def bits(lm: RNNLanguageModel) -> bytes:
    return b"".join(value.tobytes() for value in lm.params_.values())


# ------------------------------------------------------------------ a step of training


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", [*EACH, "all"])
def test_a_step_of_sgd_is_that_of_numpy(name: str, tied: bool) -> None:
    """The weights move against the oracle's gradient, taken along random directions."""
    names = EACH if name == "all" else [name]
    settings = {name: ALL[name] for name in names}
    oracle = RegularisedLSTM(tied=tied, seed=3, **dict(EACH[name] for name in names))
    ids = np.random.default_rng(0).integers(0, 9, 30)
    sizes = {"tokenizer": None, "vocabulary": 9, "num_layers": 2, "tie_weights": tied}
    solver = {"solver": "sgd", "learning_rate_init": 0.5, "max_grad_norm": None}
    lm = make(**sizes, **solver, **settings, dtype="float64", max_iter=0).fit([ids])
    before = [value.copy() for value in lm.params_.values()]
    after = lm.set_params(max_iter=1).fit([ids]).params_.values()
    read, predicted = np.append(9, ids)[:, None], np.append(ids, 9)[:, None]
    states = [[np.zeros((1, 6))] * 2] * 2
    window = read, predicted, states, np.arange(31)[:, None] == 0
    assert lm.loss_curve_[0] == pytest.approx(oracle.objective(before, *window)[0])
    found = [2.0 * (old - new) for old, new in zip(before, after, strict=True)]
    assert_gradients(found, before, partial(oracle.minimised, window=window))


@pytest.mark.parametrize("cell", ["lstm", OutputIsNoState(), "gru"], ids=repr)
def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(
    cell: Any,
) -> None:
    settings = {**ALL, "zoneout": 0.2, "dropout": 0.2, "cell": cell, "bptt": 8}
    models = [make(**settings, n_threads=n).fit(TEXTS * 30) for n in (1, 2, 5)]
    assert len({bits(lm) for lm in models}) == 1


def test_each_of_them_is_another_training() -> None:
    plain = make().fit(TEXTS * 5)
    found = {bits(make(**{name: ALL[name]}).fit(TEXTS * 5)) for name in EACH}
    assert len(found | {bits(plain)}) == 6
    off = {name: 0.0 for name in EACH}
    assert bits(make(**off).fit(TEXTS * 5)) == bits(plain)


def test_one_rate_of_zoneout_is_that_of_all_states() -> None:
    one = make(zoneout=0.25, num_layers=2).fit(TEXTS)
    assert bits(one) == bits(
        make(zoneout={"h": 0.25, "c": 0.25}, num_layers=2).fit(TEXTS)
    )
    assert bits(one) != bits(make(zoneout={"h": 0.25}, num_layers=2).fit(TEXTS))


def test_scikit_learn_knows_the_parameters() -> None:
    lm = make(**ALL)
    assert ALL.items() <= clone(lm).get_params().items()
    assert lm.set_params(zoneout=0.5).get_params()["zoneout"] == 0.5


# --------------------------------------------------------------------- what it predicts


def test_scores_draw_nothing_and_zoneout_is_its_expectation() -> None:
    lm = make(**ALL, dtype="float64").fit(TEXTS * 3)
    scores = lm.score_samples(TEXTS)
    assert scores.tobytes() == lm.score_samples(TEXTS).tobytes()
    p, words = lm.params_, lm.vocabulary_
    ids = [words.index("<eos>"), *(words.index(word) for word in TEXTS[0].split())]
    h, c, total = np.zeros(6), np.zeros(6), 0.0
    for token, following in zip(ids, [*ids[1:], ids[0]], strict=True):
        x = p["embedding.weight"][token]
        gates = p["rnn.weight_ih_l0"] @ x + p["rnn.weight_hh_l0"] @ h
        gates += p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        new_c = f * c + i * np.tanh(g)
        h = 0.2 * h + 0.8 * o * np.tanh(new_c)
        c = 0.5 * c + 0.5 * new_c
        logits = p["output.weight"] @ h + p["output.bias"]
        total += logits[following] - np.log(np.exp(logits).sum())
    assert scores[0] == pytest.approx(total, rel=1e-12)


def test_all_ways_to_ask_agree_before_and_after_a_file(tmp_path: Path) -> None:
    lm = make(zoneout=ZONEOUT, max_iter=20).fit(TEXTS * 3)
    lm.save(tmp_path / "model")
    loaded, ran = rnnkit.load(tmp_path / "model"), runtime.load(tmp_path / "model")
    assert loaded.zoneout == ZONEOUT
    for model in (loaded, ran):
        assert model.score_samples(TEXTS).tobytes() == lm.score_samples(TEXTS).tobytes()
    assert ran.describe()["zoneout"] == ZONEOUT
    (expected,) = lm.predict_next(["the cat"], k=3)
    stream = ran.stream().feed("the cat")
    assert stream.predict_next(k=3) == expected
    adapting = DynamicEvaluation(ran, learning_rate=0.0, segment=100)
    np.testing.assert_allclose(
        adapting.score_samples(TEXTS), lm.score_samples(TEXTS), rtol=1e-6
    )
    plain = make(max_iter=0).fit(TEXTS * 3).set_weights(lm.params_)
    assert abs(plain.score(TEXTS) - lm.score(TEXTS)) > 1e-3


def test_a_model_from_a_file_learns_on_with_its_zoneout(tmp_path: Path) -> None:
    lm = make(zoneout=0.5, warm_start=True).fit(TEXTS)
    lm.save(tmp_path / "model")
    loaded = rnnkit.load(tmp_path / "model")
    assert bits(loaded.fit(TEXTS)) == bits(lm.fit(TEXTS))
    assert bits(loaded.partial_fit(TEXTS)) == bits(lm.partial_fit(TEXTS))


def test_penalties_and_dropout_may_change_between_passes() -> None:
    lm = make(cell=OutputIsNoState(), carry_state=True).partial_fit(TEXTS)
    for settings in (
        {"temporal_activation_penalty": 1.0},
        {"weight_dropout": 0.5},
        ALL,
    ):
        settings = {**settings, "zoneout": 0.0}
        before = bits(lm)
        assert bits(lm.set_params(**settings).partial_fit(TEXTS)) != before


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"embedding_dropout": 1.0}, "embedding_dropout=1.0; allowed"),
        ({"weight_dropout": -0.1}, "weight_dropout=-0.1; allowed"),
        ({"zoneout": 1.0}, "zoneout=1.0; allowed: a number in"),
        ({"zoneout": {"h": "0.1"}}, "by the names of the cell's states"),
        ({"zoneout": ["h"]}, "by the names of the cell's states"),
        ({"zoneout": {"m": 0.1}}, "no state 'm'; its states: h, c"),
        ({"zoneout": {"m": 0}}, "no state 'm'; its states: h, c"),
        ({"zoneout": 0.1, "cell": "slstm"}, "state 'm' begins at -inf"),
        ({"activation_penalty": -1}, "activation_penalty=-1; allowed"),
        ({"temporal_activation_penalty": "1"}, "temporal_activation_penalty='1'"),
        ({"weight_dropout": 0.1, "cell": NoRecurrentMatrix()}, "has nothing to drop"),
    ],
)
def test_what_cannot_be_is_refused_before_training(params: Any, message: str) -> None:
    lm = make(**params)
    for method in (lm.fit, lm.partial_fit):
        with pytest.raises(ParameterError, match=message):
            method(TEXTS)
    assert not hasattr(lm, "params_")


def test_zoneout_is_a_part_of_the_model() -> None:
    lm = make(zoneout=0.25, warm_start=True).fit(TEXTS)
    with pytest.raises(ParameterError, match=r"zoneout=0\.5 is not that with which"):
        lm.set_params(zoneout=0.5).fit(TEXTS)
    with pytest.raises(ParameterError, match="zoneout, tie_weights, projection and"):
        make(zoneout=0.25).partial_fit(TEXTS).set_params(zoneout=0.5).partial_fit(TEXTS)


@pytest.mark.parametrize(
    ("zoneout", "message"),
    [
        ('{"h":1.5}', "allowed: \\[0, 1\\)"),
        ('{"m":0.5}', "no state 'm'"),
        ('{"h":"a"}', "must be numbers by name"),
        ("[0.5]", "must be numbers by name"),
    ],
)
def test_a_file_with_a_bad_rate_is_refused(
    zoneout: str, message: str, tmp_path: Path
) -> None:
    make(zoneout={"h": 0.5}).fit(TEXTS).save(tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    assert to_bytes(from_bytes(data)) == data
    tensors, metadata = decode(data)
    metadata["network"] = metadata["network"].replace('{"h":0.5}', zoneout)
    with pytest.raises(ModelFormatError, match=message):
        from_bytes(encode(tensors, metadata))


# ------------------------------------------------------------------- the command line


def test_the_command_line_takes_rates_by_name(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("\n".join(TEXTS), "utf-8")
    options = ["--zoneout", "h=0.2,c=0.5", "--hidden-size", "3", "--max-iter", "1"]
    assert (
        main(["fit", str(tmp_path / "text"), "-o", str(tmp_path / "m"), *options]) == 0
    )
    assert rnnkit.load(tmp_path / "m").zoneout == ZONEOUT


def test_numbers_by_name_are_a_mapping_and_all_else_is_text() -> None:
    assert value_of("h=0.05,c=1") == {"h": 0.05, "c": 1}
    for text in ("a=b", "h=0.1,c=x", "=1", "h=0.1,2"):
        assert value_of(text) == text
