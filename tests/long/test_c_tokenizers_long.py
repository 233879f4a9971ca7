# SPDX-License-Identifier: BSD-3-Clause
"""The C library's tokenizers beside Python's: all code points, 100,000 byte strings."""

import ctypes
from pathlib import Path

import pytest
from test_c_tokenizers import TOKENIZERS, check_bytes, check_code_points, random_bytes


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_code_point_has_the_ids_that_it_has_in_python(
    library: ctypes.CDLL, name: str, tmp_path: Path
) -> None:
    plane = 1 << 16
    for start in range(0, 0x110000, plane):
        check_code_points(library, name, range(start, start + plane), tmp_path)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_100000_byte_strings_are_read_or_refused_as_in_python(
    library: ctypes.CDLL, name: str, tmp_path: Path
) -> None:
    strings = random_bytes(100_000, seed=11)
    assert check_bytes(library, name, strings, tmp_path) > 30_000
