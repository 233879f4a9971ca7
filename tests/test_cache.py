# SPDX-License-Identifier: BSD-3-Clause
"""The neural cache against its definition, position by position."""

import math

import numpy as np
import pytest
from small_models import LENGTHS, N_IDS, make_documents, make_model, read

from rnnkit.errors import InputTypeError, ParameterError
from rnnkit.runtime import LanguageModel, NeuralCache

LONG = (300, 0, 1, 270)  # longer than a block of positions


def distributions(cache: NeuralCache, documents: list[np.ndarray]) -> list[np.ndarray]:
    """p (n + 1, V) of each document, from the equations of the paper."""
    model, carry_state = cache.model, cache.options.carry_state
    parts = [np.concatenate(documents_with_end(documents))] if carry_state else None
    result = []
    for targets in parts or documents_with_end(documents):
        ids = np.array([N_IDS, *targets[:-1]])
        outputs, log_p = read(model, ids)
        p = np.exp(log_p)
        for t in range(1, len(targets)):
            p_cache = np.zeros(N_IDS + 1)
            for j in range(max(0, t - cache.window), t):
                p_cache[targets[j]] += math.exp(cache.theta * (outputs[t] @ outputs[j]))
            p_cache /= p_cache.sum()
            p[t] = (1 - cache.weight) * p[t] + cache.weight * p_cache
        result.append(p)
    return result


def documents_with_end(documents: list[np.ndarray]) -> list[np.ndarray]:
    return [np.array([*document, N_IDS]) for document in documents]


@pytest.mark.parametrize("carry_state", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"window": 1, "theta": 1.0, "weight": 0.5},
        {"window": 3, "theta": 0.0, "weight": 0.3},
        {"window": 17, "theta": 2.5, "weight": 0.9},
        {"window": 10_000, "theta": 0.3, "weight": 0.1},
        {"window": 5, "theta": 40.0, "weight": 0.2},  # exp of thousands
    ],
)
@pytest.mark.parametrize("lengths", [LENGTHS, LONG])
def test_a_cache_gives_the_probabilities_of_the_paper(
    carry_state: bool, settings: dict[str, float], lengths: tuple[int, ...]
) -> None:
    model = make_model(carry_state=carry_state)
    cache = NeuralCache(model, **settings)  # type: ignore[arg-type]
    documents = make_documents(lengths)
    targets = np.concatenate(documents_with_end(documents))
    p = np.concatenate(distributions(cache, documents))
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    expected = np.log(p[np.arange(len(targets)), targets])
    found = np.concatenate([s.log_probabilities for s in cache.score_tokens(documents)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert cache.score(documents) == pytest.approx(expected.mean(), rel=1e-9)
    report = cache.evaluate(documents)
    assert report.log_likelihood == pytest.approx(expected.sum(), rel=1e-9)
    assert report.n_hits == np.count_nonzero(p.argmax(axis=1) == targets)


def test_a_cache_without_weight_is_the_model_itself() -> None:
    model, documents = make_model(), make_documents()
    cache = NeuralCache(model, weight=0.0)
    assert cache.perplexity(documents) == pytest.approx(model.perplexity(documents))
    assert cache.accuracy(documents) == model.accuracy(documents)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_document_scores_alike_alone_among_others_and_on_threads(dtype: str) -> None:
    model = make_model(dtype)
    documents = make_documents((*LENGTHS, *range(90), 600))
    together = NeuralCache(model).score_samples(documents)
    threads = NeuralCache(model.with_options(n_threads=3)).score_samples(documents)
    assert threads.tobytes() == together.tobytes()
    backwards = NeuralCache(model).score_samples(documents[::-1])[::-1]
    assert backwards.tobytes() == together.tobytes()
    for i in (0, 4, len(documents) - 1):
        assert NeuralCache(model).score_samples([documents[i]])[0] == together[i]


def test_what_comes_later_changes_nothing_before() -> None:
    cache = NeuralCache(make_model(carry_state=True), weight=0.5)
    document = make_documents((300,))[0]
    whole = cache.score_tokens([document])[0].log_probabilities
    for n in (1, 100, 255, 256, 257):
        part = cache.score_tokens([document[:n]])[0].log_probabilities
        np.testing.assert_allclose(part[:n], whole[:n], rtol=1e-12)


def test_a_text_that_repeats_is_easier_with_a_cache() -> None:
    model = make_model()
    documents = [np.tile(make_documents((17,))[0], 20)]
    assert NeuralCache(model, theta=2.0).score(documents) > model.score(documents)


def test_the_grid_holds_the_score_of_every_combination() -> None:
    model, documents = make_model(), make_documents()
    grid = {"windows": [2, 30], "thetas": [0.0, 0.5, 2.0], "weights": [0.05, 0.6]}
    scores = NeuralCache.grid(model, documents, **grid)
    expected = [
        [
            [
                NeuralCache(model, window=w, theta=t, weight=s).score(documents)
                for s in grid["weights"]
            ]
            for t in grid["thetas"]
        ]
        for w in grid["windows"]
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    best = NeuralCache.tuned(model, documents, **grid)
    assert best.score(documents) == pytest.approx(scores.max(), rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window=0; allowed: a whole number >= 1"),
        ({"theta": -1}, "theta=-1; allowed: a number >= 0"),
        ({"weight": 1.5}, "weight=1.5; allowed: a number 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, float], message: str
) -> None:
    model = make_model()
    with pytest.raises(ParameterError, match=message):
        NeuralCache(model, **settings)  # type: ignore[arg-type]
    grid = {f"{name}s": [value] for name, value in settings.items()}
    with pytest.raises(ParameterError, match=message):
        NeuralCache.grid(model, make_documents(), **grid)  # type: ignore[arg-type]


def test_what_is_no_model_or_no_grid_is_refused() -> None:
    with pytest.raises(InputTypeError, match=r"of type str; allowed: a fitted estim"):
        NeuralCache("model.rnn")
    with pytest.raises(ParameterError, match="thetas is empty"):
        NeuralCache.grid(make_model(), make_documents(), thetas=[])


def test_a_fitted_estimator_may_stand_for_its_model() -> None:
    from rnnkit import RNNLanguageModel

    texts = ["the cat sat on the mat", "the dog sat on the rug"] * 5
    lm = RNNLanguageModel(hidden_size=4, max_iter=1, random_state=0, n_threads=1)
    cache = NeuralCache(lm.fit(texts), weight=0.2)
    assert isinstance(cache.model, LanguageModel)
    assert np.isfinite(cache.perplexity(texts))
