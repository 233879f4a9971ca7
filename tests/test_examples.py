# SPDX-License-Identifier: BSD-3-Clause
"""The scripts of examples/ run, on a text that is made here and in seconds."""

import gzip
import json
import subprocess
import sys

import numpy as np


def made_text(n_words=3000):
    rng = np.random.default_rng(0)
    words = np.array(["the", "cat", "sat", "on", "a", "mat", "and", "ran", "off"])
    return " ".join(rng.choice(words, n_words))


def run_example(root, name, *arguments, folder):
    command = [sys.executable, str(root / "examples" / name), *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_compare_cells_gives_all_as_many_parameters_and_goes_on_where_it_was(
    root, tmp_path
):
    (tmp_path / "text.txt").write_text(made_text())
    options = ["--parameters", "5000", "--seconds", "0.3", "--trial", "0.1"]
    command = ["text.txt", "-o", "found", *options, "--cells", "lstm"]
    run_example(root, "compare_cells.py", *command, folder=tmp_path)
    said = run_example(root, "compare_cells.py", *command, "rnn", folder=tmp_path)
    assert "rnn" in said
    assert "lstm" not in said  # it was done before
    rows = json.loads((tmp_path / "found.json").read_text())
    assert {row["cell"] for row in rows} == {"lstm", "rnn"}
    for row in rows:
        assert abs(row["parameters"] - 5000) < 500
        assert 0 < row["nats"] < np.log(15)
        assert row["learning_rate"] in (0.002, 0.006)
    table = (tmp_path / "found.md").read_text()
    assert table.count("\n") == 4
    assert "| `lstm` |" in table


def test_reproduce_trains_a_row_once_and_keeps_its_figures(root, tmp_path):
    corpus = tmp_path / "ptb_word"
    corpus.mkdir()
    lines = "".join(line + " .\n" for line in made_text().split(" the "))
    with gzip.open(corpus / "ptb.train.txt.gz", "wt") as file:
        file.write(lines)
    for part in ("valid", "test"):
        (corpus / f"ptb.{part}.txt").write_text(lines[:2000])
    command = ["reproduce.py", "ptb_pytorch_6", "--data", str(tmp_path), "-o", "out"]
    first = run_example(root, *command, folder=tmp_path)
    assert "epoch 6/6" in first
    found = json.loads((tmp_path / "out" / "ptb_pytorch_6-0.json").read_text())
    assert found["epochs"] == 6
    assert found["test"]["perplexity"] < 11  # there are ten tokens
    assert found["test"]["tokens"] == len(lines[:2000].split()) + len(
        lines[:2000].splitlines()
    )
    again = run_example(root, *command, folder=tmp_path)
    assert "epoch" not in again
    assert str(found["test"]) in again
