# SPDX-License-Identifier: BSD-3-Clause
"""A fitted model that learns further tokens."""

from dataclasses import replace
from typing import Any

from rnnkit.estimators.vectors import ARRAYS, Vectors
from rnnkit.model import Network, grown_values
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.model import LanguageModel


def with_encoder(
    model: LanguageModel, encoder: Encoder, embedding: Any = None
) -> LanguageModel:
    """Return a model with the further tokens that an encoder has beside the model's.

    Old tokens keep their ids and weights; for the first values of the new ones see
    `grown_values`. Those for which `embedding` has a vector are read as this vector.
    """
    n_old, n_new = len(model.encoder.tokens), len(encoder.tokens)
    if n_old == n_new:
        return model
    model.network.config.require_reals("new tokens")
    behind = int(encoder.end_id != model.encoder.end_id)  # the end of ids stays last
    network = Network(replace(model.network.config, vocab_size=n_new))
    weights = network.weights(grown_values(network, model.params, behind))
    if embedding is not None and not isinstance(embedding, ARRAYS):
        new = range(n_old - behind, n_new - behind)
        Vectors.of(embedding, encoder.tokens).among(new).put_into(weights)
    return LanguageModel(network, weights, encoder, facts=model.facts)
