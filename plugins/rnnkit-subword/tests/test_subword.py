# SPDX-License-Identifier: BSD-3-Clause
"""Subword tokenizers: the contract of tokenizers, and what each learns."""

import numpy as np
import pytest
from rnnkit_subword import BPETokenizer, UnigramTokenizer
from rnnkit_subword.bpe import hidden, shown

from rnnkit.errors import InputError
from rnnkit.testing import TokenizerTests

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

TEXTS = (
    "low lower lowest, newer wider",
    "the lowest of the new  and\tthe widest\nof the low",
    "Käse und Brot, 日本語 und 日本",
) * 4


class TestBPE(TokenizerTests):
    tokenizer = BPETokenizer(vocab_size=300)
    texts = TEXTS
    is_exact = True
    broken = {
        "splits": [1] * 43,  # some right parts are no tokens then
        "vocabulary": ["<eos>"],
        "parameters": {"spam": 1},
    }
    refused = [
        *(({"vocab_size": bad}, "vocab_size") for bad in (256, 300.0, True)),
        ({"min_count": 0}, "min_count"),
    ]

    def test_every_text_is_decoded_as_it_was(self):
        fitted = self.fitted()
        for text in self.odd_texts:
            assert fitted.decode(fitted.encode(text)) == text
        assert fitted.unk_id is None


class TestUnigram(TokenizerTests):
    tokenizer = UnigramTokenizer(vocab_size=60)
    texts = TEXTS
    is_exact = True
    broken = {
        "model": "",
        "vocabulary": ["<eos>", "<unk>"],
        "parameters": {"vocab_size": 0},
    }
    refused = [
        ({"vocab_size": 5}, "vocab_size"),
        ({"character_coverage": 0.0}, "character_coverage"),
        ({"byte_fallback": None}, "byte_fallback"),
    ]

    def test_unknown_characters_are_the_unknown_token(self):
        fitted = self.fitted()
        assert fitted.unk_id in fitted.encode("new ☂")
        assert fitted.decode(fitted.encode("new ☂")) == "new <unk>"


class TestUnigramWithBytes(TokenizerTests):
    tokenizer = UnigramTokenizer(vocab_size=320, byte_fallback=True)
    texts = TEXTS
    is_exact = True

    def test_every_text_is_decoded_as_it_was(self):
        fitted = self.fitted()
        for text in self.odd_texts:
            assert fitted.decode(fitted.encode(text)) == text
            assert fitted.unk_id not in fitted.encode(text)


def test_bpe_joins_the_commonest_neighbours_first():
    # "ab" occurs 6 times, "abc" 4 times then, nothing else twice.
    tokenizer = BPETokenizer(vocab_size=1000).fit(["abc abc abc abc", "abd", "abe"])
    joined = tokenizer.vocabulary_[256:]
    assert joined == ["ab", "abc", " abc", "<eos>"]
    assert tokenizer.tokenize("abc abd") == ["abc", " ", "ab", "d"]


def test_bpe_learns_as_many_tokens_as_it_is_asked_for():
    for size in (257, 258, 280):
        assert BPETokenizer(vocab_size=size).fit(TEXTS).n_tokens == size


@pytest.mark.parametrize(
    "token", [b"a", b" the", b"\n", b"\xe6", b"\xe6\x97", b"<0x41>"]
)
def test_a_token_is_shown_in_a_way_of_its_own(token):
    assert hidden(shown(token)) == token
    assert shown(b"<0x41>") != shown(b"A")
    assert shown("日".encode()) == "日"


def test_unigram_learns_of_documents_with_tabs_and_of_long_lines():
    # The library alone leaves out both without a word.
    texts = ["some eggs"] * 9 + ["tab\tspam"] + ["dub " * 2000]
    vocabulary = UnigramTokenizer(vocab_size=40).fit(texts).vocabulary_
    assert set("tabspamdub") <= set(vocabulary)


def test_unigram_says_when_the_characters_have_no_room():
    with pytest.raises(InputError, match="sentencepiece cannot learn 10 tokens"):
        UnigramTokenizer(vocab_size=10).fit(["abcdefghijklmnopqrstuvwxyz"] * 9)


def test_what_is_generated_continues_the_prompt():
    for tokenizer in (BPETokenizer(vocab_size=300), UnigramTokenizer(vocab_size=60)):
        ids = tokenizer.fit(TEXTS).encode(TEXTS[0])
        parts = [tokenizer.decode(part) for part in np.array_split(ids, 3)]
        assert "".join(parts) == TEXTS[0]
