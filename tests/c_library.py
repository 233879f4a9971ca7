# SPDX-License-Identifier: BSD-3-Clause
"""The C library from Python: built, and a model and a stream of it to ask."""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

needs_make = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="there is no make"
)


def install(folder: Path) -> Path:
    """Build the library and install it into a folder; returns where."""
    places = [f"LIB={folder}", f"OBJ={folder}/obj", f"PREFIX={folder}/installed"]
    command = ["make", "-s", "-j2", "install-lib", "CFLAGS=-O1 -w", *places]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder / "installed"


def load(folder: Path) -> ctypes.CDLL:
    """Open the library that is installed in a folder."""
    library = ctypes.CDLL(str(folder / "lib" / "librnnkit.so"))
    library.rnnkit_model_token.restype = c_void_p
    library.rnnkit_stream_state_size.restype = c_size_t
    return library


class Error(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char * 256),)


class Generation(ctypes.Structure):
    _fields_ = (
        ("max_new_tokens", c_size_t),
        ("temperature", c_double),
        ("top_k", c_size_t),
        ("top_p", c_double),
        ("seed", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("min_new_tokens", c_size_t),
        ("n_prompt", c_size_t),
        ("repetition_penalty", c_double),
        ("no_repeat_ngram_size", c_size_t),
        ("bad_words", ctypes.POINTER(c_int32)),
        ("n_bad_words", c_size_t),
        ("stops", ctypes.POINTER(c_char_p)),
        ("n_stops", c_size_t),
    )


DEFAULTS = {"max_new_tokens": 20, "temperature": 1, "top_p": 1, "repetition_penalty": 1}


class Model:
    """A model that the C library has loaded, and a stream of it."""

    def __init__(self, library: ctypes.CDLL, data: bytes) -> None:
        self.c = library
        self.model, self.stream = c_void_p(), c_void_p()
        self.error = Error()
        self.call("model_read", byref(self.model), data, c_size_t(len(data)))
        self.call("stream_create", byref(self.stream), self.model, 1)

    def call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.c, f"rnnkit_{name}")(*arguments, byref(self.error))
        if status:
            raise ValueError(status, self.error.text.decode())

    def close(self) -> None:
        self.c.rnnkit_stream_free(self.stream)
        self.c.rnnkit_model_free(self.model)

    def reset(self) -> None:
        self.c.rnnkit_stream_reset(self.stream)

    def feed(self, text: str) -> None:
        data = text.encode()
        self.call("stream_feed_text", self.stream, data, c_size_t(len(data)))

    def top(self, k: int) -> tuple[list[int], list[float]]:
        ids, log_p = (c_int32 * k)(), (c_float * k)()
        self.call("stream_top", self.stream, c_size_t(k), ids, log_p)
        return list(ids), list(log_p)

    def token(self, token: int) -> str:
        size = c_size_t()
        text = self.c.rnnkit_model_token(self.model, token, byref(size))
        return ctypes.string_at(text, size.value).decode()

    def encode(self, text: str | bytes) -> list[int]:
        data, n = text.encode() if isinstance(text, str) else text, c_size_t()
        ids = (c_int32 * (len(data) + 1))()
        size = c_size_t(len(data))
        self.call("model_encode", self.model, data, size, ids, size, byref(n))
        return list(ids[: n.value])

    def decode(
        self, ids: Sequence[int], stops: Sequence[str] = (), room: int = 4096
    ) -> str:
        array, size = (c_int32 * len(ids))(*ids), c_size_t(len(ids))
        text, n = ctypes.create_string_buffer(room), c_size_t()
        into = (text, c_size_t(room), byref(n))
        if stops:
            what = (array, size, strings(stops), c_size_t(len(stops)))
            self.call("model_decode_until", self.model, *what, *into)
        else:
            self.call("model_decode", self.model, array, size, *into)
        assert n.value <= room
        return text.raw[: n.value].decode()

    def generate(self, prompt: Sequence[int] = (), **options: Any) -> list[int]:
        """Write on from what the stream has read; its tokens count as the prompt."""
        bad_words = [i for word in options.pop("bad_words", []) for i in (*word, -1)]
        stops = options.pop("stops", [])
        how = Generation(**DEFAULTS | options, n_prompt=len(prompt))
        how.bad_words = (c_int32 * len(bad_words))(*bad_words)
        how.n_bad_words = len(bad_words)
        how.stops, how.n_stops = strings(stops), len(stops)
        ids = (c_int32 * (len(prompt) + how.max_new_tokens))(*prompt)
        n = c_size_t()
        self.call("stream_generate", self.stream, byref(how), ids, byref(n))
        return list(ids[len(prompt) : len(prompt) + n.value])

    def complete(self, text: str | bytes, k: int) -> list[tuple[str, float]]:
        data = text.encode() if isinstance(text, str) else text
        ids, p, n = (c_int32 * k)(), (c_double * k)(), c_size_t()
        what = (data, c_size_t(len(data)), c_size_t(k))
        self.call("stream_complete", self.stream, *what, ids, p, byref(n))
        return [(self.token(ids[i]), p[i]) for i in range(n.value)]


def strings(texts: Sequence[str]) -> Any:
    return (c_char_p * len(texts))(*(text.encode() for text in texts))
