# SPDX-License-Identifier: BSD-3-Clause
"""One token of one sequence, the state carried, from Python to Python.

`rnnkit` calls the core as a program does that holds its own state; `stream` goes
through the public class for running texts.
"""

from collections.abc import Callable, Iterator

import targets
from agreement import check_next_tokens
from peer_onnx import OnnxPeer
from peer_torch import LAYERS, TorchPeer
from plan import Plan, rnnkit_of, values_of
from report import Row

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.speed import FLOAT_BYTES, LARGE_WEIGHTS
from rnnkit.cli.timing import LargeRead, Task
from rnnkit.cli.workload import Values, Workload, uniform_tokens
from rnnkit.runtime import LanguageModel, Options
from rnnkit.runtime.encoder import IdEncoder


def run(plan: Plan) -> Iterator[Row]:
    """rnnkit beside PyTorch and ONNX Runtime at the best of their settings."""
    for name, shape, cell in plan.cases():
        yield _row(plan, name, shape, cell)


def _row(plan: Plan, name: str, shape: Shape, cell: str) -> Row:
    values, tokens = values_of(plugins.make_cell(cell), shape), uniform_tokens(shape)
    common = (shape, values, tokens)
    ours = rnnkit_of(cell, *common, plan.n_threads)
    torch = {
        f"torch, {n} threads": TorchPeer(LAYERS[cell], *common, n_threads=n)
        for n in sorted({1, plan.n_threads})
    }
    onnx = {
        f"onnx, {n} threads{'' if spin else ', no spin'}": OnnxPeer(
            cell, *common, n_threads=n, spin=spin
        )
        for n in sorted({1, plan.n_threads})
        for spin in (True, False)
        if spin or n > 1
    }
    check_next_tokens({"rnnkit": ours, **torch, **onnx})
    products = ours.products
    n_bytes = FLOAT_BYTES * (products.forward + products.first_forward)
    tasks = [Task("rnnkit", ours.next_token)]
    tasks.append(Task("stream", stream_step(ours, values)))
    tasks += [Task(s, peer.next_token, peer.prepare) for s, peer in torch.items()]
    tasks += [Task(setting, peer.next_token) for setting, peer in onnx.items()]
    if n_bytes >= LARGE_WEIGHTS:
        tasks.append(Task("read", LargeRead(n_bytes)))
    row = Row("one token", name, cell, times=plan.measure(*tasks))
    best = {"torch": row.best(torch), "onnx": row.best(onnx)}
    for title, engine in ({"rnnkit": "rnnkit"} | best).items():
        row.columns[f"{title} us"] = f"{row.median(engine) * 1e6:.1f}"
    for title, engine in best.items():
        row.compare(title, engine, targets.one_token(title, name, cell))
    row.columns["stream us"] = f"{row.median('stream') * 1e6:.1f}"
    row.columns["GB/s"] = f"{n_bytes / row.median('rnnkit') / 1e9:.0f}"
    if "read" in row.times:
        wanted = targets.SHARE_OF_READING.get(name)
        row.share("of reading", n_bytes, "read", n_bytes, wanted)
    row.facts |= {"weight_bytes": n_bytes, "settings": best}
    return row


def stream_step(work: Workload, values: Values) -> Callable[[], object]:
    """The same step through the public class for running texts."""
    encoder = IdEncoder(work.shape.V - 1)  # the last id ends a document
    options = Options(n_threads=work.n_threads)
    config = work.network.config
    stream = LanguageModel.from_values(config, values, encoder, options).stream()
    token = work.tokens.ids[0, :1]

    def step() -> object:
        stream.feed_ids(token)
        return stream.log_probabilities()

    return step
