# SPDX-License-Identifier: BSD-3-Clause
"""What every importer finds in a foreign model, and the model that is made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnkit.compiler import Graph, trace
from rnnkit.errors import ConversionError, ParameterError
from rnnkit.model import Head, NetworkConfig, named_parameters
from rnnkit.runtime.encoder import Encoder, IdEncoder
from rnnkit.runtime.model import LanguageModel

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layer:
    """A recurrent layer: the cell that computes it, and its weights.

    Attributes
    ----------
    source : str
        What it is called where it comes from; messages name it.
    cell : Cell
    input_size, hidden_size : int
        What the cell is traced with.
    values : mapping of str to array
        By the names of the graph's parameters; what is missing is 0, such as a bias
        that the foreign layer has not.
    """

    source: str
    cell: Any
    input_size: int
    hidden_size: int
    values: Mapping[str, Array]

    @property
    def graph(self) -> Graph:
        """The cell's equations."""
        return trace(self.cell, self.input_size, self.hidden_size)


@dataclass(frozen=True)
class Parts:
    """A foreign language model, taken apart.

    Attributes
    ----------
    embedding : array of shape (V, E)
    layers : sequence of Layer
        The lowest first.
    output : mapping of str to array
        The tensors of the output layer by rnnkit's names; no "output.weight" where it
        is the embedding.
    tie_weights : bool
    head : Head
    """

    embedding: Array
    layers: Sequence[Layer]
    output: Mapping[str, Array]
    tie_weights: bool = False
    head: Head = field(default_factory=Head)

    @property
    def dtype(self) -> str:
        """The arithmetic that the arrays were made for."""
        arrays = [self.embedding, *self.output.values()]
        arrays += [a for layer in self.layers for a in layer.values.values()]
        return "float64" if np.result_type(*arrays) == np.float64 else "float32"

    def config(self) -> NetworkConfig:
        """Return the network; ConversionError where the parts do not fit each other."""
        try:
            return NetworkConfig(
                vocab_size=len(self.embedding),
                embedding_size=self.embedding.shape[1],
                graphs=tuple(layer.graph for layer in self.layers),
                tie_weights=self.tie_weights,
                dtype=self.dtype,
                head=self.head,
            )
        except ParameterError as error:
            names = ", ".join(layer.source for layer in self.layers)
            raise ConversionError(
                f"the layers {names} do not make a language model: {error}"
            ) from None

    def model(self, encoder: Encoder | None = None) -> LanguageModel:
        """Return a model that predicts; of ids, the last of which ends a document.

        Parameters
        ----------
        encoder : Encoder, optional
            Of the vocabulary that the foreign model was trained with.
        """
        config = self.config()
        if encoder is None:
            encoder = IdEncoder(config.vocab_size - 1)
        if len(encoder.tokens) != config.vocab_size:
            raise ConversionError(
                f"the vocabulary has {len(encoder.tokens)} tokens, <eos> and <unk> "
                f"included, the embedding {config.vocab_size} rows; give vocabulary= "
                "the tokens in the order of the rows"
            )
        return LanguageModel.from_values(config, self._values(config), encoder)

    def _values(self, config: NetworkConfig) -> dict[str, Array]:
        """Every parameter of the network by name, checked."""
        found = {"embedding.weight": self.embedding, **self.output}
        for k, layer in enumerate(self.layers):
            found |= {f"rnn.{name}_l{k}": a for name, a in layer.values.items()}
        values = {}
        for parameter in named_parameters(config):
            value = found.pop(parameter.name, None)
            if value is None and not parameter.is_weight:
                value = np.zeros(parameter.shape)
            if value is None or value.shape != parameter.shape:
                got = "is missing" if value is None else f"has shape {value.shape}"
                raise ConversionError(
                    f"{self._source(parameter.name)}: {parameter.name} {got}; needed "
                    f"is {parameter.shape}"
                )
            if not np.isfinite(value).all():
                raise ConversionError(
                    f"{self._source(parameter.name)}: {parameter.name} holds NaN or "
                    "infinity"
                )
            values[parameter.name] = value
        if found:
            raise ConversionError(f"{min(found)} has no place in the network")
        return values

    def _source(self, name: str) -> str:
        """What the part with this parameter is called in the foreign model."""
        if not name.startswith("rnn."):
            return name.partition(".")[0]
        return self.layers[int(name.rpartition("_l")[2])].source


def as_arrays(tensors: Any) -> dict[str, Array]:
    """Return the arrays of a mapping, half precision widened; refuse all else."""
    if not isinstance(tensors, Mapping):
        raise ConversionError(
            f"weights are of type {type(tensors).__name__}; allowed: a mapping of "
            "names to arrays, or the name of a file"
        )
    return {str(name): _as_array(str(name), value) for name, value in tensors.items()}


def _as_array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConversionError(
            f"{name} is no array that NumPy can read ({error}); detach it, move it to "
            "the CPU, and make it float32 or float64"
        ) from None
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise ConversionError(
            f"{name} is of type {array.dtype}; allowed: float16, float32, float64. "
            "Leave out what is no weight; convert quantised weights first"
        )
    return array
