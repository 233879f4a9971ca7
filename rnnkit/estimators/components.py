# SPDX-License-Identifier: BSD-3-Clause
"""Cells and tokenizers of the estimator: from its parameters, to a file, and back."""

import json
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from rnnkit import plugins
from rnnkit.compiler import Graph, trace
from rnnkit.errors import CellError, ParameterError, PluginError, UnknownNameError
from rnnkit.model import Head, chosen_cutoffs
from rnnkit.runtime.documents import MAX_IDS
from rnnkit.runtime.encoder import Encoder, IdEncoder, TextEncoder


class StoredCell:
    """A cell from a model file whose class is not at hand: its equations alone.

    It has the widths of the model it comes from. Where the package that defines it is
    installed, other widths are traced from there.

    Parameters
    ----------
    record : dict
        Name, package and parameters of the cell, as the file has them.
    graphs : tuple of Graph
        The equations of each layer.
    hidden_size : int
        What they were traced with.
    """

    def __init__(
        self, record: dict[str, Any], graphs: tuple[Graph, ...], hidden_size: int
    ) -> None:
        self.record = record
        self.graphs = graphs
        self.hidden_size = hidden_size

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what `clone` needs; nothing can be set."""
        names = ("record", "graphs", "hidden_size")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Refuse: the parameters are part of the equations."""
        if params:
            raise ParameterError(
                f"{self!r} comes from a model file and its parameters are fixed; "
                "set cell to an instance of its class to change them"
            )
        return self

    def graph(self, input_size: int, hidden_size: int) -> Graph:
        """Return the stored graph of these widths, or trace the cell's class.

        Raises
        ------
        UnknownNameError, PluginError
            There is neither; the message names the package.
        """
        for graph in self.graphs:
            if (graph.input_width, self.hidden_size) == (input_size, hidden_size):
                return graph
        name, package = str(self.record.get("name")), self.record.get("distribution")
        try:
            cell = plugins.make_cell(name)
            cell.set_params(**self.record.get("parameters") or {})
        except (UnknownNameError, PluginError) as error:
            widths = sorted({graph.input_width for graph in self.graphs})
            raise type(error)(
                f"the equations of {self!r} are stored for hidden_size="
                f"{self.hidden_size} and inputs of {widths} units; other sizes need "
                f"the package {package or 'that defines the cell'}: {error}"
            ) from None
        return trace(cell, input_size, hidden_size)

    def __repr__(self) -> str:
        return f"StoredCell({self.record.get('name')!r})"


def layer_graphs(
    cell: Any, embedding_size: int, hidden_size: int, num_layers: int
) -> tuple[Graph, ...]:
    """Return the graph of each layer; each reads the output of the layer below.

    Raises
    ------
    CellError, UnknownNameError, PluginError
        The cell cannot be found or traced.
    """
    if isinstance(cell, type):
        raise ParameterError(
            f"cell={cell.__name__} is a class; use an instance: cell={cell.__name__}()"
        )
    if isinstance(cell, str):
        cell = plugins.make_cell(cell)
    elif not callable(getattr(cell, "step", None)) and not isinstance(cell, StoredCell):
        raise ParameterError(
            f"cell={cell!r} is of type {type(cell).__name__}; allowed: a name, or an "
            "instance of a Cell"
        )
    graphs: list[Graph] = []
    width = embedding_size
    for _ in range(num_layers):
        if isinstance(cell, StoredCell):
            graphs.append(cell.graph(width, hidden_size))
        else:
            graphs.append(_traced(cell, width, hidden_size))
        width = graphs[-1].output_width
    return tuple(graphs)


def _traced(cell: Any, input_size: int, hidden_size: int) -> Graph:
    """Trace a cell twice: what differs is random, or depends on what is not its own."""
    graph = trace(cell, input_size, hidden_size)
    if graph != trace(cell, input_size, hidden_size):
        raise CellError(
            f"two traces of {cell!r} differ: its step depends on random numbers, on "
            "the time, or on something else that changes; it may depend on its "
            "arguments and on the cell's parameters alone"
        )
    return graph


def cell_record(cell: Any) -> dict[str, Any]:
    """Return where a cell comes from, as a model file says it."""
    if isinstance(cell, StoredCell):
        return cell.record
    params = cell.get_params(deep=False) if hasattr(cell, "get_params") else None
    return {**_origin("cell", cell), "parameters": _storable(params)}


