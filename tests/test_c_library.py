# SPDX-License-Identifier: BSD-3-Clause
"""The C library: what Python predicts, it predicts; what is wrong, it says."""

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_double, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_library import Error, Model, needs_make
from test_golden import GOLDEN, of_version

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.core import draw, uniform

ROOT = Path(__file__).parent.parent
TEXTS = ["the cat sat on the mat", "the dog sat, too.", "", "a\tb \u6eff ⛰ Don't 3.14"]
PROMPTS = ["", "the", "the cat sat", TEXTS[-1], "unknown \u00fcber words " * 20]

pytestmark = needs_make


@pytest.fixture(scope="module")
def folder(library_folder: Path) -> Path:
    return library_folder


def cells() -> dict[str, Any]:
    """Built-in cells by name, and two of packages that C knows nothing of."""
    folders = ["rnnkit-minimal-cells", "rnnkit-lstm-variants"]
    with pytest.MonkeyPatch.context() as patch:
        for name in folders:
            patch.syspath_prepend(str(ROOT / "plugins" / name))
        import rnnkit_lstm_variants
        import rnnkit_minimal_cells
    return {
        "rnn": "rnn",
        "lstm": "lstm",
        "gru": "gru",
        "mingru": rnnkit_minimal_cells.MinGRU(),
        "peephole": rnnkit_lstm_variants.Peephole(),
    }


CASES = [
    *[("word", cell, {}) for cell in cells()],
    ("char", "lstm", {"num_layers": 2, "tie_weights": True}),
    ("byte", "gru", {"dtype": "float64"}),
    ("whitespace", "rnn", {}),
    ("char", "mingru", {"head": "adaptive", "cutoffs": [4, 9]}),
    ("word", "gru", {"head": "sampled", "n_samples": 5}),
    ("word", "lstm", {"zoneout": {"h": 0.5, "c": 0.25}, "num_layers": 2}),
    ("char", "gru", {"projection": True, "embedding_size": 5, "tie_weights": True}),
    ("word", "mingru", {"projection": True, "zoneout": 0.5, "dtype": "float64"}),
    ("word", "lstm", {"int8": True, "num_layers": 2}),
    ("char", "peephole", {"int8": True, "tie_weights": True}),
    ("char", "gru", {"int8": True, "head": "adaptive", "cutoffs": [4, 9]}),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda c: f"{c[0]}-{c[1]}-{[*c[2]]}")
def pair(
    request: pytest.FixtureRequest, library: ctypes.CDLL, tmp_path_factory: Any
) -> Iterator[tuple[RNNLanguageModel, Model]]:
    """A model as Python has it, and as C has loaded it."""
    tokenizer, cell, more = request.param
    int8 = more.get("int8", False)
    more = {name: value for name, value in more.items() if name != "int8"}
    options = {"hidden_size": 7, "max_iter": 3, "random_state": 0, "n_threads": 1}
    lm = RNNLanguageModel(
        cell=cells()[cell], tokenizer=tokenizer, **options, **more
    ).fit(TEXTS)
    path = tmp_path_factory.mktemp("models") / "model"
    (lm.quantize() if int8 else lm).save(path)
    twin = Model(library, path.read_bytes())
    yield rnnkit.load(path) if int8 else lm, twin
    twin.close()


def test_next_tokens_and_scores_are_those_of_python(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    for prompt in PROMPTS:
        twin.c.rnnkit_stream_reset(twin.stream)
        twin.feed(prompt)
        ids, log_p = twin.top(5)
        expected = lm.predict_next(prompt, k=5)[0]
        size = c_size_t()
        for i, (token, _) in zip(ids, expected, strict=True):
            text = twin.c.rnnkit_model_token(twin.model, i, byref(size))
            assert ctypes.string_at(text, size.value).decode() == token
            data = token.encode()
            found = twin.c.rnnkit_model_find(twin.model, data, c_size_t(len(data)))
            assert found == i
        assert np.allclose(np.exp(log_p), [p for _, p in expected], atol=1e-6)
        total, n, data = c_double(), c_size_t(), prompt.encode()
        score = ("stream_score_text", twin.stream, data, c_size_t(len(data)))
        twin.call(*score, byref(total), byref(n))
        assert abs(total.value / n.value - lm.score([prompt])) < 1e-5


def test_texts_become_the_same_ids_and_back(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    lm, twin = pair
    for text in PROMPTS:
        ids = lm.tokenizer_.encode(text).tolist()
        assert twin.encode(text) == ids
        assert twin.decode(ids) == lm.tokenizer_.decode(ids)


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 3}, {"top_p": 0.5}, {"temperature": 0.25}]
)
def test_a_seed_draws_what_it_draws_in_python(
    pair: tuple[RNNLanguageModel, Model], options: dict[str, Any]
) -> None:
    lm, twin = pair
    for seed in range(3):
        twin.c.rnnkit_stream_reset(twin.stream)
        twin.feed("the")
        ids = twin.generate(seed=seed, **options)
        expected = lm.generate("the", random_state=seed, max_new_tokens=20, **options)
        assert twin.decode(ids) == expected


