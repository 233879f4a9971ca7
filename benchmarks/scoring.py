# SPDX-License-Identifier: BSD-3-Clause
"""Scoring a window: the mean log-likelihood of its targets."""

from collections.abc import Iterator

import targets
from agreement import check_scores
from peer_onnx import OnnxPeer
from peer_torch import LAYERS, TorchPeer
from plan import Plan, rnnkit_of, thousands, values_of
from report import Row

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import LargeProduct, Task
from rnnkit.cli.workload import Tokens


def run(plan: Plan) -> Iterator[Row]:
    """rnnkit beside PyTorch and ONNX Runtime, its threads spinning and not."""
    for name, shape, cell in plan.cases():
        for tokens in plan.tokens_of(shape):
            yield _row(plan, name, shape, cell, tokens)


def _row(plan: Plan, name: str, shape: Shape, cell: str, tokens: Tokens) -> Row:
    n_threads = plan.n_threads
    values = values_of(plugins.make_cell(cell), shape)
    ours = rnnkit_of(cell, shape, values, tokens, n_threads)
    torch = TorchPeer(LAYERS[cell], shape, values, tokens, n_threads=n_threads)
    onnx = {
        name: OnnxPeer(cell, shape, values, tokens, n_threads=n_threads, spin=spin)
        for name, spin in (("onnx", True), ("onnx, no spin", False))
    }
    torch.prepare()
    check_scores({"rnnkit": ours, "torch": torch, **onnx})
    times = plan.measure(
        Task("rnnkit", ours.score),
        Task("torch", torch.score, torch.prepare),
        *(Task(setting, peer.score) for setting, peer in onnx.items()),
    )
    row = Row("scoring", name, cell, tokens.source, times)
    n, peers = shape.n_tokens, {"torch": "torch", "onnx": row.best(onnx)}
    for title, engine in {"rnnkit": "rnnkit", **peers}.items():
        row.columns[f"{title} tok/s"] = thousands(n / row.median(engine))
    for title, engine in peers.items():
        row.compare(title, engine, targets.scoring(title, name, shape, cell))
    flops = ours.products.scoring_flops(n, ours.n_projected)
    row.columns["GF"] = f"{flops / row.median('rnnkit') / 1e9:.0f}"
    row.share("share", flops, "product", LargeProduct.FLOPS, None)
    row.facts |= {"flops": flops, "onnx_setting": peers["onnx"]}
    return row
