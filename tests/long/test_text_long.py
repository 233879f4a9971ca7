# SPDX-License-Identifier: BSD-3-Clause
"""The C tokenizers against their twin, many times; the known counts of corpora."""

import gzip
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import text_twin as twin

from rnnkit.core import _text
from rnnkit.tokenizers import CharTokenizer, WhitespaceTokenizer, WordTokenizer


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("rule", ["whitespace", "word", "char"])
def test_100000_random_texts_are_cut_as_in_python(rule: str, lowercase: bool) -> None:
    for text in twin.random_texts(100_000, seed=13):
        data, offsets = _text.split(rule, lowercase, text.encode())
        tokens = [data[a:b].decode() for a, b in pairwise(offsets)]
        assert tokens == twin.split(rule, text, lowercase), repr(text)


def lines(path: str) -> list[str]:
    content = Path(path).read_bytes()
    text = (gzip.decompress(content) if path.endswith(".gz") else content).decode()
    return text.removesuffix("\n").split("\n")


def test_ptb_has_the_counts_that_the_papers_have(corpus: Callable[[str], str]) -> None:
    train = lines(corpus("ptb_word/ptb.train.txt.gz"))
    test = lines(corpus("ptb_word/ptb.test.txt"))
    tokenizer = WhitespaceTokenizer().fit(train)
    assert tokenizer.n_tokens == 10_000
    assert len(tokenizer.encode_documents(train)[0]) + len(train) == 929_589
    ids, offsets = tokenizer.encode_documents(test)
    assert len(ids) + len(test) == 82_430
    back = [tokenizer.decode(ids[a:b]) for a, b in pairwise(offsets)]
    assert back == [line.strip() for line in test]


def test_a_chinese_novel_comes_back(corpus: Callable[[str], str]) -> None:
    text = "\n".join(lines(corpus("zh_classics/hongloumeng.txt.gz")))
    char = CharTokenizer().fit([text])
    assert char.decode(char.encode(text)) == text
    word = WordTokenizer().fit([text])
    assert word.decode(word.encode(text)) == "".join(text.split())
