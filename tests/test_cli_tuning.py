# SPDX-License-Identifier: BSD-3-Clause
"""Commands that go on from a model, adapt it at test time, and order n-best lists."""

import json
from pathlib import Path
from typing import Any

import pytest

import rnnkit
from rnnkit import runtime
from rnnkit.cli import main
from rnnkit.training import DynamicEvaluation, gradient_rms

TEXT = "the cat sat on the mat\nthe dog sat on the rug\n" * 10
NEW = "the ship sails on the sea\n" * 20
FIT = ["--hidden-size", "8", "--max-iter", "2", "--random-state", "0"]
FIT += ["--n-threads", "1"]
LISTS = """\
a ||| the cat sat ||| lm: -3 ||| -2.0
a ||| the rug sat on ||| lm: -4 ||| -1.5
b ||| - ||| ||| -1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds two texts and cat.rnn, a model of words that was trained on the first."""
    path = tmp_path_factory.mktemp("tuning")
    (path / "text.txt").write_text(TEXT, "utf-8")
    (path / "new.txt").write_text(NEW, "utf-8")
    argv = ["fit", str(path / "text.txt"), "-o", str(path / "cat.rnn"), *FIT]
    assert main(argv) == 0
    return path


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What a command prints with --json, as data."""
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ------------------------------------------------------------------------------- fit


def test_fit_goes_on_from_a_model_and_learns_new_words(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, new, out = folder / "cat.rnn", str(folder / "new.txt"), tmp_path / "m.rnn"
    argv = ["fit", new, "-o", str(out), "--init", str(model), "--max-iter", "3"]
    assert main(argv) == 0
    report = answer(capsys, "score", str(out), new)
    assert report["n_unknown_tokens"] == 3 * 20
    assert main([*argv, "--extend-vocabulary"]) == 0
    report = answer(capsys, "score", str(out), new)
    assert report["n_unknown_tokens"] == 0
    lm = rnnkit.load(model)
    lm.set_params(warm_start=True, extend_vocabulary=True, max_iter=3).fit([new])
    assert report["perplexity"] == lm.perplexity([new])
    found = rnnkit.load(out)
    assert found.vocabulary_ == lm.vocabulary_
    assert (found.hidden_size, found.warm_start) == (8, False)


def test_fit_takes_word_vectors_and_holds_them_still(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    vectors, out = tmp_path / "vectors.txt", str(tmp_path / "m.rnn")
    vectors.write_text("the 1 2 3\nsat 4 5 6\nwhale 7 8 9\n", "utf-8")
    argv = ["fit", str(folder / "text.txt"), "-o", out, *FIT]
    argv += ["--embedding", str(vectors), "--frozen", "embedding.weight,rnn.*"]
    assert main(argv) == 0
    assert "embedding: 2 of 9 tokens have a vector" in capsys.readouterr().err
    lm = rnnkit.load(out)
    table = lm.params_["embedding.weight"]
    assert table[lm.vocabulary_.index("sat")].tolist() == [4, 5, 6]
    assert (lm.embedding_size, lm.frozen) == (3, ["embedding.weight", "rnn.*"])


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--extend-vocabulary"], 2, "needs the model to extend: --init"),
        (["--init", "text.txt"], 1, "text.txt: no model file"),
        (["--init", "cat.rnn", "--tokenizer", "char"], 2, "goes on with its own"),
        (["--init", "cat.rnn", "--hidden-size", "9"], 1, "cannot change in a warm"),
        (["--embedding", "text.txt"], 1, "text.txt: line 1: 'cat' is no finite number"),
        (["--embedding", "missing.txt"], 1, "missing.txt: No such file"),
        (["--frozen", "bias"], 2, "no parameter 'bias'"),
    ],
)
def test_what_fit_cannot_go_on_from_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["fit", "text.txt", "-o", "refused.rnn", *argv]) == code
    assert words in capsys.readouterr().err
    assert not (folder / "refused.rnn").exists()


# --------------------------------------------------------------------- at test time


def test_score_with_weights_that_go_on_learning_says_how(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    documents = TEXT.splitlines()
    plain = runtime.load(model).with_options(input="content", n_threads=1)
    argv = ["score", model, text, "--n-threads", "1", "--dynamic", text]
    argv += ["--segment", "3"]
    statistics = gradient_rms(plain, documents, bptt=3)
    for more, rms in (([], None), (["--statistics", text], statistics)):
        report = answer(capsys, *argv, *more)
        dynamic = dynamic_of(plain, report, rms)
        assert report["perplexity"] == pytest.approx(dynamic.perplexity(documents))
        assert report["perplexity"] != plain.perplexity(documents)
    report = answer(capsys, *argv, "--cache", text)
    names = ("window", "theta", "weight")
    settings = {name: report[f"cache_{name}"] for name in names}
    both = runtime.NeuralCache(dynamic_of(plain, report, None), **settings)
    assert report["perplexity"] == pytest.approx(both.perplexity(documents))


def dynamic_of(model: Any, report: dict[str, Any], rms: Any) -> DynamicEvaluation:
    """What a report says that it is of."""
    names = ("learning_rate", "decay", "segment")
    settings = {name: report[f"dynamic_{name}"] for name in names}
    return DynamicEvaluation(model, rms=rms, **settings)


def test_statistics_belong_to_dynamic_evaluation(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = str(folder / "text.txt")
    assert main(["score", str(folder / "cat.rnn"), text, "--statistics", text]) == 2
    assert "--statistics is a part of --dynamic" in capsys.readouterr().err


def test_n_best_lists_come_out_best_first(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, file = str(folder / "cat.rnn"), tmp_path / "lists.txt"
    file.write_text(LISTS, "utf-8")
    lists = [["the cat sat", "the rug sat on"], ["-"]]
    settings = {"weight": 0.5, "length_penalty": 1.0}
    rankings = runtime.load(model).rescore(lists, [[-2.0, -1.5], [-1.0]], **settings)
    argv = ["rescore", model, str(file), "--weight", "0.5", "--length-penalty", "1"]
    rows = answer(capsys, *argv)
    assert [row["list"] for row in rows] == ["a", "b"]
    for row, ranking, texts in zip(rows, rankings, lists, strict=True):
        assert row["hypotheses"] == [texts[i] for i in ranking.order]
        assert row["scores"] == pytest.approx(sorted(ranking.scores, reverse=True))
    assert main(argv) == 0
    out = capsys.readouterr().out
    best, score = rows[0]["hypotheses"][0], rows[0]["scores"][0]
    assert out.startswith(f"a ||| {best} ||| {score:.4f}\n") and out.count("\n") == 3
    assert main([*argv, "--best"]) == 0
    assert capsys.readouterr().out.splitlines() == [best, "-"]
    file.write_text(out, "utf-8")  # what came out can go in
    assert [row["list"] for row in answer(capsys, *argv)] == ["a", "b"]


def test_without_scores_the_model_decides_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = str(folder / "cat.rnn")
    (tmp_path / "lists.txt").write_text("1 ||| the cat sat\n1 ||| mat the\n", "utf-8")
    (row,) = answer(capsys, "rescore", model, str(tmp_path / "lists.txt"))
    (ranking,) = runtime.load(model).rescore([["the cat sat", "mat the"]])
    assert row["scores"] == pytest.approx(sorted(ranking.scores, reverse=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n", "line 1 is not of the form: list ||| hypothesis\n"),
        (
            "a ||| b ||| 1\na ||| b\n",
            "line 2 is not of the form: list ||| hypothesis |",
        ),
        (
            "a ||| b\na ||| b ||| 1\n",
            "line 2 is not of the form: list ||| hypothesis\n",
        ),
        ("a ||| b ||| 1\na ||| b ||| x", "line 2: the score 'x' is no number"),
        ("a ||| b\nc ||| b\na ||| b", "line 3 belongs to the list 'a', which ended"),
        ("a ||| b ||| nan\n", "the scores of list 0 are not all finite"),
    ],
)
def test_lists_that_are_malformed_are_refused(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str,
    words: str,
) -> None:
    (tmp_path / "lists.txt").write_text(text, "utf-8")
    argv = ["rescore", str(folder / "cat.rnn"), str(tmp_path / "lists.txt")]
    assert main(argv) == 1
    assert words in capsys.readouterr().err


def test_lists_of_ids_are_rescored_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lm = rnnkit.RNNLanguageModel(tokenizer=None, hidden_size=4, max_iter=1)
    lm.fit([[0, 1, 2]] * 5).save(tmp_path / "ids.rnn")
    (tmp_path / "lists.txt").write_text("1 ||| 0 1 2\n1 ||| 2 2\n", "utf-8")
    argv = ["rescore", str(tmp_path / "ids.rnn"), str(tmp_path / "lists.txt")]
    (row,) = answer(capsys, *argv)
    assert sorted(row["hypotheses"]) == ["0 1 2", "2 2"]
