# SPDX-License-Identifier: BSD-3-Clause
"""Environments of their own for the peers: PyTorch and ONNX Runtime, and TensorFlow."""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = ROOT / ".venv-bench"
TENSORFLOW = ROOT / ".venv-bench-tf"
PLUGIN = ROOT / "plugins" / "rnnkit-lstm-variants"


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "bin" / "python"


def is_inside(environment: Path) -> bool:
    """Whether this process runs in it."""
    return Path(sys.prefix).resolve() == environment.resolve()


def make_peers() -> None:
    """Install PyTorch, ONNX Runtime, and rnnkit with its plugin from this folder.

    rnnkit itself is built again whenever its sources have changed.
    """
    peers, own = PEERS / ".peers", PEERS / ".rnnkit"
    if not peers.exists():
        _create(PEERS)
        needs = _output(ROOT / "tools" / "requirements.py", "build", "run").split()
        _pip(PEERS, *needs, "-r", str(HERE / "requirements.txt"))
        peers.touch()
    if not own.exists() or own.stat().st_mtime < _last_change():
        _pip(PEERS, "--no-build-isolation", "--no-deps", "--editable", str(ROOT))
        _pip(PEERS, "--no-build-isolation", "--no-deps", str(PLUGIN))
        own.touch()


def make_tensorflow() -> None:
    """Install TensorFlow."""
    made = TENSORFLOW / ".peers"
    if not made.exists():
        _create(TENSORFLOW)
        _pip(TENSORFLOW, "-r", str(HERE / "requirements-tensorflow.txt"))
        made.touch()


def tensorflow_version() -> str:
    """Name and version of what `make_tensorflow` has installed."""
    found = TENSORFLOW.glob("lib/*/site-packages/tensorflow[-_]*.dist-info")
    return min(path.name for path in found).removesuffix(".dist-info")


def _last_change() -> float:
    """When a source of the compiled modules, or of the plugin, was last written."""
    sources = [ROOT / "setup.py", ROOT / "pyproject.toml"]
    sources += (ROOT / "csrc").rglob("*.[ch]")
    sources += (ROOT / "rnnkit" / "core").glob("*.p[yx][xd]")
    sources += PLUGIN.rglob("*.py")
    return max(path.stat().st_mtime for path in sources)


def _create(environment: Path) -> None:
    print(f"making {environment.name}, once; this takes some minutes", file=sys.stderr)
    if not python_of(environment).exists():
        venv.create(environment, with_pip=True)


def _pip(environment: Path, *arguments: str) -> None:
    command = [str(python_of(environment)), "-m", "pip", "install", "--quiet"]
    subprocess.run([*command, *arguments], check=True)


def _output(script: Path, *arguments: str) -> str:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
