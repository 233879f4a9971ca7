# SPDX-License-Identifier: BSD-3-Clause
"""A network as data: embedding, layers of cells, output layer; parameters by name."""

from rnnkit.model.config import DTYPES, NetworkConfig
from rnnkit.model.dropout import NO_DROPOUT, NO_PENALTIES, Dropout, Penalties
from rnnkit.model.growth import grown_values
from rnnkit.model.head import HEADS, MAX_CLUSTERS, MAX_SAMPLES, Head, chosen_cutoffs
from rnnkit.model.network import Network, named_parameters
from rnnkit.model.projection import PROJECTION, PROJECTION_WEIGHT

__all__ = [
    "DTYPES",
    "HEADS",
    "MAX_CLUSTERS",
    "MAX_SAMPLES",
    "NO_DROPOUT",
    "NO_PENALTIES",
    "PROJECTION",
    "PROJECTION_WEIGHT",
    "Dropout",
    "Head",
    "Network",
    "NetworkConfig",
    "Penalties",
    "chosen_cutoffs",
    "grown_values",
    "named_parameters",
]
