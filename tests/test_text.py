# SPDX-License-Identifier: BSD-3-Clause
"""The C tokenizers against plain Python, and against input that wants to break them."""

import random
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import text_twin as twin

from rnnkit.core import _text
from rnnkit.errors import InputError

RULES = ["whitespace", "word", "char", "byte"]
SPECIAL = ["<eos>", "<unk>"]


def packed(texts: list[str]) -> tuple[bytes, np.ndarray]:
    """Texts as the bridge takes them."""
    data = [text.encode() for text in texts]
    return b"".join(data), np.cumsum([0, *map(len, data)], dtype=np.int64)


def unpacked(data: bytes, offsets: np.ndarray) -> list[str]:
    return [data[a:b].decode() for a, b in pairwise(offsets)]


def split(rule: str, text: str, lowercase: bool = False) -> list[str]:
    return unpacked(*_text.split(rule, lowercase, text.encode()))


def tokenizer(rule: str, tokens: list[str], lowercase: bool = False) -> _text.Tokenizer:
    return _text.Tokenizer(rule, lowercase, *packed(tokens))


def byte_tokenizer() -> _text.Tokenizer:
    names = [chr(b) if 0x20 <= b < 0x7F else f"<0x{b:02X}>" for b in range(256)]
    return tokenizer("byte", [*names, "<eos>"])


# ----------------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello|,|world|!"),
        ("don't Don\u2019t rock-'n'-roll", "don't|Don\u2019t|rock|-|'|n|'|-|roll"),
        ("well-known word--word -5", "well-known|word|-|-|word|-|5"),
        ("the U.S. e.g. end. a.b", "the|U.S|.|e.g|.|end|.|a.b"),
        ("3.14 1,000 10:30 3/4 1,", "3.14|1,000|10:30|3/4|1|,"),
        ("a,b a:b and/or 1,b", "a|,|b|a|:|b|and|/|or|1|,|b"),
        ("snake_case __init__ x2", "snake_case|__init__|x2"),
        ("\u4e2d\u6587abc\u3042\u30ab", "\u4e2d|\u6587|abc|\u3042|\u30ab"),
        ("e\u0301te\u0301 (\u0301 \u0301a", "e\u0301te\u0301|(\u0301|\u0301a"),
        ("a<unk>b <eos> <unk <UNK>", "a|<unk>|b|<eos>|<|unk|<|UNK|>"),
        ("a\u200bb a\u200db", "a|\u200b|b|a\u200db"),
        ("", ""),
        (" \t\n\u3000\x85", ""),
    ],
)
def test_the_word_rule_cuts_as_documented(text: str, expected: str) -> None:
    assert "|".join(split("word", text)) == expected


def test_every_code_point_is_cut_and_lowered_as_in_python() -> None:
    different = []
    for page in range(0, 0x110000, 256):
        chars = [chr(c) for c in range(page, page + 256) if not 0xD800 <= c < 0xE000]
        text = "".join(map(in_context, chars))
        if split("word", text, True) != twin.split("word", text, True):
            different += [c for c in chars if not same_as_twin(in_context(c))]
    version = re.search(r"Unicode ([\d.]+)", table().read_text("ascii"))
    assert version
    if version[1] == unicodedata.unidata_version:
        assert different == []
    else:  # what this Python knows, the table may not know yet: a token for itself
        assert [c for c in different if split("word", f"a{c}b") != ["a", c, "b"]] == []


def in_context(char: str) -> str:
    """A character alone, between letters, between digits, before a mark."""
    if unicodedata.category(char) in ("Cn", "Co"):  # most of them, and all alike
        return char
    return f"\n{char}\na{char}b\n1{char}2\n{char}\u0301\n"


def same_as_twin(text: str) -> bool:
    return split("word", text, True) == twin.split("word", text, True)


def table() -> Path:
    return Path(__file__).parent.parent / "csrc" / "text" / "unicode_table.inc.h"


