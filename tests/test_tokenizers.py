# SPDX-License-Identifier: BSD-3-Clause
"""The tokenizers as a user holds them: parameters, vocabulary, errors, state."""

import copy
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import text_twin as twin
from sklearn.base import clone

from rnnkit.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    NotFittedError,
    ParameterError,
)
from rnnkit.tokenizers import (
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WhitespaceTokenizer,
    WordTokenizer,
    texts,
)

COUNTING = [WhitespaceTokenizer, WordTokenizer, CharTokenizer]
ALL = [*COUNTING, ByteTokenizer]
TEXTS = ["the cat saw the dog", "", "a dog, a cat", "the \u4e2d"]


@pytest.fixture(params=ALL, ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest) -> type[Any]:
    return request.param


# ---------------------------------------------------------------------- vocabulary


def test_the_vocabulary_is_ordered_by_count_and_then_by_code_point() -> None:
    fitted = WhitespaceTokenizer().fit(["b a b c", "\u4e2d a Z \U0001f600 d"])
    expected = ["<eos>", "<unk>", "a", "b", "Z", "c", "d", "\u4e2d", "\U0001f600"]
    assert fitted.vocabulary_ == expected
    assert (fitted.end_id, fitted.unk_id, fitted.n_tokens) == (0, 1, 9)


@pytest.mark.parametrize("counting", COUNTING)
@pytest.mark.parametrize("n_texts", [1, 3, 17, 65])
def test_the_vocabulary_is_what_python_counts(
    counting: type[Any], n_texts: int
) -> None:
    documents = ["x", *twin.random_texts(n_texts - 1, seed=n_texts)]
    count = Counter(t for d in documents for t in twin.split(counting.rule, d))
    for special in ("<eos>", "<unk>"):
        del count[special]
    expected = sorted(count, key=lambda token: (-count[token], token))
    assert counting().fit(documents).vocabulary_ == ["<eos>", "<unk>", *expected]


def test_the_texts_own_specials_are_the_special_tokens() -> None:
    for tokenizer in (WhitespaceTokenizer(), WordTokenizer()):
        tokenizer.fit(["a <unk> b <eos>"])
        assert tokenizer.vocabulary_ == ["<eos>", "<unk>", "a", "b"]
        assert tokenizer.encode("a <unk> c <eos>").tolist() == [2, 1, 1, 0]


def test_min_df_counts_documents_and_min_count_occurrences() -> None:
    documents = ["a a a b", "b c", "c c", "b d"]

    def kept(**params: Any) -> list[str]:
        return WhitespaceTokenizer(**params).fit(documents).vocabulary_[2:]

    assert kept() == ["a", "b", "c", "d"]
    assert kept(min_df=2) == kept(min_df=0.5) == kept(min_df=0.3) == ["b", "c"]
    assert kept(min_df=0.75) == ["b"]
    assert kept(min_df=0.0) == kept()
    assert kept(min_count=2) == kept(min_count=3) == ["a", "b", "c"]
    assert kept(min_df=2, max_features=1) == ["b"]
    assert kept(max_features=3) == ["a", "b", "c"]
    assert kept(max_features=100) == kept()


def test_a_given_vocabulary_keeps_its_ids_and_needs_no_texts() -> None:
    given = WordTokenizer(vocabulary=["b", "a"]).fit([])
    assert given.vocabulary_ == ["<eos>", "<unk>", "b", "a"]
    assert given.encode("a b c").tolist() == [3, 2, 1]
    again = WordTokenizer(vocabulary=["x", "<unk>", "y", "<eos>"]).fit([])
    assert again.vocabulary_ == ["x", "<unk>", "y", "<eos>"]
    assert (again.unk_id, again.end_id) == (1, 3)
    mapping = WordTokenizer(vocabulary={"b": 1, "a": 0}).fit([])
    assert mapping.vocabulary_[2:] == ["a", "b"]
    assert WordTokenizer(vocabulary={"b", "a"}).fit([]).vocabulary_[2:] == ["a", "b"]


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("abc", "of type str"),
        (5, "of type int"),
        ([b"a"], "token 0 .* of type bytes"),
        ([None], "token 0 .* of type NoneType"),
        (["a", ""], "token 3 .* is empty"),
        (["a", "b", "a"], "tokens 2 and 4 .* are equal"),
        (["\ud800"], "token 2 has a lone surrogate"),
        ({"a": 1, "b": 2}, "must be 0 to 1"),
        ({"a": 0, "b": 0}, "must be 0 to 1"),
    ],
)
def test_a_wrong_vocabulary_is_refused(vocabulary: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WordTokenizer(vocabulary=vocabulary).fit(TEXTS)


def test_upper_case_that_is_never_found_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="upper-case"):
        WordTokenizer(vocabulary=["The"], lowercase=True).fit([])


@pytest.mark.parametrize(
    "params",
    [
        {"min_df": 0},
        {"min_df": -1},
        {"min_df": 1.5},
        {"min_df": float("nan")},
        {"min_df": True},
        {"min_df": "2"},
        {"min_count": 0},
        {"min_count": 2.0},
        {"max_features": 0},
        {"max_features": 1.5},
        {"lowercase": "yes"},
        {"lowercase": None},
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused_by_fit(params: dict[str, Any]) -> None:
    tokenizer = WordTokenizer(**params)
    with pytest.raises(ParameterError, match=next(iter(params))):
        tokenizer.fit(TEXTS)


def test_numpy_numbers_are_numbers() -> None:
    params: dict[str, Any] = {"min_df": np.int64(2), "lowercase": np.bool_(True)}
    fitted = WhitespaceTokenizer(**params).fit(["A b", "a c"])
    assert fitted.vocabulary_ == ["<eos>", "<unk>", "a"]
    assert json.loads(json.dumps(fitted.get_state()))["parameters"]["min_df"] == 2


@pytest.mark.parametrize("documents", [[], [""], ["", " \n\t"], iter(())])
def test_texts_without_tokens_are_refused(documents: Any) -> None:
    with pytest.raises(InputError, match="the texts hold no tokens"):
        WordTokenizer().fit(documents)


def test_a_threshold_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"none of the 3 tokens .*min_df=2"):
        WordTokenizer(min_df=2).fit(["a b c"])


def test_one_token_is_a_vocabulary() -> None:
    assert WordTokenizer().fit(["a"]).n_tokens == 3
    assert CharTokenizer().fit([" "]).vocabulary_ == ["<eos>", "<unk>", " "]


# --------------------------------------------------------------- texts to ids, back


def test_documents_together_have_the_ids_they_have_alone(cls: type[Any]) -> None:
    tokenizer = cls().fit(TEXTS)
    documents = [*twin.random_texts(65, seed=8), "", *TEXTS]
    ids, offsets = tokenizer.encode_documents(documents)
    assert (ids.dtype, offsets.dtype) == (np.int32, np.int64)
    assert len(offsets) == len(documents) + 1
    for i, document in enumerate(documents):
        alone = tokenizer.encode(document)
        assert ids[offsets[i] : offsets[i + 1]].tolist() == alone.tolist()


def test_no_documents_have_no_ids(cls: type[Any]) -> None:
    ids, offsets = cls().fit(TEXTS).encode_documents([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])
    assert (ids.dtype, offsets.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("batch", [1, 3, 17, 65])
def test_long_documents_in_pieces_have_the_same_ids(
    cls: type[Any], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [*twin.random_texts(50, seed=batch, longest=200), "", "x", *TEXTS]
    whole = cls().fit(documents)
    ids, offsets = whole.encode_documents(documents)
    monkeypatch.setattr(texts, "BATCH", batch)
    pieces = cls().fit(documents)
    assert pieces == whole
    again, offsets_again = pieces.encode_documents(documents)
    assert again.tolist() == ids.tolist()
    assert offsets_again.tolist() == offsets.tolist()


def test_pieces_of_a_document_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 4)
    with pytest.raises(InputError, match="there are 1 documents"):
        WordTokenizer(min_df=2).fit(["aa bb aa bb aa bb"])


def test_an_iterator_is_gone_through_once(cls: type[Any]) -> None:
    def documents() -> Iterator[str]:
        yield from TEXTS

    tokenizer = cls().fit(documents())
    assert tokenizer == cls().fit(TEXTS) == cls().fit(tuple(TEXTS))
    assert len(tokenizer.encode_documents(documents())[1]) == len(TEXTS) + 1


def test_an_error_of_the_iterator_is_the_callers(cls: type[Any]) -> None:
    def documents() -> Iterator[str]:
        yield "a"
        raise OSError("disk")

    fitted = cls().fit(TEXTS)
    before = copy.deepcopy(fitted)
    with pytest.raises(OSError, match="disk"):
        fitted.fit(documents())
    assert fitted == before


def test_what_is_unknown_is_unk_and_nothing_else(cls: type[Any]) -> None:
    tokenizer = cls().fit(["abc"])
    ids = tokenizer.encode("z")
    expected = [ord("z")] if cls is ByteTokenizer else [tokenizer.unk_id]
    assert ids.tolist() == expected


def test_texts_come_back_from_their_ids() -> None:
    text = 'A U.S. bank paid $3.50 (or 4%), "we" said\u3002\u4f60\u597d\uff01It\'s on.'
    word = WordTokenizer().fit([text])
    assert word.decode(word.encode(text)) == text
    for tokenizer in (CharTokenizer(), ByteTokenizer()):
        tokenizer.fit([text])
        assert tokenizer.decode(tokenizer.encode(text)) == text
    white = WhitespaceTokenizer().fit([text])
    assert white.decode(white.encode(text)) == " ".join(text.split())


def test_the_end_of_a_document_becomes_a_line_break(cls: type[Any]) -> None:
    tokenizer = cls().fit(["a b"])
    ids = [*tokenizer.encode("a"), tokenizer.end_id, *tokenizer.encode("b")]
    assert tokenizer.decode(ids) == "a\nb"


def test_bytes_are_shown_as_they_are_read() -> None:
    tokenizer = ByteTokenizer().fit([])
    assert (tokenizer.n_tokens, tokenizer.end_id, tokenizer.unk_id) == (257, 256, None)
    assert tokenizer.tokenize("A \n\xe9") == ["A", " ", "<0x0A>", "<0xC3>", "<0xA9>"]
    assert len(set(tokenizer.vocabulary_)) == 257


def test_tokens_can_be_seen_before_fit() -> None:
    assert WordTokenizer(lowercase=True).tokenize("It's OK.") == ["it's", "ok", "."]
    assert CharTokenizer().tokenize("a\u4e2d") == ["a", "\u4e2d"]


@pytest.mark.parametrize("ids", [[], (), np.empty(0), np.empty(0, np.int64)])
def test_no_ids_are_an_empty_text(cls: type[Any], ids: Any) -> None:
    assert cls().fit(TEXTS).decode(ids) == ""


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_ids_of_any_integer_type_are_ids(dtype: type[Any]) -> None:
    tokenizer = WhitespaceTokenizer().fit(["a b"])
    ids = np.array([2, 9, 3, 9], dtype)[::2]
    assert tokenizer.decode(ids) == tokenizer.decode([2, 3]) == "a b"


@pytest.mark.parametrize(
    "ids", [[0.0], ["a"], [[0]], 0, None, [None], [True], "a", [[0], [0, 1]]], ids=str
)
def test_what_are_no_ids_is_refused(cls: type[Any], ids: Any) -> None:
    with pytest.raises(ValueError):
        cls().fit(TEXTS).decode(ids)


@pytest.mark.parametrize("bad", [-1, 257, 1 << 31, (1 << 32) + 2, -(1 << 40)])
def test_ids_out_of_range_are_named(cls: type[Any], bad: int) -> None:
    tokenizer = cls().fit(TEXTS)
    limit = tokenizer.n_tokens - 1
    message = rf"id {bad} at position 1 .* allowed are 0 to {limit}"
    with pytest.raises(InputError, match=message):
        tokenizer.decode([0, bad])


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "documents",
    ["a text", b"bytes", bytearray(b"x"), None, 1, {"a": 1}, {"a"}, Path("x")],
    ids=str,
)
def test_what_is_no_collection_of_documents_is_refused(
    cls: type[Any], documents: Any
) -> None:
    fitted = cls().fit(TEXTS)
    for method in (cls().fit, fitted.encode_documents):
        with pytest.raises(
            InputError, match="Iterable over raw text documents expected"
        ):
            method(documents)


@pytest.mark.parametrize(
    "bad", [None, 1, float("nan"), b"x", ["a"], Path("x")], ids=str
)
def test_what_is_no_text_is_named_with_its_place(cls: type[Any], bad: Any) -> None:
    message = f"document 2 is of type {type(bad).__name__}"
    with pytest.raises(InputTypeError, match=message):
        cls().fit(["a", "b", bad])
    with pytest.raises(InputTypeError, match=message):
        cls().fit(TEXTS).encode_documents(["a", "b", bad])
    for method in (cls().fit(TEXTS).encode, cls().tokenize):
        with pytest.raises(InputTypeError, match=f"of type {type(bad).__name__}"):
            method(bad)


@pytest.mark.parametrize("surrogate", ["\ud800", "\udfff"])
def test_a_lone_surrogate_is_named_with_its_place(
    cls: type[Any], surrogate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = cls().fit(TEXTS)
    code_point = f"U\\+{ord(surrogate):04X}"
    message = f"document 1 has a lone surrogate, {code_point}, at position 6"
    for batch in (1 << 20, 2):  # whole, and in pieces
        monkeypatch.setattr(texts, "BATCH", batch)
        with pytest.raises(InputError, match=message):
            fitted.encode_documents(["a", f"ab cd {surrogate}"])
    with pytest.raises(InputError, match="position 1"):
        fitted.tokenize("a" + surrogate)


def test_numpy_strings_are_texts(cls: type[Any]) -> None:
    array = np.array(TEXTS)
    assert cls().fit(array) == cls().fit(TEXTS)
    assert len(cls().fit(array).encode_documents(array)[1]) == len(TEXTS) + 1


def test_before_fit_there_is_a_clear_error(cls: type[Any]) -> None:
    for use in (
        lambda t: t.encode("a"),
        lambda t: t.encode_documents(["a"]),
        lambda t: t.decode([0]),
        lambda t: t.get_state(),
    ):
        with pytest.raises(NotFittedError, match=r"call fit\(texts\)"):
            use(cls())


def test_a_second_fit_begins_anew(cls: type[Any]) -> None:
    assert cls().fit(["x y z"]).fit(TEXTS) == cls().fit(TEXTS)


# ------------------------------------------------------------- parameters and copies


def test_parameters_are_those_of_the_constructor() -> None:
    tokenizer = WordTokenizer(min_df=2, lowercase=True)
    assert tokenizer.get_params() == {
        "lowercase": True,
        "min_df": 2,
        "min_count": 1,
        "max_features": None,
        "vocabulary": None,
    }
    assert tokenizer.set_params(min_df=0.5) is tokenizer
    assert tokenizer.min_df == 0.5
    assert ByteTokenizer().get_params() == {}


def test_an_unknown_parameter_is_refused_and_nothing_is_set() -> None:
    tokenizer = WordTokenizer()
    with pytest.raises(
        ParameterError, match=r"no parameter 'min_freq'; it has: .*min_df"
    ):
        tokenizer.set_params(min_df=2, min_freq=3)
    assert tokenizer.min_df == 1


def test_parameters_set_after_fit_wait_for_the_next_fit() -> None:
    tokenizer = WordTokenizer().fit(["The the"])
    tokenizer.set_params(lowercase=True)
    assert tokenizer.encode("The").tolist() == [tokenizer.vocabulary_.index("The")]


def test_the_repr_shows_what_is_not_at_its_default() -> None:
    assert repr(WordTokenizer(lowercase=True, min_df=3)) == (
        "WordTokenizer(lowercase=True, min_df=3)"
    )
    assert repr(CharTokenizer().fit(TEXTS)) == "CharTokenizer()"
    assert len(repr(WordTokenizer(vocabulary=[str(i) for i in range(10_000)]))) < 100


def test_scikit_learn_clones_without_what_was_learned(cls: type[Any]) -> None:
    fitted = cls().fit(TEXTS)
    cloned = clone(fitted)
    assert type(cloned) is cls
    assert cloned.get_params() == fitted.get_params()
    assert cloned != fitted
    with pytest.raises(NotFittedError):
        cloned.encode("a")


def test_copies_are_equal_and_work(cls: type[Any]) -> None:
    fitted = cls().fit(TEXTS)
    for twin_ in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert twin_ == fitted
        assert twin_.encode(TEXTS[0]).tolist() == fitted.encode(TEXTS[0]).tolist()
    assert pickle.loads(pickle.dumps(cls())) == cls()


def test_equality_is_of_class_parameters_and_vocabulary() -> None:
    fitted = WordTokenizer().fit(TEXTS)
    assert fitted == WordTokenizer().fit(TEXTS)
    assert fitted != WordTokenizer()
    assert fitted != WordTokenizer(min_df=0.1).fit(TEXTS)
    assert fitted != WordTokenizer().fit(["other"])
    assert fitted != WhitespaceTokenizer().fit(TEXTS)
    assert hash(fitted) == hash(WordTokenizer().fit(TEXTS))


def test_the_state_is_plain_data_and_gives_the_tokenizer_again(cls: type[Any]) -> None:
    params = {} if cls is ByteTokenizer else {"lowercase": True, "max_features": 4}
    fitted = cls(**params).fit(TEXTS)
    state = json.loads(json.dumps(fitted.get_state()))
    assert state["vocabulary"] == fitted.vocabulary_
    assert cls.from_state(state) == fitted


def test_a_loaded_tokenizer_keeps_a_vocabulary_that_was_given() -> None:
    given = WordTokenizer(vocabulary=["b", "a"]).fit([])
    loaded = WordTokenizer.from_state(given.get_state())
    assert loaded.vocabulary_ == given.vocabulary_
    assert loaded.fit(["c d e"]).vocabulary_ == given.vocabulary_


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": None},
        {"vocabulary": ["a"]},
        {"vocabulary": ["<eos>", "<unk>", ""]},
        {"vocabulary": ["<eos>", "<unk>", "<unk>"]},
        {"vocabulary": ["<eos>", "<unk>", 3]},
        {"vocabulary": ["<eos>", "<unk>", "\ud800"]},
        {"parameters": None},
        {"parameters": {"no": 1}},
        {"parameters": {"lowercase": 5}},
    ],
    ids=str,
)
def test_a_malformed_state_is_refused(cls: type[Any], change: dict[str, Any]) -> None:
    state = {**cls().fit(TEXTS).get_state(), **change}
    with pytest.raises(ModelFormatError, match=f"the state of a {cls.__name__}"):
        cls.from_state(state)