def test_a_state_can_be_copied_and_saved(pair: tuple[RNNLanguageModel, Model]) -> None:
    _, twin = pair
    other = c_void_p()
    twin.call("stream_create", byref(other), twin.model, 1)
    size = twin.c.rnnkit_stream_state_size(twin.stream)
    room = ctypes.create_string_buffer(size)
    for ask_first in (False, True):
        twin.c.rnnkit_stream_reset(twin.stream)
        twin.feed("the cat")
        if ask_first:
            twin.top(1)
        twin.call("stream_save_state", twin.stream, room, c_size_t(size))
        twin.call("stream_copy", other, twin.stream)
        expected = twin.top(3)
        twin.feed(" sat")
        assert twin.top(3) != expected
        twin.call("stream_copy", twin.stream, other)
        assert twin.top(3) == expected
        twin.feed(" sat")
        twin.call("stream_load_state", twin.stream, room, c_size_t(size))
        assert twin.top(3) == expected
    room[0] = bytes([room.raw[0] ^ 1])
    with pytest.raises(ValueError, match="another model"):
        twin.call("stream_load_state", twin.stream, room, c_size_t(size))
    with pytest.raises(ValueError, match="takes"):
        twin.call("stream_load_state", twin.stream, room, c_size_t(size - 1))
    twin.c.rnnkit_stream_free(other)


def test_what_is_wrong_is_said(pair: tuple[RNNLanguageModel, Model]) -> None:
    lm, twin = pair
    for ids in ([-1], [0, len(lm.vocabulary_)]):
        with pytest.raises(ValueError, match="allowed are 0 to"):
            twin.call(
                "stream_feed", twin.stream, (c_int32 * 2)(*ids), c_size_t(len(ids))
            )
    with pytest.raises(ValueError, match="k is 0"):
        twin.top(0)
    if lm.tokenizer != "byte":
        with pytest.raises(ValueError, match="not UTF-8"):
            twin.call("stream_feed_text", twin.stream, b"a\xff", c_size_t(2))
    with pytest.raises(ValueError, match="temperature"):
        twin.generate(temperature=-1.0)


FUNCTION = re.compile(r"RNNKIT_API (rnnkit_status |[^;(]*?)(rnnkit_\w+)\(([^)]*)\);")


def test_null_is_refused_or_allowed_but_never_read(library: ctypes.CDLL) -> None:
    header = (ROOT / "include" / "rnnkit.h").read_text("utf-8")
    twin = Model(library, (GOLDEN / "v2-lstm-word.rnn").read_bytes())
    functions = FUNCTION.findall(header)
    assert len(functions) >= 28
    for result, name, text in functions:
        if name == "rnnkit_budget_init":
            continue
        arguments = [argument.strip() for argument in text.split(",")]
        handle = {"rnnkit_m": twin.model, "rnnkit_s": twin.stream}[name[:8]]
        for first in (None, handle):
            if first and ("**" in arguments[0] or name.endswith("_free")):
                continue
            rest = [None if "*" in argument else 1 for argument in arguments[1:]]
            found = getattr(library, name)(first, *rest)
            if result == "rnnkit_status ":
                allowed = first and name == "rnnkit_stream_top"
                assert found == (0 if allowed else 2), name
            elif not first:
                assert found in (0, -1, None) or name.endswith(("_free", "_reset"))
    twin.close()


def test_an_allocator_without_a_function_is_refused(library: ctypes.CDLL) -> None:
    model, error, nothing = c_void_p(), Error(), (c_void_p * 3)()
    load = library.rnnkit_model_load_in
    assert load(byref(model), c_char_p(b"model.rnn"), nothing, byref(error)) == 2
    assert b"NULL" in error.text


def test_too_many_threads_are_refused_at_once(
    pair: tuple[RNNLanguageModel, Model],
) -> None:
    other = c_void_p()
    with pytest.raises(ValueError, match="n_threads is 513; it must be at most 512"):
        pair[1].call("stream_create", byref(other), pair[1].model, 513)
    assert not other


