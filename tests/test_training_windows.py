# SPDX-License-Identifier: BSD-3-Clause
"""Windows: every token is predicted exactly once a pass, from what stands before it."""

from itertools import pairwise

import numpy as np
import pytest

from rnnkit.runtime.corpus import Corpus
from rnnkit.training.windows import Batch, Windows

END = 9


def corpus_of(*lengths: int) -> Corpus:
    """Documents whose tokens are 10, 11, 12, ... through all of them: no two alike."""
    ids = iter(range(10, 10 + sum(lengths)))
    documents = [np.array([next(ids) for _ in range(n)], np.int32) for n in lengths]
    return Corpus.from_documents(documents).targets(END)


def windows_of(corpus: Corpus, **settings: object) -> Windows:
    defaults = {"batch_size": 3, "bptt": 4, "carry_state": False}
    return Windows(corpus, **{**defaults, **settings})  # type: ignore[arg-type]


def streams(batches: list[Batch]) -> list[list[tuple[int, int, float, int]]]:
    """Each stream as (read, predicted, weight, reset), padding included."""
    result: list[list[tuple[int, int, float, int]]] = [[] for _ in batches[0].ids[0]]
    for batch in batches:
        ones, zeros = np.ones(batch.ids.shape), np.zeros(batch.ids.shape)
        weights = ones if batch.weights is None else batch.weights
        resets = zeros if batch.resets is None else batch.resets
        for t in range(len(batch.ids)):
            for b, stream in enumerate(result):
                stream.append(
                    (
                        int(batch.ids[t, b]),
                        int(batch.targets[t, b]),
                        float(weights[t, b]),
                        int(resets[t, b]),
                    )
                )
    return result


@pytest.mark.parametrize(
    "lengths", [(0,), (1,), (0, 0, 0), (3, 0, 5), (17, 65, 1, 300)]
)
@pytest.mark.parametrize("batch_size", [1, 3, 17])
@pytest.mark.parametrize("bptt", [1, 4, 65])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("variable", [False, True])
def test_every_token_is_predicted_once_from_the_one_before(
    lengths: tuple[int, ...], batch_size: int, bptt: int, shuffled: bool, variable: bool
) -> None:
    corpus = corpus_of(*lengths)
    windows = windows_of(
        corpus, batch_size=batch_size, bptt=bptt, variable_bptt=variable
    )
    order = np.random.default_rng(0).permutation(len(corpus)) if shuffled else None
    cuts = windows.cuts(np.random.default_rng(1))
    batches = list(windows.epoch(order, cuts))
    assert [len(batch) for batch in batches] == np.diff(cuts).tolist()
    assert max(map(len, batches)) <= windows.max_steps
    if not variable:
        assert len(batches) == windows.n_windows
    predicted = []
    for stream in streams(batches):
        tokens = [
            (read, target, reset) for read, target, weight, reset in stream if weight
        ]
        assert [weight for _, _, weight, _ in stream[: len(tokens)]] == [1.0] * len(
            tokens
        )
        for (_, before, _), (read, _, reset) in pairwise(tokens):
            assert read == before  # what is read is what was predicted a step ago
            assert reset == (read == END)  # and a document begins behind an end
        predicted += [target for _, target, _ in tokens]
    assert sorted(predicted) == sorted(corpus.ids.tolist())


def test_without_shuffling_the_streams_are_the_text_in_order() -> None:
    corpus = corpus_of(100, 200, 300)
    tokens = [
        target
        for stream in streams(list(windows_of(corpus).epoch()))
        for _, target, weight, _ in stream
        if weight
    ]
    assert tokens == corpus.ids.tolist()


def test_the_documents_are_taken_in_the_order_given() -> None:
    corpus = corpus_of(2, 0, 1)
    batches = list(windows_of(corpus, batch_size=1).epoch(np.array([2, 0, 1])))
    assert [t for _, t, _, _ in streams(batches)[0]] == [12, END, 10, 11, END, END]