def test_a_state_with_a_part_missing_is_refused(cls: type[Any]) -> None:
    with pytest.raises(ModelFormatError, match="vocabulary"):
        cls.from_state({"parameters": {}})


# ------------------------------------------------------------ a tokenizer of one's own


class Letters(Tokenizer):
    """The smallest tokenizer that a plugin could have."""

    def fit(self, texts: Any) -> "Letters":
        self.vocabulary_ = ["<eos>", *sorted({c for text in texts for c in text})]
        self.end_id, self.unk_id = 0, None
        return self

    def encode(self, text: str) -> Any:
        return [self.vocabulary_.index(char) for char in text]

    def decode(self, ids: Any) -> str:
        return "".join(self.vocabulary_[i] for i in ids)

    def get_state(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary_}

    @classmethod
    def from_state(cls, state: Any) -> "Letters":
        return cls().fit([state["vocabulary"][1:]])


def test_the_base_class_supplies_the_rest() -> None:
    letters = Letters().fit(["abc"])
    ids, offsets = letters.encode_documents(["ab", "", "c"])
    assert (ids.dtype, ids.tolist(), offsets.tolist()) == (
        np.int32,
        [1, 2, 3],
        [0, 2, 2, 3],
    )
    assert letters.encode_documents([])[1].tolist() == [0]
    assert letters.tokenize("cab") == ["c", "a", "b"]
    assert letters.n_tokens == 4
    assert repr(letters) == "Letters()"
    assert clone(letters).get_params() == {}
    assert Letters.documents == "line"


def test_a_tokenizer_that_lacks_a_method_cannot_be_made() -> None:
    class Half(Tokenizer):
        def fit(self, texts: Any) -> "Half":
            return self

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]


def test_a_constructor_with_starred_arguments_is_refused() -> None:
    class Starred(Letters):
        def __init__(self, **params: Any) -> None:
            pass

    with pytest.raises(TypeError, match=r"\*\*kwargs cannot be listed"):
        Starred().get_params()


def test_documents_of_files_are_lines_or_wholes() -> None:
    assert [cls.documents for cls in ALL] == ["line", "line", "file", "file"]
