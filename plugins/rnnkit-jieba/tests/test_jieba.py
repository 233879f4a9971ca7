# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF001
"""Chinese words: the contract of tokenizers, and what jieba makes of texts."""

import importlib.util

import pytest
from rnnkit_jieba import JiebaTokenizer

from rnnkit.testing import TokenizerTests

if importlib.util.find_spec("jieba") is None:
    pytest.skip("jieba is not installed", allow_module_level=True)

TEXTS = (
    "我来到北京清华大学。",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造。",
    "Python 是一门编程语言，版本 3.14 很好！",
)


class TestJieba(TokenizerTests):
    tokenizer = JiebaTokenizer()
    texts = TEXTS
    broken = {"hmm": 1, "vocabulary": ["<eos>", "<eos>"], "parameters": {"spam": 1}}
    refused = [({"hmm": 1}, "hmm"), ({"min_count": 0}, "min_count")]


class TestJiebaWithoutNewWords(TestJieba):
    tokenizer = JiebaTokenizer(hmm=False, max_features=12)


def test_words_are_those_of_the_dictionary():
    words = JiebaTokenizer().tokenize(TEXTS[0])
    assert words == ["我", "来到", "北京", "清华大学", "。"]


def test_words_that_are_not_in_the_dictionary_are_guessed_if_wanted():
    text = "他来到了网易杭研大厦"  # the example of jieba's own documentation
    assert "杭研" in JiebaTokenizer().tokenize(text)
    assert "杭研" not in JiebaTokenizer(hmm=False).tokenize(text)


def test_marks_in_a_text_are_tokens():
    words = JiebaTokenizer().tokenize("北京<unk>大学<eos>")
    assert words == ["北京", "<unk>", "大学", "<eos>"]


def test_no_blank_is_read_between_chinese_words():
    tokenizer = JiebaTokenizer().fit(TEXTS)
    assert tokenizer.decode(tokenizer.encode(TEXTS[1])) == TEXTS[1]


def test_the_vocabulary_is_counted_as_by_the_built_in_tokenizers():
    tokenizer = JiebaTokenizer(min_count=2).fit(["北京 北京 大学", "大学 上海"])
    assert tokenizer.vocabulary_ == ["<eos>", "<unk>", "北京", "大学"]
    assert tokenizer.encode("上海北京").tolist() == [1, 2]
