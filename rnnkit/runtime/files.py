# SPDX-License-Identifier: BSD-3-Clause
"""Models from files and into them."""

import os
from collections.abc import Collection

from rnnkit.errors import ModelFormatError, PluginError
from rnnkit.plugins import BUILT_IN, find
from rnnkit.plugins import load as load_plugin
from rnnkit.runtime.encoder import Encoder, IdEncoder, TextEncoder
from rnnkit.runtime.model import Facts, LanguageModel
from rnnkit.runtime.options import Options
from rnnkit.storage.model_file import ModelRecord, load_model, save_model


def load(
    path: str | os.PathLike[str], *, plugins: Collection[str] = ()
) -> LanguageModel:
    """Read a model that `save` has written.

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
    return model_of(load_model(path), plugins)


def save(model: LanguageModel, path: str | os.PathLike[str]) -> None:
    """Write a model to one file; the name holds the old file or the whole new one."""
    save_model(path, record_of(model))


def model_of(record: ModelRecord, plugins: Collection[str] = ()) -> LanguageModel:
    """Return the model that a file describes."""
    return LanguageModel(
        record.network,
        record.weights,
        _encoder_of(record, plugins),
        Options.from_parameters(record.parameters),
        Facts(record.cell, record.parameters, record.history),
    )


def record_of(model: LanguageModel) -> ModelRecord:
    """Return what a file must hold to give this model back."""
    description, tokens = model.encoder.describe()
    return ModelRecord(
        network=model.network,
        weights=model.weights,
        tokens=tokens,
        cell=model.facts.cell,
        tokenizer=description,
        parameters=model.facts.parameters,
        history=model.facts.history,
    )


def _encoder_of(record: ModelRecord, plugins: Collection[str]) -> Encoder:
    """Return the encoder of a file; imports a package only when the caller named it."""
    if record.tokens is None:
        vocab_size = record.network.config.vocab_size
        if vocab_size < 2:
            raise ModelFormatError("network: a model of ids has two of them at least")
        return IdEncoder(vocab_size - 1)
    facts = dict(record.tokenizer)
    state, *ids = (facts.pop(name) for name in ("state", "end_id", "unk_id"))
    name, package = facts["name"], facts["distribution"]
    if name not in BUILT_IN["tokenizer"] and name not in plugins:
        raise PluginError(
            f"the model's tokenizer {name!r} comes from {package or 'no package'}; "
            f"loading it runs that package's code: load(path, plugins=[{name!r}]) if "
            "it is installed and you trust it"
        )
    cls = load_plugin(find("tokenizer", name))
    tokenizer = cls.from_state({**state, "vocabulary": list(record.tokens)})
    if list(tokenizer.vocabulary_) != list(record.tokens):
        raise ModelFormatError("tokenizer: it does not have the vocabulary of the file")
    if [tokenizer.end_id, tokenizer.unk_id] != ids:
        raise ModelFormatError("tokenizer: it does not have the ids of the file")
    return TextEncoder(tokenizer, facts)
