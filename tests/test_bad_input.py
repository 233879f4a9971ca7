# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is handed over, each method gives a clear error or a defined result."""

import copy
import gzip
import io
import itertools
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from rnnkit import RNNLanguageModel
from rnnkit.errors import InputError, InputTypeError, NotFittedError, RnnkitError

TEXTS = ["the cat sat", "on the mat", "a dog", "the end"]
SMALL: dict[str, Any] = {
    "hidden_size": 3,
    "max_iter": 1,
    "random_state": 0,
    "n_threads": 1,
}


def make(**params: Any) -> RNNLanguageModel:
    return RNNLanguageModel(**{**SMALL, **params})


@pytest.fixture(scope="module")
def lm() -> RNNLanguageModel:
    return make().fit(TEXTS)


CORPUS_METHODS = ("score", "score_samples", "perplexity", "accuracy", "transform")
PROMPT_METHODS = ("predict_next", "predict_next_proba", "generate")

WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "an empty list": (list, InputError, "X is empty"),
    "bytes": (lambda: b"abc", InputTypeError, "bytes object received"),
    "bytearray": (lambda: bytearray(b"abc"), InputTypeError, "bytearray object"),
    "a list of bytes": (lambda: [b"abc"], InputTypeError, "0 is of type bytes.*decode"),
    "a path": (lambda: Path("x"), InputTypeError, "Path object received"),
    "None": (lambda: None, InputTypeError, "NoneType object received"),
    "[None]": (lambda: ["a", None], InputTypeError, "1 is of type NoneType"),
    "[1]": (lambda: [1], InputTypeError, "0 is of type int"),
    "[nan]": (lambda: [math.nan], InputTypeError, "0 is of type float.*missing"),
    "mixed": (lambda: ["a", b"b"], InputTypeError, "1 is of type bytes"),
    "nested": (lambda: [["a"]], InputTypeError, "0 is of type list"),
    "a dict": (lambda: {"a": "b"}, InputTypeError, "it has no order"),
    "a set": (lambda: {"a", "b"}, InputTypeError, "it has no order"),
    "a number": (lambda: 3, InputTypeError, "int object received"),
    "a 0-d array": (lambda: np.array("a"), InputTypeError, "ndarray of shape"),
    "a 2-d array": (lambda: np.array([["a"]]), InputTypeError, r"shape \(1, 1\)"),
    "an open file": (lambda: io.StringIO("a"), InputTypeError, "StringIO object"),
    "a lone surrogate": (
        lambda: ["a", "b\ud800"],
        InputError,
        "1 has a lone surrogate",
    ),
    "a broken iterator": (lambda: broken(), RuntimeError, "half way"),
}


def broken() -> Iterator[str]:
    yield "the cat"
    raise RuntimeError("half way")


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("method", ("fit", "partial_fit", *CORPUS_METHODS))
def test_what_is_no_corpus_is_refused_alike(
    lm: RNNLanguageModel, what: str, method: str
) -> None:
    value, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        getattr(make() if "fit" in method else lm, method)(value())


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("method", PROMPT_METHODS)
def test_what_is_no_prompt_is_refused_alike(
    lm: RNNLanguageModel, what: str, method: str
) -> None:
    value, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        getattr(lm, method)(value())


@pytest.mark.parametrize("method", ("fit", "partial_fit", *CORPUS_METHODS))
def test_a_bare_string_is_refused_in_scikit_learns_words(
    lm: RNNLanguageModel, method: str
) -> None:
    message = "^Iterable over raw text documents expected, string object received."
    with pytest.raises(ValueError, match=message):
        getattr(make() if "fit" in method else lm, method)("the cat")


def test_x_val_is_checked_like_x() -> None:
    for what, (value, error, message) in WRONG.items():
        if what == "None":
            continue  # there is none to check
        with pytest.raises(error, match=message):
            make().fit(TEXTS, X_val=value())


