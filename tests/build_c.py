# SPDX-License-Identifier: BSD-3-Clause
"""Build the C tests, without Python, setuptools or what they made."""

import os
import shlex
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[
    :1
]
# Those of setup.py.
FLAGS = [
    "-std=c11",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Wmissing-prototypes"]


def compile_object(source: Path, folder: Path, flags: list[str]) -> Path:
    """Compile one C file of the core, or one C test."""
    target = folder / f"{source.parent.name}_{source.stem}.o"
    include = ["-I", str(ROOT / "csrc"), "-I", str(ROOT / "tests" / "c")]
    command = [*COMPILER, *FLAGS, *WARNINGS, *flags, *include, "-c", str(source)]
    subprocess.run([*command, "-o", str(target)], check=True)
    return target


def build_tests(
    folder: Path, tests: list[str], units: list[str], flags: list[str]
) -> dict[str, Path]:
    """Build tests/c/test_<name>.c for each name, with the C files of `units` of csrc/.

    `flags` are given to the compiler and the linker. Returns the programs by name.
    """
    sources = [path for unit in units for path in (ROOT / "csrc" / unit).glob("*.c")]
    mains = [ROOT / "tests" / "c" / f"test_{name}.c" for name in tests]
    with ThreadPoolExecutor(2) as pool:
        objects = list(
            pool.map(lambda path: compile_object(path, folder, flags), mains + sources)
        )
    programs = {}
    for name, main in zip(tests, objects, strict=False):
        programs[name] = folder / f"test_{name}"
        core = [str(path) for path in objects[len(mains) :]]
        command = [*COMPILER, *flags, str(main), *core, "-lm"]
        subprocess.run([*command, "-o", str(programs[name])], check=True)
    return programs


def has_openmp(folder: Path) -> bool:
    """Whether the compiler takes -fopenmp and links it."""
    source = folder / "probe.c"
    source.write_text(
        "#include <omp.h>\nint main(void) { return omp_in_parallel(); }\n"
    )
    command = [*COMPILER, "-fopenmp", str(source), "-o", str(folder / "probe")]
    return subprocess.run(command, capture_output=True).returncode == 0


def run_test(program: Path, *arguments: str, isa: str | None = None) -> tuple[int, str]:
    """Run a test, under a cap or none: its exit status and what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "RNNKIT_ISA"}
    # The sanitizers stop a program that asks for more memory than can be.
    environment["ASAN_OPTIONS"] = "allocator_may_return_null=1"
    if isa:
        environment["RNNKIT_ISA"] = isa
    done = subprocess.run(
        [str(program), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout
