# SPDX-License-Identifier: BSD-3-Clause
"""A wheel, built by pip, installed into an empty environment, at work."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

MEGABYTE = 1 << 20
TRAIN_AND_PREDICT = """
import rnnkit
lm = rnnkit.RNNLanguageModel(hidden_size=8, max_iter=3, random_state=0)
lm.fit(["the cat sat on the mat"] * 20).save("cat.rnn")
assert rnnkit.load("cat.rnn").predict_next("the") == lm.predict_next("the")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(root)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_is_small_and_holds_no_sources_of_c(wheel: Path) -> None:
    assert wheel.stat().st_size < 3 * MEGABYTE
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("py.typed") for name in names)
    assert not [n for n in names if n.endswith((".c", ".h", ".pyx", ".pxd"))]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"rnnkit"}


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    subprocess.run([python, "-c", TRAIN_AND_PREDICT], check=True, cwd=tmp_path)
    commands = ["doctor"], ["next", "cat.rnn", "the cat"], ["info", "cat.rnn"]
    for command in commands:
        subprocess.run([python, "-m", "rnnkit", *command], check=True, cwd=tmp_path)
