# SPDX-License-Identifier: BSD-3-Clause
"""A model as a C file: it needs nothing else, and predicts what Python predicts."""

import ctypes
import shutil
import subprocess
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_c_library import Error, Model, cells, run

import rnnkit
from rnnkit import RNNLanguageModel, c_library
from rnnkit.cli.main import main
from rnnkit.errors import NotBuiltError, ParameterError
from rnnkit.interchange.c_export import _words, export_c
from rnnkit.runtime import LanguageModel

TEXTS = ["the cat sat on the mat", "the dog sat, too.", "ein \u00fcber 3.14"] * 5
STRICT = ["-Wall", "-Wextra", "-Werror"]
# C, and C++ as well.
PROGRAM = """
#include "pets.h"
#include <stdio.h>
int main(void)
{
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error;
    int32_t ids[3];
    float log_p[3];
    if (pets_model(&model, &error) || rnnkit_stream_create(&stream, model, 1, &error) ||
        rnnkit_stream_feed_text(stream, "the", 3, &error) ||
        rnnkit_stream_top(stream, 3, ids, log_p, &error))
        return puts(error.text), 1;
    for (int i = 0; i < 3; i++)
        printf("%d %.9g\\n", (int)ids[i], (double)log_p[i]);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return 0;
}
"""
TWO_MODELS = """
#include "pets.h"
#include "letters.h"
#include <stdio.h>
int main(void)
{
    rnnkit_model *words = NULL, *letters = NULL;
    if (pets_model(&words, NULL) || letters_model(&letters, NULL))
        return 1;
    printf("%d %d\\n", (int)rnnkit_model_n_tokens(words),
           (int)rnnkit_model_n_tokens(letters));
    rnnkit_model_free(words);
    rnnkit_model_free(letters);
    return 0;
}
"""

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


def fitted(**options: Any) -> RNNLanguageModel:
    options = {
        "hidden_size": 7, "max_iter": 3, "alpha": 0.0, "random_state": 0
    } | options  # fmt: skip
    return RNNLanguageModel(n_threads=1, **options).fit(TEXTS)


def build(folder: Path, name: str, *options: str, compiler: str = "cc") -> str:
    """Compile in a folder; return the path of what was made."""
    subprocess.run([compiler, *options, "-o", name], cwd=folder, check=True)
    return str(folder / name)


def installed() -> list[str]:
    """Options that find the installed library, at run time too."""
    places = [f"-I{rnnkit.get_include()}", f"-L{rnnkit.get_lib()}"]
    return [*places, f"-Wl,-rpath,{rnnkit.get_lib()}", "-lrnnkit", "-lm"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: Any) -> tuple[RNNLanguageModel, Path]:
    folder = tmp_path_factory.mktemp("exported")
    lm = fitted(max_iter=10, learning_rate_init=0.02)
    lm.export_c(folder / "pets.c")
    return lm, folder


@pytest.fixture(scope="module")
def compiled(exported: tuple[RNNLanguageModel, Path]) -> str:
    return build(exported[1], "pets.o", "-std=c11", *STRICT, "-c", "pets.c")


@needs_cc
def test_the_file_alone_is_a_program(exported: tuple[RNNLanguageModel, Path]) -> None:
    lm, folder = exported
    alone = folder / "alone"
    alone.mkdir()
    shutil.copy(folder / "pets.c", alone)
    options = ["-std=c11", *STRICT, "-DPETS_MAIN", "pets.c", "-lm"]
    program = build(alone, "pets", *options)
    assert lm.generate("the", random_state=0)
    assert run([program, "the"]) == lm.generate("the", random_state=0) + "\n"
    refused = subprocess.run([program], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, "give a text\n")


@needs_cc
@pytest.mark.parametrize("compiler", ["cc", "c++"])
def test_programs_predict_with_it(
    exported: tuple[RNNLanguageModel, Path], compiled: str, compiler: str
) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    lm, folder = exported
    (folder / "program.c").write_text(PROGRAM)
    language = "c" if compiler == "cc" else "c++"
    sources = ["-x", language, "program.c", "-x", "none", compiled, "-lm"]
    output = run(
        [build(folder, language[1:] + "_", *STRICT, *sources, compiler=compiler)]
    )
    rows = [line.split() for line in output.splitlines()]
    expected = lm.predict_next("the", k=3)[0]
    assert [lm.vocabulary_[int(i)] for i, _ in rows] == [token for token, _ in expected]
    log_p = [float(value) for _, value in rows]
    assert np.allclose(log_p, np.log([p for _, p in expected]), rtol=0, atol=1e-5)


@needs_cc
def test_two_models_share_what_the_first_one_brings(
    exported: tuple[RNNLanguageModel, Path], compiled: str, tmp_path: Path
) -> None:
    letters = fitted(tokenizer="char")
    letters.export_c(tmp_path / "letters.c")
    exported[0].export_c(tmp_path / "pets.c")
    (tmp_path / "program.c").write_text(TWO_MODELS)
    sources = ["-DRNNKIT_LINKED", "program.c", "letters.c", compiled, "-lm"]
    sizes = [
        int(n) for n in run([build(tmp_path, "program", *STRICT, *sources)]).split()
    ]
    assert sizes == [len(exported[0].vocabulary_), len(letters.vocabulary_)]