def test_windows_and_streams_are_equally_long_to_within_one() -> None:
    corpus = corpus_of(4003)
    windows = windows_of(corpus, batch_size=7, bptt=8)
    batches = list(windows.epoch())
    assert {len(batch.ids) for batch in batches} <= {7, 8}
    lengths = [sum(w > 0 for _, _, w, _ in stream) for stream in streams(batches)]
    assert max(lengths) - min(lengths) <= 1
    assert lengths[-1] == max(lengths)  # a carried state is that of the text's end


def test_drawn_lengths_are_those_of_awd_lstm() -> None:
    windows = windows_of(corpus_of(200_000), batch_size=1, bptt=70, variable_bptt=True)
    lengths = np.diff(windows.cuts(np.random.default_rng(0)))[:-1]
    halves = lengths < 52
    assert abs(halves.mean() - 0.05) < 0.015  # 3 standard errors of 2,900 windows
    for drawn, mean in ((lengths[halves], 35), (lengths[~halves], 70)):
        error = 5 / np.sqrt(len(drawn))
        assert abs(drawn.mean() - (mean - 0.5)) < 4 * error  # fractions are cut off
        assert abs(drawn.std() - 5) < 4 * error
    assert windows.max_steps == 70 + 20
    again = np.diff(windows.cuts(np.random.default_rng(0)))[:-1]
    assert again.tolist() == lengths.tolist()
    short = windows_of(corpus_of(5_000), bptt=10, variable_bptt=True)
    assert np.diff(short.cuts(np.random.default_rng(0)))[:-1].min() == 5


def test_a_pass_goes_on_from_any_window() -> None:
    windows = windows_of(corpus_of(500), bptt=10, variable_bptt=True)
    cuts = windows.cuts(np.random.default_rng(0))
    whole = list(windows.epoch(None, cuts))
    rest = list(windows.epoch(None, cuts[3:8]))
    for found, expected in zip(rest, whole[3:7], strict=True):
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.targets, expected.targets)


def test_a_short_text_makes_fewer_streams() -> None:
    assert windows_of(corpus_of(30), batch_size=32, bptt=64).n_streams == 1
    assert windows_of(corpus_of(64 * 64 * 5), batch_size=32, bptt=64).n_streams == 5
    assert windows_of(corpus_of(64 * 64 * 99), batch_size=32, bptt=64).n_streams == 32


def test_a_carried_state_is_never_reset() -> None:
    batches = list(windows_of(corpus_of(3, 4, 5), carry_state=True).epoch())
    assert all(batch.resets is None for batch in batches)


def test_each_token_weighs_as_its_document() -> None:
    corpus = corpus_of(2, 0, 200)
    weight = np.array([0.5, 2.0, 0.0], np.float32)
    windows = windows_of(corpus, sample_weight=weight)
    order = np.array([2, 0, 1])
    found: dict[int, set[float]] = {}
    total = 0.0
    for stream in streams(list(windows.epoch(order))):
        for _, target, w, _ in stream:
            found.setdefault(target, set()).add(w)
            total += w
    assert found[10] == found[11] == {0.5}
    assert found[12] == {0.0}
    assert total == 3 * 0.5 + 1 * 2.0


def test_corpus_positions_follow_an_order() -> None:
    corpus = Corpus.from_documents([np.arange(3), np.arange(0), np.arange(10, 12)])
    assert corpus.take(np.array([2, 1, 0])).ids.tolist() == [10, 11, 0, 1, 2]
    assert corpus.inputs(END).ids.tolist() == [END, 0, 1, 2, END, END, 10, 11]
    assert corpus.targets(END).ids.tolist() == [0, 1, 2, END, END, 10, 11, END]
    assert corpus.targets(END).starts().tolist() == [1, 0, 0, 0, 1, 1, 0, 0]
    assert [d.tolist() for d in corpus.documents()] == [[0, 1, 2], [], [10, 11]]
