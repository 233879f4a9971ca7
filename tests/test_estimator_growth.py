# SPDX-License-Identifier: BSD-3-Clause
"""A fitted model that goes on with new text, and learns its words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from small_models import PLAIN

import rnnkit
from rnnkit import ByteTokenizer, CharTokenizer, RNNLanguageModel, WordTokenizer
from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.runtime import NeuralCache
from rnnkit.tokenizers import Tokenizer
from rnnkit.training import checkpoints as checkpoint_module
from rnnkit.training.trainer import Trainer

OLD = ["the cat sat on the mat", "the dog sat on the rug", "a cat ran off"] * 20
NEW = ["the ship sails on the sea", "a ship sank in the sea", "the dog swam"] * 20
NEW_WORDS = ["sea", "ship", "in", "sails", "sank", "swam"]  # by falling frequency
SMALL: dict[str, Any] = PLAIN | {
    "hidden_size": 6, "max_iter": 4, "random_state": 0, "n_threads": 1,
    "learning_rate_init": 0.02,
}  # fmt: skip
HEADS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "tied": {"tie_weights": True},
    "sampled": {"head": "sampled", "n_samples": 4},
    "adaptive": {"head": "adaptive"},
    "adaptive, cutoffs given": {"head": "adaptive", "cutoffs": [3, 6]},
}


def fitted(texts: Any = OLD, **params: Any) -> RNNLanguageModel:
    return RNNLanguageModel(**{**SMALL, **params}).fit(texts)


def go_on(lm: RNNLanguageModel, texts: Any = NEW, **params: Any) -> RNNLanguageModel:
    return lm.set_params(warm_start=True, extend_vocabulary=True, **params).fit(texts)


# ------------------------------------------------------------------------ new tokens


@pytest.mark.parametrize("head", HEADS)
def test_old_tokens_keep_their_ids_and_almost_all_of_their_probability(
    head: str,
) -> None:
    lm = fitted(**HEADS[head])
    old, prompts = lm.vocabulary_, ["the", "the cat sat", ""]
    before = lm.predict_next_proba(prompts)
    lm.add_tokens(NEW_WORDS)
    after = lm.predict_next_proba(prompts)
    assert lm.vocabulary_ == old + NEW_WORDS
    assert after.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    kept = after[:, : len(old)] / before
    n_shared = len(old)
    if head.startswith("adaptive"):  # common words and inner clusters give nothing
        first = lm.to_runtime().network.config.head.cutoffs[-1]
        np.testing.assert_allclose(kept[:, :first], 1, rtol=1e-5)
        kept, n_shared = kept[:, first:], n_shared - first
    # All give alike, and no more than the share of new tokens among all.
    np.testing.assert_allclose(kept, np.repeat(kept[:, :1], n_shared, 1), rtol=1e-4)
    assert (kept >= n_shared / (n_shared + len(NEW_WORDS)) - 1e-5).all()
    assert (kept < 1).all()


@pytest.mark.parametrize("head", HEADS)
def test_words_of_the_new_text_are_learned(head: str) -> None:
    lm = fitted(**HEADS[head])
    before, old = lm.perplexity(NEW), lm.vocabulary_
    embedding = lm.params_["embedding.weight"]
    assert lm.evaluate(NEW).n_unknown > 0
    go_on(lm, max_iter=0)
    assert np.array_equal(lm.params_["embedding.weight"][: len(old)], embedding)
    go_on(lm, max_iter=30)
    assert lm.vocabulary_ == old + NEW_WORDS
    assert lm.n_parameters_ == sum(value.size for value in lm.params_.values())
    assert lm.evaluate(NEW).n_unknown == 0
    assert lm.perplexity(NEW) < min(before, 4)
    assert lm.predict_next_proba("the ship")[0, len(old) :].sum() > 0.3
    assert np.isfinite(NeuralCache(lm).perplexity(NEW))


def test_without_new_words_it_is_a_warm_start() -> None:
    params = {"warm_start": True, "max_iter": 2}
    twin = fitted().set_params(**params).fit(OLD[:5])
    lm = fitted().set_params(**params, extend_vocabulary=True).fit(OLD[:5])
    assert lm.vocabulary_ == twin.vocabulary_
    for name, value in twin.params_.items():
        assert np.array_equal(lm.params_[name], value)


def test_the_tokenizer_says_which_words_it_keeps() -> None:
    lm = fitted(tokenizer=WordTokenizer(min_count=21, lowercase=True))
    go_on(lm, ["The SHIP ship"] * 11 + ["whale"] * 20)
    assert lm.vocabulary_[-1:] == ["ship"]
    assert "whale" not in lm.vocabulary_


def test_held_out_documents_add_no_words() -> None:
    texts = [f"the ship word{i}" for i in range(40)]
    lm = go_on(fitted(), texts, early_stopping=True, validation_fraction=0.25)
    n_new = sum(word.startswith("word") for word in lm.vocabulary_)
    assert n_new == 30


def test_a_model_that_serves_elsewhere_does_not_change() -> None:
    lm = fitted()
    other, parameters = lm.to_runtime(), lm.get_params()
    before = other.score_samples(NEW)
    go_on(lm).add_tokens(["whale"])
    assert len(other.encoder.tokens) == len(lm.vocabulary_) - len(NEW_WORDS) - 1
    assert np.array_equal(other.score_samples(NEW), before)
    changed = {"warm_start": True, "extend_vocabulary": True}
    assert lm.get_params() == {**parameters, **changed}
    assert clone(lm).get_params() == lm.get_params()


def test_partial_fit_goes_on_with_a_new_solver_and_the_new_words() -> None:
    lm = RNNLanguageModel(**SMALL).partial_fit(OLD)
    words = lm.tokenizer_.new_tokens(NEW)
    assert words == NEW_WORDS
    lm.add_tokens(words)
    before = lm.perplexity(NEW)
    for _ in range(5):
        lm.partial_fit(NEW)
    assert lm.perplexity(NEW) < before
    assert lm.evaluate(NEW).n_unknown == 0


@pytest.mark.parametrize("head", HEADS)
def test_a_grown_model_goes_into_a_file_and_grows_again(
    head: str, tmp_path: Path
) -> None:
    lm = go_on(fitted(**HEADS[head]))
    lm.save(tmp_path / "m.rnn")
    loaded = rnnkit.load(tmp_path / "m.rnn")
    assert loaded.vocabulary_ == lm.vocabulary_
    assert loaded.score(NEW) == lm.score(NEW)
    again = loaded.fit([*NEW, "a whale"])  # warm_start and extend_vocabulary are kept
    assert again.vocabulary_ == [*lm.vocabulary_, "whale"]


def test_a_given_vocabulary_grows_as_well(tmp_path: Path) -> None:
    lm = go_on(fitted(vocabulary=["the", "cat", "dog"]))
    assert lm.vocabulary_[:5] == ["<eos>", "<unk>", "the", "cat", "dog"]
    assert "ship" in lm.vocabulary_
    lm.save(tmp_path / "m.rnn")
    assert rnnkit.load(tmp_path / "m.rnn").vocabulary_ == lm.vocabulary_


def test_characters_grow_and_what_reads_any_text_does_not() -> None:
    lm = go_on(fitted(tokenizer="char"), ["le café"])
    assert {"é", "l"} <= set(lm.vocabulary_)
    assert lm.add_tokens(["ü", "ö"]).vocabulary_[-2:] == ["ü", "ö"]
    lm = fitted(tokenizer="byte")
    for grow in (go_on, lambda model: model.add_tokens(["a"])):
        with pytest.raises(ParameterError, match="ByteTokenizer learns no further"):
            grow(lm)
    assert lm.perplexity(OLD) < 300


def test_every_tokenizer_says_whether_it_grows() -> None:
    assert not Tokenizer.can_grow and not ByteTokenizer.can_grow
    assert WordTokenizer.can_grow and CharTokenizer.can_grow


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ("whale", InputTypeError, "tokens is of type str; allowed: a list of str"),
        (7, InputTypeError, "tokens is of type int"),
        (["whale", 7], InputTypeError, "token 7 must be str"),
        (["New York"], InputError, r"'New York' is not one token: WordTokenizer reads"),
        ([""], InputError, "'' is not one token"),
    ],
)
def test_what_is_no_token_is_refused(
    tokens: Any, error: type[Exception], message: str
) -> None:
    lm = fitted(max_iter=1)
    before = lm.vocabulary_
    with pytest.raises(error, match=message):
        lm.add_tokens(tokens)
    assert lm.vocabulary_ == before


def test_known_tokens_are_passed_over() -> None:
    lm = fitted(max_iter=1)
    n = len(lm.vocabulary_)
    lm.add_tokens(["cat", "whale", "whale", "<unk>"])
    assert lm.vocabulary_[n:] == ["whale"]


# ------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("head", HEADS)
def test_ids_grow_by_number_and_the_end_stays_the_last(head: str) -> None:
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 9, 12).tolist() for _ in range(60)]
    lm = fitted(X, tokenizer=None, **HEADS[head])
    before, embedding = lm.predict_next_proba(X[:2]), lm.params_["embedding.weight"]
    lm.add_tokens(3)
    after = lm.predict_next_proba(X[:2])
    assert lm.vocabulary_ == [*range(12), "<eos>"]
    assert np.array_equal(lm.params_["embedding.weight"][[*range(9), 12]], embedding)
    kept = after[:, [*range(9), 12]] / before
    cutoffs = lm.to_runtime().network.config.head.cutoffs
    n_shared = 10 - (cutoffs[-1] if cutoffs else 0)
    assert (kept[:, :-1] < 1 + 1e-5).all() and (kept[:, -1] < 1).all()
    assert (kept >= n_shared / (n_shared + 3) - 1e-5).all()
    with pytest.raises(InputError, match="holds the id 14; allowed are 0 to 11"):
        lm.score([[14]])
    go_on(lm, [[14, 3]] * 9)
    assert lm.vocabulary_ == [*range(15), "<eos>"]
    assert np.isfinite(lm.score([[14]]))
    with pytest.raises(ParameterError, match="tokens=0; allowed: a whole number >= 1"):
        lm.add_tokens(0)


def test_no_held_out_id_is_beyond_the_vocabulary() -> None:
    X = [[i, 0, 1] for i in range(40)]
    for seed in range(3):
        lm = fitted(X, tokenizer=None, early_stopping=True, random_state=seed)
        assert len(lm.vocabulary_) == 41
    with pytest.raises(InputError, match="holds the id 40; allowed are 0 to 39"):
        RNNLanguageModel(tokenizer=None).fit(X, X_val=[[40]])


# ----------------------------------------------------------------------- checkpoints


class PowerCutError(BaseException):
    """Nothing may catch it."""


def test_a_run_with_new_words_goes_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted().save(tmp_path / "old.rnn")

    def start(**how: Any) -> RNNLanguageModel:
        lm = rnnkit.load(tmp_path / "old.rnn")
        params = {"warm_start": True, "extend_vocabulary": True, "bptt": 4}
        return lm.set_params(**params).fit(NEW, **how)

    plain = Trainer._step

    def until(self: Trainer, *arguments: Any) -> Any:
        if self.n_updates == 41:
            raise PowerCutError
        return plain(self, *arguments)

    whole = start()
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        save = checkpoint_module.Checkpoints.save
        patch.setattr(checkpoint_module.Checkpoints, "save_if_due", save)
        patch.setattr(Trainer, "_step", until)
        start(checkpoint=tmp_path / "run")
    found = start(checkpoint=tmp_path / "run", resume=True)
    assert found.loss_curve_ == whole.loss_curve_
    for name, value in whole.params_.items():
        assert np.array_equal(found.params_[name], value), name


# ---------------------------------------------------------------------------- frozen


@pytest.mark.parametrize("head", HEADS)
def test_frozen_parameters_keep_their_values(head: str) -> None:
    lm = fitted(**HEADS[head])
    before = lm.params_
    frozen = ("embedding.*", "rnn.weight_hh*")
    lm.set_params(warm_start=True, frozen=frozen, alpha=0.1).fit(OLD)
    kept = {n for n, value in lm.params_.items() if np.array_equal(value, before[n])}
    assert (
        kept == {n for n in before if n.startswith(("embedding.", "rnn.weight_hh"))}
        and len(kept) >= 2
    )


def test_frozen_may_be_one_str_and_goes_through_a_file(tmp_path: Path) -> None:
    names = "embedding.weight,output.bias"
    lm, twin = fitted(frozen=names), fitted(frozen=tuple(names.split(",")))
    for name, value in lm.params_.items():
        assert np.array_equal(value, twin.params_[name])
    assert np.array_equal(lm.params_["output.bias"], 0 * lm.params_["output.bias"])
    twin.save(tmp_path / "m.rnn")
    assert rnnkit.load(tmp_path / "m.rnn").frozen == names.split(",")
    assert clone(twin).frozen == twin.frozen


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (3, "frozen=3; allowed: a str, a sequence of them, or None"),
        (["bias"], "no parameter 'bias'; it has embedding.weight, "),
        ("*", "nothing is left to learn"),
    ],
)
def test_what_cannot_be_frozen_is_refused(frozen: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        fitted(frozen=frozen)


def test_what_is_frozen_belongs_to_the_run(tmp_path: Path) -> None:
    lm = RNNLanguageModel(**SMALL).partial_fit(OLD)
    with pytest.raises(ParameterError, match="the solver cannot change"):
        lm.set_params(frozen="embedding.weight").partial_fit(OLD)
    RNNLanguageModel(**SMALL).fit(OLD, checkpoint=tmp_path)
    with pytest.raises(ParameterError, match=r"has another frozen: \(\), now"):
        lm.fit(OLD, checkpoint=tmp_path, resume=True)
