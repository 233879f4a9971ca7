# SPDX-License-Identifier: BSD-3-Clause
"""The child of `memory`: trains three steps and prints its memory in MB as JSON."""

import json
import resource
import sys
from pathlib import Path

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import Workload, uniform_tokens

CELL = "lstm"
STEPS = 3


def peak_mb() -> float:
    """The largest memory this process has had.

    Linux counts that of the parent into `ru_maxrss` of a child that it starts, so what
    it says of this program alone is taken.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def work_of(engine: str, shape: Shape, solver: str, n_threads: int) -> object:
    """An engine with weights of its own drawing, ready to train."""
    tokens = uniform_tokens(shape)
    if engine == "rnnkit":
        cell = plugins.make_cell(CELL)
        return Workload(cell, shape, n_threads=n_threads, tokens=tokens, solver=solver)
    from peer_torch import LAYERS, TorchPeer

    peer = TorchPeer(
        LAYERS[CELL], shape, None, tokens, n_threads=n_threads, solver=solver
    )
    peer.prepare()
    return peer


if __name__ == "__main__":
    engine, solver, sizes, n_threads = sys.argv[1:]
    work = work_of(engine, Shape(**json.loads(sizes)), solver, int(n_threads))
    for _ in range(STEPS):
        work.train_step()
    print(json.dumps({"peak": peak_mb()}))
