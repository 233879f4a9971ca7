# SPDX-License-Identifier: BSD-3-Clause
"""The command line: what it prints, where, and with which code it ends."""

import gzip
import inspect
import json
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rnnkit.cli import main
from rnnkit.cli.fit import NOT_OFFERED
from rnnkit.cli.main import make_parser
from rnnkit.cli.parameters import estimator_parameters
from rnnkit.cli.predict import GENERATION

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]
TEXT = "the cat sat on the mat\nthe dog sat on the rug\n" * 30
FIT = ["--hidden-size", "8", "--max-iter", "2", "--random-state", "0"]
FIT += ["--n-threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds text.txt and cat.rnn, a model of words that was trained on it."""
    path = tmp_path_factory.mktemp("cli")
    (path / "text.txt").write_text(TEXT, "utf-8")
    code = main(["fit", str(path / "text.txt"), "-o", str(path / "cat.rnn"), *FIT])
    assert code == 0
    return path


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What a command prints with --json, as data."""
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ------------------------------------------------------------------------ the table


def test_options_of_fit_are_the_parameters_of_the_estimator() -> None:
    from rnnkit import RNNLanguageModel

    signature = inspect.signature(RNNLanguageModel).parameters  # type: ignore[arg-type]
    table = {p.name: p.default for p in estimator_parameters()}
    switches = {p.name for p in estimator_parameters() if p.is_switch}
    assert table == {name: p.default for name, p in signature.items()}
    parsed = make_parser().parse_args(["fit", "a", "-o", "b"])
    offered = [*set(table) - set(NOT_OFFERED)]
    options = [f"--{name.replace('_', '-')}" for name in offered]
    assert parsed.files == ["a"]
    for name, option in zip(offered, options, strict=True):
        is_switch = name in switches and name != "average"
        value = [] if is_switch else ["none"]
        given = make_parser().parse_args(["fit", "a", "-o", "b", option, *value])
        assert getattr(given, name) is (None if value else True)


def test_every_parameter_has_a_type_and_a_text() -> None:
    for parameter in estimator_parameters():
        assert parameter.kind and parameter.help, parameter.name
        assert "default" not in parameter.kind
        assert not parameter.help.endswith(".")


# ---------------------------------------------------------------------- the commands


def test_score_prints_all_that_a_comparison_needs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import rnnkit

    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    report = answer(capsys, "score", model, text)
    documents = TEXT.splitlines()
    lm = rnnkit.load(model).set_params(input="content")  # type: ignore[operator]
    assert report["log_likelihood_per_token"] == lm.score(documents)
    assert report["perplexity"] == lm.perplexity(documents)
    assert report["n_documents"] == len(documents)
    assert report["n_tokens"] == sum(len(d.split()) + 1 for d in documents)
    assert report["n_unknown_tokens"] == 0
    assert 0 <= report["accuracy"] <= 1 and 0 < report["bits_per_character"] < 8
    assert main(["score", model, text]) == 0
    shown = capsys.readouterr().out
    for words in ("nats per token", "perplexity", "bits per character", "unknown"):
        assert words in shown


def test_score_tokens_prints_every_token_with_its_log_probability(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, text = str(folder / "cat.rnn"), tmp_path / "two.txt"
    text.write_text("the cat\na zebra\n", "utf-8")
    report = answer(capsys, "score", model, str(text))
    first, second = answer(capsys, "score", model, str(text), "--tokens")
    assert first["tokens"] == ["the", "cat", "<eos>"]
    assert second["tokens"] == ["<unk>", "<unk>", "<eos>"]
    scores = first["log_probabilities"] + second["log_probabilities"]
    assert sum(scores) / 6 == pytest.approx(report["log_likelihood_per_token"])
    assert main(["score", model, str(text), "--tokens"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines[:4]] == [["the"], ["cat"], ["<eos>"], []]
    assert float(lines[0].split()[0]) == pytest.approx(scores[0], abs=5e-5)


def test_score_with_a_cache_says_which_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rnnkit import runtime

    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    report = answer(capsys, "score", model, text, "--cache", text)
    names = ("window", "theta", "weight")
    settings = {name: report[f"cache_{name}"] for name in names}
    plain = runtime.load(model).with_options(input="content")
    cache = runtime.NeuralCache(plain, **settings)
    assert report["perplexity"] == pytest.approx(cache.perplexity(TEXT.splitlines()))
    assert main(["score", model, text, "--cache", text]) == 0
    assert f"cache theta         {settings['theta']:g}" in capsys.readouterr().out


def test_several_files_and_packed_ones_are_one_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = folder / "text.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    once = answer(capsys, "score", model, text)
    twice = answer(capsys, "score", model, text, str(packed))
    assert twice["n_tokens"] == 2 * once["n_tokens"]


def test_standard_input_is_a_file_called_minus(
    folder: Path, capsys: pytest.CaptureFixture[str], run_python: RunPython
) -> None:
    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    from_file = answer(capsys, "score", model, text)
    piped = run_python("-m", "rnnkit", "score", model, "-", "--json", stdin=TEXT)
    assert piped.returncode == 0, piped.stderr
    assert json.loads(piped.stdout) == from_file


def test_progress_goes_to_standard_error_and_nothing_to_standard_output(
    folder: Path, run_python: RunPython, tmp_path: Path
) -> None:
    out = str(tmp_path / "m.rnn")
    result = run_python("-m", "rnnkit", "fit", "-", "-o", out, *FIT, stdin=TEXT)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert len([line for line in result.stderr.splitlines() if "epoch" in line]) == 2
    # The same text and seed from standard input: the same model.
    assert Path(out).read_bytes() == (folder / "cat.rnn").read_bytes()


def test_next_gives_the_likeliest_tokens_best_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "next", str(folder / "cat.rnn"), "the cat", "-k", "3")
    probabilities = [row["probability"] for row in found]
    assert len(found) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert main(["next", str(folder / "cat.rnn"), "the cat", "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [row["token"] for row in found]


def test_several_models_are_asked_as_one(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from rnnkit import runtime

    first, second = str(folder / "cat.rnn"), str(tmp_path / "other.rnn")
    assert main(["fit", str(folder / "text.txt"), "-o", second, *FIT[:-3], "7"]) == 0
    (found,) = answer(capsys, "next", first, "the", "-k", "1", "--with", second)
    ensemble = runtime.Ensemble([runtime.load(first), runtime.load(second)])
    token, probability = ensemble.predict_next("the", k=1)[0][0]
    assert (found["token"], found["probability"]) == (token, pytest.approx(probability))
    chars = str(tmp_path / "chars.rnn")
    argv = ["fit", str(folder / "text.txt"), "-o", chars, *FIT, "--tokenizer", "char"]
    assert main(argv) == 0
    assert main(["next", first, "the", "--with", chars]) == 1
    assert "model 1 has a vocabulary of" in capsys.readouterr().err


def test_whole_words_follow_and_half_typed_ones_are_completed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(folder / "cat.rnn")
    words = answer(capsys, "next", model, "the", "--words", "-k", "3")
    tokens = [row["token"] for row in answer(capsys, "next", model, "the", "-k", "9")]
    kept = [token for token in tokens if token not in ("<eos>", "<unk>")]
    assert [row["word"] for row in words] == kept[:3]
    completed = answer(capsys, "complete", model, "the c")
    assert completed == [{"word": "cat", "probability": 1.0}]
    assert main(["complete", model, "the c"]) == 0
    assert capsys.readouterr().out == "1.0000  cat\n"


def test_generate_repeats_itself_with_the_same_seed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["generate", str(folder / "cat.rnn"), "the", "--random-state", "3"]
    argv += ["--max-new-tokens", "5", "--temperature", "0.5"]
    first, second = answer(capsys, *argv), answer(capsys, *argv)
    assert first == second
    assert len(first["text"].split()) <= 5


def test_options_of_generate_are_those_of_its_settings() -> None:
    from rnnkit.runtime import GenerationConfig

    assert list(GENERATION) == [field.name for field in fields(GenerationConfig)]


def test_generate_gives_several_texts_and_keeps_to_its_options(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["generate", str(folder / "cat.rnn"), "the", "--num-beams", "4"]
    argv += ["--num-return-sequences", "3", "--bad-words", "sat", "--bad-words", "on"]
    texts = [row["text"] for row in answer(capsys, *argv, "--stop", "rug")]
    assert len(set(texts)) == 3
    assert not {"sat", "on", "rug"} & set(" ".join(texts).split())
    assert main(["generate", str(folder / "cat.rnn"), "--num-beams", "0"]) == 2
    assert "num_beams=0; allowed: a whole number >= 1" in capsys.readouterr().err


def test_info_tells_what_the_model_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = answer(capsys, "info", str(folder / "cat.rnn"))
    assert (facts["cell"], facts["hidden_size"], facts["n_iter"]) == ("lstm", 8, 2)


def test_parameters_reach_the_cell_and_the_tokenizer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "m.rnn")
    argv = ["fit", str(folder / "text.txt"), "-o", out, *FIT, "--cell", "rnn"]
    argv += ["--cell-param", "activation=relu", "--tokenizer-param", "max_features=3"]
    assert main(argv) == 0
    facts = answer(capsys, "info", out)
    assert (facts["cell"], facts["vocab_size"]) == ("rnn", 3 + 2)


def test_validation_text_is_watched(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = str(folder / "text.txt")
    out = str(tmp_path / "m.rnn")
    assert main(["fit", text, "--valid", text, "-o", out, *FIT]) == 0
    assert "perplexity" in capsys.readouterr().err


def test_list_of_plugins_and_doctor_answer_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {row["name"] for row in answer(capsys, "plugins", "list")}
    assert {"rnn", "lstm", "gru", "word", "byte"} <= names
    main(["doctor", "--json"])
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert {"instruction set", "threads", "OpenMP runtime", "numpy"} <= set(facts)


def test_a_cell_can_be_checked_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "gru"]) == 0
    assert capsys.readouterr().out.endswith(": fine\n")


# ------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["score", "{model}", "missing.txt"], 1, "missing.txt: No such file"),
        (["score", "missing.rnn", "{text}"], 1, "missing.rnn: No such file"),
        (["score", "{text}", "{text}"], 1, "text.txt: no model file"),
        (["next", "{model}", "the", "-k", "0"], 2, "k=0"),
        (["fit", "{text}", "-o", "m.rnn", "--hidden-size", "x"], 2, "hidden_size='x'"),
        (["fit", "{text}", "-o", "m.rnn", "--cell", "lstmm"], 2, "known: "),
        (["fit", "{text}", "-o", "/nowhere/m.rnn"], 2, "/nowhere/m.rnn"),
        (["fit", "{text}", "-o", "m.rnn", "--tokenizer", "none"], 2, "Python alone"),
        (["fit", "{empty}", "-o", "m.rnn"], 1, "no documents"),
        (["fit", "{binary}", "-o", "m.rnn"], 1, "not UTF-8"),
        (
            ["fit", "{text}", "-o", "m.rnn", "--cell-param", "bias=3"],
            2,
            "no parameter 'bias'",
        ),
        (["plugins", "check", "nothing"], 2, "'nothing'"),
    ],
)
def test_an_error_is_one_sentence_on_standard_error(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").write_text("")
    (folder / "binary").write_bytes(b"\xfa\xfb\xfc")
    names = {name: str(folder / name) for name in ("empty", "binary")}
    names |= {"model": str(folder / "cat.rnn"), "text": str(folder / "text.txt")}
    assert main([word.format(**names) for word in argv]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rnnkit: ") and err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize("argv", [[], ["fit"], ["nonsense"], ["fit", "a", "--cell"]])
def test_wrong_use_ends_with_two(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2


def test_commands_on_a_model_import_no_scikit_learn(
    folder: Path, run_python: RunPython
) -> None:
    model, text = str(folder / "cat.rnn"), str(folder / "text.txt")
    commands = [["score", model, text], ["next", model, "the"], ["info", model]]
    commands += [["generate", model, "the"], ["fit", "--help"], ["--help"]]
    code = (
        "import sys\nfrom rnnkit.cli import main\n"
        f"for argv in {commands!r}:\n"
        "    try:\n        assert main(argv) == 0\n"
        "    except SystemExit as ended:\n        assert ended.code == 0\n"
        "assert not {'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_a_reader_that_has_seen_enough_is_no_error(
    folder: Path, run_python: RunPython
) -> None:
    command = f"'{folder / 'cat.rnn'}' the | head -c 1"
    code = (
        "import subprocess, sys\n"
        f"shell = sys.executable + ' -m rnnkit next ' + {command!r}\n"
        "done = subprocess.run(shell, shell=True, capture_output=True, text=True)\n"
        "assert done.stderr == '', done.stderr\n"
    )
    assert run_python("-c", code).returncode == 0


def test_text_that_the_terminal_cannot_show_does_not_fail(
    tmp_path: Path, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("日本 語 ☃ の\n" * 20, "utf-8")
    model = str(tmp_path / "m.rnn")
    assert main(["fit", str(tmp_path / "text.txt"), "-o", model, *FIT]) == 0
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = run_python("-m", "rnnkit", "next", model)
    assert result.returncode == 0, result.stderr
    assert "\\u" in result.stdout


# ------------------------------------------------------------------------- the demo


def test_the_demo_runs_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--max-iter", "0"]) == 0
    out = capsys.readouterr().out
    for words in ("unigram, Witten-Bell", "bigram, Witten-Bell", "LSTM", "Next words"):
        assert words in out