def test_a_file_that_is_none_is_refused(library: ctypes.CDLL, tmp_path: Path) -> None:
    model, error = c_void_p(), Error()
    path = str(tmp_path / "nothing").encode()
    assert library.rnnkit_model_load(byref(model), c_char_p(path), byref(error)) == 4
    assert b"there is no file" in error.text and not model
    path = str(tmp_path).encode()
    assert library.rnnkit_model_load(byref(model), c_char_p(path), byref(error)) == 4
    assert b"cannot be read" in error.text and not model
    assert (
        library.rnnkit_model_read(byref(model), b"{}", c_size_t(2), byref(error)) == 3
    )
    assert b"too few" in error.text and not model


def test_a_model_of_ids_has_no_texts(library: ctypes.CDLL, tmp_path: Path) -> None:
    lm = RNNLanguageModel(tokenizer=None, hidden_size=3, max_iter=1, random_state=0)
    lm.fit([[0, 1, 2], [2, 1]]).save(tmp_path / "model")
    data = b" " + (tmp_path / "model").read_bytes()  # no longer aligned
    twin = Model(library, data[1:])
    assert twin.c.rnnkit_model_has_text(twin.model) == 0
    with pytest.raises(ValueError, match="reads ids"):
        twin.feed("a")
    twin.call("stream_feed", twin.stream, (c_int32 * 2)(0, 1), c_size_t(2))
    expected = lm.predict_next([0, 1], k=3)[0]
    ids, log_p = twin.top(3)
    assert [str(i) for i in ids] == [
        str(token).replace("<eos>", "3") for token, _ in expected
    ]
    assert np.allclose(np.exp(log_p), [p for _, p in expected], atol=1e-6)
    twin.close()


# ------------------------------------------------------------------------- programs


@pytest.fixture(scope="module")
def program(folder: Path) -> dict[str, Path]:
    """The examples, built as their first lines say."""
    built = {}
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{folder}/include", f"-L{folder}/lib"]
    flags += [f"-Wl,-rpath,{folder}/lib"]
    for compiler, suffix, standard in (("cc", "c", "-std=c11"), ("c++", "cpp", "-O1")):
        if not shutil.which(compiler):
            continue
        built[suffix] = folder / f"next_words_{suffix}"
        source = ROOT / "examples" / f"next_words.{suffix}"
        command = [compiler, standard, *flags, str(source), "-lrnnkit", "-lm"]
        subprocess.run([*command, "-o", str(built[suffix])], check=True)
    return built


@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any) -> tuple[RNNLanguageModel, Path]:
    path = tmp_path_factory.mktemp("model") / "model.rnn"
    lm = RNNLanguageModel(hidden_size=9, max_iter=5, random_state=0, n_threads=1)
    lm.fit(TEXTS * 5).save(path)
    return lm, path


def run(program: list[str]) -> str:
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def test_the_c_example_says_what_python_says(
    program: dict[str, Path], trained: tuple[RNNLanguageModel, Path]
) -> None:
    lm, path = trained
    *lines, last = run([str(program["c"]), str(path), "the cat"]).splitlines()
    expected = lm.predict_next("the cat", k=5)[0]
    assert [line.split("\t")[1] for line in lines] == [token for token, _ in expected]
    log_p = [float(line.split("\t")[0]) for line in lines]
    assert np.allclose(log_p, np.log([p for _, p in expected]), atol=1e-5)
    total, n = float(last.split()[0]), int(last.split()[-2])
    assert abs(total / n - lm.score(["the cat"])) < 1e-5


def test_the_cpp_example_writes_what_python_writes(
    program: dict[str, Path], trained: tuple[RNNLanguageModel, Path]
) -> None:
    if "cpp" not in program:
        pytest.skip("there is no C++ compiler")
    lm, path = trained
    written = run([str(program["cpp"]), str(path), "the"])
    assert written == lm.generate("the", random_state=0) + "\n"


def test_valgrind_finds_nothing(
    program: dict[str, Path], trained: tuple[RNNLanguageModel, Path]
) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    flags = [
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,possible",
    ]
    run(["valgrind", *flags, str(program["c"]), str(trained[1]), "the cat"])


def test_pkg_config_finds_the_library(folder: Path) -> None:
    tool = shutil.which("pkg-config")
    if tool is None:
        pytest.skip("pkg-config is not installed")
    where = {"PKG_CONFIG_PATH": str(folder / "lib" / "pkgconfig")}

    def ask(*options: str) -> str:
        command = [tool, *options, "rnnkit"]
        return subprocess.run(
            command, env=where, capture_output=True, text=True, check=True
        ).stdout

    assert ask("--modversion").strip() == rnnkit.__version__
    assert ask("--cflags").strip() == f"-I{folder}/include"
    assert "-lrnnkit" in ask("--libs")


