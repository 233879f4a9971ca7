# SPDX-License-Identifier: BSD-3-Clause
"""The compiler: a cell's equations become a graph, and graphs become others.

``trace`` runs a cell's step on symbols; ``with_zoneout``, ``with_masks`` and the like
make the variants that run; ``differentiate`` appends the backward part. Pure Python and
NumPy.
"""

from rnnkit.compiler.differentiate import differentiate
from rnnkit.compiler.graph import Graph, Initialiser, Kind, Node, Parameter, State
from rnnkit.compiler.initialise import initialise
from rnnkit.compiler.regularise import (
    recurrent_weights,
    with_masks,
    with_output_state,
    with_resets,
    with_zoneout,
)
from rnnkit.compiler.trace import trace

__all__ = [
    "Graph",
    "Initialiser",
    "Kind",
    "Node",
    "Parameter",
    "State",
    "differentiate",
    "initialise",
    "recurrent_weights",
    "trace",
    "with_masks",
    "with_output_state",
    "with_resets",
    "with_zoneout",
]
