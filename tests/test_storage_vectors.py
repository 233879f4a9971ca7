# SPDX-License-Identifier: BSD-3-Clause
"""Files of word vectors: what is read, and what is refused with its line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from rnnkit.errors import InputError
from rnnkit.storage.vectors import read_vectors

PLAIN = "the 1 -2.5 3e-2\ncat 4 5 6\n,\t7 8 9 \n"


def found(path: Path, words: list[str]) -> dict[str, list[float]]:
    return {word: vector.tolist() for word, vector in read_vectors(path, words).items()}


@pytest.mark.parametrize("text", [PLAIN, "3 3\n" + PLAIN, PLAIN.replace("\n", "\r\n")])
@pytest.mark.parametrize("is_packed", [False, True])
def test_wanted_words_are_read_with_and_without_a_header(
    text: str, is_packed: bool, tmp_path: Path
) -> None:
    path = tmp_path / ("v.txt.gz" if is_packed else "v.txt")
    data = text.encode()
    path.write_bytes(gzip.compress(data) if is_packed else data)
    assert found(path, ["the", ",", "dog"]) == {"the": [1, -2.5, 0.03], ",": [7, 8, 9]}
    assert found(path, []) == {}


def test_words_are_what_the_file_says(tmp_path: Path) -> None:
    """Other white space than ASCII, bytes that are no UTF-8, words of several parts."""
    lines = ["été 1 2", "\u00a0 3 4", ". . . 5 6", "name@domain.com at 7 8", "7 9 10"]
    path = tmp_path / "v.txt"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe 11 12\n")
    words = ["été", "\u00a0", ". . .", "7", "at"]
    expected = {"été": [1, 2], "\u00a0": [3, 4], ". . .": [5, 6], "7": [9, 10]}
    assert found(path, words) == expected


def test_the_first_of_two_counts(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\na 5 6\n")
    assert found(tmp_path / "v.txt", ["a"]) == {"a": [1, 2]}


def test_only_what_is_wanted_is_kept(tmp_path: Path) -> None:
    lines = (f"w{i} " + " ".join("0.5" for _ in range(50)) for i in range(5000))
    (tmp_path / "v.txt").write_text("\n".join(lines))
    vectors = read_vectors(tmp_path / "v.txt", ["w7", "w4999", "x"])
    assert sorted(vectors) == ["w4999", "w7"]
    assert all(np.array_equal(v, np.full(50, 0.5)) for v in vectors.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"it holds 0 vectors, there must be at least one"),
        ("the\n", r"line 1: it holds no word with numbers behind it"),
        ("3 0\nthe\n", r"line 1: it holds no word with numbers"),
        ("the 1 2\ncat 3\n", r"line 2: 1 numbers, there must be 2"),
        ("the 1 2\ncat 3 4 5\n", r"line 2: 3 numbers, there must be 2"),
        ("the 1 2\n\n", r"line 2: 0 numbers, there must be 2"),
        ("2 2\nthe 1 2\ncat 3 4\ndog 5 6\n", r"it holds 3 vectors, there must be 2"),
        ("3 2\nthe 1 2\ncat 3 4\n", r"it holds 2 vectors, there must be 3"),
        ("the 1 2\ncat 3 x\n", r"line 2: 'x' is no finite number"),
        ("the 1 2\ncat nan 3\n", r"line 2: 'nan' is no finite number"),
        ("1 2\nthe \0\0\0\0\0\0\0\0\n", r"a binary file must be saved as text first"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"v\.txt: .*{message}"):
        read_vectors(path, ["the", "cat"])


def test_a_gzip_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"w{i} {x} {y}" for i, (x, y) in enumerate(rng.normal(size=(999, 2)))]
    data = gzip.compress("\n".join(lines).encode())
    (tmp_path / "v.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"v\.gz: not a whole gzip file"):
        read_vectors(tmp_path / "v.gz", ["w0"])
