# SPDX-License-Identifier: BSD-3-Clause
"""Embeddings that begin with vectors from outside."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.errors import InputError, InputTypeError, ParameterError

TEXTS = ["the cat sat on the mat", "the dog sat on the rug"] * 10
SMALL: dict[str, Any] = {
    "hidden_size": 6, "max_iter": 0, "random_state": 0, "n_threads": 1,
}  # fmt: skip
RNG = np.random.default_rng(0)
VECTORS = {word: RNG.normal(size=4) for word in ["the", "cat", "dog", "whale", "ship"]}
KNOWN = ["the", "cat", "dog"]  # of these, in the texts


def fitted(X: Any = TEXTS, **params: Any) -> RNNLanguageModel:
    return RNNLanguageModel(**{**SMALL, **params}).fit(X)


def row(lm: RNNLanguageModel, token: Any) -> np.ndarray:
    table: np.ndarray = lm.params_["embedding.weight"]
    return table[lm.vocabulary_.index(token)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = [f"{word} {' '.join(map(repr, v.tolist()))}" for word, v in VECTORS.items()]
    (tmp_path / "vectors.txt").write_text("\n".join(["5 4", *lines]))
    return tmp_path / "vectors.txt"


class Vectors:
    """As some libraries hold them: no Mapping, but it can be asked."""

    def __contains__(self, word: object) -> bool:
        return word in VECTORS

    def __getitem__(self, word: str) -> list[float]:
        return [float(x) for x in VECTORS[word]]


@pytest.mark.parametrize("kind", ["path", "str", "dict", "mapping", "other"])
def test_tokens_take_their_vectors_and_others_are_drawn(kind: str, path: Path) -> None:
    given: dict[str, Any] = {"path": path, "str": str(path), "dict": VECTORS}
    given |= {"mapping": OrderedDict(VECTORS), "other": Vectors()}
    lm = fitted(embedding=given[kind], dtype="float64")
    plain = fitted(embedding_size=4, dtype="float64")
    for token in lm.vocabulary_:
        expected = VECTORS[token] if token in KNOWN else row(plain, token)
        assert np.array_equal(row(lm, token), expected)
    for name, value in plain.params_.items():
        assert name == "embedding.weight" or np.array_equal(lm.params_[name], value)


def test_an_array_has_a_row_a_token() -> None:
    n_tokens = len(fitted().vocabulary_)
    array = RNG.normal(size=(n_tokens, 5)).astype(np.float32)
    lm = fitted(embedding=array)
    assert np.array_equal(lm.params_["embedding.weight"], array)
    assert np.array_equal(
        fitted(embedding=array.tolist()).params_["embedding.weight"], array
    )
    message = rf"shape \({n_tokens - 1}, 5\); .*: \({n_tokens}, E\)"
    with pytest.raises(InputError, match=message):
        fitted(embedding=array[1:])


def test_ids_take_vectors_by_number_or_by_array() -> None:
    lm = fitted([[0, 1, 2], [2, 1]], tokenizer=None, embedding={2: [1.0, 2.0]})
    assert row(lm, 2).tolist() == [1.0, 2.0]
    table = np.arange(8.0).reshape(4, 2)
    lm = fitted([[0, 1, 2], [2, 1]], tokenizer=None, embedding=table)
    assert row(lm, "<eos>").tolist() == [6.0, 7.0]


@pytest.mark.parametrize("tie_weights", [False, True])
def test_they_are_trained_on_or_held_still(tie_weights: bool) -> None:
    params = {"embedding": VECTORS, "hidden_size": 4, "tie_weights": tie_weights}
    params |= {"max_iter": 2, "verbose": 0}
    lm = fitted(**params)
    assert not np.array_equal(row(lm, "the"), VECTORS["the"].astype(np.float32))
    still = fitted(**params, frozen="embedding.weight")
    assert np.array_equal(row(still, "the"), VECTORS["the"].astype(np.float32))
    assert still.score(TEXTS) > fitted(**{**params, "max_iter": 0}).score(TEXTS)


def test_it_says_how_many_tokens_have_a_vector(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lm = fitted(embedding=VECTORS, verbose=1)
    n_tokens = len(lm.vocabulary_)
    assert f"embedding: 3 of {n_tokens} tokens have a vector" in capsys.readouterr().out


def test_a_model_goes_on_with_its_size_and_a_file_keeps_it(tmp_path: Path) -> None:
    lm = fitted(embedding=VECTORS, max_iter=1)
    lm.save(tmp_path / "m.rnn")
    loaded = rnnkit.load(tmp_path / "m.rnn")
    assert (loaded.embedding, loaded.embedding_size) == (None, 4)
    for model in (lm, loaded):
        before = row(model, "cat")
        model.set_params(warm_start=True, max_iter=0).fit(TEXTS)
        assert np.array_equal(row(model, "cat"), before)
        model.partial_fit(TEXTS).partial_fit(TEXTS)
    copy = clone(lm)
    assert copy.embedding.keys() == VECTORS.keys()
    assert np.array_equal(
        row(copy.set_params(warm_start=False).fit(TEXTS), "cat"),
        VECTORS["cat"].astype(np.float32),
    )


def test_new_tokens_take_their_vectors_too() -> None:
    lm = fitted(embedding=VECTORS, max_iter=1)
    the = row(lm, "the")
    lm.add_tokens(["whale", "shark"])
    old = lm.params_["embedding.weight"][:-2]
    assert np.array_equal(row(lm, "the"), the)
    assert np.array_equal(row(lm, "whale"), VECTORS["whale"].astype(np.float32))
    np.testing.assert_allclose(row(lm, "shark"), old.mean(axis=0), rtol=1e-5)
    lm.set_params(warm_start=True, extend_vocabulary=True, max_iter=0)
    assert np.array_equal(
        row(lm.fit(["a ship"]), "ship"), VECTORS["ship"].astype(np.float32)
    )
    array = fitted(embedding=np.ones((len(fitted().vocabulary_), 3)))
    assert np.array_equal(row(array.add_tokens(["whale"]), "whale"), np.ones(3))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"embedding": VECTORS, "embedding_size": 5}, ParameterError,
         "embedding_size=5, but the vectors of embedding have 4 numbers"),
        ({"embedding": VECTORS, "tie_weights": True, "projection": False},
         ParameterError, "embedding_size=4, the top layer gives 6"),
        ({"embedding": 5}, InputTypeError, "embedding is of type int; allowed: a file"),
        ({"embedding": {"whale": [1.0]}}, InputError,
         "a vector for none of the 9 tokens"),
        ({"embedding": {"the": [1.0], "cat": [1.0, 2.0]}}, InputError,
         r"the vector of 'cat' has the shape \(2,\), that of 'the' \(1,\)"),
        ({"embedding": {"the": "abc"}}, InputTypeError, "'the' holds no numbers"),
        ({"embedding": {"the": [np.nan]}}, InputError, "'the' holds NaN or infinity"),
        ({"embedding": [[1.0], [2.0, 3.0]]}, InputTypeError, "or rows of two sizes"),
        ({"embedding": np.ones(8)}, InputError, r"shape \(8,\); an array has one row"),
    ],
)  # fmt: skip
def test_what_are_no_vectors_is_refused(
    params: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fitted(**params)


def test_other_vectors_are_another_run(tmp_path: Path) -> None:
    fitted(embedding=VECTORS, max_iter=1).fit(TEXTS, checkpoint=tmp_path)
    other = {**VECTORS, "cat": -VECTORS["cat"]}
    with pytest.raises(ParameterError, match="has another embedding: 3 vectors of 4"):
        RNNLanguageModel(**{**SMALL, "embedding": other, "max_iter": 1}).fit(
            TEXTS, checkpoint=tmp_path, resume=True
        )
    same = RNNLanguageModel(**{**SMALL, "embedding": dict(VECTORS), "max_iter": 1})
    assert same.fit(TEXTS, checkpoint=tmp_path, resume=True).n_iter_ == 1