def test_the_unicode_table_is_what_its_script_writes() -> None:
    content = table().read_text("ascii")
    if f"Unicode {unicodedata.unidata_version}," not in content:
        pytest.skip("this Python has another version of Unicode")
    script = table().with_name("make_unicode_table.py")
    written = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )
    assert written.stdout == content


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("rule", ["whitespace", "word", "char"])
def test_random_texts_are_cut_as_in_python(rule: str, lowercase: bool) -> None:
    for text in twin.random_texts(2000, seed=7):
        expected = twin.split(rule, text, lowercase)
        assert split(rule, text, lowercase) == expected, repr(text)


def test_white_space_never_lies_within_a_token() -> None:
    for text in twin.random_texts(300, seed=1):
        cut = [place for place, char in enumerate(text) if char.isspace()]
        for place in cut:
            parts = split("word", text[:place]) + split("word", text[place:])
            assert parts == split("word", text), (text, place)


# ------------------------------------------------------------------------ counting


@pytest.mark.parametrize("n_texts", [0, 1, 3, 17, 65])
@pytest.mark.parametrize("rule", ["whitespace", "word", "char"])
def test_counts_are_those_of_a_python_counter(rule: str, n_texts: int) -> None:
    texts = list(twin.random_texts(n_texts, seed=n_texts))
    counter = _text.Counter(rule)
    for text in texts:
        counter.add(*packed([text]))
    data, offsets, counts = counter.get()
    tokens = [twin.split(rule, text) for text in texts]
    occurrences = Counter(token for text in tokens for token in text)
    documents = Counter(token for text in tokens for token in set(text))
    assert counter.n_documents == n_texts
    assert unpacked(data, offsets) == list(occurrences)  # in order of appearance
    assert dict(zip(occurrences, counts.tolist(), strict=True)) == {
        token: [occurrences[token], documents[token]] for token in occurrences
    }


def test_a_text_that_goes_on_is_the_same_document() -> None:
    counter = _text.Counter("word")
    counter.add(*packed(["a b"]))
    counter.add(*packed([" a", "a"]), continues=True)
    assert counter.n_documents == 2
    assert counter.get()[2].tolist() == [[3, 2], [1, 1]]


def test_lower_case_is_counted_together() -> None:
    counter = _text.Counter("word", lowercase=True)
    counter.add(*packed(["The THE the \u0130 i \u023a \u2c65 \u212a k"]))
    data, offsets, counts = counter.get()
    assert unpacked(data, offsets) == ["the", "i", "\u2c65", "k"]
    assert counts[:, 0].tolist() == [3, 2, 2, 2]


# ------------------------------------------------------------------------ encoding


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("rule", ["whitespace", "word", "char"])
def test_ids_are_places_in_the_vocabulary(rule: str, lowercase: bool) -> None:
    texts = list(twin.random_texts(300, seed=3))
    known = {t for text in texts[:150] for t in twin.split(rule, text, lowercase)}
    vocabulary = [*SPECIAL, *sorted(known.difference(SPECIAL))]
    place = {token: i for i, token in enumerate(vocabulary)}
    ids, offsets = tokenizer(rule, vocabulary, lowercase).encode(*packed(texts))
    for i, text in enumerate(texts):
        expected = [place.get(t, 1) for t in twin.split(rule, text, lowercase)]
        assert ids[offsets[i] : offsets[i + 1]].tolist() == expected, repr(text)


def test_bytes_are_their_own_ids() -> None:
    data = bytes(range(256)) * 3
    offsets = np.array([0, 1, 1, 768])
    ids, id_offsets = byte_tokenizer().encode(data, offsets)
    assert ids.tolist() == list(data)
    assert id_offsets.tolist() == offsets.tolist()


def test_bytes_have_no_case() -> None:
    data, offsets = b"A\xff\xc3", np.array([0, 3])
    counter = _text.Counter(
        "byte", lowercase=True
    )  # as UTF-8 they would be read beyond
    counter.add(data, offsets)
    assert [counter.get()[0]] == [data]
    assert _text.split("byte", True, data)[0] == data


def test_many_tokens_keep_their_ids() -> None:
    words = [f"w{i}" for i in range(200_000)]  # the table grows a dozen times
    counter = _text.Counter("whitespace")
    counter.add(*packed([" ".join(words)]))
    data, offsets, counts = counter.get()
    assert unpacked(data, offsets) == words
    assert (counts == 1).all()
    ids, _ = tokenizer("whitespace", [*SPECIAL, *words]).encode(*packed(words[::-1]))
    assert ids.tolist() == list(range(200_001, 1, -1))


