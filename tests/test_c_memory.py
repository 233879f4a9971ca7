# SPDX-License-Identifier: BSD-3-Clause
"""The C library within memory that the program hands over."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from build_c import COMPILER
from c_library import ROOT, needs_make

from rnnkit import RNNLanguageModel

TEXTS = ["the cat sat on the mat", "the dog sat, too.", "", "a\tb \u6eff Don't 3.14"]
MODELS: dict[str, dict[str, Any]] = {
    "word": {"tokenizer": "word", "cell": "lstm"},
    "char": {"tokenizer": "char", "num_layers": 2, "dtype": "float64"},
    "byte": {"tokenizer": "byte", "head": "adaptive", "cutoffs": [99]},
}

pytestmark = needs_make


def save(folder: Path, name: str) -> str:
    """Save a small model; returns its path."""
    options = {"hidden_size": 5, "max_iter": 1, "random_state": 0, "n_threads": 1}
    RNNLanguageModel(**options | MODELS[name]).fit(TEXTS).save(folder / name)
    return str(folder / name)


def build(library_folder: Path, name: str, *flags: str) -> str:
    """Build the test against the static library, and say where it is."""
    program = library_folder / name
    include = [f"-I{library_folder}/include", f"-I{ROOT}/csrc"]
    libs = [f"{library_folder}/lib/librnnkit.a", "-fopenmp", "-pthread", "-lm"]
    command = [*COMPILER, "-D_GNU_SOURCE", "-Wall", "-Wextra", *flags, *include]
    source = str(ROOT / "tests" / "c" / "test_memory.c")
    subprocess.run([*command, source, *libs, "-o", str(program)], check=True)
    return str(program)


def run(*command: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_every_budget_is_enough_or_said_to_be_too_small(
    library_folder: Path, name: str, tmp_path: Path
) -> None:
    run(build(library_folder, "test_memory"), save(tmp_path, name), "64")


def test_valgrind_finds_nothing_in_any_budget(
    library_folder: Path, tmp_path: Path
) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    flags = ["-q", "--error-exitcode=9", "--leak-check=full"]
    flags.append("--errors-for-leak-kinds=definite,possible")
    program = build(library_folder, "test_memory_valgrind", "-DUNCOUNTED", "-g")
    run("valgrind", *flags, program, save(tmp_path, "char"), "30001")
