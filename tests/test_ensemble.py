# SPDX-License-Identifier: BSD-3-Clause
"""Several models as one, against the mean of what each of them says."""

import pickle
from typing import Any

import numpy as np
import pytest
from small_models import N_IDS, make_documents, make_model, make_text_model

from rnnkit.cells import LSTM
from rnnkit.compiler import trace
from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import Ensemble, LanguageModel, Options
from rnnkit.runtime.encoder import IdEncoder
from rnnkit.tokenizers import CharTokenizer, WhitespaceTokenizer, WordTokenizer

TEXTS = ["the cat sat on the mat", "the dog sat on the log"]
WEIGHTS = (3.0, 1.0)


def other_model(dtype: str = "float64", **options: Any) -> LanguageModel:
    """Of another shape than `make_model`, with the same vocabulary."""
    config = NetworkConfig(N_IDS + 1, 4, (trace(LSTM(), 4, 3),), dtype=dtype)
    rng = np.random.default_rng(8)
    values = {p.name: rng.normal(size=p.shape) for p in Network(config).parameters}
    return LanguageModel.from_values(
        config, values, IdEncoder(N_IDS), Options(**{"n_threads": 1, **options})
    )


def mean_after(models: list[LanguageModel], ids: list[int]) -> np.ndarray:
    """The weighted mean of the probabilities after a prompt."""
    found = [model.predict_next_proba(ids)[0] for model in models]
    return np.average(found, axis=0, weights=WEIGHTS)


@pytest.fixture(scope="module")
def models() -> list[LanguageModel]:
    return [make_model(), other_model()]


@pytest.fixture(scope="module")
def ensemble(models: list[LanguageModel]) -> Ensemble:
    return Ensemble(models, WEIGHTS)


def test_every_score_is_that_of_the_mean_probability(
    models: list[LanguageModel], ensemble: Ensemble
) -> None:
    documents = make_documents()
    expected, hits = [], 0
    for document in documents:
        targets = [*document.tolist(), N_IDS]
        rows = [mean_after(models, targets[:t]) for t in range(len(targets))]
        expected.append(
            [np.log(p[token]) for p, token in zip(rows, targets, strict=True)]
        )
        hits += sum(int(p.argmax()) == t for p, t in zip(rows, targets, strict=True))
    sums = [sum(scores) for scores in expected]
    n_tokens = sum(map(len, expected))
    found = [scores.log_probabilities for scores in ensemble.score_tokens(documents)]
    np.testing.assert_allclose(
        np.concatenate(found), np.concatenate(expected), rtol=1e-9
    )
    np.testing.assert_allclose(ensemble.score_samples(documents), sums, rtol=1e-9)
    assert ensemble.score(documents) == pytest.approx(sum(sums) / n_tokens, rel=1e-9)
    report = ensemble.evaluate(documents)
    assert report.score == pytest.approx(ensemble.score(documents), rel=1e-12)
    assert report.accuracy == ensemble.accuracy(documents) == hits / n_tokens
    assert ensemble.perplexity(documents) == pytest.approx(np.exp(-report.score))


def test_what_comes_next_is_the_mean_too(
    models: list[LanguageModel], ensemble: Ensemble
) -> None:
    prompts = [[], [1, 2], [3]]
    expected = [mean_after(models, ids) for ids in prompts]
    np.testing.assert_allclose(ensemble.predict_next_proba(prompts), expected)
    for p, pairs in zip(expected, ensemble.predict_next(prompts, k=3), strict=True):
        assert [pair[1] for pair in pairs] == pytest.approx(sorted(p)[:-4:-1])


