# SPDX-License-Identifier: BSD-3-Clause
"""What pyproject.toml and the build promise."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rnnkit.plugins import BUILT_IN


@pytest.fixture
def project(root: Path) -> dict[str, Any]:
    text = (root / "pyproject.toml").read_text("utf-8")
    return tomllib.loads(text)["project"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", BUILT_IN)
def test_built_in_names_are_declared_as_a_plugins_are(
    project: dict[str, Any], kind: str
) -> None:
    assert project["entry-points"][f"rnnkit.{kind}s"] == BUILT_IN[kind]


def test_numpy_and_scikit_learn_are_all_that_is_needed(project: dict[str, Any]) -> None:
    names = {re.match(r"[\w-]+", need)[0] for need in project["dependencies"]}  # type: ignore[index]
    assert names == {"numpy", "scikit-learn"}


def test_no_flag_of_the_build_changes_arithmetic_or_fits_one_machine(
    root: Path,
) -> None:
    for name in ("setup.py", "pyproject.toml", "Makefile"):
        text = (root / name).read_text("utf-8")
        assert not re.search(r"-ffast-math|-Ofast|-march=|-mtune=|-funsafe", text)


@pytest.mark.skipif(sys.platform == "win32", reason="the shell's name of a compiler")
def test_a_missing_compiler_gets_a_sentence_that_says_what_to_install(
    root: Path,
) -> None:
    result = subprocess.run(
        [sys.executable, str(root / "tools" / "prerequisites.py")],
        env={"CC": "no-such-compiler", "PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "No working C compiler: 'no-such-compiler'" in result.stderr
    assert "sudo apt install gcc" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_headers_get_a_sentence_that_says_what_to_install(
    root: Path, tmp_path: Path
) -> None:
    compiler = tmp_path / "cc"  # takes every program but those that include Python.h
    compiler.write_text('#!/bin/sh\nfor f; do grep -q Python.h "$f" && exit 1; done\n:')
    compiler.chmod(0o755)
    result = subprocess.run(
        [sys.executable, str(root / "tools" / "prerequisites.py")],
        env={"CC": str(compiler), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "no usable Python.h" in result.stderr
    assert "python3-dev" in result.stderr
