# SPDX-License-Identifier: BSD-3-Clause
"""What the core computes of ids: the side that every conversion is compared with."""

from collections.abc import Sequence

import numpy as np

from rnnkit.core import State, Window
from rnnkit.runtime.model import LanguageModel


def run(
    model: LanguageModel,
    ids: np.ndarray,
    states: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run a window of several rows.

    Parameters
    ----------
    model : LanguageModel
    ids : (T, B) array of int
    states : sequence of arrays of shape (B, width), optional
        Of all layers before the window, layer by layer; the initial ones by default.

    Returns
    -------
    log_probabilities : (T, B, V) array
        Of the token that follows each position.
    states : list of arrays
        After the window.
    """
    programs = model.network.programs()
    state = State(model.weights, programs, ids.shape[1])
    places = [(k, i) for k, p in enumerate(programs) for i in range(p.n_states)]
    for place, value in zip(places, states or (), strict=states is not None):
        state.set(*place, np.ascontiguousarray(value, model.network.config.dtype))
    window = Window(model.weights, programs, *ids.shape)
    window.forward(np.ascontiguousarray(ids, np.int32), state)
    rows = np.arange(ids.size, dtype=np.int32)
    log_p = window.log_probabilities(rows).reshape(*ids.shape, -1)
    return log_p, [state.get(*place) for place in places]