def test_tokens_that_meet_in_one_place_are_found_all_the_same() -> None:
    # By Python's own SipHash-1-3 under the key 0, which is that of strings.c: these
    # tokens begin their walk in one slot of 4096.
    code = (
        "import sys\n"
        "words = [b'%d' % i for i in range(400000)]\n"
        "print(*[w.decode() for w in words if hash(w) % 2**64 >> 52 == 77][:80])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    assert len(words) == 80
    ids, _ = tokenizer("whitespace", [*SPECIAL, *words]).encode(*packed(words))
    assert ids.tolist() == list(range(2, 82))


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "a\x00b\x00",
        "\uffff\ufffe",
        "e" + "\u0301" * 10_000,
        "\u202e\u05d0\u05d1\u202c \u200f",
        "x" * 100_000,
        "'" * 1000,
        "1," * 1000,
        "<" * 1000,
    ],
)
@pytest.mark.parametrize("rule", ["whitespace", "word", "char"])
def test_odd_texts_are_texts(rule: str, text: str) -> None:
    expected = twin.split(rule, text)
    assert split(rule, text) == expected
    vocabulary = [*SPECIAL, *dict.fromkeys(expected)]
    ids, _ = tokenizer(rule, vocabulary).encode(*packed([text]))
    assert [vocabulary[i] for i in ids] == expected


def test_composed_and_decomposed_characters_are_different_tokens() -> None:
    composed, decomposed = (unicodedata.normalize(f, "\xe9") for f in ("NFC", "NFD"))
    assert split("word", f"{composed} {decomposed}") == [composed, decomposed]


# ------------------------------------------------------------------------ decoding


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("Hello , world !", "Hello, world!"),
        ('He said : " No . " And', 'He said: "No." And'),
        ("' Well , ' I said", "'Well,' I said"),
        ("pay $ 5 ( or 6 % ) [ now ]", "pay $5 (or 6%) [now]"),
        ("\u4e2d \u6587 \uff0c abc \u3002", "\u4e2d\u6587\uff0cabc\u3002"),
        ("a - b / c \u2014 d", "a - b / c \u2014 d"),
        ("wait . . . what ?", "wait... what?"),
        ("a - - b = = = the the 1 1", "a -- b === the the 1 1"),
        ("\u4e2d \u2014 \u2014 \u6587", "\u4e2d\u2014\u2014\u6587"),
        ("\u4e2d \u2019 \u2018 \u6587 , a", "\u4e2d\u2019\u2018\u6587, a"),
        ("<unk> <unk> ' '", "<unk> <unk> ''"),
        ("\xab ja \xbb \u201c oui \u201d", "\xabja\xbb \u201coui\u201d"),
        ("one <eos> , two", "one\n, two"),
        ('say " a <eos> b " c', 'say "a\nb "c'),
        ("( \u0301a", "( \u0301a"),
        ("<unk> , <unk>", "<unk>, <unk>"),
        ("", ""),
    ],
)
def test_words_are_put_together_as_they_are_written(tokens: str, expected: str) -> None:
    vocabulary = [*SPECIAL, *sorted({*tokens.split()}.difference(SPECIAL))]
    ids = np.array([vocabulary.index(token) for token in tokens.split()], np.int32)
    assert tokenizer("word", vocabulary).decode(ids) == expected


def test_the_text_of_ids_has_these_ids_again() -> None:
    texts = list(twin.random_texts(2000, seed=5))
    tokens = dict.fromkeys(t for text in texts for t in twin.split("word", text))
    vocabulary = [*SPECIAL, *(t for t in tokens if t not in SPECIAL)]
    t = tokenizer("word", vocabulary)
    rng = np.random.default_rng(0)
    for length in [*range(1, 20)] * 50:
        ids = rng.integers(1, len(vocabulary), length).astype(np.int32)
        again, _ = t.encode(*packed([t.decode(ids)]))
        assert again.tolist() == ids.tolist(), [vocabulary[i] for i in ids]


