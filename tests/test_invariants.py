# SPDX-License-Identifier: BSD-3-Clause
"""What must stay true of the sources and of the built modules (ARCHITECTURE.md)."""

import ast
import importlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


def c_files(root: Path) -> Iterator[Path]:
    yield from sorted((root / "csrc").rglob("*.[ch]"))


def without_comments(text: str) -> str:
    """C code with its comments blanked; strings stay."""
    pattern = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//[^\n]*'
    return re.sub(
        pattern, lambda m: " " if m[0].startswith("/") else m[0], text, flags=re.DOTALL
    )


def called(text: str) -> set[str]:
    """Names of C code that are called, and the streams, which are only named."""
    code = re.sub(r'"(?:\\.|[^"\\])*"', '""', without_comments(text))
    return set(re.findall(r"[A-Za-z_]\w*(?=\s*\()|\bstdout\b|\bstderr\b", code))


def callers_of(root: Path, words: str, allowed: str = "") -> list[str]:
    """Files of csrc/, but for the allowed one, that call one of the words."""
    return [
        f"{path.relative_to(root)}: {sorted(found)}"
        for path in c_files(root)
        if path.relative_to(root / "csrc").as_posix() != allowed
        and (found := set(words.split()) & called(path.read_text("utf-8")))
    ]


def registered_cells(root: Path) -> set[str]:
    """The names of all cells, the plugins' in this repository too."""
    names: set[str] = set()
    for path in [root / "pyproject.toml", *root.glob("plugins/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        names |= set(project.get("entry-points", {}).get("rnnkit.cells", {}))
    return names


def test_the_scan_reads_code_not_comments() -> None:
    text = '/* exit(1) */ f (a); // abort()\nputs("free( /* text */"); stderr;'
    assert called(text) == {"f", "puts", "stderr"}


def test_csrc_is_plain_c_without_python(root: Path) -> None:
    found = [
        str(path)
        for path in c_files(root)
        if re.search(r"#\s*include\s*[<\"](Python|numpy/)", path.read_text("utf-8"))
    ]
    assert not found


def test_c_knows_no_cell_by_name(root: Path) -> None:
    cells = registered_cells(root)
    assert {"rnn", "lstm", "gru"} <= cells
    found = []
    for path in c_files(root):
        text = without_comments(path.read_text("utf-8"))
        text = text.replace('"rnn.', '"')  # PyTorch's prefix of all layers' tensors
        words = re.findall(r"\w+", text)
        parts = {part.lower() for word in words for part in word.split("_")}
        if cells & parts:
            found.append(f"{path.relative_to(root)}: {sorted(cells & parts)}")
    assert not found, "\n".join(found)


def test_c_never_prints_and_never_ends_the_process(root: Path) -> None:
    printing = "printf fprintf vprintf vfprintf puts fputs putchar perror stdout stderr"
    ending = " exit _exit quick_exit abort raise assert longjmp"
    assert not callers_of(root, printing + ending)


def test_memory_is_asked_for_in_one_file(root: Path) -> None:
    words = "malloc calloc realloc free aligned_alloc posix_memalign mmap alloca strdup"
    assert not callers_of(root, words, allowed="base/memory.c")


def test_the_environment_is_read_in_one_file(root: Path) -> None:
    assert not callers_of(root, "getenv secure_getenv", allowed="base/cpu.c")


def test_openmp_is_known_to_one_file(root: Path) -> None:
    found = [
        str(path)
        for path in c_files(root)
        if path.relative_to(root / "csrc").as_posix() != "base/threads.c"
        and re.search(
            r"omp\.h|#\s*pragma\s+omp|\bomp_\w+|_OPENMP",
            without_comments(path.read_text("utf-8")),
        )
    ]
    assert not found


def nogil_blocks(text: str) -> list[list[str]]:
    """Statements of each `with nogil:` block, their continuation lines left out."""
    found = re.findall(r"^( *)with nogil:\n((?:\1    .*\n)+)", text, re.MULTILINE)
    return [
        [line for line in body.splitlines() if line[len(indent) + 4] != " "]
        for indent, body in found
    ]


@pytest.mark.parametrize("name", ["_core", "_text"])
def test_the_bridge_computes_nothing(root: Path, name: str) -> None:
    text = (root / "rnnkit" / "core" / f"{name}.pyx").read_text("utf-8")
    assert not re.search(r"\bprange\b|^\s*while\b", text, re.MULTILINE)
    # The GIL is taken in two places: the poll, for signals, and to read a file.
    taker = re.compile(r"^cdef .*?(\w+)\([^()]*\) noexcept with gil:", re.MULTILINE)
    takers = taker.findall(text)
    assert len(re.findall(r"\bwith gil\b", text)) == len(takers)
    assert takers == (["poll", "read_from_file"] if name == "_core" else [])
    # Without the GIL there is one call, and nothing else.
    blocks = nogil_blocks(text)
    assert blocks
    for statements in blocks:
        assert len(statements) == 1
        assert re.match(r"\s*(\w+ = )?(rk\.)?rk_\w+\(", statements[0]), statements[0]


def dangerous(tree: ast.AST) -> Iterator[str]:
    """Imports of modules that run what they read, and calls of eval, exec, compile."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {str(node.module)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = {node.func.id}
        else:
            continue
        yield from names & {"pickle", "marshal", "shelve", "eval", "exec", "compile"}


def test_nothing_in_the_package_can_run_what_a_file_says(root: Path) -> None:
    assert [*dangerous(ast.parse("import pickle\neval('1')"))] == ["pickle", "eval"]
    found = {
        str(path): names
        for path in sorted((root / "rnnkit").rglob("*.py"))
        # The checks for authors pickle what they are given, and read nothing else.
        if path.relative_to(root / "rnnkit").parts[0] != "testing"
        and (names := [*dangerous(ast.parse(path.read_text("utf-8")))])
    }
    assert not found


def test_runtime_imports_numpy_alone(run_python: RunPython) -> None:
    code = (
        "import sys, rnnkit.runtime\n"
        "roots = {name.split('.')[0] for name in sys.modules}\n"
        "print(*roots & {'sklearn', 'scipy', 'joblib'})"
    )
    result = run_python("-c", code)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


def test_importing_the_package_is_light(run_python: RunPython) -> None:
    code = (
        "import sys, rnnkit\n"
        "heavy = {'numpy', 'sklearn', 'importlib.metadata', 'rnnkit.core._core'}\n"
        "print(*heavy & set(sys.modules))"
    )
    result = run_python("-c", code)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


@pytest.mark.parametrize("name", ["_core", "_text"])
def test_the_extension_exports_only_its_init_and_rnnkit_names(name: str) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    module = importlib.import_module(f"rnnkit.core.{name}")
    assert module.__file__ is not None
    lines = subprocess.run(
        [nm, "-D", "--defined-only", module.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    exported = {line.split()[-1] for line in lines}
    assert f"PyInit_{name}" in exported
    assert {s for s in exported if not s.startswith(("PyInit_", "rnnkit_"))} == set()
