# SPDX-License-Identifier: BSD-3-Clause
"""Estimators from model files."""

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

COUNT, REAL, PERHAPS = (int,), (float,), (float, type(None))
SOLVER_NUMBERS = {  # as Trainer.solver_state gives them
    "seed": COUNT,
    "n_updates": COUNT,
    "solver_steps": COUNT,
    "schedule": {
        "rate": REAL,
        "n_epochs": COUNT,
        "patience": {"best_loss": PERHAPS, "n_failures": COUNT},
    },
    "average": {"n_steps": COUNT, "start": PERHAPS, "losses": [REAL]},
}


def load(
    path: str | os.PathLike[str], *, plugins: Collection[str] = ()
) -> RNNLanguageModel:
    """Read an estimator that `save` has written, fitted as it was.

    A file with the solver's state gives that back, too: `partial_fit` goes on with it.

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
    record = load_model(path, with_solver=True)
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
    if record.solver:
        _check_solver(record.solver.numbers)
        try:
            lm._go_on_with(record.solver, _history(record.history))
        except (KeyError, ValueError, OverflowError) as error:
            raise ModelFormatError(f"solver: {error}") from None
    return lm


def _check_solver(numbers: dict[str, Any]) -> None:
    """Check the kinds of the solver's numbers; an epoch may have set no schedule."""
    form = SOLVER_NUMBERS
    if numbers.get("schedule", ...) is None:
        form = {**form, "schedule": (type(None),)}
    if not _has_form(numbers, form):
        raise ModelFormatError(
            "metadata 'solver': its numbers are not those of a solver"
        )


def _has_form(value: Any, form: Any) -> bool:
    """Whether a JSON value has these members, of these types, and counts of 64 bits."""
    if isinstance(form, dict):
        return (
            isinstance(value, dict)
            and set(value) == set(form)
            and all(_has_form(value[name], form[name]) for name in form)
        )
    if isinstance(form, list):
        return isinstance(value, list) and all(_has_form(v, form[0]) for v in value)
    return type(value) in form and not (type(value) is int and not 0 <= value < 2**64)


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
