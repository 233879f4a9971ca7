# SPDX-License-Identifier: BSD-3-Clause
"""The C library: what Python predicts, it predicts; what is wrong, it says."""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnkit
from rnnkit import RNNLanguageModel
from rnnkit.core import draw, uniform

ROOT = Path(__file__).parent.parent
TEXTS = ["the cat sat on the mat", "the dog sat, too.", "", "a\tb \u6eff ⛰ Don't 3.14"]
PROMPTS = ["", "the", "the cat sat", TEXTS[-1], "unknown \u00fcber words " * 20]

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="there is no make"
)


class Error(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char * 256),)


class Generation(ctypes.Structure):
    _fields_ = (
        ("max_new_tokens", c_size_t),
        ("temperature", c_double),
        ("top_k", c_size_t),
        ("top_p", c_double),
        ("seed", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library has been built."""
    folder = tmp_path_factory.mktemp("library")
    places = [f"LIB={folder}", f"OBJ={folder}/obj", f"PREFIX={folder}/installed"]
    command = ["make", "-s", "-j2", "install-lib", "CFLAGS=-O1 -w", *places]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder / "installed"


@pytest.fixture(scope="module")
def library(folder: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(folder / "lib" / "librnnkit.so"))
    library.rnnkit_model_token.restype = c_void_p
    library.rnnkit_stream_state_size.restype = c_size_t
    return library


class Model:
    """A model that the C library has loaded, and a stream of it."""

    def __init__(self, library: ctypes.CDLL, data: bytes) -> None:
        self.c = library
        self.model, self.stream = c_void_p(), c_void_p()
        self.error = Error()
        self.call("model_read", byref(self.model), data, c_size_t(len(data)))
        self.call("stream_create", byref(self.stream), self.model, 1)

    def call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.c, f"rnnkit_{name}")(*arguments, byref(self.error))
        if status:
            raise ValueError(status, self.error.text.decode())

    def close(self) -> None:
        self.c.rnnkit_stream_free(self.stream)
        self.c.rnnkit_model_free(self.model)

    def feed(self, text: str) -> None:
        data = text.encode()
        self.call("stream_feed_text", self.stream, data, c_size_t(len(data)))

    def top(self, k: int) -> tuple[list[int], list[float]]:
        ids, log_p = (c_int32 * k)(), (c_float * k)()
        self.call("stream_top", self.stream, c_size_t(k), ids, log_p)
        return list(ids), list(log_p)

    def encode(self, text: str) -> list[int]:
        data, n = text.encode(), c_size_t()
        ids = (c_int32 * (len(data) + 1))()
        size = c_size_t(len(data))
        self.call("model_encode", self.model, data, size, ids, size, byref(n))
        return list(ids[: n.value])

    def decode(self, ids: list[int]) -> str:
        room, n = ctypes.create_string_buffer(4096), c_size_t()
        array, size = (c_int32 * len(ids))(*ids), c_size_t(len(ids))
        self.call(
            "model_decode", self.model, array, size, room, c_size_t(4096), byref(n)
        )
        return room.raw[: n.value].decode()

    def generate(self, **options: Any) -> list[int]:
        how = Generation(
            **{"max_new_tokens": 20, "temperature": 1, "top_p": 1} | options
        )
        ids, n = (c_int32 * how.max_new_tokens)(), c_size_t()
        self.call("stream_generate", self.stream, byref(how), ids, byref(n))
        return list(ids[: n.value])


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


def test_a_file_that_is_none_is_refused(library: ctypes.CDLL, tmp_path: Path) -> None:
    model, error = c_void_p(), Error()
    path = str(tmp_path / "nothing").encode()
    assert library.rnnkit_model_load(byref(model), c_char_p(path), byref(error)) == 4
    assert b"there is no file" in error.text and not model
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
