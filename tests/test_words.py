# SPDX-License-Identifier: BSD-3-Clause
"""Next words and completions against sums over every sequence of tokens."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pytest
from small_models import make_model, make_text_model

from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.runtime import Ensemble, LanguageModel
from rnnkit.runtime.spelling import first_word
from rnnkit.tokenizers import (
    END,
    UNK,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
)

EVERYTHING = {"k": 1000, "num_beams": 10**6}


class PieceTokenizer(Tokenizer):
    """The longest piece that fits; a blank before a document's first word is lost."""

    vocabulary_ = (END, " ab", " a", "ab", "a", "b", " ", ",", "b,")
    end_id, unk_id = 0, None

    def fit(self, texts: Iterable[str]) -> Self:
        self.vocabulary_ = list(self.vocabulary_)
        return self

    def encode(self, text: str) -> np.ndarray:
        pieces = sorted(self.vocabulary_[1:], key=len, reverse=True)
        found = re.findall("|".join(pieces), " " + text if text else "")
        return np.array([self.vocabulary_.index(piece) for piece in found], np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        text = "".join("\n" if i == 0 else self.vocabulary_[i] for i in ids)
        return text.removeprefix(" ")

    def get_state(self) -> dict[str, Any]:
        return {"vocabulary": list(self.vocabulary_)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        return cls().fit([])


@pytest.fixture(scope="module")
def chars() -> LanguageModel:
    return make_text_model(CharTokenizer(), ["ab b, a"], seed=5)


@pytest.fixture(scope="module")
def pieces() -> LanguageModel:
    return make_text_model(PieceTokenizer(), [], seed=4)


def is_letter(text: str) -> bool:
    return text[:1] in ("a", "b")


def slow_words(
    model: LanguageModel, prompt: str, depth: int, given: str = "", ends: bool = False
) -> dict[str, float]:
    """Sum over every sequence of at most `depth` tokens, each read from its start."""
    tokenizer = model.encoder.tokenizer
    assert tokenizer is not None
    start = tokenizer.encode(prompt).tolist()
    words: defaultdict[str, float] = defaultdict(float)
    known = 0.0

    def follow(new: list[int], probability: float) -> None:
        nonlocal known
        so_far = added_text(tokenizer, start, new)
        p = next_probabilities(model, [*start, *new])
        for token in range(tokenizer.n_tokens):
            here = probability * p[token]
            if token == tokenizer.end_id:
                known += here * (ends and not new)
                if len(so_far) >= len(given) and re.fullmatch(r"\s*[ab]+", so_far):
                    words[so_far.strip()] += here
                continue
            if token == tokenizer.unk_id:
                continue
            text = added_text(tokenizer, start, [*new, token])
            if not new and ends:
                if is_letter(text):
                    continue
                known += here
            if not (text.startswith(given) or given.startswith(text)):
                continue
            if len(so_far) < len(given) <= len(text):
                known += here
            whole = re.match(r"\s*([ab]+(?=[ ,])|,)", text)
            if whole and len(text) >= len(given):
                words[whole[1]] += here
            elif len(new) + 1 < depth:
                follow([*new, token], here)

    follow([], 1.0)
    scale = known if given or ends else 1.0
    return {word: p / scale for word, p in words.items()}


def added_text(tokenizer: Tokenizer, start: list[int], new: list[int]) -> str:
    return tokenizer.decode([*start, *new]).removeprefix(tokenizer.decode(start))


def next_probabilities(model: LanguageModel, ids: list[int]) -> np.ndarray:
    """What `predict_next_proba` gives, asked by ids."""
    rows = model._rows([np.array([model.encoder.end_id, *ids], np.int32)])
    return np.exp(rows.log_probabilities()[0])


def same(found: list[tuple[str, float]], expected: dict[str, float]) -> bool:
    assert dict(found) == pytest.approx(expected, rel=1e-9)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    return bool(found)


# ----------------------------------------------------------------------- next words


@pytest.mark.parametrize("prompt", ["", "ab", "ab ", "a,", "b a"])
def test_next_words_are_sums_over_all_ways_to_spell_them(
    chars: LanguageModel, pieces: LanguageModel, prompt: str
) -> None:
    for model, depth in ((chars, 5), (pieces, 4)):
        (found,) = model.predict_next_words(prompt, max_tokens=depth, **EVERYTHING)
        ends = is_letter(prompt[-1:])
        assert same(found, slow_words(model, prompt, depth, ends=ends))
        assert sum(p for _, p in found) <= 1.0 + 1e-9


def test_fewer_beams_find_no_more_than_there_is(chars: LanguageModel) -> None:
    exact = dict(chars.predict_next_words("ab", max_tokens=6, **EVERYTHING)[0])
    for num_beams in (1, 2, 5, 20):
        (found,) = chars.predict_next_words("ab", 4, max_tokens=6, num_beams=num_beams)
        assert len(found) <= 4
        assert all(p <= exact[word] * (1 + 1e-9) for word, p in found)
    best = sorted(exact, key=lambda word: -exact[word])[:4]
    assert [word for word, _ in found] == best


def test_a_word_of_a_model_of_words_is_its_next_token() -> None:
    model = make_text_model(WordTokenizer(), ["the cat sat on the mat, then"])
    (words,) = model.predict_next_words("the cat", k=100)
    (tokens,) = model.predict_next("the cat", k=100)
    assert words == [pair for pair in tokens if pair[0] not in (END, UNK)]


def test_prompts_are_answered_one_by_one(pieces: LanguageModel) -> None:
    prompts = ["ab", "", "a, b"]
    together = pieces.predict_next_words(prompts)
    assert together == [pieces.predict_next_words(prompt)[0] for prompt in prompts]
    assert pieces.with_options(n_threads=3).predict_next_words(prompts) == together


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", False)),
        (" \n", ("", False)),
        (" don't", ("don't", False)),
        ("well-known. x", ("well-known", True)),
        ("...", (".", True)),
        ("日本 ", ("日本", True)),
        ("e\u0301te\u0301!", ("e\u0301te\u0301", True)),  # marks of their own
        ("3.14", ("3", True)),
    ],
)
def test_what_a_word_is(text: str, expected: tuple[str, bool]) -> None:
    assert first_word(text) == expected


