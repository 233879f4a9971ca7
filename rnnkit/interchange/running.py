# SPDX-License-Identifier: BSD-3-Clause
"""What the core computes of ids: the side that every conversion is compared with."""

from collections.abc import Sequence

import numpy as np

from rnnkit.core import State, Window
from rnnkit.errors import ConversionError
from rnnkit.interchange.parts import Array
from rnnkit.runtime.model import LanguageModel

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def run(
    model: LanguageModel,
    ids: Array,
    states: Sequence[Array] | None = None,
) -> tuple[Array, list[Array]]:
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


def log_softmax(logits: Array) -> Array:
    """Return logits as log-probabilities, in double."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


def check_equal(what: str, found: Array, wanted: Array) -> None:
    """Raise ConversionError where numbers differ by more than roundings."""
    tolerance = TOLERANCE[str(wanted.dtype)]
    if found.shape != wanted.shape:
        raise ConversionError(f"{what} has the shape {found.shape}, not {wanted.shape}")
    if not np.allclose(found, wanted, rtol=tolerance, atol=tolerance):
        with np.errstate(invalid="ignore"):
            error = np.nanmax(np.abs(found.astype(np.float64) - wanted))
        raise ConversionError(
            f"{what} differs by up to {error:.2g}, more than the "
            f"roundings of {wanted.dtype} can explain ({tolerance:g}); nothing was "
            "converted, please report it"
        )
