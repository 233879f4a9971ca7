# SPDX-License-Identifier: BSD-3-Clause
"""TensorFlow at the same training, in a process and an environment of its own."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
from environment import HERE, TENSORFLOW, python_of

from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import Tokens, Values


class KerasPeer:
    """A child that holds one Keras model and takes its samples by itself."""

    def __init__(
        self, cell: str, shape: Shape, values: Values, tokens: Tokens, *, n_threads: int
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._arrays = Path(self._folder.name, "arrays.npz")
        np.savez(
            self._arrays,
            **{"ids": tokens.ids, "targets": tokens.targets, **values},
        )
        self._log = Path(self._folder.name, "log.txt")
        with self._log.open("w") as log:  # it talks much; shown where it fails
            self._child = subprocess.Popen(
                [str(python_of(TENSORFLOW)), str(HERE / "keras_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        sizes = {"cell": cell, "shape": vars(shape), "n_threads": n_threads}
        self._ask("make", arrays=str(self._arrays), **sizes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()  # the end of its input ends it
        self._folder.cleanup()

    def train_step(self) -> float:
        """Forward, loss, backward, clip, update, over one window; return the loss."""
        return self._ask("train_step")["loss"]

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """Loss of the window and the gradient of every parameter by Keras's names."""
        loss = self._ask("gradients", arrays=str(self._arrays))["loss"]
        with np.load(self._arrays) as file:
            return loss, dict(file)

    def sample(self, sample_seconds: float) -> float:
        """Median seconds of the training steps that fit, after a warm one."""
        return self._ask("sample", sample_seconds=sample_seconds)["seconds"]

    def _ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        print(json.dumps([request, arguments]), file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            log = self._log.read_text("utf-8", "replace")
            raise RuntimeError(f"the TensorFlow process ended at {request!r}:\n{log}")
        return json.loads(answer)
