# SPDX-License-Identifier: BSD-3-Clause
"""Generation against slow versions that read each continuation from its start."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from small_models import N_IDS, make_model, make_text_model

from rnnkit.runtime import LanguageModel
from rnnkit.runtime.controls import Controls
from rnnkit.tokenizers import CharTokenizer, WordTokenizer

PROMPT = [2, 1]
TEXTS = ["the cat sat on the mat", "the dog sat on the log, and the cat"]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return make_model()


@pytest.fixture(scope="module")
def words() -> LanguageModel:
    return make_text_model(WordTokenizer(), TEXTS)


def lists(found: list[np.ndarray]) -> list[list[int]]:
    return [ids.tolist() for ids in found]


# ----------------------------------------------------------------------------- draws


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[4, 1, 1], [3], []]),
        ({"temperature": 0.7}, [[], [3], [1, 3, 5, 1, 1, 3, 1, 3]]),
        (
            {"top_k": 3},
            [[5, 1, 3], [5, 3, 1, 3, 1, 1, 1], [1, 3, 5, 1, 1, 3, 1, 3]],
        ),
        (
            {"top_p": 0.6, "temperature": 1.5},
            [
                [5, 1, 1, 3, 1, 1, 1, 3, 1, 1, 3],
                [5, 3, 1, 3, 1, 1, 1],
                [1, 3, 5, 1, 1, 3, 1, 3],
            ],
        ),
        ({"temperature": 0}, [[3], [1, 3], [1, 3]]),
    ],
)
def test_a_seed_gives_what_it_gave_when_this_was_recorded(
    model: LanguageModel, options: dict[str, object], expected: list[list[int]]
) -> None:
    prompts = [[2, 1], [], [0, 0, 3]]
    found = model.generate(prompts, max_new_tokens=12, random_state=7, **options)
    assert lists(found) == expected


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_prompt_is_written_on_alike_alone_and_among_many(num_beams: int) -> None:
    model = make_model("float32")
    rng = np.random.default_rng(2)
    prompts = [rng.integers(0, N_IDS, n % 17) for n in range(70)]  # more than one batch
    options = {"max_new_tokens": 9, "random_state": 3, "num_beams": num_beams}
    together = lists(model.generate(prompts, **options))
    threads = model.with_options(n_threads=3).generate(prompts, **options)
    assert lists(threads) == together
    assert model.generate(prompts[0], **options).tolist() == together[0]
    if num_beams > 1:  # nothing is drawn: the place of a prompt does not matter
        assert model.generate(prompts[66], **options).tolist() == together[66]


def test_several_sequences_begin_with_the_one_that_a_single_draw_gives(
    model: LanguageModel,
) -> None:
    options = {"max_new_tokens": 12, "random_state": 5}
    single = lists(model.generate([PROMPT, []], **options))
    several = model.generate([PROMPT, []], num_return_sequences=40, **options)
    assert [sequences[0].tolist() for sequences in several] == single
    assert len({tuple(ids) for ids in several[0]}) > 10
    alone = model.generate(PROMPT, num_return_sequences=40, **options)
    assert lists(alone) == lists(several[0])


# -------------------------------------------------------------------------- controls


def slow_scores(
    log_p: np.ndarray, prompt: list[int], new: list[int], options: dict[str, object]
) -> list[float]:
    """What each token may count, token by token, from the definitions."""
    seen = [*prompt, *new]
    result = []
    for token, score in enumerate(log_p.tolist()):
        ids = [*seen, token]
        penalty = options.get("repetition_penalty", 1.0)
        if token in seen and token != N_IDS:
            score *= penalty
        n = options.get("no_repeat_ngram_size")
        grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)] if n else []
        repeats = bool(grams) and grams[-1] in grams[:-1]
        bad = any(ids[-len(w) :] == w for w in options.get("bad_words", []))
        early = token == N_IDS and len(new) < options.get("min_new_tokens", 0)
        result.append(-np.inf if repeats or bad or early else score)
    return result


OPTIONS = [
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"no_repeat_ngram_size": 1, "min_new_tokens": 4},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 20},
    {"no_repeat_ngram_size": 3, "min_new_tokens": 20},
    {"bad_words": [[3], [1, 1], [1, 5, 1]], "min_new_tokens": 9},
    {"bad_words": [[i] for i in range(6)]},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_controls_do_what_their_definitions_say(
    model: LanguageModel, options: dict[str, object]
) -> None:
    found = model.generate(PROMPT, temperature=0, max_new_tokens=20, **options).tolist()
    new: list[int] = []
    while len(new) < 20:
        log_p = np.log(model.predict_next_proba([*PROMPT, *new])[0])
        scores = slow_scores(log_p, PROMPT, new, options)
        token = int(np.argmax(scores))
        if token == N_IDS or max(scores) == -np.inf:
            break
        new.append(token)
    assert found == new


def test_where_every_token_is_barred_the_document_ends() -> None:
    controls = Controls(end_id=2, unk_id=0, min_new_tokens=5, bad_words=[np.array([1])])
    scores = controls.apply(np.log([0.2, 0.5, 0.3]), np.array([1, 1], np.int32), [])
    assert scores.tolist() == [-np.inf, -np.inf, 0.0]


def test_a_continuation_ends_before_the_first_of_the_stops(
    words: LanguageModel,
) -> None:
    options = {"max_new_tokens": 40, "min_new_tokens": 40, "random_state": 1}
    whole = words.generate("the", **options)
    for stop in ("cat", ["cat", ","], ["sat on", "zebra"]):
        cut = words.generate("the", stop=stop, **options)
        stops = [stop] if isinstance(stop, str) else stop
        places = [whole.index(s) for s in stops if s in whole]
        assert cut == whole[: min(places, default=len(whole))]
    chars = make_text_model(CharTokenizer(), TEXTS)
    whole = chars.generate("the", **options)
    assert chars.generate("the", stop=whole[7:9], **options) in whole[:8]


def test_bad_words_are_those_of_the_tokenizer(words: LanguageModel) -> None:
    options = {"max_new_tokens": 60, "min_new_tokens": 60, "random_state": 1}
    assert "cat" in words.generate("the", **options)
    assert "cat" not in words.generate("the", bad_words=["cat"], **options)
    chars = make_text_model(CharTokenizer(), TEXTS)
    pair = chars.generate("the", **options)[4:6]
    assert pair not in chars.generate("the", bad_words=[pair], **options)


# ------------------------------------------------------------------------------ beams


def continuations(
    model: LanguageModel, most: int
) -> Iterator[tuple[list[int], float, int]]:
    """Every continuation of up to `most` tokens: ids, log-probability, tokens."""
    log_p = {
        ids: np.log(model.predict_next_proba([*PROMPT, *ids])[0])
        for n in range(most)
        for ids in itertools.product(range(N_IDS), repeat=n)
    }
    for n in range(most + 1):
        for ids in itertools.product(range(N_IDS), repeat=n):
            total = sum(log_p[ids[:i]][token] for i, token in enumerate(ids))
            if n < most:
                yield list(ids), total + log_p[ids][N_IDS], n + 1
            else:
                yield list(ids), total, n


@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 1.0, 2.5])
def test_a_beam_as_wide_as_the_tree_finds_the_best_continuations(
    model: LanguageModel, length_penalty: float
) -> None:
    every = [
        (total / n_tokens**length_penalty, ids)
        for ids, total, n_tokens in continuations(model, 3)
    ]
    best = [ids for _, ids in sorted(every, key=lambda pair: -pair[0])[:5]]
    found = model.generate(
        PROMPT,
        num_beams=N_IDS**3,
        num_return_sequences=5,
        max_new_tokens=3,
        length_penalty=length_penalty,
    )
    assert lists(found) == best


def slow_beam(model: LanguageModel, k: int, most: int, penalty: float) -> list[int]:
    """Beam search to the last step, one hypothesis at a time."""
    running, results = [(0.0, ())], []
    for n in range(1, most + 1):
        extended = sorted(
            (-total - np.log(p), (*ids, token))
            for total, ids in running
            for token, p in enumerate(model.predict_next_proba([*PROMPT, *ids])[0])
        )
        results += [
            (-cost / n**penalty, ids[:-1])
            for cost, ids in extended[:k]
            if ids[-1] == N_IDS
        ]
        running = [(-cost, ids) for cost, ids in extended if ids[-1] != N_IDS][:k]
    results += [(total / most**penalty, ids) for total, ids in running]
    return list(max(results)[1])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("num_beams", [2, 3, 5])
def test_a_narrow_beam_is_the_textbook_s(
    model: LanguageModel, num_beams: int, length_penalty: float
) -> None:
    found = model.generate(
        PROMPT, num_beams=num_beams, max_new_tokens=12, length_penalty=length_penalty
    )
    assert found.tolist() == slow_beam(model, num_beams, 12, length_penalty)


def test_a_search_stops_and_avoids_as_draws_do(words: LanguageModel) -> None:
    options = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 8}
    for text in words.generate("the", stop=["on", ","], **options):
        assert "on" not in text.split() and "," not in text
    for text in words.generate("the", bad_words=["the"], min_new_tokens=3, **options):
        assert "the" not in text.split() and len(text.split()) >= 3
    assert words.generate("the", num_beams=2, max_new_tokens=0) == ""
    assert words.generate(["the", "a"], num_beams=2)[0] == words.generate(
        "the", num_beams=2
    )