# ---------------------------------------------------------------------- completions


@pytest.mark.parametrize("typed", ["a", "b", "ab", "ba"])
@pytest.mark.parametrize("before", ["", "ab ", "a, ", "b,"])
def test_completions_are_the_words_among_those_that_begin_so(
    chars: LanguageModel, pieces: LanguageModel, before: str, typed: str
) -> None:
    given = before[len(before.rstrip()) :] + typed
    for model, depth in ((chars, 5), (pieces, 4)):
        (found,) = model.complete(before + typed, max_tokens=depth, **EVERYTHING)
        assert same(found, slow_words(model, before.rstrip(), depth, given))
        assert all(word.startswith(typed) for word, _ in found)


def test_a_model_of_characters_goes_on_from_what_was_typed(
    chars: LanguageModel,
) -> None:
    """Whether the letters are read or known to come makes no difference."""
    (found,) = chars.complete("b ab", max_tokens=12, **{**EVERYTHING, "num_beams": 400})
    ids = chars.encoder.tokenizer.encode("b ab").tolist()  # type: ignore[union-attr]
    p = next_probabilities(chars, ids)
    ends = [
        i for i, token in enumerate(chars.encoder.tokens) if token in (" ", ",", END)
    ]
    assert dict(found)["ab"] == pytest.approx(p[ends].sum(), rel=1e-9)


