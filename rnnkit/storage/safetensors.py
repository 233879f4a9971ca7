# SPDX-License-Identifier: BSD-3-Clause
"""The container of a model file: named arrays and strings, as strict safetensors.

    8 bytes  length of the header, unsigned, little endian
    header   JSON: {"__metadata__": {name: string}, name: {dtype, shape, data_offsets}}
    data     the tensors, one after another, little endian

The format leaves freedom; this reader and this writer leave none. Keys are sorted, the
header is padded with spaces to a multiple of 8, tensors lie in the order of (item size
descending, name) without a hole, and the metadata hold a CRC-32 of the whole file. So
one set of tensors has one encoding, every changed byte is noticed, and nothing that a
file claims is believed before it has been compared with the file's own size.
"""

import json
import re
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from rnnkit.errors import ModelFormatError

FORMAT_VERSION = 1
MAX_HEADER = 1 << 20
MAX_TENSORS = 4096
MAX_RANK = 4
MAX_DIMENSION = (1 << 31) - 1
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "U8": np.dtype("u1"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
TENSOR_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
NO_CHECKSUM = "00000000"


def decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors (read-only views of `data`) and the metadata of a file.

    Raises
    ------
    ModelFormatError
        When a single byte of `data` is not as `encode` would have written it.
    """
    header, text, start = _read_header(data)
    metadata = _check_metadata(header.pop("__metadata__", None))
    check_version(metadata)
    layout = _check_layout(header, len(data) - start)
    _check_canonical(text, layout, metadata)
    claimed = metadata.pop("checksum")
    found = _checksum(_header_bytes(layout, metadata), memoryview(data)[start:])
    if claimed != found:
        raise ModelFormatError(
            f"the checksum is {claimed!r}, the content gives {found!r}: "
            "the file was damaged after it was saved"
        )
    tensors = {}
    for name, (dtype, shape, begin) in layout.items():
        flat = np.frombuffer(data, dtype, prod(shape), start + begin)
        tensors[name] = flat.reshape(shape)
    return tensors, metadata


def encode(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return the one encoding of tensors (float32, float64, uint8) and strings."""
    arrays = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in tensors.items()
    }
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    layout, begin = {}, 0
    for name in ordered:
        array = arrays[name]
        layout[name] = (array.dtype, array.shape, begin)
        begin += array.nbytes
    data = b"".join(arrays[name].tobytes() for name in ordered)
    checksum = _checksum(_header_bytes(layout, metadata), data)
    header = _header_bytes(layout, {**metadata, "checksum": checksum})
    if len(header) > MAX_HEADER + 8:
        raise ModelFormatError(
            f"the header would take {len(header) - 8} bytes, at most {MAX_HEADER} "
            "are allowed: shorten the parameters given as texts or lists"
        )
    return header + data


