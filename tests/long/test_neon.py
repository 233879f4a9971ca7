# SPDX-License-Identifier: BSD-3-Clause
"""NEON, cross-compiled and run under qemu, where both are installed.

On Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user.
"""

import shutil
import subprocess

import build_c
import pytest

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
UNITS = ["base", "kernels", "linalg"]


@pytest.mark.parametrize("name", ["kernels", "linalg", "int8"])
def test_kernels_for_neon_equal_their_scalar_twins(name, tmp_path, monkeypatch):
    for program in (COMPILER, EMULATOR):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    monkeypatch.setattr(build_c, "COMPILER", [COMPILER])
    programs = build_c.build_tests(tmp_path, [name], UNITS, ["-static"])
    done = subprocess.run(
        [EMULATOR, str(programs[name])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("neon: ")
    assert done.stdout.rstrip().endswith(" 0 failed")
