# SPDX-License-Identifier: BSD-3-Clause
"""rnnkit's speed at one shape, and how near it is to NumPy's best."""

from dataclasses import asdict
from typing import Any

import numpy as np

from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import LargeProduct, LargeRead, Ratio, Task, in_turn
from rnnkit.cli.workload import Workload

FLOAT_BYTES = 4
LARGE_WEIGHTS = 4 << 20  # smaller ones stay in a core's cache: reading is no limit


def measure(cell: Any, shape: Shape, n_threads: int, n_rounds: int) -> dict[str, Any]:
    """Return the figures of one shape and cell."""
    work = Workload(cell, shape, n_threads=n_threads)
    products, n = work.products, shape.n_tokens
    n_bytes = FLOAT_BYTES * (products.forward + products.first_forward)
    tasks = [
        Task("training", work.train_step),
        Task("scoring", work.score),
        Task("one token", work.next_token),
        Task("one token of int8", work.with_int8().next_token),
        Task("product", LargeProduct()),
    ]
    if n_bytes >= LARGE_WEIGHTS:
        tasks.append(Task("read", LargeRead(n_bytes)))
    times = in_turn(tasks, n_rounds)
    return {
        "sizes": asdict(shape),
        "training": _rate(
            times, "training", n, products.training_flops(n, work.n_projected)
        ),
        "scoring": _rate(
            times, "scoring", n, products.scoring_flops(n, work.n_projected)
        ),
        "one_token": _reading(times, n_bytes),
        "int8_token": {
            "microseconds": _median(times["one token of int8"]) * 1e6,
            "times_faster": Ratio.of(
                times["one token"], times["one token of int8"]
            ).median,
        },
        "product_gflops": LargeProduct.FLOPS / _median(times["product"]) / 1e9,
    }


def _rate(
    times: dict[str, np.ndarray], name: str, n_tokens: int, flops: int
) -> dict[str, float]:
    """Tokens and operations a second, and the share of NumPy's large product."""
    seconds = _median(times[name])
    share = Ratio.of(times["product"] / LargeProduct.FLOPS, times[name] / flops)
    return {
        "seconds": seconds,
        "tokens_per_second": n_tokens / seconds,
        "gflops": flops / seconds / 1e9,
        "share": share.median,
    }


def _reading(times: dict[str, np.ndarray], n_bytes: int) -> dict[str, float | None]:
    """Time of a token, bytes of weights a second, and the share of NumPy's reading."""
    seconds = _median(times["one token"])
    share = None
    if "read" in times:
        share = Ratio.of(times["read"], times["one token"]).median
    return {
        "microseconds": seconds * 1e6,
        "gbytes_per_second": n_bytes / seconds / 1e9,
        "share": share,
    }


def _median(times: np.ndarray) -> float:
    return float(np.median(times))
