# SPDX-License-Identifier: BSD-3-Clause
"""Estimators from models of other libraries."""

import os
from collections.abc import Mapping
from typing import Any

from rnnkit.errors import ConversionError, InputError
from rnnkit.estimators.checks import check_parameters
from rnnkit.estimators.components import cell_record, make_encoder
from rnnkit.estimators.language_model import RNNLanguageModel
from rnnkit.estimators.settings import equations, network_config
from rnnkit.interchange import keras, onnx_import, pytorch
from rnnkit.interchange.parts import Parts
from rnnkit.plugins import BUILT_IN, make_cell
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.model import Facts
from rnnkit.training.history import History


def from_torch_state_dict(
    state_dict: Mapping[str, Any] | str | os.PathLike[str],
    *,
    cell: Any = None,
    embedding: str | None = None,
    output: str | None = None,
    tie_weights: bool | None = None,
    div_value: float = 4.0,
    **parameters: Any,
) -> RNNLanguageModel:
    """Make a fitted estimator of the weights of a PyTorch model.

    Parameters
    ----------
    state_dict : mapping of str to array, or path
        ``module.state_dict()`` of an embedding, `nn.RNN`, `nn.LSTM` or `nn.GRU`, and a
        linear output or `nn.AdaptiveLogSoftmaxWithLoss`; or a safetensors file of it.
        PyTorch itself is not needed.
    cell : str or Cell, optional
        "rnn" or ``RNN("relu")``: of `nn.RNN`, whose weights do not say which it is.
    embedding, output : str, optional
        The names of these modules, where they cannot be told apart.
    tie_weights : bool, optional
        Whether the output weight is the embedding; by default where they are equal.
    div_value : float, default=4.0
        Of `nn.AdaptiveLogSoftmaxWithLoss`.
    **parameters
        Others of `RNNLanguageModel`. With `tokenizer` and `vocabulary`, the tokens in
        the order of the embedding's rows, it reads texts; without them ids, the last of
        which ends a document.

    Raises
    ------
    ConversionError
        What is not supported, or is missing; the message names the tensor.
    """
    parts = pytorch.read_state_dict(
        state_dict,
        cell=cell,
        embedding=embedding,
        output=output,
        tie_weights=tie_weights,
        div_value=div_value,
    )
    return estimator_of(parts, parameters)


def from_onnx(model: Any, **parameters: Any) -> RNNLanguageModel:
    """Make a fitted estimator of an ONNX model; needs the package onnx.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        Of an embedding (Gather), RNN, GRU or LSTM nodes, and a linear output. It is run
        beside its copy, by ONNX Runtime where that is installed.
    **parameters
        Others of `RNNLanguageModel`, as in `from_torch_state_dict`.

    Raises
    ------
    MissingPackageError
        The package onnx is not there.
    ConversionError
        What is not supported, by the name of its node; or the copy computes other
        numbers.
    """
    return estimator_of(onnx_import.read_onnx(model), parameters)


def from_keras(
    weights: Mapping[str, Any] | str | os.PathLike[str],
    *,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    reset_after: bool | None = None,
    **parameters: Any,
) -> RNNLanguageModel:
    """Make a fitted estimator of the weights of a Keras model.

    Parameters
    ----------
    weights : mapping of str to array, or path
        ``{w.path: w.numpy() for w in model.weights}`` of Embedding, SimpleRNN, GRU or
        LSTM, and Dense; or a .keras or .weights.h5 file, which need the package h5py.
    activation, recurrent_activation : str, optional
        Of the recurrent layers; a .keras file has them. By default "tanh" and "sigmoid"
        for LSTM and GRU; of SimpleRNN the first must be said.
    reset_after : bool, optional
        Of a GRU without biases, which do not say it.
    **parameters
        Others of `RNNLanguageModel`, as in `from_torch_state_dict`.

    Raises
    ------
    MissingPackageError
        h5py is not there.
    ConversionError
        What is not supported, by the name of its layer.
    """
    parts = keras.read_keras(
        weights,
        activation=activation,
        recurrent_activation=recurrent_activation,
        reset_after=reset_after,
    )
    return estimator_of(parts, parameters)


def estimator_of(parts: Parts, parameters: dict[str, Any]) -> RNNLanguageModel:
    """Return an estimator that is fitted with what was found in a foreign model."""
    found = _parameters_of(parts)
    for name in sorted(set(found) & set(parameters)):
        raise ConversionError(f"{name} is known from the weights; leave it out")
    lm = RNNLanguageModel(**found, **{"tokenizer": None, **parameters})
    check_parameters(lm.get_params(deep=False))
    model = parts.model(_encoder_of(lm))
    if equations(network_config(lm, model.encoder)) != equations(model.network.config):
        raise ConversionError(
            "the layers differ in their cells or sizes, which RNNLanguageModel does "
            "not know; the functions of rnnkit.interchange give a model that predicts"
        )
    lm._adopt(model.with_facts(Facts(cell=cell_record(lm.cell))), History())
    return lm


def _parameters_of(parts: Parts) -> dict[str, Any]:
    """Return the estimator's parameters that the weights decide."""
    lowest = parts.layers[0]
    named = [n for n in BUILT_IN["cell"] if make_cell(n) == lowest.cell]
    found = {
        "cell": named[0] if named else lowest.cell,
        "hidden_size": lowest.hidden_size,
        "num_layers": len(parts.layers),
        "embedding_size": parts.embedding.shape[1],
        "tie_weights": parts.tie_weights,
        "dtype": parts.dtype,
    }
    if parts.head.kind == "adaptive":
        head = parts.head
        found |= {"head": head.kind, "cutoffs": head.cutoffs}
        found["div_value"] = head.div_value
    return found


def _encoder_of(lm: RNNLanguageModel) -> Encoder | None:
    """Return the encoder of the vocabulary that was given; None for ids."""
    if lm.tokenizer is None:
        return None
    encoder = make_encoder(lm)
    try:
        encoder.learn([])
    except InputError:
        raise ConversionError(
            f"tokenizer={lm.tokenizer!r} needs vocabulary= the tokens in the order of "
            "the embedding's rows"
        ) from None
    return encoder
