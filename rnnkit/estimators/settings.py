# SPDX-License-Identifier: BSD-3-Clause
"""From an estimator's parameters, which have been checked, to what is built of them."""

from dataclasses import fields
from typing import Any

from rnnkit.estimators.components import layer_graphs, make_head, names
from rnnkit.model import Dropout, NetworkConfig
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.options import resolve_threads
from rnnkit.training.config import TrainingConfig


def network_config(
    estimator: Any,
    encoder: Encoder,
    *,
    before: NetworkConfig | None = None,
    vector_size: int | None = None,
) -> NetworkConfig:
    """Return the network that the parameters ask for.

    What they leave open is as it was `before`, if training goes on; else the embedding
    has the width of the vectors that are given, or that of a layer.
    """
    hidden_size = int(estimator.hidden_size)
    chosen = before.embedding_size if before else vector_size or hidden_size
    embedding_size = int(estimator.embedding_size or chosen)
    return NetworkConfig(
        vocab_size=len(encoder.tokens),
        embedding_size=embedding_size,
        graphs=layer_graphs(
            estimator.cell, embedding_size, hidden_size, estimator.num_layers
        ),
        tie_weights=bool(estimator.tie_weights),
        dtype=estimator.dtype,
        head=make_head(estimator, len(encoder.tokens), before.head if before else None),
    )


def equations(config: NetworkConfig) -> list[bytes]:
    """Return what the layers compute, without first values, limits and names."""
    return [graph.to_words().tobytes() for graph in config.graphs]


def training_config(estimator: Any, seed: int) -> TrainingConfig:
    """Return how to train."""
    params = estimator.get_params(deep=False)
    shared = {f.name for f in fields(TrainingConfig)} & set(params)
    settings = {name: params[name] for name in shared}
    shuffle = params["shuffle"]
    settings["shuffle"] = not params["carry_state"] if shuffle is None else shuffle
    settings["dropout"] = _dropout(params)
    settings["max_grad_norm"] = params["max_grad_norm"] or 0.0
    settings["frozen"] = names(params["frozen"])
    settings["n_threads"] = resolve_threads(params["n_threads"])
    return TrainingConfig(**settings, seed=seed)


def _dropout(params: dict[str, Any]) -> Dropout:
    """Return where to mask; `dropout` stands in where no rate is given."""
    rates = {
        place: params[f"{place}_dropout"] for place in ("input", "hidden", "output")
    }
    return Dropout(
        **{k: float(params["dropout"] if v is None else v) for k, v in rates.items()},
        state=float(params["state_dropout"]),
        per_sequence=bool(params["variational"]),
    )
