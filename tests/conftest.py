# SPDX-License-Identifier: BSD-3-Clause
"""What every test may use: where the repository is, and Python in a child process."""

import subprocess
import sys
from collections.abc import Callable
from ctypes import CDLL
from pathlib import Path

import c_library
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python with the given arguments in a child, as a user would from a shell."""

    def run(
        *arguments: str, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C library is installed, built once for all tests."""
    return c_library.install(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def library(library_folder: Path) -> CDLL:
    """The C library."""
    return c_library.load(library_folder)


def pytest_report_header() -> str:
    from rnnkit.core import default_threads, isa

    return f"rnnkit: {isa()}, {default_threads()} threads"