# Corpora that are odd, and what is made of them.
ODD: dict[str, Callable[[], Any]] = {
    "one token": lambda: ["a"],
    "two identical documents": lambda: ["a b", "a b"],
    "an empty document among others": lambda: ["a b", "", "c"],
    "a document of spaces among others": lambda: ["a b", " \t\n ", "c"],
    "a generator": lambda: (text for text in TEXTS),
    "a tuple": lambda: tuple(TEXTS),
    "an array of strings": lambda: np.array(TEXTS),
    "an array of objects": lambda: np.array(TEXTS, dtype=object),
    "NumPy's strings": lambda: [np.str_("a b")],
    "a map": lambda: map(str.upper, TEXTS),
    "a part of an endless iterator": lambda: itertools.islice(itertools.repeat("a"), 9),
    "NUL and non-characters": lambda: ["a\0b \uffff \U0010ffff"],
    "a long run of accents": lambda: ["e" + "\u0301" * 10_000],
    "right-to-left marks": lambda: ["\u202eabc\u200f \u05d0\u05d1"],
    "two normal forms": lambda: ["\u00e9", "e\u0301"],
    "line ends of all kinds": lambda: ["a\r\nb\rc\u2028d\x0be"],
    "Chinese": lambda: ["滿紙荒唐言 一把辛酸淚"],
    "many empty documents": lambda: [""] * 10_000 + ["a"],
}


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "char", "byte"])
@pytest.mark.parametrize("what", ODD)
def test_odd_texts_are_learned_and_scored(what: str, tokenizer: str) -> None:
    X = ODD[what]
    lm = make(tokenizer=tokenizer).fit(X())
    n_documents = len(list(X()))
    scores = lm.score_samples(X())
    assert scores.shape == (n_documents,)
    assert np.isfinite(scores).all()
    assert lm.evaluate(X()).n_documents == n_documents
    assert math.isclose(lm.score(X()), scores.sum() / lm.evaluate(X()).n_tokens)
    assert np.isfinite(lm.transform(X())).all()
    assert lm.predict_next_proba(list(X())[:3]).shape[1] == len(lm.vocabulary_)


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "char"])
@pytest.mark.parametrize("texts", [[""], ["", ""]])
def test_texts_without_a_token_cannot_give_a_vocabulary(
    texts: list[str], tokenizer: str
) -> None:
    for method in ("fit", "partial_fit"):
        with pytest.raises(InputError, match="hold no tokens"):
            getattr(make(tokenizer=tokenizer), method)(texts)


def test_empty_texts_are_learned_where_the_vocabulary_is_known(
    lm: RNNLanguageModel,
) -> None:
    for params in ({"tokenizer": "byte"}, {"vocabulary": ["a"]}):
        model = make(**params).fit(["", ""])
        assert model.evaluate(["", ""]).n_tokens == 2
    assert lm.evaluate([""]).n_tokens == 1
    assert math.isfinite(lm.score(["", "  "]))


def test_two_threads_that_share_an_iterator_cannot_crash() -> None:
    shared = iter(["a b c"] * 2000)
    outcomes: list[object] = []

    def work() -> None:
        try:
            outcomes.append(make().fit(shared).n_iter_)
        except (InputError, ValueError) as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert 1 in outcomes


# ------------------------------------------------------------------------------ files


def test_files_are_read_by_line_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xef\xbb\xbfone two\r\n\r\nthree\rfour")  # a mark, all line ends
    packed = tmp_path / "texts.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    by_line = make(input="filename").fit([path])
    assert by_line.evaluate([str(path), packed]).n_documents == 8
    assert set(by_line.vocabulary_) == {"<eos>", "<unk>", "one", "two", "three", "four"}
    whole = make(input="filename", documents="file").fit([path])
    assert whole.evaluate([path]).n_documents == 1
    assert whole.evaluate([path]).n_tokens == 5
    chars = make(input="filename", tokenizer="char").fit([path])
    assert chars.evaluate([path]).n_documents == 1
    assert chars.evaluate([path]).n_characters == len("one two\n\nthree\nfour") + 1
    assert "\r" not in chars.vocabulary_
    assert "\ufeff" not in chars.vocabulary_


