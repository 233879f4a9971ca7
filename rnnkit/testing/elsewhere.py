# SPDX-License-Identifier: BSD-3-Clause
"""A model file, run in a process where the package of its cell is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from rnnkit.storage.model_file import load_model
from rnnkit.testing.bench import Array, Batch, Bench

SECONDS = 120
CHILD = """
import sys
sys.path[:] = sys.argv[4:]
if sys.argv[3]:
    sys.modules[sys.argv[3]] = None
from rnnkit.testing import elsewhere
elsewhere.answer(sys.argv[1], sys.argv[2])
"""


def run_elsewhere(path: Path, module: str, isa: str | None = None) -> dict[str, Array]:
    """What `arrays_of` gives in a child process.

    Parameters
    ----------
    path : Path
        A model file; the answer is written beside it.
    module : str
        What the child must not import.
    isa : str, optional
        The instruction set of the child; that of this process by default.
    """
    package = module.partition(".")[0]
    hidden = "" if package in ("rnnkit", "__main__", "builtins") else package
    answer = path.with_suffix(".npz")
    environment = os.environ | {"RNNKIT_DISABLE_PLUGINS": "1"}
    environment |= {"RNNKIT_ISA": isa} if isa else {}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(answer), hidden, *sys.path],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS,
    )
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"status {child.returncode}"]
        raise AssertionError(f"the model could not be run: {lines[-1]}")
    with np.load(answer) as arrays:
        return dict(arrays)


def answer(path: str, answer: str) -> None:
    """Within the child: run the model and write what it gives."""
    np.savez(answer, **arrays_of(Path(path)))  # type: ignore[arg-type]


def arrays_of(path: Path) -> dict[str, Array]:
    """What a window gives, forward and backward, with the weights of a model file."""
    record = load_model(path)
    config = record.network.config
    bench = Bench(
        config.graphs,
        dtype=config.dtype,
        flags=True,
        tensors=list(record.network.values(record.weights).values()),
    )
    return dict(bench.run(Batch.random(flags=True)).items())
