# SPDX-License-Identifier: BSD-3-Clause
"""A network that learns further tokens: its rows for them, among those that it has."""

from collections.abc import Mapping

import numpy as np

from rnnkit.model.network import Network


def grown_values(
    network: Network, values: Mapping[str, np.ndarray], behind: int = 0
) -> dict[str, np.ndarray]:
    """Return values of all parameters of a network that has further tokens.

    A new row of the embedding, of the output weights and of the bias (of head
    "adaptive": of its last cluster) is the mean of the rows that there are. A new
    token's logit is then the mean of the others', so that n new ones beside V old ones
    take at most n / (n + V) of the probability, whatever the context (the exponential
    function is convex); of trained models far less.

    Parameters
    ----------
    network : Network
        The larger one.
    values : mapping of str to array
        Of the smaller one; they differ in numbers of rows alone.
    behind : int, default=0
        Old rows that stay behind the new ones: 1 where the last token is the end.
    """
    grown = {}
    for parameter in network.parameters:
        old = values[parameter.name]
        n_new = parameter.shape[0] - len(old)
        if n_new:
            mean = old.mean(axis=0, dtype=np.float64, keepdims=True)
            rows = np.repeat(mean.astype(old.dtype), n_new, axis=0)
            cut = len(old) - behind
            old = np.concatenate([old[:cut], rows, old[cut:]])
        grown[parameter.name] = old
    return grown
