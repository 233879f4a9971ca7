# SPDX-License-Identifier: BSD-3-Clause
"""The C tests of base, kernels and linalg, each under each instruction set."""

from pathlib import Path

import pytest
from build_c import build_tests, has_openmp, run_test

UNITS = ["base", "kernels", "linalg"]
KERNELS = ["kernels", "linalg", "int8"]
NOT_HERE = 77  # what check.h exits with when the machine lacks the instruction set


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("c")
    flags = ["-fopenmp"] if has_openmp(folder) else []
    return build_tests(folder, ["base", *KERNELS, "math"], UNITS, flags)


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "neon"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_equal_their_scalar_twins(
    programs: dict[str, Path], name: str, isa: str
) -> None:
    status, output = run_test(programs[name], isa=isa)
    if status == NOT_HERE:
        pytest.skip(f"this machine has no {isa}")
    assert status == 0, output
    assert output.startswith(isa)


def test_the_base_keeps_its_promises(programs: dict[str, Path]) -> None:
    status, output = run_test(programs["base"])
    assert status == 0, output


def test_the_base_needs_no_openmp(tmp_path: Path) -> None:
    programs = build_tests(tmp_path, ["base"], ["base"], [])
    status, output = run_test(programs["base"])
    assert status == 0, output
    assert output.startswith("none")


def test_every_257th_float_is_within_the_stated_ulp(programs: dict[str, Path]) -> None:
    status, output = run_test(programs["math"])
    assert status == 0, output


def test_plain_c_computes_as_exactly(tmp_path: Path) -> None:
    flags = ["-DRNNKIT_PORTABLE", "-pedantic-errors", "-Werror"]
    names = ["kernels", "linalg", "math"]  # denormals, which base looks at, remain
    for name, program in build_tests(tmp_path, names, UNITS, flags).items():
        status, output = run_test(program, isa="baseline")
        assert status == 0, f"{name}: {output}"
