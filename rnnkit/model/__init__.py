# SPDX-License-Identifier: BSD-3-Clause
"""A network as data: embedding, layers of cells, output layer; parameters by name."""

from rnnkit.model.config import DTYPES, NetworkConfig
from rnnkit.model.dropout import NO_PENALTIES, Dropout, Penalties
from rnnkit.model.growth import grown_values
from rnnkit.model.head import HEADS, MAX_CLUSTERS, MAX_SAMPLES, Head, chosen_cutoffs
from rnnkit.model.int8 import int8_values
from rnnkit.model.network import SCALE, Network, named_parameters
from rnnkit.model.projection import PROJECTION, PROJECTION_WEIGHT

__all__ = [
    "DTYPES",
    "HEADS",
    "MAX_CLUSTERS",
    "MAX_SAMPLES",
    "NO_PENALTIES",
    "PROJECTION",
    "PROJECTION_WEIGHT",
    "SCALE",
    "Dropout",
    "Head",
    "Network",
    "NetworkConfig",
    "Penalties",
    "chosen_cutoffs",
    "grown_values",
    "int8_values",
    "named_parameters",
]
