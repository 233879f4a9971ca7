# SPDX-License-Identifier: BSD-3-Clause
"""Estimators from model files, and what a file keeps of an estimator."""

import os
from collections.abc import Collection
from typing import Any

from rnnkit.errors import ModelFormatError
from rnnkit.estimators.checks import check_parameters
from rnnkit.estimators.components import cell_of, make_encoder, tokenizer_of
from rnnkit.estimators.language_model import RNNLanguageModel
from rnnkit.runtime.files import model_of
from rnnkit.runtime.sampling import seed_from
from rnnkit.storage.model_file import load_model
from rnnkit.training.history import History


def load(
    path: str | os.PathLike[str], *, plugins: Collection[str] = ()
) -> RNNLanguageModel:
    """Read an estimator that `save` has written, fitted as it was.

    Parameters
    ----------
    path : str or path
        The file. Nothing in it can run code.
    plugins : collection of str, default=()
        Names of tokenizers that may be imported from installed packages, if the model
        needs one. (Cells run from the equations in the file.)

    Raises
    ------
    ModelFormatError
        The file is no good model; the message says why.
    PluginError, UnknownNameError
        The tokenizer comes from a package that is not named, or not installed.
    OSError
        The file cannot be read.
    """
    record = load_model(path)
    model = model_of(record, plugins)
    parameters = dict(record.parameters)
    if record.tokens is not None:
        given = parameters.pop("vocabulary", None)
        if given is not None and given is not True:
            raise ModelFormatError("parameters: vocabulary must be null or true")
        parameters["vocabulary"] = list(record.tokens) if given else None
    config = record.network.config
    hidden_size = parameters.get("hidden_size", config.top_width)
    parameters["cell"] = cell_of(record.cell, config.graphs, hidden_size)
    parameters["tokenizer"] = tokenizer_of(model.encoder)
    try:
        lm = RNNLanguageModel(**parameters)
        check_parameters(lm.get_params(deep=False))
        make_encoder(lm)
        seed_from(lm.random_state)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"parameters: {error}") from None
    lm._adopt(model, _history(record.history))
    return lm


def _history(facts: dict[str, Any]) -> History:
    """Return the history of a file, checked."""
    try:
        history = History(**facts)
    except TypeError:
        raise ModelFormatError(f"history: unknown figures {sorted(facts)}") from None
    best = history.best_validation_score
    for value in (history.n_iter, history.n_tokens_seen):
        if type(value) is not int or value < 0:
            raise ModelFormatError(f"history: {value!r} is no count")
    if best is not None and not isinstance(best, float):
        raise ModelFormatError(f"history: {best!r} is no score")
    return history
