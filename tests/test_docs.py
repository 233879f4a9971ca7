# SPDX-License-Identifier: BSD-3-Clause
"""What the documents show runs, and gives what they say."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import rnnkit
from rnnkit.cells import Cell
from rnnkit.cli.main import make_parser
from rnnkit.testing import check_cell

DOCUMENTS_WITH_COMMANDS = ["README.md", "docs/prediction.md", "docs/training.md"]


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


def test_the_example_of_the_readme_runs(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks(root / "README.md")
    perplexity, *rest = capsys.readouterr().out.splitlines()
    assert float(perplexity) == names["lm"].perplexity(["the cat sat on the rug"]) < 2
    assert len(rest) == 3 + 1  # next words, and what was generated
    assert rnnkit.load("pets.rnn").score(["the dog"]) == names["lm"].score(["the dog"])


def test_the_examples_of_the_page_on_prediction_run(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks(root / "docs" / "prediction.md")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed[:7]] == names["document"].tokens
    assert printed[-2].startswith("the cat sat on the mat")
    assert printed[-1].startswith("perplexity: ")
    for scorer in ("both", "cache", "dynamic", "plain"):
        assert 1 < names[scorer].perplexity(names["texts"]) < 10


def test_the_examples_of_the_page_on_training_run(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks(root / "docs" / "training.md")
    out = capsys.readouterr().out
    lines = out.splitlines()
    rates = [line for line in lines if re.match(r" *\d\.\de[+-]\d\d ", line)]
    assert len(rates) == -(-len(names["found"].rates) // 20)
    assert "\n['ship', 'sails', 'sea'] " in out
    assert "whale" in names["lm"].vocabulary_


def test_the_examples_of_the_page_on_interchange_run(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="the page shows models in ONNX Runtime")
    monkeypatch.chdir(tmp_path)
    run_blocks(root / "docs" / "interchange.md")
    names, predicted, music = capsys.readouterr().out.splitlines()[:3]
    assert "rnn.weight_ih_l0" in names
    assert predicted == "sat"
    assert music.startswith("gru ")


@pytest.mark.parametrize("document", DOCUMENTS_WITH_COMMANDS)
def test_the_commands_of_a_document_are_commands(root: Path, document: str) -> None:
    text = (root / document).read_text("utf-8")
    commands = re.findall(r"^    rnnkit (.*)", text, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        make_parser().parse_args(shlex.split(command))


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "docs/cells.md",
        "docs/interchange.md",
        "docs/plugins.md",
        "docs/prediction.md",
        "docs/training.md",
    ],
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
