# SPDX-License-Identifier: BSD-3-Clause
"""Imports and includes point downward only (ARCHITECTURE.md shows the house)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Lowest rank first; what stands in one row does not know its neighbours. text in csrc/
# stands over the base alone.
PYTHON = [
    ["errors"],
    ["plugins", "parameters", "c_library"],
    ["compiler", "core"],
    ["cells", "tokenizers"],
    ["model"],
    ["storage"],
    ["runtime"],
    ["training", "interchange"],
    ["estimators", "displays", "datasets", "recipes"],
    ["testing"],
    ["__init__"],  # the public names, loaded when asked for
    ["cli"],
    ["__main__"],
]
C = [
    ["base"],
    ["kernels", "sampling", "text"],
    ["linalg"],
    ["program"],
    ["heads", "solvers"],
    ["network"],
    ["modelfile"],
    ["api"],
]


def ranks(house: list[list[str]]) -> dict[str, int]:
    return {name: rank for rank, row in enumerate(house) for name in row}


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import in a file, those inside functions as well."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":  # Cython: its grammar is Python's for these lines
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r"\s*(?:from|c?import)\s+([\w.]+)", line)
            if match:
                yield number, match[1]
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def unit_of(name: str, units: dict[str, int]) -> str:
    """The part of the house that a dotted name `rnnkit...` belongs to."""
    parts = [*name.split("."), "__init__"]
    return parts[1] if parts[1] in units else "__init__"


def test_python_imports_point_downward(root: Path) -> None:
    rank = ranks(PYTHON)
    upward = []
    for path in sorted((root / "rnnkit").rglob("*.py*")):
        if path.suffix not in (".py", ".pyx", ".pxd", ".pyi"):
            continue
        here = path.relative_to(root / "rnnkit").with_suffix("").parts[0]
        assert here in rank, f"{path} has no place in the house"
        for line, name in imported_names(path):
            if not name.startswith("rnnkit.") and name != "rnnkit":
                continue
            there = unit_of(name, rank)
            if there != here and rank[there] >= rank[here]:
                upward.append(f"{path}:{line}: {here} imports {name}")
    assert not upward, "\n".join(upward)


def test_scikit_learn_is_known_to_the_estimators_and_above_only(root: Path) -> None:
    rank = ranks(PYTHON)
    allowed = {name for name in rank if rank[name] >= rank["estimators"]}
    found = [
        f"{path}:{line}"
        for path in (root / "rnnkit").rglob("*.py")
        for line, name in imported_names(path)
        if name.split(".")[0] in ("sklearn", "scipy", "joblib")
        and path.relative_to(root / "rnnkit").with_suffix("").parts[0] not in allowed
    ]
    assert not found, "\n".join(found)


def test_c_includes_point_downward(root: Path) -> None:
    rank = ranks(C)
    upward = []
    for path in sorted((root / "csrc").rglob("*.[ch]")):
        here = path.relative_to(root / "csrc").parts[0]
        assert here in rank, f"{path} has no place in the house"
        for line in path.read_text("utf-8").splitlines():
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match:
                continue
            there = Path(match[1]).parts[0]
            assert there in rank, f"{path}: {line} does not start at csrc/"
            if there != here and rank[there] >= rank[here]:
                upward.append(f"{path}: {line.strip()}")
    assert not upward, "\n".join(upward)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import rnnkit.cli.main", "rnnkit.cli.main"),
        ("def f():\n    from rnnkit import estimators", "rnnkit.estimators"),
        ("from rnnkit.core._text import split", "rnnkit.core._text.split"),
    ],
)
def test_the_scan_sees_imports(source: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, "utf-8")
    assert [name for _, name in imported_names(path)] == [expected]
