# SPDX-License-Identifier: BSD-3-Clause
"""From an estimator's parameters, which have been checked, to what is built of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rnnkit.compiler import Graph, recurrent_weights
from rnnkit.errors import ParameterError
from rnnkit.estimators.components import layer_graphs, make_head, names
from rnnkit.model import Dropout, NetworkConfig, Penalties
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.options import resolve_threads
from rnnkit.training.config import TrainingConfig

# The highest rates of one cycle that serve small texts of words and of characters.
RATES = {"adam": 8e-3, "adamw": 8e-3, "rmsprop": 2e-3, "adagrad": 0.04, "sgd": 4.0}

PRIOR, MOST_DECAY = 8.0, 1e-3
ADAMW_DECAY = 0.01  # as in PyTorch


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
    graphs = layer_graphs(
        estimator.cell, embedding_size, hidden_size, estimator.num_layers
    )
    projection, tie_weights = estimator.projection, bool(estimator.tie_weights)
    if projection is None:
        projection = tie_weights and graphs[-1].output_width != embedding_size
    config = NetworkConfig(
        vocab_size=len(encoder.tokens),
        embedding_size=embedding_size,
        graphs=graphs,
        tie_weights=tie_weights,
        projection=bool(projection),
        dtype=estimator.dtype,
        head=make_head(estimator, len(encoder.tokens), before.head if before else None),
        zoneout=_zoneout(estimator.zoneout, graphs),
    )
    _check_training_of(config, estimator)
    return config


def _check_training_of(config: NetworkConfig, estimator: Any) -> None:
    """Refuse what is asked of a part that the network has not."""
    if estimator.projection_alpha > 0 and not config.projection:
        raise ParameterError(
            f"projection_alpha={estimator.projection_alpha} needs a projection, which "
            "this network has not; set projection=True, or projection_alpha=0"
        )
    if estimator.augmented_loss > 0 and config.head.kind != "softmax":
        raise ParameterError(
            f"augmented_loss={estimator.augmented_loss} needs head='softmax', not "
            f"{config.head.kind!r}, which does not look at all words in training"
        )
    if estimator.weight_dropout and not any(map(recurrent_weights, config.graphs)):
        raise ParameterError(
            f"weight_dropout={estimator.weight_dropout!r} has nothing to drop: no "
            f"matrix of cell={estimator.cell!r} multiplies a state; leave it at 0"
        )


def _zoneout(rates: Any, graphs: tuple[Graph, ...]) -> tuple[tuple[str, float], ...]:
    """Return the rates by state; one number is that of all."""
    states = {state.name: rates for graph in graphs for state in graph.states}
    if not isinstance(rates, Mapping):
        rates = states
    if unknown := set(rates) - set(states):
        raise ParameterError(
            f"zoneout={rates!r}: the cell has no state {min(unknown)!r}; its states: "
            f"{', '.join(states)}"
        )
    return tuple(sorted((name, float(rate)) for name, rate in rates.items() if rate))


def equations(config: NetworkConfig) -> list[bytes]:
    """Return what the layers compute, without first values, limits and names."""
    return [graph.to_words().tobytes() for graph in config.graphs]


def training_config(
    estimator: Any, seed: int, *, n_tokens: int | None = None
) -> TrainingConfig:
    """Return how to train: a text of so many tokens, or (None) without an end."""
    params = estimator.get_params(deep=False)
    shared = {f.name for f in fields(TrainingConfig)} & set(params)
    settings = {name: params[name] for name in shared}
    if params["learning_rate"] == "auto":
        settings["learning_rate"] = _schedule(params, endless=n_tokens is None)
    if params["learning_rate_init"] is None:
        settings["learning_rate_init"] = _rate(params)
    if params["alpha"] is None:
        settings["alpha"] = _alpha(params["solver"], n_tokens)
    shuffle = params["shuffle"]
    settings["shuffle"] = not params["carry_state"] if shuffle is None else shuffle
    settings["dropout"] = _dropout(params)
    settings["penalties"] = Penalties(
        float(params["activation_penalty"]),
        float(params["temporal_activation_penalty"]),
    )
    settings["max_grad_norm"] = params["max_grad_norm"] or 0.0
    settings["frozen"] = names(params["frozen"])
    settings["n_threads"] = resolve_threads(params["n_threads"])
    return TrainingConfig(**settings, seed=seed)


def _schedule(params: dict[str, Any], *, endless: bool) -> str:
    """Return the schedule that suits what is known of the end."""
    if endless:
        return "constant"
    return "plateau" if params["early_stopping"] else "one_cycle"


def _rate(params: dict[str, Any]) -> float:
    """Return the rate that suits the solver; momentum adds up steps of SGD."""
    rate, is_sgd = RATES[params["solver"]], params["solver"] == "sgd"
    return rate * (1.0 - params["momentum"]) if is_sgd else rate


def _alpha(solver: str, n_tokens: int | None) -> float:
    """Return the weight decay of a prior, whose part is the smaller the longer a text.

    Of the loss of the whole text, n_tokens * mean, it is always the same part: that of
    weights that are normal with a standard deviation of sqrt(1 / PRIOR).
    """
    if solver == "adamw":  # apart from the gradient, so no prior
        return ADAMW_DECAY
    return min(PRIOR / n_tokens, MOST_DECAY) if n_tokens else 0.0


def _dropout(params: dict[str, Any]) -> Dropout:
    """Return where to mask; `dropout` stands in where no rate is given."""
    rates = {
        place: params[f"{place}_dropout"] for place in ("input", "hidden", "output")
    }
    return Dropout(
        **{k: float(params["dropout"] if v is None else v) for k, v in rates.items()},
        state=float(params["state_dropout"]),
        per_sequence=bool(params["variational"]),
        embedding=float(params["embedding_dropout"]),
        weight=float(params["weight_dropout"]),
    )