def test_a_model_of_words_completes_by_its_vocabulary() -> None:
    model = make_text_model(WordTokenizer(lowercase=True), ["the cat then can U.S us"])
    p = dict(model.predict_next("the", k=100)[0])
    for typed, words in (("th", ["the", "then"]), ("C", ["cat", "can"]), ("x", [])):
        (found,) = model.complete(f"the {typed}", k=100)
        total = sum(p[word] for word in words)
        assert same(found, {word: p[word] / total for word in words}) or not words
    assert [word for word, _ in model.complete("the u.s")[0]] == ["u.s"]
    for between in ("", "the "):
        assert model.complete(between) == model.predict_next_words(between)


def test_a_typed_word_keeps_its_case() -> None:
    model = make_text_model(CharTokenizer(lowercase=True), ["ab b, a"], seed=5)
    small, large = (model.complete(text)[0] for text in ("b ab", "b AB"))
    assert [(word[2:], p) for word, p in large] == [(word[2:], p) for word, p in small]
    assert all(word.startswith("AB") for word, _ in large)


def test_nothing_fits_what_no_token_spells(
    chars: LanguageModel, pieces: LanguageModel
) -> None:
    assert chars.complete("ab z") == pieces.complete("ab z") == [[]]


def test_bytes_make_words_of_any_script() -> None:
    from rnnkit import RNNLanguageModel

    lm = RNNLanguageModel(
        tokenizer=ByteTokenizer(),
        hidden_size=32,
        max_iter=30,
        learning_rate_init=0.01,
        random_state=0,
        n_threads=1,
    )
    lm.fit(["ein café \N{EN DASH} näher, ein café \N{EN DASH} näher"] * 20)
    assert lm.complete("ein ca", k=1)[0][0][0] == "café"
    assert lm.complete("ein café \N{EN DASH} nä", k=1)[0][0][0] == "näher"
    assert lm.predict_next_words("ein", k=1)[0][0][0] == "café"
    assert lm.predict_next_words("ein café", k=1)[0][0][0] == "\N{EN DASH}"


def test_an_ensemble_knows_words_as_well(chars: LanguageModel) -> None:
    (found,) = Ensemble([chars, chars]).complete("b a")
    assert dict(found) == pytest.approx(dict(chars.complete("b a")[0]))


# ---------------------------------------------------------------------- wrong input


def test_a_model_of_ids_has_no_words() -> None:
    for ask in (make_model().predict_next_words, make_model().complete):
        with pytest.raises(InputError, match="this model reads ids, it knows no words"):
            ask([[1, 2]])


@pytest.mark.parametrize("name", ["k", "max_tokens", "num_beams"])
def test_numbers_out_of_range_are_refused(chars: LanguageModel, name: str) -> None:
    for ask in (chars.predict_next_words, chars.complete):
        with pytest.raises(ParameterError, match=f"{name}=0; allowed: a whole number"):
            ask("a", **{name: 0})
        with pytest.raises(InputTypeError, match="prompt 1 is of type int"):
            ask(["a", 3])


# ------------------------------------------------------------------------- spelling


@pytest.mark.parametrize("tokenizer", [CharTokenizer(), ByteTokenizer()])
def test_the_pieces_of_a_text_are_its_bytes(tokenizer: Tokenizer) -> None:
    text = "naïve café,\n日本"
    ids = tokenizer.fit([text]).encode(text)
    first, others = tokenizer.pieces(first=True), tokenizer.pieces()
    assert first[ids[0]] + b"".join(others[i] for i in ids[1:]) == text.encode()
    assert not tokenizer.unk_id or not others[tokenizer.unk_id]


def test_pieces_are_what_decoding_adds_behind_a_token() -> None:
    tokenizer = WordTokenizer().fit(["the cat, the dog"])
    by_token = dict(zip(tokenizer.vocabulary_, tokenizer.pieces(), strict=True))
    assert (by_token["cat"], by_token[","], by_token["dog"]) == (b" cat", b",", b" dog")
    assert tokenizer.pieces(first=True)[tokenizer.encode("cat")[0]] == b"cat"
