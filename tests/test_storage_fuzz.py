# SPDX-License-Identifier: BSD-3-Clause
"""Damaged model files, their checksums repaired: refused, or they predict."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnnkit import RNNLanguageModel, runtime
from rnnkit.core import checksum
from rnnkit.errors import RnnkitError
from rnnkit.storage.safetensors import decode, encode

TEXTS = ["the cat sat on the mat", "the dog sat", "a\tb \u6eff ⛰"]
LARGER = {"tokenizer": "char", "num_layers": 2, "zoneout": 0.25, "projection": True}
KINDS = [{"cell": "gru"}, {"cell": "lstm", **LARGER}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Models of unlike kinds, and the first one with weights of int8."""
    folder = tmp_path_factory.mktemp("models")
    for i, kind in enumerate(KINDS):
        lm = RNNLanguageModel(hidden_size=3, max_iter=1, random_state=i, **kind)
        lm.fit(TEXTS).save(folder / str(i))
    runtime.load(folder / "0").quantize().save(folder / str(len(KINDS)))
    return [(folder / str(i)).read_bytes() for i in range(len(KINDS) + 1)]


def repaired(data: bytes) -> bytes:
    """The same bytes with the checksum that they should have."""
    start = 8 + int.from_bytes(data[:8], "little")
    at = data.find(b'"checksum":"') + len(b'"checksum":"')
    if not 20 <= at <= start <= len(data):
        return data
    total = checksum(data[start:])
    for part in (data[8:at], data[at + 16 : start]):
        total = checksum(part, total)
    return data[:at] + b"%016x" % total + data[at + 16 :]


def flipped(files: list[bytes], rng: np.random.Generator) -> bytes:
    """One byte changed, half of the time in the header."""
    data = bytearray(files[rng.integers(len(files))])
    end = 8 + int.from_bytes(data[:8], "little") if rng.random() < 0.5 else len(data)
    data[rng.integers(8, end)] ^= 1 << rng.integers(8)
    return bytes(data)


def truncated(files: list[bytes], rng: np.random.Generator) -> bytes:
    data = files[rng.integers(len(files))]
    return data[: rng.integers(len(data))]


def another_word(files: list[bytes], rng: np.random.Generator) -> bytes:
    """One number changed in a tensor that is not made of weights."""
    tensors, metadata = decode(files[rng.integers(len(files))])
    names = [n for n, t in tensors.items() if t.dtype.kind in "iu" and t.ndim == 1]
    name = names[rng.integers(len(names))]
    tensor = tensors[name].copy()
    low, high = (0, 256) if tensor.dtype == np.uint8 else (-2, 30)
    tensor[rng.integers(len(tensor))] = rng.integers(low, high)
    return encode({**tensors, name: tensor}, metadata)


def recombined(files: list[bytes], rng: np.random.Generator) -> bytes:
    """Some tensors and some metadata of one model in another."""
    two = rng.permutation(len(files))[:2]
    (tensors, metadata), (more_tensors, more_metadata) = (decode(files[i]) for i in two)
    tensors |= {n: t for n, t in more_tensors.items() if rng.random() < 0.2}
    tensors = {n: t for n, t in tensors.items() if rng.random() < 0.98}
    metadata |= {n: v for n, v in more_metadata.items() if rng.random() < 0.2}
    return encode(tensors, metadata)


@pytest.mark.parametrize("damage", [flipped, truncated, another_word, recombined])
def test_a_damaged_file_is_refused_or_predicts(
    files: list[bytes],
    damage: Callable[[list[bytes], np.random.Generator], bytes],
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "model"
    n_refused = 0
    for _ in range(150):
        path.write_bytes(repaired(damage(files, rng)))
        try:
            model = runtime.load(path)
            assert model.predict_next_proba("the").shape[0] == 1
            model.stream().feed("the cat").predict_next(3)
        except RnnkitError:
            n_refused += 1
    assert n_refused > 20


def test_what_is_repaired_is_as_it_was(files: list[bytes]) -> None:
    assert [repaired(data) for data in files] == files


def test_the_checksum_is_xxh64() -> None:
    assert checksum(b"") == 0xEF46DB3751D8E999
    assert checksum(b"abc") == 0x44BC2CF5AD770999
    text = b"Nobody inspects the spammish repetition"
    assert checksum(text) == 0xFBCEA83C8A378BF1
