# SPDX-License-Identifier: BSD-3-Clause
"""What models learn from corpora by the command line; figures: docs/results.md."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Corpus = Callable[[str], str]


def rnnkit(*arguments: str) -> str:
    """Run a command as from a shell and return what it prints."""
    command = [sys.executable, "-m", "rnnkit", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return done.stdout


def score(model: str, text: str) -> dict[str, Any]:
    return dict(json.loads(rnnkit("score", model, text, "--json")))


def test_words_of_the_penn_treebank(corpus: Corpus, tmp_path: Path) -> None:
    model = str(tmp_path / "ptb.rnn")
    options = "--tokenizer whitespace --carry-state --hidden-size 200 --num-layers 2"
    options += " --tie-weights --max-iter 3 --solver sgd --learning-rate one_cycle"
    options += " --learning-rate-init 20 --max-grad-norm 0.25 --batch-size 20 --bptt 35"
    options += " --dropout 0.1 --random-state 0"
    train = corpus("ptb_word/ptb.train.txt.gz")
    valid = corpus("ptb_word/ptb.valid.txt")
    rnnkit("fit", train, "--valid", valid, "-o", model, *options.split())
    report = score(model, corpus("ptb_word/ptb.test.txt"))
    assert json.loads(rnnkit("info", model, "--json"))["vocab_size"] == 10_000
    assert report["n_tokens"] == 82_430
    assert report["perplexity"] < 150


def test_characters_of_shakespeare(corpus: Corpus, tmp_path: Path) -> None:
    text = Path(corpus("tinyshakespeare/input.txt")).read_text("utf-8")
    cut = len(text) * 9 // 10
    train, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    train.write_text(text[:cut], "utf-8")
    valid.write_text(text[cut:], "utf-8")
    model = str(tmp_path / "tiny.rnn")
    options = "--tokenizer char --carry-state --hidden-size 256 --max-iter 8"
    options += " --learning-rate one_cycle --learning-rate-init 0.006"
    options += " --max-grad-norm 1 --dropout 0.1 --random-state 0"
    rnnkit("fit", str(train), "-o", model, *options.split())
    report = score(model, str(valid))
    assert report["n_tokens"] == len(text) - cut + 1
    assert -report["log_likelihood_per_token"] < 1.60


def test_a_novel_in_chinese(corpus: Corpus, tmp_path: Path) -> None:
    text = corpus("zh_classics/hongloumeng.txt.gz")
    model = str(tmp_path / "zh.rnn")
    options = "--tokenizer char --carry-state --hidden-size 256 --tie-weights"
    options += " --max-iter 2 --learning-rate one_cycle --learning-rate-init 0.006"
    options += " --max-grad-norm 1 --random-state 0"
    rnnkit("fit", text, "-o", model, *options.split())
    written = rnnkit("generate", model, "黛玉", "--random-state", "0").strip()
    chinese = [c for c in written if "\u4e00" <= c <= "\u9fff"]
    assert len(chinese) > len(written) / 2 > 10