def test_generation_follows_the_mean(
    models: list[LanguageModel], ensemble: Ensemble
) -> None:
    found = ensemble.generate([2], temperature=0, max_new_tokens=15).tolist()
    new: list[int] = []
    while len(new) < 15:
        token = int(mean_after(models, [2, *new]).argmax())
        if token == N_IDS:
            break
        new.append(token)
    assert found == new
    options = {"max_new_tokens": 10, "random_state": 1}
    twice = Ensemble([models[0], models[0]]).generate([[2], []], **options)
    once = models[0].generate([[2], []], **options)
    assert [ids.tolist() for ids in twice] == [ids.tolist() for ids in once]
    beams = ensemble.generate([2], num_beams=3, num_return_sequences=2)
    assert len(beams) == 2


def test_a_weight_of_zero_leaves_a_model_out(models: list[LanguageModel]) -> None:
    documents = make_documents()
    alone = Ensemble(models, [0, 2]).score_samples(documents)
    np.testing.assert_allclose(alone, models[1].score_samples(documents), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_ensemble_gives_the_same_bits_on_threads_and_in_batches(dtype: str) -> None:
    ensemble = Ensemble([make_model(dtype), other_model(dtype)])
    documents = make_documents((3, 17, 0, 65, *range(70)))
    together = ensemble.score_samples(documents)
    assert (
        ensemble.with_options(n_threads=3).score_samples(documents).tobytes()
        == together.tobytes()
    )
    assert ensemble.score_samples([documents[3]])[0] == together[3]
    twin = pickle.loads(pickle.dumps(ensemble))
    assert twin.score_samples(documents).tobytes() == together.tobytes()


def test_options_reach_every_model(models: list[LanguageModel]) -> None:
    documents = make_documents()
    carried = Ensemble(models).with_options(carry_state=True)
    expected = Ensemble([m.with_options(carry_state=True) for m in models])
    assert carried.score(documents) == expected.score(documents)
    assert carried.score(documents) != Ensemble(models).score(documents)


def test_models_of_other_vocabularies_are_refused() -> None:
    whitespace = make_text_model(WhitespaceTokenizer(), TEXTS)
    word = make_text_model(WordTokenizer(), TEXTS)
    lower = make_text_model(WhitespaceTokenizer(lowercase=True), TEXTS)
    other = make_text_model(WhitespaceTokenizer(), [TEXTS[0], "the dog sat on the rug"])
    with pytest.raises(InputError, match=r"model 1 has a vocabulary of \d+ tokens"):
        Ensemble([whitespace, make_text_model(CharTokenizer(), TEXTS)])
    with pytest.raises(InputError, match=r"token \d is 'mat' for model 2, 'log' for"):
        Ensemble([whitespace, whitespace, other])
    with pytest.raises(InputError, match="the tokenizer of model 1 is not that of"):
        Ensemble([whitespace, lower])
    with pytest.raises(InputError, match="vocabulary"):
        Ensemble([word, make_model()])
    assert Ensemble([whitespace, make_text_model(WhitespaceTokenizer(), TEXTS, seed=1)])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "weights has 1 numbers for 2 models"),
        ([1.0, -1.0], "weight=-1.0; allowed: a number >= 0"),
        ([0, 0], "weights are all 0"),
        ([1.0, "2"], "weight='2'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    models: list[LanguageModel], weights: list[Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        Ensemble(models, weights)


def test_what_is_no_list_of_models_is_refused(models: list[LanguageModel]) -> None:
    with pytest.raises(InputError, match="models is empty"):
        Ensemble([])
    for wrong in (models[0], "model.rnn", 3):
        with pytest.raises(InputTypeError, match="allowed: a list of models"):
            Ensemble(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="a model is of type int"):
        Ensemble([models[0], 3])


def test_estimators_make_an_ensemble() -> None:
    from rnnkit import RNNLanguageModel

    lms = [
        RNNLanguageModel(hidden_size=4, max_iter=1, random_state=seed, n_threads=1)
        for seed in (0, 1)
    ]
    ensemble = Ensemble([lm.fit(TEXTS * 5) for lm in lms])
    p = [lm.predict_next_proba("the") for lm in lms]
    np.testing.assert_allclose(
        ensemble.predict_next_proba("the"), np.mean(p, axis=0), rtol=1e-6
    )
