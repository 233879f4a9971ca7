# SPDX-License-Identifier: BSD-3-Clause
"""n-best lists in the order of their total scores."""

import math
from typing import Any

import numpy as np
import pytest
from small_models import log_likelihood, make_documents, make_model, make_text_model

from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.runtime import Ensemble, LanguageModel, NeuralCache
from rnnkit.tokenizers import WordTokenizer

LISTS = [make_documents((3, 17, 0)), make_documents((5,)), make_documents((1, 2))]
SCORES = [[-3.0, 10.0, -0.5], [0.0], [-40.0, -1.5]]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return make_model()


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("length_penalty", [0.0, 0.5, 1.0])
def test_the_total_is_the_given_score_and_the_model_s(
    model: LanguageModel, weight: float, length_penalty: float
) -> None:
    found = model.rescore(LISTS, SCORES, weight=weight, length_penalty=length_penalty)
    for ranking, documents, scores in zip(found, LISTS, SCORES, strict=True):
        expected = [
            score + weight * log_likelihood(model, d) / (len(d) + 1) ** length_penalty
            for d, score in zip(documents, scores, strict=True)
        ]
        assert ranking.scores == pytest.approx(expected, rel=1e-12)
        order = sorted(range(len(expected)), key=lambda i: -expected[i])
        assert ranking.order.tolist() == order


def test_without_scores_the_model_decides_from_the_initial_state() -> None:
    model = make_model(carry_state=True)
    fresh = model.with_options(carry_state=False)
    for scorer in (model, Ensemble([model]), NeuralCache(model, weight=0.0)):
        for ranking, documents in zip(scorer.rescore(LISTS), LISTS, strict=True):
            expected = fresh.score_samples(documents)
            np.testing.assert_allclose(ranking.scores, expected, rtol=1e-12)


def test_equals_keep_the_order_they_were_given_in(model: LanguageModel) -> None:
    (ranking,) = model.rescore([[[1], [1], [1]]], [[0.0, 0.0, 1.0]])
    assert ranking.order.tolist() == [2, 0, 1]


def test_texts_are_read_as_texts_whatever_the_corpora_are() -> None:
    texts = ["the cat sat", "the dog sat"]
    model = make_text_model(WordTokenizer(), texts, input="filename")
    (ranking,) = model.rescore([texts])
    expected = model.with_options(input="content").score_samples(texts)
    assert ranking.scores.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hypotheses": []}, InputError, "hypotheses is empty"),
        ({"hypotheses": [[]]}, InputError, "list 0 of the hypotheses is empty"),
        ({"hypotheses": "ab"}, InputTypeError, "list of lists of documents, not of"),
        ({"hypotheses": ["ab"]}, InputTypeError, "list 0 is of type str"),
        ({"hypotheses": [[1, 2]]}, InputTypeError, "document 0 is of type int"),
        ({"scores": SCORES[:2]}, InputError, "there are 3 lists and 2 of scores"),
        ({"scores": [[1.0], *SCORES[1:]]}, InputError, "list 0 holds 3 hypotheses"),
        ({"scores": [*SCORES[:2], ["a", 1]]}, InputTypeError, "list 2 are not numbers"),
        ({"scores": [*SCORES[:2], [1, math.nan]]}, InputError, "not all finite"),
        ({"weight": -1}, ParameterError, "weight=-1; allowed: a number >= 0"),
        ({"length_penalty": math.nan}, ParameterError, "length_penalty=nan"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: LanguageModel,
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        model.rescore(**{"hypotheses": LISTS, "scores": None, **arguments})
