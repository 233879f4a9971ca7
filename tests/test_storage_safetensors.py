# SPDX-License-Identifier: BSD-3-Clause
"""The container: one encoding, and every other one refused with its own message."""

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnkit.errors import ModelFormatError
from rnnkit.storage import safetensors
from rnnkit.storage.safetensors import decode, encode

METADATA = {
    "format": "rnnkit",
    "format_version": "2",
    "note": 'a \u00fc ⛰ \U0001f600 \0\n"\\',
}
TENSORS = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "a.bias": np.array([np.pi, -0.0, 5e-324]),
    "bytes": np.arange(5, dtype=np.uint8),
    "words": np.array([-1, 2**31 - 1], np.int32),
    "places": np.array([[-(2**63)], [7]]),
}


def small_file() -> bytes:
    return encode(TENSORS, METADATA)


def header_of(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length]))


def with_header(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Change the header, keep the tensors, and mend the checksum where there is one."""
    length = int.from_bytes(data[:8], "little")
    header = header_of(data)
    replaced = change(header)
    header = header if replaced is None else replaced
    return joined(safetensors.canonical_json(header), data[8 + length :])


def joined(text: str, tensors: bytes) -> bytes:
    raw = text.encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + tensors


def test_what_is_written_is_read_bit_for_bit() -> None:
    tensors, metadata = decode(small_file())
    assert metadata == METADATA
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert tensors[name].tobytes() == value.tobytes()
        assert not tensors[name].flags.writeable


def test_the_order_in_which_things_are_given_does_not_matter() -> None:
    backwards = encode(
        dict(reversed(TENSORS.items())), dict(reversed(METADATA.items()))
    )
    assert backwards == small_file()


def test_the_layout_is_that_of_the_safetensors_specification() -> None:
    data = small_file()
    header = header_of(data)
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 8 == 0
    for name, value in TENSORS.items():
        begin, end = header[name]["data_offsets"]
        assert data[start + begin : start + end] == value.tobytes()
        assert begin % value.itemsize == 0
        assert header[name]["shape"] == list(value.shape)
    assert all(isinstance(value, str) for value in header["__metadata__"].values())


def test_a_big_endian_array_is_stored_like_any_other() -> None:
    swapped = {
        name: value.astype(value.dtype.newbyteorder(">"))
        for name, value in TENSORS.items()
    }
    assert encode(swapped, METADATA) == small_file()


def test_every_changed_byte_is_noticed() -> None:
    data = small_file()
    decode(data)
    for place in range(len(data)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(data)
            changed[place] ^= flip
            with pytest.raises(ModelFormatError):
                decode(bytes(changed))


def test_every_truncation_and_every_longer_file_is_noticed() -> None:
    data = small_file()
    for length in range(len(data)):
        with pytest.raises(ModelFormatError):
            decode(data[:length])
    with pytest.raises(ModelFormatError, match="1 bytes follow the last tensor"):
        decode(data + b"\0")


def no_metadata(header: dict[str, Any]) -> None:
    del header["__metadata__"]


def metadata_number(header: dict[str, Any]) -> None:
    header["__metadata__"]["note"] = 1


def other_format(header: dict[str, Any]) -> None:
    header["__metadata__"]["format"] = "pt"


def newer_version(header: dict[str, Any]) -> None:
    header["__metadata__"]["format_version"] = "3"


def version_of_letters(header: dict[str, Any]) -> None:
    header["__metadata__"]["format_version"] = "one"


def no_checksum(header: dict[str, Any]) -> None:
    del header["__metadata__"]["checksum"]


def wrong_checksum(header: dict[str, Any]) -> None:
    header["__metadata__"]["checksum"] = "0" * 15 + "1"


def hole(header: dict[str, Any]) -> None:
    begin, end = header["bytes"]["data_offsets"]
    header["bytes"]["data_offsets"] = [begin + 1, end + 1]


def overlap(header: dict[str, Any]) -> None:
    begin, end = header["bytes"]["data_offsets"]
    header["bytes"]["data_offsets"] = [begin - 1, end - 1]


def wrong_size(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [6]


def unknown_dtype(header: dict[str, Any]) -> None:
    header["bytes"]["dtype"] = "BF16"


def dtype_list(header: dict[str, Any]) -> None:
    header["bytes"]["dtype"] = ["U8"]


def zero_size(header: dict[str, Any]) -> None:
    header["a"] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}


def absurd_size(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [2**31 - 1] * 4


def overflowing_size(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [2**32, 2**32]


def rank_five(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [1, 1, 1, 1, 5]


def boolean_size(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [True]


def fractional_size(header: dict[str, Any]) -> None:
    header["bytes"]["shape"] = [5.0]


def three_offsets(header: dict[str, Any]) -> None:
    header["bytes"]["data_offsets"].append(0)


def negative_offset(header: dict[str, Any]) -> None:
    header["bytes"]["data_offsets"][0] = -5


def more_keys(header: dict[str, Any]) -> None:
    header["bytes"]["strides"] = [1]


def hostile_name(header: dict[str, Any]) -> None:
    header["a/../x"] = header.pop("bytes")


def long_name(header: dict[str, Any]) -> None:
    header["x" * 129] = header.pop("bytes")


def other_order(header: dict[str, Any]) -> None:
    header["a.bias"]["data_offsets"] = [16, 40]
    header["places"]["data_offsets"] = [0, 16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_metadata, "begin with its '__metadata__'"),
        (metadata_number, "'note' is not a string"),
        (other_format, "not one that rnnkit has written"),
        (newer_version, "install a newer rnnkit"),
        (version_of_letters, "no positive number"),
        (no_checksum, "no checksum"),
        (wrong_checksum, "was damaged"),
        (hole, "leaves a hole"),
        (overlap, "overlaps"),
        (wrong_size, "takes 6 bytes, its offsets leave it 5"),
        (unknown_dtype, 'dtype "BF16"}?,?.*; allowed: F32, F64, I32, I64, I8, U8'),
        (dtype_list, "has dtype"),
        (zero_size, "positive numbers"),
        (absurd_size, "more bytes than there are, its offsets leave it 5"),
        (overflowing_size, "positive numbers"),
        (rank_five, "1 to 4 positive numbers"),
        (boolean_size, "positive numbers"),
        (fractional_size, "positive numbers"),
        (three_offsets, "two positions"),
        (negative_offset, "two positions"),
        (more_keys, "just data_offsets, dtype and shape"),
        (hostile_name, "name 'a/../x' is not allowed"),
        (long_name, "is not allowed"),
        (other_order, "canonical order"),
    ],
)
def test_a_wrong_header_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with pytest.raises(ModelFormatError, match=message):
        decode(with_header(small_file(), change))


STARTED = '{"__metadata__":{"format":"rnnkit","format_version":"2"}'
ENTRY = '{"data_offsets":[0,1],"dtype":"U8","shape":[1]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]     ", "does not begin with '{'"),
        ('{"a":1', "begin with its '__metadata__'"),
        ('{"__metadata__":{"a":"1","a":"2"}}', "the name 'a' twice"),
        ('{"__metadata__":{"b":"1","a":"2"}}', "not in order: 'a' behind 'b'"),
        ('{"__metadata__":{"a":[1]}}', "'a' is not a string"),
        ('{"__metadata__":{"a":"1"', "canonical form at its byte 24"),
        ('{"__metadata__":{"a":"\\u0041"}}', "canonical form"),
        ('{"__metadata__":{"a":"\\u00FC"}}', "canonical form"),
        ('{"__metadata__":{"a":"\\ud800"}}', "canonical form"),
        ('{"__metadata__":{"a":"\\u000a"}}', "canonical form"),
        (STARTED + ',"a":{},"a":{}}', "just data_offsets, dtype and shape"),
        (STARTED + f',"a":{ENTRY},"a":{ENTRY}}}', "the name 'a' twice"),
        (STARTED + ',"a":{"data_offsets":[0,' + "9" * 10_000, "two positions"),
        (STARTED + f',"a":{ENTRY}}} ' + " " * 7, "canonical form"),
    ],
)
def test_a_header_that_is_no_good_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        decode(joined(text, b""))


def test_a_header_that_is_spelled_otherwise_is_refused() -> None:
    data = small_file()
    length = int.from_bytes(data[:8], "little")
    spaced = json.dumps(header_of(data), sort_keys=True)
    with pytest.raises(ModelFormatError, match="begin with its '__metadata__'"):
        decode(joined(spaced, data[8 + length :]))


def test_an_invalid_utf8_header_is_refused() -> None:
    text = b'{"__metadata__":{"\xff":"1"}}' + b" " * 6
    with pytest.raises(ModelFormatError, match="canonical form"):
        decode(struct.pack("<Q", len(text)) + text)


@pytest.mark.parametrize("length", [0, 1, 2**20 + 1, 2**31, 2**63, 2**64 - 1])
def test_an_absurd_length_of_the_header_is_refused(length: int) -> None:
    with pytest.raises(ModelFormatError, match="header's length"):
        decode(struct.pack("<Q", length) + b"{}" * 100)


def test_too_many_tensors_are_refused() -> None:
    names = [f'"a{i:05}":{ENTRY}' for i in range(4097)]
    with pytest.raises(ModelFormatError, match="more than 4096 tensors"):
        decode(joined(",".join([STARTED, *names]) + "}", b""))


def test_a_header_that_would_be_too_long_is_not_written() -> None:
    with pytest.raises(ModelFormatError, match="at most 1048576"):
        encode(TENSORS, {**METADATA, "note": "x" * (1 << 20)})
