# SPDX-License-Identifier: BSD-3-Clause
"""The examples that complete what is typed, and the one within a fixed memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_library import ROOT, needs_make

from rnnkit import RNNLanguageModel

TEXTS = ["the cat sat on the mat", "the dog sat, too.", "a cart stood in the road"] * 5
LINES = ["", "the c", "the cat ", "zzz", "sat on t"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full"]
VALGRIND.append("--errors-for-leak-kinds=definite,possible")


@pytest.fixture(scope="module")
def models(tmp_path_factory: Any) -> dict[str, RNNLanguageModel]:
    """Models by the paths of their files."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for tokenizer in ("word", "char"):
        options = {"hidden_size": 9, "max_iter": 5, "random_state": 0, "n_threads": 1}
        lm = RNNLanguageModel(tokenizer=tokenizer, **options).fit(TEXTS)
        lm.save(folder / tokenizer)
        found[str(folder / tokenizer)] = lm
    return found


def build(library_folder: Path, name: str, *flags: str) -> str:
    """Build an example as its first lines say."""
    compiler = "cc" if name.endswith(".c") else "c++"
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    program = str(library_folder / name.replace(".", "_"))
    places = [f"-I{library_folder}/include", f"-L{library_folder}/lib"]
    places.append(f"-Wl,-rpath,{library_folder}/lib")
    command = [compiler, "-Wall", "-Wextra", "-Werror", *flags, *places]
    command += [str(ROOT / "examples" / name), "-lrnnkit", "-lm", "-o", program]
    subprocess.run(command, check=True)
    return program


def answer(command: list[str], line: str) -> list[list[str]]:
    """What a program says to a line: lines of fields, and an empty one."""
    said = subprocess.run(
        command, input=line + "\n", capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert said.endswith("\n")
    *lines, last = said.splitlines()
    assert last == ""
    return [line.split("\t") for line in lines]


def check_answers(command: list[str], lm: RNNLanguageModel) -> None:
    for line in LINES:
        found = answer(command, line)
        (expected,) = lm.complete(line, k=5)
        assert [word for _, word in found] == [word for word, _ in expected]
        p = [float(p) for p, _ in found]
        assert np.allclose(p, [p for _, p in expected], rtol=1e-4)


@needs_make
@pytest.mark.parametrize("name", ["autocomplete.c", "autocomplete.cpp"])
def test_programs_complete_what_python_completes(
    library_folder: Path, models: dict[str, RNNLanguageModel], name: str
) -> None:
    program = build(library_folder, name)
    path, lm = next(iter(models.items()))
    check_answers([program, path], lm)
    both = subprocess.run(
        [program, path], input=b"the c\n\n", capture_output=True, check=True
    )
    assert both.stdout.count(b"\n\n") == 2
    if shutil.which("valgrind"):
        subprocess.run([*VALGRIND, program, path], input=b"the c\na \n", check=True)


@needs_make
def test_characters_are_written_up_to_the_end_of_the_word(
    library_folder: Path, models: dict[str, RNNLanguageModel]
) -> None:
    program = build(library_folder, "autocomplete.c")
    path, lm = list(models.items())[1]
    options = {"temperature": 0, "max_new_tokens": 20, "stop": [" ", ".", ",", "\n"]}
    for line in LINES:
        expected = lm.generate(line, **options)
        assert answer([program, path], line) == [["..." + expected]]


@needs_make
def test_a_fixed_memory_is_enough_or_said_not_to_be(
    library_folder: Path, models: dict[str, RNNLanguageModel]
) -> None:
    path, lm = next(iter(models.items()))
    program = build(library_folder, "fixed_memory.c", "-std=c11")
    command = [program, path, "the cat"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, last = [line.split("\t") for line in done.stdout.splitlines()]
    (expected,) = lm.predict_next("the cat", k=5)
    assert [token for _, token in lines] == [token for token, _ in expected]
    n_used = int(last[0].split()[0])
    assert n_used < 1_000_000
    if shutil.which("valgrind"):
        subprocess.run([*VALGRIND, *command], check=True, stdout=subprocess.DEVNULL)
    for memory, is_enough in ((n_used + 64, True), (n_used - 64, False), (1, False)):
        build(library_folder, "fixed_memory.c", f"-DMEMORY={memory}")
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == is_enough
        assert ("bytes are not to be had" in done.stderr) != is_enough


# ---------------------------------------------------------------------------- Python

PYTHON = [sys.executable, str(ROOT / "examples" / "autocomplete.py")]


def test_the_python_example_answers_lines(models: dict[str, RNNLanguageModel]) -> None:
    path, lm = next(iter(models.items()))
    check_answers([*PYTHON, path], lm)


def test_the_python_example_takes_words_in_a_terminal(
    models: dict[str, RNNLanguageModel],
) -> None:
    pty = pytest.importorskip("pty")
    path, lm = next(iter(models.items()))
    ours, theirs = pty.openpty()
    child = subprocess.Popen([*PYTHON, path], stdin=theirs, stdout=theirs, cwd=ROOT)
    os.close(theirs)
    shown = b""
    # Each key once what it follows is drawn: whoever comes too early types unseen.
    for key in [*"the c", "\t", "\x1b[B", "\t", "\x7f", "\n", "\x04"]:
        while not shown.endswith((b"\x1b[A\r", b"C")):
            shown += os.read(ours, 4096)
        os.write(ours, key.encode())
        shown += b" "
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux: the other end is closed
        pass
    assert child.wait() == 0
    first = lm.complete("the c", 1)[0][0][0]
    second = lm.complete(f"the {first} ", 5)[0][1][0]
    assert f"\r\x1b[Jthe {first} {second}\r\n" in shown.decode()
