# SPDX-License-Identifier: BSD-3-Clause
"""Measuring on a shared machine: tasks in turn, medians, ratios by pairs."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Seconds before each task, until threads that spin for the last one sleep: OpenBLAS's
# do so for a tenth of a second, and would share a core with whoever comes next.
PAUSE = 0.25
SAMPLE = 0.05  # seconds that a sample takes at least
WARM_ROUNDS = 2  # at the start, not counted


@dataclass(frozen=True)
class Task:
    """One thing to measure: `run` makes one call; `sample` replaces timing it here."""

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] | None = None
    sample: Callable[[float], float] | None = None

    def measure(self, sample_seconds: float) -> float:
        """Seconds of one call: pause, make a call that is not counted, then measure."""
        time.sleep(PAUSE)
        if self.prepare is not None:
            self.prepare()
        if self.sample is not None:
            return self.sample(sample_seconds)
        return sample(self.run, sample_seconds)


def sample(run: Callable[[], object], sample_seconds: float = SAMPLE) -> float:
    """Median seconds of the calls that fit into `sample_seconds`, after a warm one."""
    run()
    times: list[float] = []
    end = time.perf_counter() + sample_seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def in_turn(
    tasks: Iterable[Task], n_rounds: int, sample_seconds: float = SAMPLE
) -> dict[str, np.ndarray]:
    """Measure every task once a round, one after the other.

    Returns
    -------
    dict of str to (n_rounds,) array
        Seconds of a call by the task's name; element k of all arrays is of one round.
    """
    tasks = list(tasks)
    times: dict[str, list[float]] = {task.name: [] for task in tasks}
    for k in range(WARM_ROUNDS + n_rounds):
        for task in tasks:
            seconds = task.measure(sample_seconds if k >= WARM_ROUNDS else 0.0)
            times[task.name].append(seconds)
    return {name: np.array(seconds[WARM_ROUNDS:]) for name, seconds in times.items()}


@dataclass(frozen=True)
class Ratio:
    """Quartiles of the ratios of paired times: above 1 the second is the faster one."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, slower: np.ndarray, faster: np.ndarray) -> "Ratio":
        """Compare times of the same rounds."""
        low, median, high = np.quantile(slower / faster, (0.25, 0.5, 0.75))
        return cls(float(low), float(median), float(high))

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}-{self.high:.2f}]"


# ------------------------------------------------------------------- the machine's own


class LargeProduct:
    """NumPy's product of two square float32 matrices: the arithmetic within reach."""

    SIZE = 1920
    FLOPS = 2 * SIZE**3

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a, self._b = rng.random((2, self.SIZE, self.SIZE), np.float32)
        self._c = np.empty_like(self._a)

    def __call__(self) -> None:
        """Multiply once."""
        np.matmul(self._a, self._b, out=self._c)


class LargeRead:
    """NumPy's sum of squares of a float32 buffer: the reading within reach."""

    def __init__(self, n_bytes: int) -> None:
        self._buffer = np.ones(n_bytes // 4, np.float32)

    def __call__(self) -> None:
        """Read the buffer once."""
        np.dot(self._buffer, self._buffer)


@contextlib.contextmanager
def blas_threads(n_threads: int) -> Iterator[None]:
    """Let NumPy's products use so many threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(n_threads, user_api="blas"):
        yield


def machine() -> dict[str, str]:
    """What a figure of speed has to name: processor, system, versions."""
    import rnnkit
    from rnnkit import core

    return {
        "cpu": cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count()),
        "instruction set": core.isa(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "rnnkit": rnnkit.__version__,
    }


_HAS_AFFINITY = hasattr(os, "sched_getaffinity")


def cpu_name() -> str:
    """The processor as the system calls it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
