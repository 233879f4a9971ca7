# SPDX-License-Identifier: BSD-3-Clause
"""What the documents show runs, and gives what they say."""

import re
from pathlib import Path
from typing import Any

import pytest

from rnnkit.cells import Cell
from rnnkit.testing import check_cell


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)


def run_blocks(path: Path) -> dict[str, Any]:
    """Run all Python of a document, in order, as a reader would paste it."""
    names: dict[str, Any] = {"__name__": path.stem}
    for block in python_blocks(path):
        exec(compile(block, str(path), "exec"), names)
    return names


def test_every_cell_of_the_page_on_cells_passes_the_check(root: Path) -> None:
    names = run_blocks(root / "docs" / "cells.md")
    cells = [
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, Cell) and value is not Cell
    ]
    assert len(cells) == 6
    for cell in cells:
        check_cell(cell())


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/cells.md"]
)
def test_links_between_documents_lead_somewhere(root: Path, document: str) -> None:
    path = root / document
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    missing = [
        link
        for link in links
        if "://" not in link and not (path.parent / link).exists()
    ]
    assert not missing
