# SPDX-License-Identifier: BSD-3-Clause
"""A plugin's cell beside the built-in LSTM, and beside eager PyTorch."""

from collections.abc import Iterator
from functools import partial

import targets
from agreement import check_gradients
from peer_torch import EagerCIFG, TorchPeer
from plan import Plan, rnnkit_of, thousands, values_of
from report import Row, missed

from rnnkit import plugins
from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import Ratio, Task
from rnnkit.cli.workload import Workload, uniform_tokens

PLUGIN = "cifg"


class Renamed(Cell):
    """The LSTM as somebody else might write it: other names, another order of gates."""

    states = ("y", "memory")

    def step(self, x, y, memory):
        out, keep, new, write = self.linear(("out", "keep", "new", "write"), x, y)
        memory = sigmoid(keep) * memory + tanh(new) * sigmoid(write)
        return tanh(memory) * sigmoid(out), memory


def run(plan: Plan) -> Iterator[Row]:
    """One row a shape; `rnnkit` is the plugin's cell."""
    for name, shape in plan.shapes.items():
        yield _row(plan, name, shape)


def _row(plan: Plan, name: str, shape: Shape) -> Row:
    tokens, cell = uniform_tokens(shape), plugins.make_cell(PLUGIN)
    values = values_of(cell, shape)
    n_threads = plan.n_threads
    ours = rnnkit_of(PLUGIN, shape, values, tokens, n_threads)
    lstm = Workload(plugins.make_cell("lstm"), shape, n_threads=n_threads)
    renamed = Workload(Renamed(), shape, n_threads=n_threads)
    eager = {
        title: TorchPeer(
            partial(EagerCIFG, hoist=hoist),
            shape,
            values,
            tokens,
            n_threads=n_threads,
        )
        for title, hoist in (("eager", False), ("eager, hoisted", True))
    }
    recurrent = partial(EagerCIFG, hoist=False)
    errors = check_gradients(
        {"rnnkit": ours, **eager}, recurrent, shape, values, tokens
    )
    times = plan.measure(
        Task("rnnkit", ours.train_step),
        Task("lstm", lstm.train_step),
        Task("renamed", renamed.train_step),
        *(Task(title, peer.train_step, peer.prepare) for title, peer in eager.items()),
    )
    row = Row("plugin", name, PLUGIN, times=times)
    n = shape.n_tokens
    row.columns["rnnkit tok/s"] = thousands(n / row.median("rnnkit"))
    for title in eager:
        row.columns[f"{title} tok/s"] = thousands(n / row.median(title))
    for title in eager:
        row.compare(title, title, targets.PLUGIN_EAGER)
    flops, lstm_flops = (
        work.products.training_flops(n, work.n_projected) for work in (ours, lstm)
    )
    row.share("rate of lstm", flops, "lstm", lstm_flops, targets.PLUGIN_PER_FLOP)
    same = Ratio.of(times["lstm"], times["renamed"])
    row.columns["lstm renamed"] = f"{same}{missed(same.high, 1.0)}"
    row.facts |= {"renamed": vars(same), "gradient_errors": errors}
    return row
