# SPDX-License-Identifier: BSD-3-Clause
"""Peak memory of training with a large vocabulary, each run in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import targets
from environment import HERE
from plan import Plan
from report import Row, missed

from rnnkit.cli.shapes import Shape

SHAPE = Shape(L=1, E=512, H=512, V=50_000, B=20, T=35)


def run(plan: Plan) -> Iterator[Row]:
    """rnnkit beside PyTorch by solver; then how rnnkit grows with the window."""
    for solver in ("adam", "sgd"):
        ours = peak("rnnkit", solver, SHAPE, plan.n_threads)
        torch = peak("torch", solver, SHAPE, plan.n_threads)
        longer = replace(SHAPE, T=4 * SHAPE.T)
        growth = peak("rnnkit", solver, longer, plan.n_threads) - ours
        logits = _logits_mb(longer.n_tokens - SHAPE.n_tokens)
        row = Row("memory", "V=50,000", "lstm", "uniform")
        row.columns = {
            "solver": solver,
            "rnnkit MB": f"{ours:.0f}",
            "torch MB": f"{torch:.0f}",
            "of torch": _share(ours / torch, targets.MEMORY[solver]),
            "4 T adds MB": f"{growth:.0f}",
            "of its logits": f"{growth / logits:.0%}",
        }
        row.facts = {
            "solver": solver,
            "sizes": vars(SHAPE),
            "megabytes": {"rnnkit": ours, "torch": torch},
            "growth_with_4T": growth,
        }
        yield row


def _share(value: float, at_most: float) -> str:
    return f"{value:.2f}{missed(-value, -at_most).replace('<-', '>')}"


def _logits_mb(n_positions: int) -> float:
    """What storing the logits of so many more positions would add."""
    return 4 * n_positions * SHAPE.V / 1e6


def peak(engine: str, solver: str, shape: Shape, n_threads: int) -> float:
    """Megabytes of a training process at its largest, interpreter and all."""
    request = [engine, solver, json.dumps(vars(shape)), str(n_threads)]
    command = [sys.executable, str(HERE / "memory_worker.py"), *request]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["peak"]