@needs_cc
@pytest.mark.parametrize(
    ("tokenizer", "cell", "more"),
    [
        ("word", "mingru", {"num_layers": 2}),
        ("word", "peephole", {}),
        ("char", "gru", {"tie_weights": True}),
        ("byte", "rnn", {"dtype": "float64"}),
        ("whitespace", "lstm", {"head": "adaptive", "cutoffs": [4]}),
    ],
)
def test_models_predict_what_python_predicts(
    tokenizer: str, cell: str, more: dict[str, Any], tmp_path: Path
) -> None:
    lm = fitted(tokenizer=tokenizer, cell=cells()[cell], **more)
    lm.export_c(tmp_path / "some_Model2.c")
    assert_same_predictions(lm, lm.vocabulary_, tmp_path)


@needs_cc
def test_a_model_of_int8_predicts_what_python_predicts(tmp_path: Path) -> None:
    lm = fitted(hidden_size=40)
    model = lm.quantize()
    export_c(model, tmp_path / "some_Model2.c")
    assert_same_predictions(model, lm.vocabulary_, tmp_path)


def assert_same_predictions(
    model: RNNLanguageModel | LanguageModel, vocabulary: list[str], tmp_path: Path
) -> None:
    """What Python predicts, some_Model2.c predicts."""
    options = ["-DRNNKIT_LINKED", "-std=c11", *STRICT, "-O2", "-shared", "-fPIC"]
    path = build(tmp_path, "model.so", *options, "some_Model2.c", *installed())
    twin = Exported(ctypes.CDLL(path), "some_Model2_model")
    for prompt in ("", "the cat", "unknown \u00fcber words"):
        twin.c.rnnkit_stream_reset(twin.stream)
        twin.feed(prompt)
        ids, log_p = twin.top(5)
        expected = model.predict_next(prompt, k=5)[0]
        assert [vocabulary[i] for i in ids] == [token for token, _ in expected]
        logs = np.log([p for _, p in expected])
        assert np.allclose(log_p, logs, rtol=0, atol=1e-5)
    twin.close()


class Exported(Model):
    """A model that a C file has made, and a stream of it."""

    def __init__(self, library: ctypes.CDLL, function: str) -> None:
        self.c = library
        self.model, self.stream, self.error = c_void_p(), c_void_p(), Error()
        assert getattr(library, function)(byref(self.model), byref(self.error)) == 0
        self.call("stream_create", byref(self.stream), self.model, 1)


@needs_cc
def test_the_installed_library_is_found(root: Path, tmp_path: Path) -> None:
    lm = fitted()
    lm.save(tmp_path / "model.rnn")
    source = str(root / "examples" / "next_words.c")
    program = build(tmp_path, "program", "-std=c11", *STRICT, source, *installed())
    lines = run([program, str(tmp_path / "model.rnn"), "the cat"]).splitlines()
    expected = lm.predict_next("the cat", k=5)[0]
    assert [line.split("\t")[1] for line in lines[:5]] == [
        token for token, _ in expected
    ]
    assert {path.name for path in Path(rnnkit.get_lib()).iterdir()} == {
        "librnnkit.a", "librnnkit.so",
    }  # fmt: skip


def test_a_package_without_the_library_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(c_library, "_HERE", tmp_path)
    for ask in (rnnkit.get_include, rnnkit.get_lib, c_library.source):
        with pytest.raises(NotBuiltError, match="build_ext --inplace"):
            ask()


@pytest.mark.parametrize("n", [8, 16, 24, 33, 63, 64])
def test_the_words_are_the_bytes(n: int) -> None:
    data = np.random.default_rng(n).bytes(n)
    words = [int(word, 16) for word in _words(data).replace("\n", " ").split(",")[:-1]]
    restored = np.array(words, np.uint64).astype("<u8").tobytes()
    assert restored[:n] == data
    assert restored[n:] == bytes(-n % 8)


@pytest.mark.parametrize(
    "name",
    [
        "pets", "pets.h", "my-pets.c", "2pets.c", "_pets.c", "\u00fc.c", "rnnkit.c",
        "read.c", "rk_api.c",
    ],
)  # fmt: skip
def test_a_name_that_c_cannot_have_is_refused(
    exported: tuple[RNNLanguageModel, Path], name: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=r"the C file is .*as in 'pets\.c'"):
        exported[0].export_c(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_what_the_estimator_writes(
    exported: tuple[RNNLanguageModel, Path], tmp_path: Path, capsys: Any
) -> None:
    lm, folder = exported
    lm.save(tmp_path / "model.rnn")
    target = tmp_path / "pets.c"
    assert main(["export", str(tmp_path / "model.rnn"), "--c", str(target)]) == 0
    assert capsys.readouterr().out.split() == [
        "source", str(target), "header", str(tmp_path / "pets.h"),
    ]  # fmt: skip
    for name in ("pets.c", "pets.h"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
