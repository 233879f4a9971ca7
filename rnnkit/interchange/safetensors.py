# SPDX-License-Identifier: BSD-3-Clause
"""Tensors from a safetensors file of anybody's; model files have a stricter reader."""

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.errors import ConversionError, ModelFormatError
from rnnkit.storage.safetensors import strict_json

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
ZIP, PICKLE = b"PK", b"\x80"


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the tensors of a file by name; bfloat16 becomes float32, exactly.

    Raises
    ------
    ConversionError
        The file is malformed, or of another format; nothing in it is run.
    """
    data = Path(path).read_bytes()
    if data.startswith((ZIP, PICKLE)):
        raise ConversionError(
            f"{path}: a file of torch.save, which is a pickle and could run code; save "
            "it with safetensors.torch.save_file, or give torch.load(path, "
            "weights_only=True)"
        )
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or 8 + length > len(data):
            raise ModelFormatError("it is no safetensors file, or was cut off")
        header = strict_json(data[8 : 8 + length], "the header")
        if not isinstance(header, dict):
            raise ModelFormatError("the header is not a JSON object")
        header.pop("__metadata__", None)
        return {n: _tensor(n, e, data, 8 + length) for n, e in header.items()}
    except ModelFormatError as error:
        raise ConversionError(f"{path}: {error}") from None


def _tensor(name: str, entry: Any, data: bytes, start: int) -> np.ndarray:
    """Return one tensor; all that its entry claims is compared with the file's size."""
    try:
        kind, shape, (begin, end) = (
            entry[key] for key in ("dtype", "shape", "data_offsets")
        )
        numbers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError):
        raise ModelFormatError(
            f"tensor {name!r} has no dtype, shape, offsets"
        ) from None
    if kind not in TYPES:
        raise ModelFormatError(
            f"tensor {name!r} is of type {kind}; allowed: {', '.join(TYPES)}"
        )
    dtype = np.dtype(TYPES[kind])
    if any(type(n) is not int or n < 0 for n in numbers) or not (
        end - begin == prod(shape) * dtype.itemsize and start + end <= len(data)
    ):
        raise ModelFormatError(f"tensor {name!r} does not lie within the file")
    flat = np.frombuffer(data, dtype, prod(shape), start + begin)
    if kind == "BF16":
        flat = (flat.astype("<u4") << 16).view("<f4")
    return flat.reshape(shape)
