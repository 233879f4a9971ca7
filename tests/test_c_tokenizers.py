# SPDX-License-Identifier: BSD-3-Clause
"""Texts become the same ids in the C library as in Python, or are refused by both."""

import ctypes
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
import text_twin as twin
from c_library import Model, needs_make
from small_models import make_text_model

from rnnkit.runtime.files import save
from rnnkit.tokenizers import (
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WhitespaceTokenizer,
    WordTokenizer,
)

TOKENIZERS = {
    "whitespace": WhitespaceTokenizer,
    "word": WordTokenizer,
    "lowercase": lambda: WordTokenizer(lowercase=True),
    "char": CharTokenizer,
    "byte": ByteTokenizer,
}
RULES = {"lowercase": "word"}
AT_ONCE = 50  # characters in a text

pytestmark = needs_make


def in_context(char: str) -> str:
    """A character alone, between letters, between digits, before a mark."""
    return f"\n{char}\na{char}b\n1{char}2\n{char}\u0301\n"


def in_c(
    library: ctypes.CDLL,
    name: str,
    tokenizer: Tokenizer,
    texts: list[str],
    folder: Path,
) -> Model:
    """Fit the tokenizer; return what C has loaded of a model with it."""
    model = make_text_model(tokenizer, texts, name=RULES.get(name, name))
    save(model, folder / "model")
    return Model(library, (folder / "model").read_bytes())


def check_code_points(
    library: ctypes.CDLL, name: str, points: Sequence[int], folder: Path
) -> None:
    """Compare C with Python on these code points; every third is left unknown."""
    texts = [in_context(chr(c)) for c in points if not 0xD800 <= c < 0xE000]
    tokenizer = TOKENIZERS[name]()
    known = [text for i, text in enumerate(texts) if i % 3]
    model = in_c(library, name, tokenizer, known, folder)
    for start in range(0, len(texts), AT_ONCE):
        text = "".join(texts[start : start + AT_ONCE])
        ids = model.encode(text)
        assert ids == tokenizer.encode(text).tolist()
        assert model.decode(ids, room=8192) == tokenizer.decode(ids)
    model.close()


def random_bytes(n: int, seed: int) -> Iterator[bytes]:
    """Texts with some bytes changed, lost or put in, and bytes without any sense."""
    rng = random.Random(seed)
    for text in twin.random_texts(n, seed, longest=12):
        data = bytearray(text.encode())
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.choice([0, 1, 2])] = rng.randbytes(rng.choice([0, 1, 2]))
        yield bytes(data) if rng.random() < 0.8 else rng.randbytes(rng.randrange(9))


def check_bytes(
    library: ctypes.CDLL, name: str, strings: Iterable[bytes], folder: Path
) -> int:
    """Compare C with Python on byte strings; return how many are no UTF-8."""
    tokenizer = TOKENIZERS[name]()
    model = in_c(library, name, tokenizer, twin.POOL, folder)
    n_refused = 0
    for data in strings:
        if name == "byte":  # it has any
            assert model.encode(data) == list(data)
            assert model.decode(list(data)) == data.decode(errors="replace")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            n_refused += 1
            if name != "byte":
                with pytest.raises(ValueError, match=f"at its byte {error.start}'"):
                    model.encode(data)
            continue
        ids = model.encode(data)
        assert ids == expected_ids(tokenizer, name, text), data
        assert ids == tokenizer.encode(text).tolist()
        assert model.decode(ids) == tokenizer.decode(ids)
    model.close()
    return n_refused


def expected_ids(tokenizer: Tokenizer, name: str, text: str) -> list[int]:
    """The ids by the tokenizers' twin, which is plain Python."""
    if name == "byte":
        return list(text.encode())
    ids = {token: i for i, token in enumerate(tokenizer.vocabulary_)}
    tokens = twin.split(RULES.get(name, name), text, name == "lowercase")
    return [ids.get(token, tokenizer.unk_id) for token in tokens]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_code_points_have_the_ids_that_they_have_in_python(
    library: ctypes.CDLL, name: str, tmp_path: Path
) -> None:
    points = [*range(0x700), *range(0x700, 0x110000, 257)]
    check_code_points(library, name, points, tmp_path)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_byte_strings_are_read_or_refused_as_in_python(
    library: ctypes.CDLL, name: str, tmp_path: Path
) -> None:
    assert check_bytes(library, name, random_bytes(1000, seed=3), tmp_path) > 300
