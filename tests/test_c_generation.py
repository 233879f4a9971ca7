# SPDX-License-Identifier: BSD-3-Clause
"""What the C library writes on is what Python writes on, with every control."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_library import Model, needs_make

from rnnkit import RNNLanguageModel
from rnnkit.tokenizers import WordTokenizer

TEXTS = [
    "the cat sat on the mat, and the dog sat on the log.",
    'The dog said: "a cat, a mat!" and (too) the log.',
    "na\u00efve \u00fcber caf\u00e9s \u6eff\u6708 ⛰ don't 3.14",
]
MODELS: dict[str, dict[str, Any]] = {
    "word": {"tokenizer": "word"},
    "lowercase": {"tokenizer": WordTokenizer(lowercase=True), "dtype": "float64"},
    "whitespace": {"tokenizer": "whitespace", "cell": "gru"},
    "char": {"tokenizer": "char", "num_layers": 2},
    "byte": {"tokenizer": "byte", "dtype": "float64"},
}

pytestmark = needs_make


@pytest.fixture(scope="module", params=MODELS)
def pair(
    request: pytest.FixtureRequest, library: ctypes.CDLL, tmp_path_factory: Any
) -> Iterator[tuple[RNNLanguageModel, Model]]:
    """A model as Python has it, and as C has loaded it."""
    options = {"hidden_size": 6, "max_iter": 2, "random_state": 0, "n_threads": 1}
    lm = RNNLanguageModel(**options | MODELS[request.param]).fit(TEXTS)
    with twin_of(lm, library, tmp_path_factory.mktemp("models")) as twin:
        yield lm, twin


@contextmanager
def twin_of(
    lm: RNNLanguageModel, library: ctypes.CDLL, folder: Path
) -> Iterator[Model]:
    lm.save(folder / "model")
    twin = Model(library, (folder / "model").read_bytes())
    yield twin
    twin.close()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 0.4, "top_k": 5},
    {"temperature": 1.5, "top_p": 0.6},
    {"top_k": 7, "top_p": 0.9},
    {"min_new_tokens": 15},
    {"repetition_penalty": 1.7, "min_new_tokens": 10},
    {"repetition_penalty": 0.3, "min_new_tokens": 10},
    {"no_repeat_ngram_size": 1, "min_new_tokens": 30},
    {"no_repeat_ngram_size": 2, "temperature": 0.1, "min_new_tokens": 30},
    {"no_repeat_ngram_size": 3, "temperature": 0.1},
    {"bad_words": ["the", "cat sat", "a"], "min_new_tokens": 10},
    {"stop": ["t"], "min_new_tokens": 10},
    {"stop": ["sat on", "the cat", "\u00efv", "na na"], "repetition_penalty": 0.2},
    {
        "temperature": 0.9,
        "top_k": 9,
        "top_p": 0.95,
        "min_new_tokens": 5,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 4,
        "bad_words": ["log", "dog ."],
        "stop": "mat",
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
def test_a_seed_writes_what_it_writes_in_python(
    pair: tuple[RNNLanguageModel, Model], options: dict[str, Any]
) -> None:
    lm, twin = pair
    stops = options.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    others = {k: v for k, v in options.items() if k not in ("stop", "bad_words")}
    bad_words = [twin.encode(text) for text in options.get("bad_words", [])]
    n_cut = 0
    for seed, prompt in enumerate(["", "the", "the cat sat on the cat", "3.14 "] * 4):
        for size in (0, 25):
            expected = lm.generate(
                prompt, random_state=seed, max_new_tokens=size, **options
            )
            twin.reset()
            twin.feed(prompt)
            ids = twin.generate(
                twin.encode(prompt),
                seed=seed,
                max_new_tokens=size,
                bad_words=bad_words,
                stops=stops,
                **others,
            )
            assert twin.decode(ids, stops) == expected, (seed, prompt)
            n_cut += twin.decode(ids) != expected
    assert n_cut > 0 or stops != ["t"] or lm.tokenizer == "byte"


def test_prompts_and_continuations_have_numbers(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    prompts = ["the", "a dog", ""]
    found = lm.generate(prompts, random_state=3, num_return_sequences=2)
    for i, prompt in enumerate(prompts):
        for j in range(2):
            twin.reset()
            twin.feed(prompt)
            ids = twin.generate(seed=3, number=i + (j << 32), max_new_tokens=50)
            assert twin.decode(ids) == found[i][j]


def test_the_stream_stands_behind_what_was_written(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    _, twin = pair
    for stops in ([], ["t"]):
        twin.reset()
        twin.feed("the")
        ids = twin.generate(max_new_tokens=9, min_new_tokens=9, stops=stops)
        after = twin.top(5)
        twin.reset()
        twin.feed("the")
        array = (ctypes.c_int32 * len(ids))(*ids)
        twin.call("stream_feed", twin.stream, array, ctypes.c_size_t(len(ids)))
        assert twin.top(5) == after
        assert len(ids) == 9 or stops


def test_texts_are_cut_before_each_stop_in_turn(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    rng = np.random.default_rng(1)
    few = [*twin.encode("a the cat, ta"), lm.tokenizer_.end_id]
    n_cut = 0
    for _ in range(1000):
        ids = rng.choice(few, rng.integers(0, 25)).tolist()
        whole = expected = lm.tokenizer_.decode(ids)
        stops = []
        for _ in range(rng.integers(1, 4)):  # parts of the text, some of them changed
            start = int(rng.integers(0, len(whole) + 1))
            stop = whole[start : start + rng.integers(1, 7)] + rng.choice(["", "a"])
            stops.append(stop or "t")
            expected = expected.partition(stops[-1])[0]
        assert twin.decode(ids, stops) == expected, (whole, stops)
        n_cut += expected != whole
    assert n_cut > 500


def test_ids_are_written_token_by_token_alike(
    library: ctypes.CDLL, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 12, n).tolist() for n in (30, 1, 0, 17)]
    lm = RNNLanguageModel(tokenizer=None, hidden_size=5, max_iter=2, random_state=0)
    options = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "top_p": 0.9}
    bad_words = [[3], [1, 2], [4, 5, 6]]
    with twin_of(lm.fit(documents), library, tmp_path) as twin:
        for seed in range(40):
            prompt = rng.integers(0, 12, seed % 5).tolist()
            twin.reset()
            array = (ctypes.c_int32 * len(prompt))(*prompt)
            twin.call("stream_feed", twin.stream, array, ctypes.c_size_t(len(prompt)))
            ids = twin.generate(prompt, seed=seed, bad_words=bad_words, **options)
            expected = lm.generate(
                prompt,
                random_state=seed,
                max_new_tokens=20,
                bad_words=bad_words,
                **options,
            )
            assert ids == expected.tolist()
        with pytest.raises(ValueError, match="no text to stop at"):
            twin.generate(stops=["a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_p": float("nan")}, "top_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0"),
        ({"bad_words": [[]]}, "no tokens"),
        ({"bad_words": [[0], [100000]]}, "allowed are 0 to"),
        ({"bad_words": [[-7]]}, "allowed are 0 to"),
        ({"stops": ["a", ""]}, "a stop is empty"),
        ({"prompt": [-1]}, "allowed are 0 to"),
    ],
)
def test_an_option_that_is_wrong_is_named(
    pair: tuple[RNNLanguageModel, Model], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pair[1].generate(**options)


# ----------------------------------------------------------------------- completions


HALVES = ["", "the ", "the c", "The DOG s", "the cat's", "zzz", "on (t", "3.", "naï"]


def test_half_a_word_becomes_what_it_becomes_in_python(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    for text in HALVES:
        twin.reset()
        if lm.tokenizer in ("char", "byte"):
            with pytest.raises(ValueError, match="no words"):
                twin.complete(text, 5)
            continue
        for k in (1, 1000):
            twin.reset()
            found = twin.complete(text, k)
            (expected,) = lm.complete(text, k=k)
            assert [word for word, _ in found] == [word for word, _ in expected]
            p = [p for _, p in found]
            assert np.allclose(p, [p for _, p in expected], rtol=1e-5, atol=0)


def test_a_completion_leaves_the_stream_before_the_half_word(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    if lm.tokenizer in ("char", "byte"):
        pytest.skip("its tokens are no words")
    twin.reset()
    twin.complete("the cat s", 3)
    twin.feed("sat on")
    after = twin.top(5)
    twin.reset()
    twin.feed("the cat sat on")
    assert twin.top(5) == after
    with pytest.raises(ValueError, match="not UTF-8"):
        twin.complete(b"a \xff", 3)
