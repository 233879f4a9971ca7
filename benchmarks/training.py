# SPDX-License-Identifier: BSD-3-Clause
"""A training step: forward, mean cross-entropy, backward, clip to norm 5, Adam 1e-3."""

import contextlib
from collections.abc import Iterator

import targets
from agreement import check_gradients, check_training
from peer_keras import KerasPeer
from peer_torch import LAYERS, TorchPeer
from plan import Plan, rnnkit_of, thousands, values_of
from report import Row

from rnnkit import plugins
from rnnkit.cli.shapes import Shape
from rnnkit.cli.timing import LargeProduct, Task
from rnnkit.cli.workload import Tokens


def run(plan: Plan) -> Iterator[Row]:
    """rnnkit beside PyTorch and TensorFlow, which must agree first."""
    for name, shape, cell in plan.cases():
        for tokens in plan.tokens_of(shape):
            yield _row(plan, name, shape, cell, tokens)


def _row(plan: Plan, name: str, shape: Shape, cell: str, tokens: Tokens) -> Row:
    values = values_of(plugins.make_cell(cell), shape)
    ours = rnnkit_of(cell, shape, values, tokens, plan.n_threads)
    torch = TorchPeer(LAYERS[cell], shape, values, tokens, n_threads=plan.n_threads)
    engines = {"rnnkit": ours, "torch": torch}
    with contextlib.ExitStack() as stack:
        if plan.with_tensorflow:
            keras = KerasPeer(cell, shape, values, tokens, n_threads=plan.n_threads)
            engines["keras"] = stack.enter_context(keras)
        torch.prepare()
        errors = check_gradients(engines, LAYERS[cell], shape, values, tokens)
        # Keras adds Adam's epsilon before the correction of the bias: another curve.
        check_training({"rnnkit": ours, "torch": torch})
        tasks = [
            Task("rnnkit", ours.train_step),
            Task("torch", torch.train_step, torch.prepare),
        ]
        if plan.with_tensorflow:
            tasks.append(Task("keras", keras.train_step, sample=keras.sample))
        times = plan.measure(*tasks)
    row = Row("training", name, cell, tokens.source, times)
    n = shape.n_tokens
    for engine in engines:
        row.columns[f"{engine} tok/s"] = thousands(n / row.median(engine))
    for engine in list(engines)[1:]:
        row.compare(engine, engine, targets.training(engine, name, cell))
    flops = ours.products.training_flops(n, ours.n_projected)
    row.columns["GF"] = f"{flops / row.median('rnnkit') / 1e9:.0f}"
    row.columns["NumPy GF"] = f"{LargeProduct.FLOPS / row.median('product') / 1e9:.0f}"
    wanted = targets.SHARE_OF_PRODUCT.get(name) if cell == "lstm" else None
    row.share("share", flops, "product", LargeProduct.FLOPS, wanted)
    row.facts |= {"flops": flops, "gradient_errors": errors}
    return row
