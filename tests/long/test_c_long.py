# SPDX-License-Identifier: BSD-3-Clause
"""The C tests that take minutes: every float32, and each test under the sanitizers."""

import subprocess
from pathlib import Path

import pytest
from build_c import COMPILER, build_tests, has_openmp, run_test

UNITS = ["base", "kernels", "linalg"]
TESTS = ["base", "kernels", "linalg", "int8"]


def test_every_float_is_within_the_stated_ulp(tmp_path: Path) -> None:
    programs = build_tests(tmp_path, ["math"], UNITS, [])
    status, output = run_test(programs["math"], "all")
    print(output)
    assert status == 0, output


SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


# At -O0 other libraries have met errors of the compiler, on AVX-512 most of all.
@pytest.mark.parametrize("flags", [SANITIZE, ["-O0"]], ids=" ".join)
def test_c_tests_pass_when_compiled_otherwise(tmp_path: Path, flags: list[str]) -> None:
    probe = tmp_path / "empty.c"
    probe.write_text("int main(void) { return 0; }\n")
    command = [*COMPILER, *flags, str(probe), "-o", str(tmp_path / "empty")]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip(f"the compiler does not take {flags}")
    openmp = ["-fopenmp"] if has_openmp(tmp_path) else []
    programs = build_tests(tmp_path, TESTS, UNITS, [*flags, *openmp])
    for name in TESTS:
        for isa in [None] if name == "base" else ["baseline", "avx2", "avx512", "neon"]:
            status, output = run_test(programs[name], isa=isa)
            assert status in (0, 77), output