def strict_json(text: str | bytes, what: str) -> Any:
    """Return the JSON value of untrusted `text`; names twice and NaN are refused."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in items:
            if name in result:
                raise ModelFormatError(f"{what} holds the name {name[:80]!r} twice")
            result[name] = value
        return result

    def constant(name: str) -> None:
        raise ModelFormatError(f"{what} holds {name}, which is no JSON number")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except ModelFormatError:
        raise
    except (ValueError, RecursionError):  # also UnicodeDecodeError, huge integers
        raise ModelFormatError(f"{what} is not JSON") from None


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, ASCII, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def check_version(metadata: Mapping[str, str]) -> None:
    """Refuse a file of something else, and one that a newer rnnkit has written."""
    if metadata.get("format") != "rnnkit":
        raise ModelFormatError(
            "a safetensors file, but not one that rnnkit has written"
        )
    version = metadata.get("format_version", "")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", version):
        raise ModelFormatError(f"format version {version[:80]!r} is no positive number")
    if int(version) > FORMAT_VERSION:
        raise ModelFormatError(
            f"the file has format version {version}, this rnnkit reads up to version "
            f"{FORMAT_VERSION}: install a newer rnnkit to load it"
        )


def _read_header(data: bytes) -> tuple[dict[str, Any], bytes, int]:
    """Return the header as a dictionary, its bytes, and where the tensors begin."""
    if len(data) < 8:
        raise ModelFormatError(f"{len(data)} bytes are too few for a model file")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= MAX_HEADER:
        raise ModelFormatError(
            f"no model file: the header's length would be {length}, "
            f"allowed are 2 to {MAX_HEADER} bytes"
        )
    if 8 + length > len(data):
        raise ModelFormatError(
            f"the header should take {length} bytes, the file ends after "
            f"{len(data) - 8}: it was cut off"
        )
    text = data[8 : 8 + length]
    if not text.startswith(b"{"):
        raise ModelFormatError("no model file: the header does not begin with '{'")
    header = strict_json(text, "the header")
    if not isinstance(header, dict):
        raise ModelFormatError("the header is not a JSON object")
    return header, text, 8 + length


def _check_metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise ModelFormatError("the header has no '__metadata__' object")
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise ModelFormatError(f"metadata {name[:80]!r} is not a string")
    return metadata


Layout = dict[str, tuple[np.dtype, tuple[int, ...], int]]


def _check_layout(header: dict[str, Any], n_bytes: int) -> Layout:
    """Return name -> (dtype, shape, begin) in the order of the data, all proved."""
    if len(header) > MAX_TENSORS:
        raise ModelFormatError(f"{len(header)} tensors; at most {MAX_TENSORS} may be")
    entries = [(*_check_entry(name, entry), name) for name, entry in header.items()]
    layout: Layout = {}
    expected = 0
    for begin, end, dtype, shape, name in sorted(entries, key=lambda e: (e[0], e[4])):
        if begin != expected:
            what = "overlaps the one before it" if begin < expected else "leaves a hole"
            raise ModelFormatError(
                f"tensor {name!r} begins at byte {begin}, not at {expected}: it {what}"
            )
        expected = end
        layout[name] = (dtype, shape, begin)
    if expected > n_bytes:
        raise ModelFormatError(
            f"the tensors take {expected} bytes, the file holds {n_bytes}: "
            "it was cut off"
        )
    if expected < n_bytes:
        raise ModelFormatError(f"{n_bytes - expected} bytes follow the last tensor")
    return layout


def _check_entry(name: str, entry: Any) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Return begin, end, dtype and shape of one tensor's line in the header."""
    if not TENSOR_NAME.match(name):
        raise ModelFormatError(f"tensor name {name[:80]!r} is not allowed")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelFormatError(
            f"tensor {name!r} must have just dtype, shape and data_offsets"
        )
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    dtype = DTYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        raise ModelFormatError(
            f"tensor {name!r} has dtype {str(kind)[:20]!r}; "
            f"allowed: {', '.join(DTYPES)}"
        )
    if not _is_integers(shape, 1, MAX_DIMENSION) or not 1 <= len(shape) <= MAX_RANK:
        raise ModelFormatError(
            f"tensor {name!r}: the shape must be 1 to {MAX_RANK} positive numbers "
            f"up to {MAX_DIMENSION}"
        )
    if not _is_integers(offsets, 0, 1 << 62) or len(offsets) != 2:
        raise ModelFormatError(f"tensor {name!r}: data_offsets must be two positions")
    begin, end = offsets
    n_bytes = prod(shape) * dtype.itemsize
    if end - begin != n_bytes:
        raise ModelFormatError(
            f"tensor {name!r} of shape {shape} takes {n_bytes} bytes, "
            f"its offsets leave it {end - begin}"
        )
    return begin, end, dtype, tuple(shape)


def _is_integers(values: Any, low: int, high: int) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and low <= value <= high for value in values
    )


def _check_canonical(text: bytes, layout: Layout, metadata: dict[str, str]) -> None:
    """Refuse any other spelling of the same header, and any other order of tensors."""
    ordered = sorted(layout, key=lambda name: (-layout[name][0].itemsize, name))
    if list(layout) != ordered:
        raise ModelFormatError("the tensors do not lie in the canonical order")
    if not re.fullmatch(r"[0-9a-f]{8}", metadata.get("checksum", "")):
        raise ModelFormatError("the metadata have no checksum of 8 hexadecimal digits")
    if _header_bytes(layout, metadata)[8:] != text:
        raise ModelFormatError("the header is not in the canonical form")


def _header_bytes(layout: Layout, metadata: Mapping[str, str]) -> bytes:
    """Return length and header; without a checksum its place is held by zeros."""
    header: dict[str, Any] = {"__metadata__": {"checksum": NO_CHECKSUM, **metadata}}
    for name, (dtype, shape, begin) in layout.items():
        end = begin + prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
    text = canonical_json(header).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _checksum(header: bytes, data: bytes | memoryview) -> str:
    return f"{zlib.crc32(data, zlib.crc32(header)):08x}"