def test_file_objects_are_read_and_left_open() -> None:
    lm = make(input="file")
    text, binary = io.StringIO("one two\nthree"), io.BytesIO("ünï\n".encode())
    lm.fit([text, binary])
    assert lm.n_tokens_seen_ == 3 + 2 + 2
    assert not text.closed and not binary.closed


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


FILES: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "a str": (lambda p: str(write(p, b"a")), InputError, "string object received"),
    "a path": (lambda p: write(p, b"a"), InputTypeError, "Path object received"),
    "no name": (lambda p: [3], InputTypeError, "file name 0 is of type int"),
    "no file": (lambda p: [p], FileNotFoundError, "text"),
    "a folder": (lambda p: [p.parent], IsADirectoryError, "directory"),
    "Latin-1": (lambda p: [write(p, b"caf\xe9")], InputError, r"not UTF-8.*byte 3"),
    "UTF-16": (lambda p: [write(p, "a".encode("utf-16"))], InputError, "is UTF-16"),
    "empty": (lambda p: [write(p, b"")], InputError, "every one of them is empty"),
    "no gzip": (
        lambda p: [write(p.with_suffix(".gz"), b"abc")], InputError, "not a whole gzip"
    ),
    "half a gzip": (
        lambda p: [write(p.with_suffix(".gz"), gzip.compress(b"abc" * 999)[:20])],
        InputError, "not a whole gzip",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("method", ["fit", "score"])
def test_what_is_no_text_file_is_refused(
    lm: RNNLanguageModel, what: str, method: str, tmp_path: Path
) -> None:
    value, error, message = FILES[what]
    model = make() if method == "fit" else copy.deepcopy(lm)
    with pytest.raises(error, match=message):
        getattr(model.set_params(input="filename"), method)(value(tmp_path / "text"))


@pytest.mark.parametrize("method", ["fit", "score"])
def test_what_is_no_open_file_is_refused(lm: RNNLanguageModel, method: str) -> None:
    closed = io.StringIO("a")
    closed.close()

    class Odd:
        def read(self) -> int:
            return 3

    model = (make() if method == "fit" else copy.deepcopy(lm)).set_params(input="file")
    for X, error, message in (
        ([closed], ValueError, "closed file"),
        (["name.txt"], InputTypeError, "has no method read"),
        ([Odd()], InputTypeError, "gave int, not text"),
    ):
        with pytest.raises(error, match=message):
            getattr(model, method)(X)


def test_a_line_of_many_megabytes_is_one_document(tmp_path: Path) -> None:
    path = write(tmp_path / "long", b"word " * 200_000)
    lm = make(input="filename", batch_size=64, bptt=128).fit([path])
    assert lm.n_tokens_seen_ == 200_001


# -------------------------------------------------------------------- calls, prefixes


def test_what_was_never_seen_is_the_unknown_token(lm: RNNLanguageModel) -> None:
    report = lm.evaluate(["quokka 滿 cat", "\x00"])
    assert report.n_unknown == 3
    assert math.isfinite(report.score)
    unknown = lm.predict_next_proba(["quokka"])
    assert unknown.tobytes() == lm.predict_next_proba(["wombat"]).tobytes()
    texts = lm.generate([""] * 200, max_new_tokens=5, random_state=0, temperature=5)
    assert not any("<unk>" in text for text in texts)


def test_an_empty_prefix_is_the_start_of_a_document(lm: RNNLanguageModel) -> None:
    start = lm.predict_next_proba([""])
    assert start.tobytes() == lm.predict_next_proba("").tobytes()
    assert start.tobytes() == lm.predict_next_proba(["   "]).tobytes()
    assert start[0].tobytes() == lm.stream().predict_next_proba().tobytes()
    assert isinstance(lm.generate(), str)


def test_prompts_may_be_a_string_or_several(lm: RNNLanguageModel) -> None:
    assert lm.predict_next("the cat") == lm.predict_next(["the cat"])
    one = lm.generate("the cat", random_state=1)
    assert isinstance(one, str)
    assert lm.generate(["the cat"], random_state=1) == [one]
    assert len(lm.predict_next(("a", "b", ""))) == 3


def test_a_prefix_of_a_million_tokens_is_read(lm: RNNLanguageModel) -> None:
    long = "the cat sat " * 333_334
    chances = lm.predict_next_proba([long])
    assert chances.sum() == pytest.approx(1.0, abs=1e-5)
    stream = lm.stream().feed(long)
    assert stream.predict_next_proba().tobytes() == chances[0].tobytes()


def test_a_stream_refuses_what_is_no_text(lm: RNNLanguageModel) -> None:
    stream = lm.stream()
    before = stream.predict_next_proba().tobytes()
    for text in (None, 3, b"a", ["a"], "\ud800"):
        with pytest.raises(InputError):
            stream.feed(text)
    assert stream.predict_next_proba().tobytes() == before


def test_fit_twice_is_fit_once_and_y_is_ignored() -> None:
    once = make().fit(TEXTS)
    twice = make().fit(["other words"]).fit(TEXTS, [0, 1, 0, 1])
    assert once.vocabulary_ == twice.vocabulary_
    assert once.score(TEXTS) == twice.score(TEXTS, y=["ignored"])


@pytest.mark.parametrize(
    "vocabulary",
    [["cat", "the"], ("cat", "the"), {"cat": 0, "the": 1}, np.array(["cat", "the"])],
)
def test_a_vocabulary_of_a_part_makes_the_rest_unknown(vocabulary: Any) -> None:
    lm = make(vocabulary=vocabulary).fit(TEXTS)
    assert lm.vocabulary_ == ["<eos>", "<unk>", "cat", "the"]
    assert lm.evaluate(["the cat sat"]).n_unknown == 1
    twin = clone(lm).fit(TEXTS)
    assert twin.score(TEXTS) == lm.score(TEXTS)


@pytest.mark.parametrize(
    "vocabulary", ["cat", 3, [1], ["a", "a"], [""], {"a": 5}, [None], b"ab"]
)
def test_a_vocabulary_that_is_none_is_refused(vocabulary: Any) -> None:
    with pytest.raises(RnnkitError):
        make(vocabulary=vocabulary).fit(TEXTS)


def test_the_smallest_and_a_large_vocabulary_work() -> None:
    smallest = make(tokenizer=None, vocabulary=1).fit([[0, 0], []])
    assert smallest.vocabulary_ == [0, "<eos>"]
    assert smallest.predict_next([0], k=9)[0][0][0] in (0, "<eos>")
    large = make(tokenizer=None, vocabulary=2**20 - 1, hidden_size=1).fit(
        [[0, 2**20 - 2]]
    )
    assert large.predict_next_proba([[2**20 - 2]]).shape == (1, 2**20)
    for vocabulary in (0, -1, 2.0, True, "5", [1], 2**30):
        with pytest.raises(RnnkitError, match="the number of ids"):
            make(tokenizer=None, vocabulary=vocabulary).fit([[0]])


def test_ids_beyond_those_of_fit_are_refused() -> None:
    lm = make(tokenizer=None).fit([[0, 3], [1]])
    assert lm.vocabulary_ == [0, 1, 2, 3, "<eos>"]
    for method in ("score", "predict_next", "partial_fit"):
        with pytest.raises(InputError, match="holds the id 4; allowed are 0 to 3"):
            getattr(lm, method)([[4]])


def test_copies_of_an_unfitted_estimator_are_unfitted() -> None:
    for twin in (
        clone(make()),
        copy.deepcopy(make()),
        pickle.loads(pickle.dumps(make())),
    ):
        with pytest.raises(ValueError, match="not fitted"):
            twin.predict_next("a")
        assert not isinstance(NotFittedError(), type(twin))
