# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints: a run that was broken off goes on as if it never had been, to the bit.

A checkpoint is one file in the container of model files (no pickle), written to a
temporary name and renamed. The last two are kept: should the newest be damaged, the
other one serves.
"""

import hashlib
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rnnkit.errors import CheckpointWarning, ModelFormatError, ParameterError
from rnnkit.storage.files import replace_file
from rnnkit.storage.safetensors import (
    FORMAT_VERSION,
    canonical_json,
    decode,
    encode,
    strict_json,
)

NAME = re.compile(r"checkpoint-(\d{9})\.safetensors")
KEPT = 2
SECONDS_BETWEEN = 600.0

Tensors = dict[str, np.ndarray]


class Resumable(Protocol):
    """What a checkpoint holds: arrays by name, and numbers as JSON knows them."""

    n_updates: int

    def snapshot(self) -> tuple[Tensors, dict[str, Any]]:
        """Return all that the next step depends on."""

    def restore(self, tensors: Tensors, numbers: dict[str, Any]) -> None:
        """Go on from there."""


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    identity : mapping of str to str
        What must be the same for a run to go on: settings, network, text.
    seconds : float, default=600
        Between two checkpoints within an epoch; the end of an epoch is always one.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        identity: Mapping[str, str],
        seconds: float = SECONDS_BETWEEN,
    ) -> None:
        self.folder = Path(folder)
        self._identity = dict(identity)
        self._seconds = seconds
        self._last = time.monotonic()

    def start(self) -> None:
        """Take the folder for a new run.

        Raises
        ------
        ParameterError
            It has checkpoints of another run, which would be lost.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if found := checkpoints_in(self.folder):
            raise ParameterError(
                f"checkpoint={str(self.folder)!r} has {found[-1].name} of an earlier "
                "run; resume=True goes on with it, or name an empty folder"
            )

    def resume(self, run: Resumable) -> bool:
        """Go on with the newest checkpoint that is whole; say whether there is one.

        Raises
        ------
        ParameterError
            The checkpoint belongs to a run of other settings or another text, or all
            that there are are damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for tensors, metadata in readable_checkpoints(self.folder):
            saved = strict_json(metadata["identity"], "identity")
            for name, value in self._identity.items():
                if saved.get(name) != value:
                    raise ParameterError(
                        f"resume: the run in {str(self.folder)!r} has another {name}: "
                        f"{saved.get(name)}, now {value}; call fit as it was called "
                        "then, or name an empty folder"
                    )
            run.restore(tensors, strict_json(metadata["numbers"], "numbers"))
            return True
        if found := checkpoints_in(self.folder):
            raise ParameterError(
                f"resume: none of the {len(found)} checkpoints in {str(self.folder)!r} "
                "can be read; name an empty folder to begin anew"
            )
        return False

    def save_if_due(self, run: Resumable) -> None:
        """Write a checkpoint when the last one is old enough."""
        if time.monotonic() - self._last >= self._seconds:
            self.save(run)

    def save(self, run: Resumable) -> None:
        """Write a checkpoint, and remove the oldest."""
        tensors, numbers = run.snapshot()
        metadata = {
            "format": "rnnkit",
            "format_version": str(FORMAT_VERSION),
            "kind": "checkpoint",
            "identity": canonical_json(self._identity),
            "numbers": canonical_json(numbers),
        }
        name = f"checkpoint-{run.n_updates:09}.safetensors"
        replace_file(self.folder / name, encode(tensors, metadata))
        for path in checkpoints_in(self.folder)[:-KEPT]:
            path.unlink(missing_ok=True)
        self._last = time.monotonic()


def seed_of_run(folder: str | os.PathLike[str]) -> int | None:
    """Return the seed of the run in a folder; None where there is none."""
    for _, metadata in readable_checkpoints(Path(folder)):
        seed: int = strict_json(metadata["numbers"], "numbers")["seed"]
        return seed
    return None


def readable_checkpoints(folder: Path) -> Iterator[tuple[Tensors, dict[str, str]]]:
    """Yield the checkpoints that are whole, newest first; warn of the others."""
    for path in reversed(checkpoints_in(folder)):
        try:
            tensors, metadata = decode(path.read_bytes())
            if metadata.get("kind") != "checkpoint":
                raise ModelFormatError("it is no checkpoint")
        except (OSError, ModelFormatError) as error:
            warnings.warn(
                f"{path} is passed over: {error}", CheckpointWarning, stacklevel=4
            )
            continue
        yield tensors, metadata


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name)


def fingerprint(*arrays: Any) -> str:
    """Return a short hash of arrays and texts."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(
            array.encode()
            if isinstance(array, str)
            else np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()[:16]
