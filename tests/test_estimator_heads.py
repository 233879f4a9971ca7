# SPDX-License-Identifier: BSD-3-Clause
"""Heads for large vocabularies through estimator, files and command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from small_models import PLAIN

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.cli.main import main
from rnnkit.errors import ModelFormatError, ParameterError
from rnnkit.model import Head, chosen_cutoffs
from rnnkit.storage import safetensors

HEADS: list[dict[str, Any]] = [
    {"head": "adaptive"},
    {"head": "adaptive", "cutoffs": (4, 9), "div_value": 2.0},
    {"head": "sampled", "n_samples": 5},
    {"head": "sampled", "n_samples": 5, "tie_weights": True},
]


def texts() -> list[str]:
    """Sentences in which each word tells the next; common words and rare ones."""
    rng = np.random.default_rng(0)
    starts = ((31 ** rng.random(150)) - 1).astype(int)
    return [" ".join(f"w{(start + i) % 30}" for i in range(8)) for start in starts]


TEXTS = texts()


def make(**params: Any) -> RNNLanguageModel:
    small = {"hidden_size": 8, "max_iter": 2, "random_state": 0, "n_threads": 1}
    return RNNLanguageModel(**PLAIN | small | params)


def bits(lm: RNNLanguageModel) -> bytes:
    return b"".join(value.tobytes() for value in lm.params_.values())


@pytest.mark.parametrize("head", [{"head": "adaptive", "cutoffs": [16]}, *HEADS[1:]])
def test_every_head_learns_and_predicts_with_exact_probabilities(
    head: dict[str, Any],
) -> None:
    lm = make(**head, hidden_size=16, max_iter=30, learning_rate_init=0.01).fit(TEXTS)
    # All but the first word of a text is certain once learned.
    assert lm.perplexity(TEXTS) < 2.5
    assert lm.accuracy(TEXTS) > 0.8
    proba = lm.predict_next_proba(["w3 w4", ""])
    assert np.abs(proba.sum(axis=1) - 1).max() < 1e-5
    token, probability = lm.predict_next("w3 w4", k=1)[0][0]
    assert token == "w5" and probability == proba[0].max()
    assert lm.generate("w3 w4", temperature=0, max_new_tokens=2) == "w5 w6"
    # A document's score is the sum of what a stream predicts, token by token.
    stream, total = lm.stream(), 0.0
    for word in [*TEXTS[0].split(), "<eos>"]:
        total += np.log(dict(stream.predict_next(k=40))[word])
        if word != "<eos>":
            stream.feed(word)
    assert lm.score_samples(TEXTS[:1])[0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(
    head: dict[str, Any],
) -> None:
    models = [make(**head, early_stopping=True, n_threads=n) for n in (1, 2, 3)]
    assert len({bits(lm.fit(TEXTS)) for lm in models}) == 1
    assert len({lm.score(TEXTS) for lm in models}) == 1


def test_another_seed_draws_another_sample() -> None:
    one, other = (make(head="sampled", n_samples=5, max_iter=0) for _ in range(2))
    values = dict(one.fit(TEXTS).params_)
    other.fit(TEXTS)
    for lm, seed in ((one, 0), (other, 1)):
        lm.set_weights(values)
        lm.set_params(warm_start=True, max_iter=1, shuffle=False, random_state=seed)
    assert bits(one.fit(TEXTS)) != bits(other.fit(TEXTS))


@pytest.mark.parametrize("head", HEADS)
def test_training_goes_on_and_comes_back_from_a_file(
    head: dict[str, Any], tmp_path: Path
) -> None:
    lm = make(**head).partial_fit(TEXTS).partial_fit(TEXTS)
    assert lm.n_iter_ == 2
    lm.save(tmp_path / "model")
    loaded = rnnkit.load(tmp_path / "model")
    assert bits(loaded) == bits(lm) and loaded.score(TEXTS) == lm.score(TEXTS)
    assert rnnkit.runtime.load(tmp_path / "model").score(TEXTS) == lm.score(TEXTS)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    assert clone(loaded).fit(TEXTS).n_parameters_ == lm.n_parameters_
    for model in (lm, loaded):
        model.set_params(warm_start=True, max_iter=1).fit(TEXTS)
    assert bits(loaded) == bits(lm)


def test_a_fit_of_two_epochs_is_two_partial_fits_with_each_head() -> None:
    for head in HEADS:
        settings = {**head, "shuffle": False}
        whole = make(**settings).fit(TEXTS)
        assert bits(make(**settings).partial_fit(TEXTS).partial_fit(TEXTS)) == bits(
            whole
        )


def test_parameters_of_an_adaptive_head_have_pytorchs_names_and_shapes() -> None:
    lm = make(head="adaptive", cutoffs=(4, 9), max_iter=0).fit(TEXTS)
    shapes = {name: value.shape for name, value in lm.params_.items()}
    assert len(lm.vocabulary_) == 32
    assert {k: v for k, v in shapes.items() if k.startswith("output")} == {
        "output.head.weight": (6, 8),
        "output.head.bias": (6,),
        "output.tail.0.0.weight": (2, 8),
        "output.tail.0.1.weight": (5, 2),
        "output.tail.1.0.weight": (1, 8),
        "output.tail.1.1.weight": (23, 1),
    }
    for name, bound in {"head": 8**-0.5, "tail.0.1": 2**-0.5, "tail.1.1": 1.0}.items():
        weight = abs(lm.params_[f"output.{name}.weight"])
        assert 0.5 * bound < weight.max() <= np.float32(bound)


@pytest.mark.parametrize(
    ("vocab_size", "cutoffs"),
    [(1, ()), (2, (1,)), (5, (1,)), (10, (1, 2)), (50_000, (2_000, 10_000))],
)
def test_chosen_cutoffs_fit_every_vocabulary(
    vocab_size: int, cutoffs: tuple[int, ...]
) -> None:
    assert chosen_cutoffs(vocab_size) == cutoffs
    Head("adaptive", cutoffs).check(vocab_size, tie_weights=False)


def test_the_smallest_vocabularies_have_every_head() -> None:
    for n_ids in (1, 2):
        for head in HEADS:
            params = {**head, "tokenizer": None, "vocabulary": n_ids, "cutoffs": None}
            lm = make(**params).fit([[0, n_ids - 1]] * 9)
            assert lm.predict_next_proba([[0]]).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"head": "full"}, "head='full'; allowed: one of 'softmax', 'adaptive'"),
        ({"cutoffs": 5}, "cutoffs=5; allowed: at most 16 ascending"),
        ({"cutoffs": "5"}, "cutoffs='5'; allowed"),
        ({"cutoffs": (5, 5)}, r"cutoffs=\(5, 5\); allowed"),
        ({"cutoffs": (0,)}, r"cutoffs=\(0,\); allowed"),
        ({"cutoffs": (1.5,)}, r"cutoffs=\(1.5,\); allowed"),
        ({"cutoffs": range(1, 18)}, "allowed: at most 16"),
        ({"div_value": 0.5}, "div_value=0.5; allowed"),
        ({"n_samples": 0}, "n_samples=0; allowed"),
        ({"head": "adaptive", "cutoffs": (32,)}, "below the number of tokens, 32"),
        (
            {"head": "adaptive", "tie_weights": True},
            "tie_weights=True needs one output",
        ),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    for method in ("fit", "partial_fit"):
        with pytest.raises(ParameterError, match=message):
            getattr(make(**params), method)(TEXTS)


def test_a_head_cannot_change_between_calls_of_partial_fit() -> None:
    lm = make(head="sampled").partial_fit(TEXTS)
    with pytest.raises(ParameterError, match="head"):
        lm.set_params(head="softmax").partial_fit(TEXTS)


def test_a_grid_search_tries_heads() -> None:
    grid = {"head": ["softmax", "adaptive"], "cutoffs": [None, [3]]}
    search = GridSearchCV(make(max_iter=1), grid, cv=2).fit(TEXTS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---------------------------------------------------------------------------- files


def facts_of(path: Path) -> dict[str, Any]:
    _, metadata = safetensors.decode(path.read_bytes())
    return dict(json.loads(metadata["network"]))


def test_a_file_says_what_its_head_is_unless_it_is_a_softmax(tmp_path: Path) -> None:
    path = tmp_path / "model"
    make(max_iter=0).fit(TEXTS).save(path)
    assert "head" not in facts_of(path)
    make(max_iter=0, **HEADS[1]).fit(TEXTS).save(path)
    assert facts_of(path)["head"] == {
        "kind": "adaptive",
        "cutoffs": [4, 9],
        "div_value": 2.0,
    }
    make(max_iter=0, **HEADS[2]).fit(TEXTS).save(path)
    assert facts_of(path)["head"] == {"kind": "sampled", "n_samples": 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "is of no known form"),
        ([], "is of no known form"),
        ({"kind": []}, "is of no known form"),
        ({"kind": "hierarchical"}, "is of no known form"),
        ({"kind": "softmax", "n_samples": 1}, "is of no known form"),
        ({"kind": "sampled"}, "'n_samples' must be a whole"),
        ({"kind": "sampled", "n_samples": 1.0}, "is of no known form"),
        ({"kind": "sampled", "n_samples": True}, "'n_samples' must be a whole"),
        ({"kind": "sampled", "n_samples": 2**40}, "'n_samples' must be a whole"),
        ({"cutoffs": 4}, "'cutoffs' must be a list of"),
        ({"cutoffs": [4, "9"]}, "'cutoffs' must be a list of"),
        ({"cutoffs": [9, 4]}, "ascend, from 1"),
        ({"cutoffs": [4, 2**40]}, "below the vocabulary's size"),
        ({"cutoffs": [4, 10]}, "has shape"),
        ({"cutoffs": [4]}, "has shape"),
        ({"div_value": 0.5}, "div_value=0.5 must be at least 1"),
        ({"div_value": 3.0}, "does not have the shape"),
        ({"more": 1}, "is of no known form"),
        ({"kind": "softmax", "cutoffs": ..., "div_value": ...}, "no known form"),
    ],
)
def test_a_head_that_is_wrong_in_a_file_is_refused(
    change: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    make(max_iter=0, **HEADS[1]).fit(TEXTS).save(path)
    tensors, metadata = safetensors.decode(path.read_bytes())
    network = json.loads(metadata["network"])
    known = {"cutoffs", "div_value"} & set(change or ()) or "more" in (change or ())
    head = {**network["head"], **change} if known else change
    if isinstance(head, dict):
        head = {key: value for key, value in head.items() if value is not ...}
    metadata["network"] = safetensors.canonical_json({**network, "head": head})
    path.write_bytes(safetensors.encode(tensors, metadata))
    for load in (rnnkit.load, rnnkit.runtime.load):
        with pytest.raises(ModelFormatError, match=message):
            load(path)


# ------------------------------------------------------------------- command line


def test_the_command_line_takes_cutoffs_as_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, model = tmp_path / "text", tmp_path / "model"
    text.write_text("\n".join(TEXTS))
    options = "--head adaptive --cutoffs 4,9 --hidden-size 8 --max-iter 1 --verbose 0"
    assert main(["fit", str(text), "-o", str(model), *options.split()]) == 0
    assert facts_of(model)["head"]["cutoffs"] == [4, 9]
    assert main(["info", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["head"] == "adaptive"
    main(["fit", str(text), "-o", str(model), *options.replace("4,9", "6,").split()])
    assert facts_of(model)["head"]["cutoffs"] == [6]
