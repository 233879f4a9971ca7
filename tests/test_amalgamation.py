# SPDX-License-Identifier: BSD-3-Clause
"""The C library in one file: any C11 compiler takes it, and it predicts the same."""

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from ctypes import POINTER, byref, c_float, c_int32, c_size_t
from pathlib import Path

import numpy as np
import pytest
from test_c_library import Model, run

import rnnkit
from rnnkit import RNNLanguageModel

TEXTS = ["the cat sat on the mat", "the dog sat, too.", "ein \u00fcber 3.14"] * 5
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
PLAIN = [*STRICT, "-pedantic-errors", "-DRNNKIT_PORTABLE"]

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("amalgamation")
    tool = str(root / "tools" / "amalgamate.py")
    subprocess.run([sys.executable, "-I", tool, str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def build(folder: Path) -> Build:
    def build(name: str, *options: str, compiler: str = "cc") -> Path:
        """Compile in the folder of rnnkit.c."""
        command = [compiler, *options, "-o", name]
        subprocess.run(command, cwd=folder, check=True)
        return folder / name

    return build


@pytest.fixture(scope="module")
def compiled(build: Build) -> Path:
    return build("rnnkit.o", *STRICT, "-O2", "-c", "rnnkit.c")


@pytest.fixture(scope="module")
def trained(folder: Path) -> RNNLanguageModel:
    lm = RNNLanguageModel(hidden_size=9, max_iter=5, random_state=0, n_threads=1)
    lm.fit(TEXTS).save(folder / "model.rnn")
    return lm


def test_it_compiles_behind_headers_of_the_system(build: Build, folder: Path) -> None:
    text = '#include <stdio.h>\n#include "rnnkit.c"\n'
    (folder / "one.c").write_text(text, "utf-8")
    build("one.o", *STRICT, "-O0", "-c", "one.c")


def test_only_the_interface_can_be_linked(compiled: Path) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    names = [line.split() for line in run([nm, "-g", str(compiled)]).splitlines()]
    defined = {name for *_, kind, name in names if kind != "U"}
    assert "rnnkit_model_load" in defined
    assert all(name.startswith("rnnkit_") for name in defined)


def test_a_c_program_predicts_what_python_predicts(
    root: Path, build: Build, compiled: Path, trained: RNNLanguageModel
) -> None:
    source = str(root / "examples" / "next_words.c")
    program = build("next_words", *STRICT, "-I.", source, str(compiled), "-lm")
    lines = run([str(program), str(compiled.parent / "model.rnn"), "the"]).splitlines()
    expected = trained.predict_next("the", k=5)[0]
    assert [line.split("\t")[1] for line in lines[:5]] == [
        token for token, _ in expected
    ]
    log_p = [float(line.split("\t")[0]) for line in lines[:5]]
    assert np.allclose(log_p, np.log([p for _, p in expected]), rtol=0, atol=1e-5)


def test_a_cpp_program_links_what_c_has_compiled(
    root: Path, build: Build, compiled: Path, trained: RNNLanguageModel
) -> None:
    if not shutil.which("c++"):
        pytest.skip("there is no C++ compiler")
    options = ["-Wall", "-Wextra", "-Werror", "-I.", str(compiled), "-lm"]
    source = str(root / "examples" / "next_words.cpp")
    program = build("next_words_cpp", source, *options, compiler="c++")
    written = run([str(program), str(compiled.parent / "model.rnn"), "the"])
    assert written == trained.generate("the", random_state=0) + "\n"


def log_probabilities(library: Path, data: bytes) -> np.ndarray:
    """What a library predicts after some tokens."""
    c = ctypes.CDLL(str(library))
    model = Model(c, data)
    ids, size = (c_int32 * 6)(0, 1, 2, 3, 2, 1), c_size_t(6)
    model.call("stream_feed", model.stream, ids, size)
    values = POINTER(c_float)()
    model.call("stream_predict", model.stream, byref(values))
    found = np.array(values[: c.rnnkit_model_n_tokens(model.model)], np.float32)
    model.close()
    return found


@pytest.fixture(scope="module")
def plain(build: Build) -> Path:
    options = [*PLAIN, "-O1", "-fPIC", "-shared", "rnnkit.c", "-lm"]
    return build("plain.so", *options)


@pytest.mark.parametrize("is_int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("cell", ["lstm", "layer_norm_lstm"])
def test_plain_c_computes_the_bits_of_the_baseline(
    cell: str,
    is_int8: bool,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RNNKIT_ISA", "baseline")
    lm = RNNLanguageModel(cell, hidden_size=9, max_iter=3, random_state=0, n_threads=1)
    lm.fit(TEXTS)
    (lm.quantize() if is_int8 else lm).save(tmp_path / "model.rnn")
    data = (tmp_path / "model.rnn").read_bytes()
    installed = Path(rnnkit.get_lib()) / "librnnkit.so"
    expected = log_probabilities(installed, data)
    assert np.array_equal(log_probabilities(plain, data), expected)


def words_of_gnu_c(folder: Path, scratch: Path, *options: str) -> set[str]:
    """Those in what a compiler sees that has no names but the standard's."""
    code = (folder / "rnnkit.c").read_text("utf-8")
    code = re.sub(r'^#include (<.*>|"rnnkit.h")\n', "", code, flags=re.MULTILINE)
    (scratch / "code.c").write_text(code, "utf-8")
    command = ["cc", "-E", "-P", "-undef", *options, str(scratch / "code.c")]
    literals = r"""("|')(?:\\.|(?!\1).)*\1"""
    seen = re.sub(literals, "0", run(command))
    assert "rnnkit_model_load" in seen
    return set(re.findall(r"\b__\w+|\basm\b|\btypeof\b", seen))


def test_plain_c_has_no_words_of_gnu_c(folder: Path, tmp_path: Path) -> None:
    gnu = "-D__GNUC__=12"
    assert "__attribute__" in words_of_gnu_c(folder, tmp_path, gnu)
    assert not words_of_gnu_c(folder, tmp_path, gnu, "-DRNNKIT_PORTABLE")
    assert not words_of_gnu_c(folder, tmp_path)


@pytest.mark.parametrize("options", [STRICT, PLAIN], ids=["GNU C", "plain C"])
def test_clang_warns_of_nothing(build: Build, options: list[str]) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    build("nothing", *options, "-fsyntax-only", "rnnkit.c", compiler="clang")
