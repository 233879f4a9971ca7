# SPDX-License-Identifier: BSD-3-Clause
"""Heads for a large vocabulary beside the full softmax: training and scoring."""

from collections.abc import Iterator

import targets
from plan import Plan, thousands
from report import Row, missed
from texts import zipf_tokens

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import Ratio, Task
from rnnkit.cli.workload import Tokens, Workload
from rnnkit.model import Head, chosen_cutoffs

SHAPE = Shape(L=1, E=256, H=256, V=50_000, B=32, T=35)
HEADS = {
    "softmax": Head(),
    "adaptive": Head("adaptive", chosen_cutoffs(SHAPE.V)),
    "sampled": Head("sampled", n_samples=1024),
}


def run(plan: Plan) -> Iterator[Row]:
    """All heads in turn, by solver: Adam passes over all weights in each step."""
    text = zipf_tokens(SHAPE.B * (SHAPE.T + 1), SHAPE.V)
    tokens = Tokens.of("Zipf", text, SHAPE)
    for solver in ("adam", "sgd"):
        work = {
            name: Workload(
                plugins.make_cell("lstm"),
                SHAPE,
                n_threads=plan.n_threads,
                tokens=tokens,
                solver=solver,
                head=head,
            )
            for name, head in HEADS.items()
        }
        training = [Task(name, head.train_step) for name, head in work.items()]
        scoring = [Task(f"{name}, scoring", w.score) for name, w in work.items()]
        times = plan.measure(*training, *scoring)
        for name in HEADS:
            yield _row(solver, name, times)


def _row(solver: str, name: str, times: dict) -> Row:
    row = Row("large_vocabulary", "V=50,000", "lstm", "Zipf", times)
    row.columns = {"head": name, "solver": solver}
    for title, suffix in (("training", ""), ("scoring", ", scoring")):
        engine = name + suffix
        row.columns[f"{title} tok/s"] = thousands(SHAPE.n_tokens / row.median(engine))
        ratio = Ratio.of(times["softmax" + suffix], times[engine])
        target = targets.LARGE_VOCABULARY.get(name) if title == "training" else None
        row.columns[f"{title} x softmax"] = f"{ratio}{missed(ratio.median, target)}"
        row.facts[f"{title}_ratio"] = vars(ratio)
    row.facts |= {"head": name, "solver": solver, "sizes": vars(SHAPE)}
    return row
