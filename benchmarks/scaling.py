# SPDX-License-Identifier: BSD-3-Clause
"""rnnkit's training step by threads, and by the length of the window."""

from collections.abc import Iterator
from dataclasses import replace

import targets
from plan import Plan
from report import Row

from rnnkit import plugins
from rnnkit.cli.timing import Ratio, Task
from rnnkit.cli.workload import Workload


def run(plan: Plan) -> Iterator[Row]:
    """The speed-up by threads, and the time of a token in a window of 2 T steps."""
    for name, shape, cell in plan.cases():
        made = plugins.make_cell(cell)
        longer = replace(shape, T=2 * shape.T)
        one = Workload(made, shape, n_threads=1)
        several = Workload(made, shape, n_threads=plan.n_threads)
        twice = Workload(made, longer, n_threads=plan.n_threads)
        times = plan.measure(
            Task("one thread", one.train_step),
            Task("rnnkit", several.train_step),
            Task("twice as long", twice.train_step),
        )
        row = Row("scaling", name, cell, times=times)
        row.columns["1 thread ms"] = f"{row.median('one thread') * 1e3:.1f}"
        row.columns[f"{plan.n_threads} threads ms"] = (
            f"{row.median('rnnkit') * 1e3:.1f}"
        )
        target = targets.SCALING if plan.n_threads == 2 else None
        row.compare("one thread", "one thread", target)
        growth = Ratio.of(times["twice as long"] / 2, times["rnnkit"])
        row.facts["token_in_longer_window"] = vars(growth)
        row.columns["token at 2T"] = str(growth)
        yield row