def make_encoder(estimator: Any) -> Encoder:
    """Return the encoder that the estimator's parameters ask for, still to learn.

    Raises
    ------
    ParameterError, UnknownNameError, PluginError
        Tokenizer and vocabulary are none, or do not go together.
    """
    tokenizer, vocabulary = estimator.tokenizer, estimator.vocabulary
    if tokenizer is None:
        return IdEncoder(_number_of_ids(vocabulary))
    if isinstance(tokenizer, str):
        made = plugins.make_tokenizer(tokenizer)
    else:
        made = clone(tokenizer, safe=False)  # the parameter itself learns nothing
    encoder = TextEncoder(made, _origin("tokenizer", tokenizer))
    if vocabulary is not None:
        if "vocabulary" not in made.get_params():
            raise ParameterError(
                f"vocabulary is given, but {type(made).__name__} has its own: "
                "leave vocabulary=None"
            )
        made.set_params(vocabulary=vocabulary)
    return encoder


def make_head(estimator: Any, vocab_size: int, before: Head | None = None) -> Head:
    """Return the output layer that the estimator's parameters ask for.

    Cutoffs that are not given are those of `before`, of a model that goes on.
    """
    kind, cutoffs = estimator.head, estimator.cutoffs
    if kind == "sampled":
        return Head(kind, n_samples=int(estimator.n_samples))
    if kind == "softmax":
        return Head()
    if cutoffs is None and before and before.kind == kind:
        cutoffs = before.cutoffs
    elif cutoffs is None:
        cutoffs = chosen_cutoffs(vocab_size)
    return Head(kind, tuple(map(int, cutoffs)), float(estimator.div_value))


def _number_of_ids(vocabulary: Any) -> int | None:
    """Check the vocabulary of a model of ids: how many there are."""
    if vocabulary is None:
        return None
    is_number = isinstance(vocabulary, Integral) and not isinstance(vocabulary, bool)
    if not is_number or not 1 <= vocabulary <= MAX_IDS:
        raise ParameterError(
            f"vocabulary={vocabulary!r}; without a tokenizer it is the number of ids, "
            f"1 to {MAX_IDS}"
        )
    return int(vocabulary)


def _origin(kind: str, part: Any) -> dict[str, Any]:
    """Return name, package and version of a cell or a tokenizer."""
    is_name = isinstance(part, str)
    plugin = plugins.find(kind, part) if is_name else plugins.origin(kind, type(part))
    name = part if is_name else plugin.name if plugin else type(part).__name__
    return {
        "name": name,
        "distribution": plugin and plugin.distribution,
        "version": plugin and plugin.version,
        "is_name": is_name,
    }


def tokenizer_of(encoder: Encoder) -> Any:
    """Return the parameter `tokenizer` that a loaded encoder was made from."""
    if isinstance(encoder, IdEncoder):
        return None
    assert isinstance(encoder, TextEncoder)
    name = encoder.origin.get("name")
    return name if encoder.origin.get("is_name") else clone(encoder.tokenizer)


def storable_parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters that a model file keeps, as JSON knows them.

    Cell and tokenizer have places of their own; of a vocabulary that was given, only
    that it was; a generator has no place.
    """
    params: dict[str, Any] = estimator.get_params(deep=False)
    del params["cell"], params["tokenizer"]
    for name, value in params.items():
        if isinstance(value, np.generic):
            params[name] = value.item()
    if params["vocabulary"] is not None and estimator.tokenizer is not None:
        params["vocabulary"] = True
    if params["cutoffs"] is not None:
        params["cutoffs"] = [int(cutoff) for cutoff in params["cutoffs"]]
    if isinstance(params["zoneout"], Mapping):
        params["zoneout"] = {k: float(rate) for k, rate in params["zoneout"].items()}
    if params["embedding"] is not None:  # its vectors are among the weights
        params["embedding"] = None
        params["embedding_size"] = estimator._model.network.config.embedding_size
    if params["frozen"] is not None:
        params["frozen"] = list(names(params["frozen"]))
    if not isinstance(params["random_state"], int):
        params["random_state"] = None
    return params


def names(given: Any) -> tuple[str, ...]:
    """Return names as a tuple, those of a str too, and None."""
    return tuple(given.split(",") if isinstance(given, str) else given or ())


def cell_of(record: dict[str, Any], graphs: tuple[Graph, ...], hidden_size: int) -> Any:
    """Return the parameter `cell` that a record describes; imports no plugin."""
    name, parameters = record.get("name"), record.get("parameters")
    if record.get("is_name") and _is_known("cell", name):
        return name
    if name in plugins.BUILT_IN["cell"] and isinstance(parameters, dict):
        return plugins.make_cell(name).set_params(**parameters)
    return StoredCell(record, graphs, hidden_size)


def _is_known(kind: str, name: Any) -> bool:
    """Say whether a name can be looked up; imports nothing."""
    try:
        return bool(plugins.find(kind, name))
    except (UnknownNameError, PluginError, ParameterError):
        return False


def _storable(params: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return parameters that JSON gives back as they were; else, and of names, None."""
    try:
        return params if json.loads(json.dumps(params)) == params else None
    except (TypeError, ValueError):
        return None
