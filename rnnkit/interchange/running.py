# SPDX-License-Identifier: BSD-3-Clause
"""What the core computes of ids: the side that every conversion is compared with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnkit.core import State, Window
from rnnkit.errors import ConversionError
from rnnkit.interchange.parts import Array
from rnnkit.runtime.model import LanguageModel

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
LUCK = 30.0  # how many times another's roundings may be ours


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


def check_equal(
    what: str, found: Array, wanted: Array, exact: Array | None = None
) -> None:
    """Raise ConversionError where numbers differ by more than roundings.

    Parameters
    ----------
    what : str
        What the message names.
    found, wanted : arrays of shape (B, n) or (T, B, n)
        A difference of 1e-5 (float32) or 1e-10 (float64) is allowed, of 1 or of the
        largest number of a row.
    exact : array, optional
        What double precision gives for `wanted`. Weights that let differences grow from
        step to step do so with everybody's roundings: `LUCK` times ours are allowed.
    """
    kinds = {str(found.dtype), str(wanted.dtype)}
    tolerance = TOLERANCE["float64" if kinds == {"float64"} else "float32"]
    if found.shape != wanted.shape:
        raise ConversionError(f"{what} has the shape {found.shape}, not {wanted.shape}")
    with np.errstate(invalid="ignore"):
        allowed = tolerance * (1.0 + np.abs(wanted).max(axis=-1, keepdims=True))
        if exact is not None:
            own = np.abs(wanted - exact).max(axis=-1, keepdims=True)
            grown = np.maximum.accumulate(own) if own.ndim == 3 else own
            allowed = allowed + LUCK * grown
        errors = np.abs(found.astype(np.float64) - wanted)
    if not (errors <= allowed).all():
        raise ConversionError(
            f"{what} differs by up to {np.max(errors):.2g}, more than the "
            f"roundings of {wanted.dtype} can explain; nothing was converted, please "
            "report it"
        )


def in_double(model: LanguageModel) -> LanguageModel:
    """Return the model with its weights in double precision."""
    config = replace(model.network.config, dtype="float64")
    return LanguageModel.from_values(config, model.params, model.encoder)
