# SPDX-License-Identifier: BSD-3-Clause
"""Print requirements of pyproject.toml, so that the Makefile need not repeat them.

    python tools/requirements.py build run test

prints what `pip install` takes for building, for running and for the extra "test".
"""

import sys
import tomllib
from pathlib import Path


def requirements(group: str) -> list[str]:
    """What one group asks for: "build", "run", or the name of an extra."""
    root = Path(__file__).parent.parent
    table = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    if group == "build":
        return list(table["build-system"]["requires"])
    if group == "run":
        return list(table["project"]["dependencies"])
    return list(table["project"]["optional-dependencies"][group])


if __name__ == "__main__":
    print(*(need for group in sys.argv[1:] for need in requirements(group)), sep="\n")
