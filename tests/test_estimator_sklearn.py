# SPDX-License-Identifier: BSD-3-Clause
"""The estimator as scikit-learn's own checks and tools see it.

`check_estimator` runs one check on an estimator of texts, so the checks are called by
name: those that need no input, and, on ids, those that fit.
"""

import copy
import pickle
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.cells import GRU, RNN
from rnnkit.tokenizers import WordTokenizer

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog",
    "the end",
]
SMALL: dict[str, Any] = {
    "hidden_size": 4, "max_iter": 2, "random_state": 0, "n_threads": 1,
}  # fmt: skip


def small(**params: Any) -> RNNLanguageModel:
    return RNNLanguageModel(**{**SMALL, **params})


@pytest.fixture(scope="module")
def fitted() -> RNNLanguageModel:
    return small().fit(TEXTS)


CHECKS_OF_ALL = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_mixin_order",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimators_unfitted",
)
CHECKS_OF_TEXTS = ("check_n_features_in_after_fitting", "check_set_output_transform")
CHECKS_OF_IDS = (
    "check_fit_check_is_fitted",
    "check_estimators_pickle",
    "check_fit_idempotent",
    "check_estimators_overwrite_params",
    "check_fit_score_takes_y",
    "check_estimators_fit_returns_self",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_methods_subset_invariance",
    "check_methods_sample_order_invariance",
    "check_readonly_memmap_input",
    "check_set_output_transform",
    "check_sample_weights_list",
    "check_sample_weights_shape",
)


def run_check(name: str, estimator: RNNLanguageModel) -> None:
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checks' own making
        check("RNNLanguageModel", estimator)


@pytest.mark.parametrize("name", CHECKS_OF_ALL + CHECKS_OF_TEXTS)
def test_scikit_learns_check_passes_on_texts(name: str) -> None:
    run_check(name, small())


@pytest.mark.parametrize("name", CHECKS_OF_ALL + CHECKS_OF_IDS)
def test_scikit_learns_check_passes_on_ids(name: str) -> None:
    run_check(name, small(tokenizer=None))


def test_a_clone_is_unfitted_and_has_the_same_parameters(
    fitted: RNNLanguageModel,
) -> None:
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError, match="call fit"):
        twin.score(TEXTS)


METHODS = ("score", "score_samples", "perplexity", "accuracy", "evaluate", "transform",
           "predict_next", "predict_next_proba", "generate")  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_predicted_before_fit(method: str) -> None:
    with pytest.raises(NotFittedError, match="call fit or partial_fit first"):
        getattr(small(), method)(TEXTS)


@pytest.mark.parametrize("attribute", ["params_", "vocabulary_", "n_iter_"])
def test_nothing_is_shown_before_fit(attribute: str) -> None:
    assert not hasattr(small(), attribute)
    with pytest.raises((NotFittedError, AttributeError)):
        getattr(small(), attribute)


@pytest.mark.parametrize("method", ["score_samples", "transform", "predict_next_proba"])
def test_a_part_of_the_documents_gives_a_part_of_the_answer(
    fitted: RNNLanguageModel, method: str
) -> None:
    whole = getattr(fitted, method)(TEXTS)
    order = [2, 0, 3]
    part = getattr(fitted, method)([TEXTS[i] for i in order])
    assert part.tobytes() == whole[order].tobytes()


def test_fit_and_predict_leave_the_estimator_and_its_input_alone() -> None:
    lm, texts, weight = (
        small(cell=RNN(), tokenizer=WordTokenizer()),
        list(TEXTS),
        np.ones(4),
    )
    params = copy.deepcopy(lm.get_params())
    lm.fit(texts, sample_weight=weight)
    before = {k: v for k, v in vars(lm).items() if k in params}
    lm.score(texts), lm.predict_next(texts), lm.transform(texts)
    assert texts == TEXTS
    assert (weight == 1).all()
    assert lm.get_params()["tokenizer"] is before["tokenizer"]
    assert not hasattr(lm.tokenizer, "vocabulary_")
    assert repr(lm.get_params()) == repr({**params, **before})


