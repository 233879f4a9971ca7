# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from rnnkit.cli.ngram import WittenBell
from rnnkit.datasets import load_python_topics

STREAM = np.array(
    [0, 1, 2, 1, 3]
)  # an end token, then four others of a vocabulary of 5


@pytest.mark.parametrize(("n", "vocab_size"), [(2, 1), (4, 3), (65, 17), (300, 65)])
def test_probabilities_sum_to_one_after_every_context(n: int, vocab_size: int) -> None:
    stream = np.random.default_rng(n).integers(vocab_size, size=n)
    model = WittenBell(stream[:-1], stream[1:], vocab_size)
    tokens = np.arange(vocab_size)
    for context in range(vocab_size):
        total = model.bigram(np.full(vocab_size, context), tokens).sum()
        assert total == pytest.approx(1, rel=1e-12)  # V terms in float64
    assert model.unigram.sum() == pytest.approx(1, rel=1e-12)
    assert (model.unigram > 0).all()


def test_values_by_hand() -> None:
    # Four tokens of three kinds.
    model = WittenBell(STREAM[:-1], STREAM[1:], 5)
    assert model.unigram[1] == pytest.approx((2 + 3 / 5) / 7)
    assert model.unigram[4] == pytest.approx((3 / 5) / 7)
    # After 1: 2 and 3 once each; n = 2, t = 2. After 3 and 4 nothing was seen.
    after_one = model.bigram(np.array([1, 1]), np.array([2, 4]))
    assert after_one == pytest.approx(
        [(1 + 2 * model.unigram[2]) / 4, 2 * model.unigram[4] / 4]
    )
    assert model.bigram(np.array([4]), np.array([1])) == pytest.approx(model.unigram[1])


def test_perplexity_is_the_exponential_of_the_mean_negative_log_probability() -> None:
    model = WittenBell(STREAM[:-1], STREAM[1:], 5)
    contexts, tokens = np.array([0, 1]), np.array([1, 4])
    first, second = model.bigram(contexts, tokens)
    _, perplexity = model.perplexities(contexts, tokens)
    assert perplexity == pytest.approx((first * second) ** -0.5)


def test_no_held_out_paragraph_of_the_topics_is_trained_on() -> None:
    train, test = load_python_topics()
    assert not set(train) & set(test)
    assert len(set(train)) == len(train) > 1000
    assert len(set(test)) == len(test) > 100
