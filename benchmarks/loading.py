# SPDX-License-Identifier: BSD-3-Clause
"""Model files: loading beside reading the bytes, in C and Python; a C program's start.

Reading is one read of the whole file, which the system has in memory, into memory that
is fresh: what no reader that owns its weights can go without.
"""

import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import targets
from environment import HERE
from plan import Plan
from report import Row, missed

from rnnkit import plugins, runtime
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import Task, in_turn
from rnnkit.cli.workload import network_of
from rnnkit.runtime import LanguageModel
from rnnkit.runtime.encoder import IdEncoder

ROOT = HERE.parent
LARGE = Shape(L=2, E=512, H=512, V=12_300, B=1, T=1)  # 64 MB
SMALL = Shape(L=2, E=256, H=256, V=2_800, B=1, T=1)  # 10 MB
N_TIMES = 5  # in one process


def run(plan: Plan) -> Iterator[Row]:
    """Loading of 64 MB through both doors; the first prediction of a C program."""
    with tempfile.TemporaryDirectory() as folder:
        program = _program(Path(folder))
        large, small = Path(folder, "large.rnn"), Path(folder, "small.rnn")
        for path, shape in ((large, LARGE), (small, SMALL)):
            runtime.save(_model(shape), path)
        yield _compared("C", large, _times_in_c(program, large, plan.n_rounds))
        yield _compared("Python", large, _times_in_python(large, plan.n_rounds))
        yield _start(program, small, plan.n_rounds)


def _model(shape: Shape) -> LanguageModel:
    network = network_of(plugins.make_cell("lstm"), shape)
    weights = network.initial_weights(np.random.default_rng(0))
    return LanguageModel(network, weights, IdEncoder(shape.V - 1))


def _program(folder: Path) -> Path:
    """The C program beside this file, with the library in it."""
    library = folder / "lib"
    make = ["make", "-s", f"LIB={library}", f"OBJ={folder / 'obj'}", "lib"]
    subprocess.run(make, cwd=ROOT, check=True)
    program = folder / "loading"
    sources = [str(HERE / "loading.c"), str(library / "librnnkit.a")]
    libraries = ["-lm", "-fopenmp", "-o", str(program)]
    command = ["cc", "-O2", f"-I{ROOT / 'include'}", *sources, *libraries]
    subprocess.run(command, check=True)
    return program


def _times_in_c(program: Path, model: Path, n_rounds: int) -> dict[str, np.ndarray]:
    command = [str(program), str(model), str(N_TIMES * n_rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    pairs = np.array([line.split() for line in done.stdout.splitlines()], float)
    return {"read": pairs[1:, 0], "load": pairs[1:, 1]}  # the first is not warm


def _times_in_python(model: Path, n_rounds: int) -> dict[str, np.ndarray]:
    tasks = [
        Task("read", lambda: _read(model)),
        Task("load", lambda: runtime.load(model)),
    ]
    return in_turn(tasks, n_rounds, sample_seconds=0.0)


def _read(path: Path) -> int:
    with open(path, "rb", buffering=0) as file:
        return len(file.read())


def _compared(door: str, model: Path, times: dict[str, np.ndarray]) -> Row:
    row = Row("loading", f"{door}, {model.stat().st_size / 2**20:.0f} MB", times=times)
    share = float(np.median(times["read"] / times["load"]))
    for name in ("read", "load"):
        row.columns[f"{name} ms"] = f"{row.median(name) * 1e3:.1f}"
    row.columns["of reading"] = f"{share:.0%}{missed(share, targets.LOADING)}"
    row.facts["of_reading"] = share
    return row


def _start(program: Path, model: Path, n_rounds: int) -> Row:
    """A whole process that loads and predicts, beside one that does nothing."""
    commands = {"nothing": [str(program)], "predicts": [str(program), str(model)]}
    tasks = [
        Task(name, lambda line=line: _processor_seconds(line))
        for name, line in commands.items()
    ]
    times = in_turn(tasks, n_rounds, sample_seconds=0.0)
    size = f"{model.stat().st_size / 2**20:.0f} MB"
    row = Row("loading", f"C program, {size}", times=times)
    for name in commands:
        row.columns[f"{name} ms"] = f"{row.median(name) * 1e3:.1f}"
    late = missed(-row.median("predicts"), -targets.C_START_SECONDS)
    row.columns["predicts ms"] += late.replace("<-", ">")
    busy = np.median(
        [_processor_seconds(commands["predicts"]) for _ in range(n_rounds)]
    )
    row.columns["of processor"] = f"{busy * 1e3:.1f}"
    return row


def _processor_seconds(command: list[str]) -> float:
    """Run a program; what the processor did for it, whoever else it served."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2])  # of the user, of the system