def test_copies_predict_the_same_bits(fitted: RNNLanguageModel, tmp_path: Any) -> None:
    expected = fitted.score_samples(TEXTS).tobytes()
    joblib.dump(fitted, tmp_path / "lm.joblib")
    copies = (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(tmp_path / "lm.joblib"),
    )
    for twin in copies:
        assert twin.score_samples(TEXTS).tobytes() == expected
        assert twin.loss_curve_ == fitted.loss_curve_
        assert twin.partial_fit(TEXTS).n_iter_ == 1


def test_a_grid_search_reaches_the_parameters_of_cell_and_tokenizer() -> None:
    grid = {
        "cell": [RNN()],
        "cell__activation": ["tanh", "relu"],
        "tokenizer": [WordTokenizer()],
        "tokenizer__lowercase": [True],
        "hidden_size": [3, 5],
    }
    search = GridSearchCV(small(), grid, cv=2, error_score="raise").fit(TEXTS * 3)
    assert len(search.cv_results_["params"]) == 4
    best = search.best_estimator_
    assert best.cell.activation == search.best_params_["cell__activation"]
    assert best.score(TEXTS) < 0.0
    assert search.score(TEXTS) == best.score(TEXTS)


def test_cross_validation_scores_in_nats() -> None:
    scores = cross_val_score(small(), TEXTS * 3, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert (scores < 0.0).all()


def test_vectors_of_documents_go_into_a_classifier() -> None:
    X, y = TEXTS * 5, [0, 1, 0, 1] * 5
    model = make_pipeline(small(), LogisticRegression(C=1e4)).fit(X, y)
    assert model.score(X, y) == 1.0
    names = model[:-1].get_feature_names_out()
    assert names.tolist() == [f"rnnlanguagemodel{i}" for i in range(4)]


def test_a_parameter_of_a_cell_needs_an_instance() -> None:
    with pytest.raises(ValueError, match=r"cell='rnn' is a name; use an instance"):
        small(cell="rnn").set_params(cell__activation="relu")
    with pytest.raises(ValueError, match=r"tokenizer='word' is a name"):
        small().set_params(tokenizer__lowercase=True)
    lm = small().set_params(cell=RNN(), cell__activation="relu")
    assert lm.cell.activation == "relu"
    with pytest.raises(ValueError, match="spin"):
        lm.set_params(cell__spin=1)
    with pytest.raises(ValueError, match="Invalid parameter"):
        lm.set_params(no_such_thing=1)


def test_parameters_set_after_fit_say_how_texts_are_read(
    fitted: RNNLanguageModel, tmp_path: Any
) -> None:
    path = tmp_path / "texts"
    path.write_text("\n".join(TEXTS))
    lm = copy.deepcopy(fitted)
    expected = lm.score(TEXTS)
    assert lm.set_params(input="filename").score([path]) == expected
    lm.set_params(input="content", carry_state=True)
    assert lm.score(TEXTS) != expected
    lm.set_params(n_threads=0)
    with pytest.raises(ValueError, match="n_threads=0"):
        lm.score(TEXTS)


def test_metadata_routing_knows_the_arguments_of_fit() -> None:
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        lm = small().set_fit_request(sample_weight=True)
        search = GridSearchCV(lm, {"hidden_size": [3]}, cv=2, error_score="raise")
        search.fit(TEXTS * 3, sample_weight=np.ones(12))
        assert search.best_estimator_.n_iter_ == 2


def test_the_representation_shows_what_was_chosen() -> None:
    assert repr(small(cell="gru")) == (
        "RNNLanguageModel(cell='gru', hidden_size=4, max_iter=2, n_threads=1,\n"
        "                 random_state=0)"
    )
    assert "RNNLanguageModel" in small(cell=GRU())._repr_html_()


def test_public_names_are_the_estimators() -> None:
    assert rnnkit.RNNLanguageModel is RNNLanguageModel