def test_other_flags_compile_again(tmp_path: Path) -> None:
    target = tmp_path / "base" / "memory.o"

    def make(flags: str) -> int:
        command = ["make", "-s", f"OBJ={tmp_path}", f"CFLAGS={flags}", str(target)]
        subprocess.run(command, cwd=ROOT, check=True)
        return target.stat().st_mtime_ns

    times = [make(flags) for flags in ("-O0", "-O0", "-O0 -DRNNKIT_PORTABLE")]
    assert times[0] == times[1] < times[2]


def test_only_names_of_rnnkit_are_exported(folder: Path) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    library = str(folder / "lib" / "librnnkit.so")
    names = {
        line.split()[-1]
        for line in run([nm, "-D", "--defined-only", library]).splitlines()
    }
    assert "rnnkit_model_load" in names
    assert all(name.startswith("rnnkit_") for name in names)


# --------------------------------------------------------------------- golden files


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.rnn")), ids=lambda p: p.stem)
def test_a_golden_file_predicts_as_on_the_day_it_was_written(
    library: ctypes.CDLL, path: Path
) -> None:
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    twin = Model(library, path.read_bytes())
    n_tokens = twin.c.rnnkit_model_n_tokens(twin.model)
    for prompt, wanted in zip(
        expected["prompts"], expected["probabilities"], strict=True
    ):
        twin.c.rnnkit_stream_reset(twin.stream)
        if isinstance(prompt, str):
            twin.feed(prompt)
        else:
            ids = (c_int32 * len(prompt))(*prompt)
            twin.call("stream_feed", twin.stream, ids, c_size_t(len(prompt)))
        ids, log_p = twin.top(n_tokens)
        found = np.empty(n_tokens)
        found[ids] = np.exp(log_p)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-8)
    twin.close()


def test_a_file_is_what_its_bytes_are_however_they_lie(library: ctypes.CDLL) -> None:
    path = GOLDEN / "v2-lstm-solver.rnn"
    data = path.read_bytes()
    room = ctypes.create_string_buffer(len(data) + 8)
    at = ctypes.addressof(room)
    expected = Model(library, data)
    for shift in range(8):
        ctypes.memmove(at + shift, data, len(data))
        model, error = c_void_p(), Error()
        assert not library.rnnkit_model_read(
            byref(model), c_void_p(at + shift), c_size_t(len(data)), byref(error)
        )
        library.rnnkit_model_free(model)
    twin = Model(library, data)
    library.rnnkit_stream_free(twin.stream)
    library.rnnkit_model_free(twin.model)
    twin.call("model_load", byref(twin.model), c_char_p(str(path).encode()))
    twin.call("stream_create", byref(twin.stream), twin.model, 1)
    assert twin.top(5) == expected.top(5)
    twin.close()
    expected.close()


def test_a_file_of_a_newer_version_is_refused_by_name(library: ctypes.CDLL) -> None:
    with pytest.raises(ValueError, match=r"version 3, .*install a newer rnnkit"):
        Model(library, of_version(GOLDEN / "v2-lstm-word.rnn", "3"))


# ------------------------------------------------------------------------- sampling


def test_draws_are_those_of_a_plain_reading() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 40))
        scores = np.round(rng.normal(size=n), 1)  # with ties
        u, k, p = rng.random(), int(rng.integers(0, n + 2)), rng.choice([0.0, 0.3, 1.0])
        temperature = rng.choice([0.0, 0.5, 1.0])
        order = np.argsort(-scores, kind="stable")[: k or n]
        if temperature == 0.0:
            order = order[:1]
        shares = np.exp((scores[order] - scores[order[0]]) / (temperature or 1.0))
        sums = np.cumsum(shares)
        if p < 1.0:
            sums = sums[: 1 + np.searchsorted(sums, p * sums[-1])]
        rank = min(np.searchsorted(sums, u * sums[-1], side="right"), len(sums) - 1)
        token = draw(scores, u, temperature=temperature, top_k=k, top_p=p)
        assert token == order[rank]


def test_nothing_but_numbers_that_are_none_can_be_drawn_from() -> None:
    assert 0 <= draw(np.full(5, np.nan), 0.5) < 5
    assert 0 <= draw(np.full(5, -np.inf), 0.5) < 5


@pytest.mark.parametrize("key", [(0, 0), (7, 1 << 32), (2**64 - 1, 3)])
def test_uniform_numbers_are_those_of_numpy(key: tuple[int, int]) -> None:
    source = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
    expected = source.random(30).tolist()
    assert [uniform(*key, i) for i in range(30)] == expected
