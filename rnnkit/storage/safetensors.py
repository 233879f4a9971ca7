# SPDX-License-Identifier: BSD-3-Clause
"""The container of a model file: named arrays and strings, as strict safetensors.

Here it is written; csrc/modelfile/container.h says what it is, and reads it. One set of
tensors and strings has one encoding.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnkit.core import FORMAT_VERSION, checksum, read_container
from rnnkit.errors import ModelFormatError

MAX_HEADER = 1 << 20
NAMES: dict[np.dtype[Any], str] = {
    np.dtype("<f4"): "F32",
    np.dtype("<f8"): "F64",
    np.dtype("<i4"): "I32",
    np.dtype("<i8"): "I64",
    np.dtype("i1"): "I8",
    np.dtype("u1"): "U8",
}
NAME = re.compile(r"[a-z][A-Za-z0-9_.-]{0,127}")
NO_CHECKSUM = "0" * 16

__all__ = ["FORMAT_VERSION", "canonical_json", "decode", "encode", "strict_json"]


def decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors (read-only views of `data`) and the metadata of a file.

    Raises
    ------
    ModelFormatError
        When a single byte of `data` is not as `encode` would have written it.
    """
    tensors, metadata = read_container(data)
    del metadata["checksum"]
    return tensors, metadata


def encode(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return the one encoding of tensors and strings."""
    arrays = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in tensors.items()
    }
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    data = b"".join(arrays[name].tobytes() for name in ordered)
    header = _header({name: arrays[name] for name in ordered}, metadata)
    if len(header) > MAX_HEADER:
        raise ModelFormatError(
            f"the header would take {len(header)} bytes, at most {MAX_HEADER} "
            "are allowed: shorten the parameters given as texts or lists"
        )
    return len(header).to_bytes(8, "little") + _signed(header, data) + data


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


def _header(ordered: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return the header of tensors in the order of the data, with no checksum yet."""
    header: dict[str, Any] = {"__metadata__": {"checksum": NO_CHECKSUM, **metadata}}
    begin = 0
    for name, array in ordered.items():
        end = begin + array.nbytes
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    for name in [*ordered, *metadata]:
        if not NAME.fullmatch(name):
            raise ModelFormatError(f"the name {name[:80]!r} is not allowed")
    text = canonical_json(header).encode("ascii")
    return text + b" " * (-len(text) % 8)


def _signed(header: bytes, data: bytes) -> bytes:
    """Return the header with its checksum, which is over all but itself."""
    before, mark, behind = header.partition(b'"checksum":"')
    before += mark
    behind = behind[len(NO_CHECKSUM) :]
    total = checksum(behind, checksum(before, checksum(data)))
    return before + b"%016x" % total + behind
