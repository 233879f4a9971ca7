# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit plugins new | check | show``, and the drawing of a cell."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnkit.cells import LSTM, RNN, Cell, tanh
from rnnkit.cli import main
from rnnkit.compiler import trace
from rnnkit.testing.checks import run_checks


def pip_install(package: Path, site: Path) -> None:
    """As a user's pip does, but for the index, which tests do not ask."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--target", str(site), str(package)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        ([], "cell 'spam_2' of rnnkit-spam-2 0.1.0 (rnnkit_spam_2:Spam2): fine\n"),
        (
            ["--tokenizer"],
            "tokenizer 'spam_2' of rnnkit-spam-2 0.1.0 "
            "(rnnkit_spam_2:Spam2Tokenizer): fine\n",
        ),
    ],
)
def test_a_new_package_is_installed_and_passes_as_written(
    options: list[str], checked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="pip builds with it")
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "spam_2", *options]) == 0
    pip_install(tmp_path / "rnnkit-spam-2", tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{Path(__file__).parents[1]}")
    command = [sys.executable, "-m", "rnnkit", "plugins", "check", "spam_2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, checked), done.stderr
    own_tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*own_tests, "rnnkit-spam-2/tests"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Spam", "no name"),
        ("a-b", "no name"),
        ("", "no name"),
        ("lstm", "built-in"),
        ("cell", "every cell"),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", name, "--folder", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_cell_is_checked_with_the_parameters_that_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "check", "rnn", "--param", "activation=relu"]) == 0
    assert main(["plugins", "check", "rnn", "--param", "activation=sine"]) == 1
    assert main(["plugins", "check", "rnn", "--param", "spin=1"]) == 1
    fine, refused, unknown = capsys.readouterr().out.splitlines()
    assert fine.endswith(": fine")
    assert "activation is 'sine'" in refused
    assert unknown.endswith("RNN has no parameter 'spin'; it has activation")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    assert main(["plugins", "new", "spam", "--folder", str(tmp_path)]) == 0
    cell = tmp_path / "rnnkit-spam" / "rnnkit_spam" / "cell.py"
    cell.write_text("my work", "utf-8")
    assert main(["plugins", "new", "spam", "--folder", str(tmp_path)]) == 2
    assert cell.read_text("utf-8") == "my work"


def test_a_cell_is_shown_with_its_description_drawing_and_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "show", "gru"]) == 0
    out = capsys.readouterr().out
    for words in (
        "rnnkit.cells.gru:GRU",
        "Cho et al.",
        "-> output, new h",
        "weight weight_hh (48 x 16)",
        "backward",
    ):
        assert words in out


def test_a_tokenizer_is_shown_with_its_description(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "show", "word"]) == 0
    assert "lowercase" in capsys.readouterr().out


def test_the_tutorial_leads_to_a_package_that_passes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "docs" / "plugins.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert main(["plugins", "new", "ran", "--folder", str(tmp_path)]) == 0
    package = tmp_path / "rnnkit-ran"
    names: dict[str, object] = {"__name__": "tutorial"}
    printed = io.StringIO()
    for block in blocks:
        path = re.match(r"# (\S+\.py)\n", block)
        if path:  # it belongs into a file, which the template has
            assert (package / path[1]).exists()
            (package / path[1]).write_text(block, "utf-8")
        if not path or "cell.py" in path[1]:
            with contextlib.redirect_stdout(printed):
                exec(compile(block, "plugins.md", "exec"), names)
    (drawing,) = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    assert printed.getvalue().strip() == drawing.strip()
    tokenizer_tests: Any = names["TestWords"]
    run_checks(tokenizer_tests())
    monkeypatch.setenv("PYTHONPATH", f"{package}:{root}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(package / "tests")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


# ------------------------------------------------------------------------ the drawing


def lines_of(cell: Cell) -> list[str]:
    return trace(cell, 3, 7).draw().splitlines()[2:]


def test_a_drawing_has_a_line_for_each_operation() -> None:
    assert lines_of(RNN()) == [
        "x     x (3)",
        "| @   old h (7)",
        "#-+   weight_ih * + weight_hh * + bias_ih + bias_hh (7)",
        "o     tanh   -> output, new h",
    ]


def test_a_value_passes_by_what_does_not_read_it() -> None:
    class Passes(Cell):
        states = ("h", "c")

        def step(self, x, h, c):  # type: ignore[no-untyped-def, override]
            return tanh(self.linear("h", x, h, bias=False)), 2 - c

    assert lines_of(Passes()) == [
        "x       x (3)",
        "| @     old h (7)",
        "| | @   old c (7)",
        "#-+ |   weight_ih * + weight_hh * (7)",
        "o   |   tanh   -> output, new h",
        "    o   sub 2 .   -> new c",
    ]


def test_a_notebook_shows_the_same_drawing_in_colours() -> None:
    graph = trace(LSTM(), 16, 16)
    html = LSTM()._repr_html_()
    assert html.startswith("LSTM(")
    assert html.count("<b ") == len(graph.draw().splitlines()) - 2
    assert "-&gt; new c" in html
