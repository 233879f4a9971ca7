# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of int8: a code from -127 to 127 for each element, a scale for each row."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnkit.errors import NonFiniteError, ParameterError
from rnnkit.model.config import NetworkConfig
from rnnkit.model.network import SCALE, Network

MOST = 127
LEAST_ROW = 1e-30  # a row of smaller values becomes zeros, as in csrc/kernels


def int8_values(
    network: Network, values: Mapping[str, np.ndarray]
) -> tuple[NetworkConfig, dict[str, np.ndarray]]:
    """Return the network of int8 matrices, and its values by name.

    Parameters
    ----------
    network : Network
        Of real weights.
    values : mapping of str to array
        Of all its parameters.

    Returns
    -------
    config : NetworkConfig
        With `int8`; of float32, whatever the network is of.
    values : dict of str to array
        Vectors as they were, in float32; of a matrix the codes, and the scales of its
        rows under its name and ".scale".
    """
    if network.config.int8:
        raise ParameterError("the weights are int8 already")
    found = {}
    for parameter in network.parameters:
        value = np.asarray(values[parameter.name], np.float32)
        if parameter.is_weight:
            value, found[parameter.name + SCALE] = quantised(value)
        found[parameter.name] = value
    return replace(network.config, int8=True, dtype="float32"), found


def quantised(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes (n, k) int8 and scales (n,) float32: matrix ~ codes * scales.

    The largest magnitude of a row becomes 127; an element is off by half a scale at
    most.
    """
    largest = np.abs(matrix).max(axis=1)
    if not np.isfinite(largest).all():
        raise NonFiniteError("a weight is NaN or infinite: it has no code")
    scales = np.where(largest < LEAST_ROW, 0, largest / MOST).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.inf).astype(np.float32)
    return np.rint(matrix / divisors[:, None]).astype(np.int8), scales
