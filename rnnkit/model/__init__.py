# SPDX-License-Identifier: BSD-3-Clause
"""A network as data: embedding, layers of cells, output layer; parameters by name."""

from rnnkit.model.config import DTYPES, NetworkConfig
from rnnkit.model.network import Network, named_parameters

__all__ = ["DTYPES", "Network", "NetworkConfig", "named_parameters"]
