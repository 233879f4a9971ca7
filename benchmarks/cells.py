# SPDX-License-Identifier: BSD-3-Clause
"""Every cell beside the built-in LSTM, and beside its equations in eager PyTorch."""

from collections.abc import Iterator
from functools import partial

import targets
from agreement import check_gradients
from eager import EagerCell
from peer_torch import TorchPeer
from plan import Plan, rnnkit_of, thousands, values_of
from report import Row, missed

from rnnkit import plugins
from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import Ratio, Task
from rnnkit.cli.workload import Workload, uniform_tokens


class Renamed(Cell):
    """The LSTM as somebody else might write it: other names, another order of gates."""

    states = ("y", "memory")

    def step(self, x, y, memory):
        out, keep, new, write = self.linear(("out", "keep", "new", "write"), x, y)
        memory = sigmoid(keep) * memory + tanh(new) * sigmoid(write)
        return tanh(memory) * sigmoid(out), memory


def run(plan: Plan) -> Iterator[Row]:
    """One row a shape and cell: those that are named, or all that are installed."""
    names = plan.named_cells or [p.name for p in plugins.list_plugins("cell")]
    for name, shape in plan.shapes.items():
        for cell in names:
            yield _row(plan, name, shape, cell)
        if not plan.named_cells:
            yield _renamed_row(plan, name, shape)


def _row(plan: Plan, name: str, shape: Shape, cell: str) -> Row:
    equations, tokens = plugins.make_cell(cell), uniform_tokens(shape)
    values, n_threads = values_of(equations, shape), plan.n_threads
    ours = rnnkit_of(cell, shape, values, tokens, n_threads)
    lstm = Workload(plugins.make_cell("lstm"), shape, n_threads=n_threads)
    eager = {
        title: TorchPeer(
            partial(EagerCell, equations, hoist=hoist),
            shape,
            values,
            tokens,
            n_threads=n_threads,
        )
        for title, hoist in (("eager", False), ("eager, hoisted", True))
    }
    recurrent = partial(EagerCell, equations, hoist=False)
    errors = check_gradients(
        {"rnnkit": ours, **eager}, recurrent, shape, values, tokens, yardstick="eager"
    )
    times = plan.measure(
        Task("rnnkit", ours.train_step),
        Task("lstm", lstm.train_step),
        *(Task(title, peer.train_step, peer.prepare) for title, peer in eager.items()),
    )
    row = Row("cells", name, cell, times=times)
    n = shape.n_tokens
    row.columns["rnnkit tok/s"] = thousands(n / row.median("rnnkit"))
    for title in eager:
        row.compare(title, title, targets.EAGER)
    row.columns["x lstm"] = str(Ratio.of(times["lstm"], times["rnnkit"]))
    flops, lstm_flops = (
        work.products.training_flops(n, work.n_projected) for work in (ours, lstm)
    )
    row.share("rate of lstm", flops, "lstm", lstm_flops, None)
    row.facts["gradient_errors"] = errors
    return row


def _renamed_row(plan: Plan, name: str, shape: Shape) -> Row:
    """Whether the built-in LSTM has an advantage over the same cell of a stranger's."""
    lstm, renamed = (
        Workload(cell, shape, n_threads=plan.n_threads)
        for cell in (plugins.make_cell("lstm"), Renamed())
    )
    times = plan.measure(
        Task("lstm", lstm.train_step), Task("rnnkit", renamed.train_step)
    )
    row = Row("cells", name, "lstm renamed", times=times)
    row.columns["rnnkit tok/s"] = thousands(shape.n_tokens / row.median("rnnkit"))
    same = Ratio.of(times["lstm"], times["rnnkit"])
    row.columns["x lstm"] = f"{same}{missed(same.high, 1.0)}"
    return row
