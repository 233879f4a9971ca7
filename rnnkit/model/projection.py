# SPDX-License-Identifier: BSD-3-Clause
"""The projection between the top cell and the output layer (Press & Wolf, 2017)."""

import math

from rnnkit.compiler import Graph, Initialiser, Kind, Node, Parameter

PROJECTION = "projection."  # before the names of its parameters
PROJECTION_WEIGHT = f"{PROJECTION}weight"


def projection_graph(input_size: int, output_size: int) -> Graph:
    """Return y = W x + b as a layer that has no states.

    W starts as that of PyTorch's `Linear`, b as 0.
    """
    uniform = (Initialiser("uniform", 1 / math.sqrt(input_size)),)
    zeros = (Initialiser("constant", 0.0),)
    weight = Parameter("weight", True, ("",), output_size, input_size, uniform)
    bias = Parameter("bias", False, ("",), output_size, 1, zeros, decay=False)
    nodes = (
        Node("input", Kind.FULL, input_size),
        Node("linear", Kind.FULL, output_size, (0,), (1, 1, 0, 0, 0)),
    )
    return Graph(
        parameters=(weight, bias),
        states=(),
        input_width=input_size,
        nodes=nodes,
        output=1,
        n_forward=len(nodes),
    )