def test_whitespace_and_characters_come_back() -> None:
    vocabulary = [*SPECIAL, "a", "b", " "]
    ids = np.array([2, 3, 1, 0, 0, 3], np.int32)
    assert tokenizer("whitespace", vocabulary).decode(ids) == "a b <unk>\n\nb"
    assert tokenizer("char", vocabulary).decode(ids) == "ab\ufffd\n\nb"


def test_bytes_become_text_as_python_replaces_them() -> None:
    rng = random.Random(11)
    t = byte_tokenizer()
    starts = ["\u4e2d".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"\xc0\x80"]
    for n in range(3000):
        data = rng.randbytes(n % 17) + rng.choice(starts)[: rng.randrange(1, 5)]
        ids = np.frombuffer(data, np.uint8).astype(np.int32)
        assert t.decode(ids) == data.decode("utf-8", "replace"), data
    assert t.decode(np.array([0xE4, 0xB8, 256, 0xAD], np.int32)) == "\ufffd\n\ufffd"


# --------------------------------------------------------------- what is not right


def test_bytes_that_are_no_utf8_are_refused_where_python_refuses_them() -> None:
    rng = random.Random(2)
    n_refused = 0
    for n in range(3000):
        data = b"abcdefgh" * (n % 3) + rng.choice([b"", b"\xe4\xb8"]) + rng.randbytes(3)
        try:
            expected = data.decode()
        except UnicodeDecodeError as error:
            n_refused += 1
            with pytest.raises(InputError, match=rf"not UTF-8 at .* {error.start}$"):
                _text.split("char", False, data)
        else:
            assert "".join(unpacked(*_text.split("char", False, data))) == expected
    assert 1000 < n_refused < 3000


def test_a_text_must_be_utf8_by_itself() -> None:
    data, offsets = "\u4e2d".encode(), np.array([0, 1, 3])
    with pytest.raises(InputError, match="text 0 is not UTF-8 at its byte 0"):
        _text.Counter("word").add(data, offsets)


@pytest.mark.parametrize(
    "offsets", [[-1, 2], [0, 4], [2, 1], [4], [0, 2, 1, 3], [1 << 62], [0, -(1 << 62)]]
)
def test_offsets_outside_the_texts_are_refused(offsets: list[int]) -> None:
    t = tokenizer("word", SPECIAL)
    with pytest.raises(InputError, match="offset"):
        t.encode(b"abc", np.array(offsets))
    with pytest.raises(InputError, match="offset"):
        _text.Counter("word").add(b"abc", np.array(offsets))


def test_no_offsets_are_refused() -> None:
    with pytest.raises(ValueError, match="offsets is empty"):
        tokenizer("word", SPECIAL).encode(b"", np.empty(0, np.int64))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["<eos>", "<unk>", ""], "token 2 of .* is empty"),
        (["<eos>", "<unk>", "a", "b", "a"], "tokens 2 and 4 of .* are equal"),
        (["a", "<unk>"], "no <eos>"),
        (["a", "<eos>"], "no <unk>"),
        ([], "no <eos>"),
    ],
)
def test_impossible_vocabularies_are_refused(tokens: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tokenizer("word", tokens)


def test_a_vocabulary_of_bytes_has_257_tokens() -> None:
    with pytest.raises(InputError, match="all 256 and <eos>"):
        tokenizer("byte", ["a", "<eos>"])


def test_ids_outside_the_vocabulary_are_refused() -> None:
    t = tokenizer("word", SPECIAL)
    for ids in ([0, 2], [-1], [1, 1 << 30]):
        with pytest.raises(InputError, match="allowed are 0 to 1"):
            t.decode(np.array(ids, np.int32))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown rule 'words'; known: .*word.*byte"):
        _text.Counter("words")


@pytest.mark.parametrize("rule", RULES)
def test_one_tokenizer_serves_many_threads(rule: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    texts = ["the cat", "", "the \u4e2d cat \xe9"] * 50
    names = ["the", "cat", "t", "h"]
    t = byte_tokenizer() if rule == "byte" else tokenizer(rule, [*SPECIAL, *names])
    expected = t.encode(*packed(texts))[0].tolist()
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: t.encode(*packed(texts))[0].tolist(), range(200))
        assert all(result == expected for result in results)
