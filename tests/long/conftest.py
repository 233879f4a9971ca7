# SPDX-License-Identifier: BSD-3-Clause
"""What the long tests share: the corpora below the folder that RNNKIT_DATA names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def corpus() -> Callable[[str], str]:
    """The path of a file below RNNKIT_DATA; without it the test is left out."""

    def path_of(name: str) -> str:
        folder = os.environ.get("RNNKIT_DATA")
        if not folder:
            pytest.skip("RNNKIT_DATA names no folder of corpora")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"{path} is not there")
        return str(path)

    return path_of
