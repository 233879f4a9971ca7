# SPDX-License-Identifier: BSD-3-Clause
"""A graph as 32-bit words: what the core reads and model files hold."""

from __future__ import annotations

import numpy as np

from rnnkit.compiler.graph import Graph, words_of_float
from rnnkit.compiler.ops import OP_SET_VERSION, OPS


def to_words(graph: Graph) -> np.ndarray:
    """The graph as int32 words; names, initialisers and limits are not among them."""
    words = [
        OP_SET_VERSION,
        len(graph.parameters),
        len(graph.states),
        graph.input_width,
        len(graph.nodes),
        graph.n_forward,
        graph.output,
    ]
    for p in graph.parameters:
        words += [int(p.is_weight), p.blocks, p.width, p.columns]
    for state in graph.states:
        words += [state.width, *words_of_float(state.initial), state.new]
    for node in graph.nodes:
        words += [OPS[node.op].number, node.width]
        words += [len(node.args), *node.args, len(node.attrs), *node.attrs]
    if graph.has_backward:
        words += [graph.input_gradient, *graph.state_gradients]
    return np.array(words, dtype=np.int32)
