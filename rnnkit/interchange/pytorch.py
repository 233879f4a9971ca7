# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch's state dicts, as mappings of names to arrays; PyTorch is not needed.

Names of rnnkit's parameters, the order of gates and both biases are PyTorch's, so that
weights move without a change. What is to be found out is which tensor is what.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnkit import plugins
from rnnkit.cells import GRU, LSTM, LSTMP, RNN
from rnnkit.errors import ConversionError
from rnnkit.interchange.parts import Array, Layer, Parts, as_arrays
from rnnkit.interchange.safetensors import read_safetensors
from rnnkit.interchange.standard import recognised
from rnnkit.model import Head
from rnnkit.runtime.model import LanguageModel

RECURRENT = re.compile(
    r"(?:(?P<module>.*)\.)?(?P<tensor>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d+))?(?P<reverse>_reverse)?\Z"
)
HEAD = re.compile(r"(?:(?P<module>.*)\.)?(?P<tensor>head\.\w+|tail\.\d+\.[01]\.\w+)\Z")
MODULES = {RNN: "nn.RNN", LSTM: "nn.LSTM", LSTMP: "nn.LSTM", GRU: "nn.GRU"}
TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
OUR_NAME = {"weight_hr": "weight_hr_0"}  # of PyTorch's names that differ from ours
EMBEDDINGS = ("embed", "emb", "encoder", "wte")  # what modules are mostly called
OUTPUTS = ("out", "decoder", "linear", "fc", "head", "proj", "dense", "classifier")


def to_torch_state_dict(model: LanguageModel) -> dict[str, Array]:
    """Return the weights for a module of `embedding`, `rnn` and `output`.

    Parameters
    ----------
    model : LanguageModel
        Of a cell that `nn.RNN`, `nn.LSTM` or `nn.GRU` computes.

    Returns
    -------
    dict of str to array
        "embedding.weight", "rnn.weight_ih_l0" and so on, "output.weight" (also where it
        is the embedding), "output.bias"; of an adaptive head those of
        `nn.AdaptiveLogSoftmaxWithLoss` as "output.head.weight" and so on; of a
        projection before the output layer "projection.weight" and its bias.

    Raises
    ------
    ConversionError
        A layer has no such module; the message names it.
    """
    config, params = model.network.config, model.params
    config.require_reals("to_torch_state_dict", ConversionError)
    found = {"embedding.weight": params["embedding.weight"]}
    modules = []
    graphs = model.network.predicting_graphs()[: config.num_layers]
    for k, graph in enumerate(graphs):
        standard = recognised(graph)
        if standard is None or type(standard.cell) not in MODULES:
            raise ConversionError(
                f"layer {k} (cell {model.facts.cell.get('name')!r}): its equations are "
                "not those of nn.RNN, nn.LSTM or nn.GRU; take its arrays from params_ "
                "for a module of your own, or export to ONNX"
            )
        modules.append((standard.cell, standard.hidden_size))
        ours = {its: name for name, its in standard.names.items()}
        for tensor in TENSORS:
            name = ours.get(OUR_NAME.get(tensor, tensor))
            if name is not None:
                found[f"rnn.{tensor}_l{k}"] = params[f"rnn.{name}_l{k}"]
    for k, module in enumerate(modules):
        if module != modules[0]:
            raise ConversionError(
                f"layer {k} is {module[0]!r} of {module[1]} units, layer 0 "
                f"{modules[0][0]!r} of {modules[0][1]}; the layers of a module are "
                "alike: take the arrays from params_ for several modules"
            )
    above = ("projection.", "output.")
    found |= {n: a for n, a in params.items() if n.startswith(above)}
    if config.tie_weights:
        found["output.weight"] = params["embedding.weight"]
    return {name: np.array(array) for name, array in found.items()}


def read_state_dict(
    source: Any,
    *,
    cell: Any = None,
    embedding: str | None = None,
    output: str | None = None,
    tie_weights: bool | None = None,
    div_value: float = 4.0,
) -> Parts:
    """Take a state dict apart.

    Parameters
    ----------
    source : mapping of str to array, or path
        `module.state_dict()`, its tensors on the CPU; or a safetensors file of it.
    cell : str or Cell, optional
        Of `nn.RNN`, whose weights do not say which it is: "rnn" for tanh,
        ``RNN("relu")``. Others are known by their shapes.
    embedding, output : str, optional
        The modules of these tensors, as in "decoder", where they cannot be told apart.
    tie_weights : bool, optional
        Whether the output weight is the embedding; by default where they are equal.
    div_value : float, default=4.0
        Of `nn.AdaptiveLogSoftmaxWithLoss`.

    Raises
    ------
    ConversionError
        What is not supported, or is missing; the message names the tensor.
    """
    is_path = isinstance(source, (str, os.PathLike))
    tensors = as_arrays(read_safetensors(source) if is_path else source)
    layers = _layers(tensors, cell)
    head_names = [n for n in tensors if HEAD.match(n)]
    if any(".tail." in f".{n}" for n in head_names):
        table = _embedding_alone(tensors, head_names, embedding)
        head, values = _adaptive(tensors, head_names, div_value)
        return Parts(table, layers, values, head=head)
    found = _Ends(tensors, layers[0].input_size, embedding, output)
    return found.parts(layers, tie_weights)


# -------------------------------------------------------------------------- the layers


def _layers(tensors: dict[str, Array], cell: Any) -> list[Layer]:
    """Remove the recurrent tensors; return their layers, the lowest first."""
    groups: dict[tuple[str, int], dict[str, Array]] = {}
    for name in list(tensors):
        match = RECURRENT.match(name)
        if match is None:
            continue
        if match["reverse"]:
            raise ConversionError(
                f"{name}: a bidirectional layer has read the token that it is to "
                "predict; a language model reads forward only"
            )
        key = (match["module"] or "", int(match["layer"] or 0))
        groups.setdefault(key, {})[match["tensor"]] = tensors.pop(name)
    if not groups:
        raise ConversionError(
            "there is no recurrent layer: no tensor is called weight_ih_l0, as those "
            "of nn.RNN, nn.LSTM and nn.GRU are"
        )
    _check_order({module for module, _ in groups})
    for module, k in groups:
        if k and (module, k - 1) not in groups:
            raise ConversionError(f"{module} has a layer {k}, but no layer {k - 1}")
    ordered = sorted(groups, key=lambda key: (_natural(key[0]), key[1]))
    return [_layer(f"{m}, layer {k}", groups[m, k], cell) for m, k in ordered]


def _check_order(modules: set[str]) -> None:
    """Refuse recurrent modules of which nobody says which comes first."""
    if len({re.sub(r"\d+", "", module) for module in modules}) > 1:
        raise ConversionError(
            f"the recurrent modules {', '.join(sorted(modules))} do not say in which "
            "order they are; rename them so that they differ by a number alone"
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts "rnns.10" behind "rnns.9"."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def _layer(source: str, tensors: dict[str, Array], cell: Any) -> Layer:
    for name in ("weight_ih", "weight_hh"):
        if name not in tensors or tensors[name].ndim != 2:
            raise ConversionError(f"{source}: {name} is missing, or no matrix")
    rows, input_size = tensors["weight_ih"].shape
    width = tensors["weight_hh"].shape[1]
    hidden_size = width
    if "weight_hr" in tensors:
        hidden_size = tensors["weight_hr"].shape[-1]
        found: Any = LSTMP(width) if rows == 4 * hidden_size else None
    else:
        found = {4 * width: LSTM(), 3 * width: GRU()}.get(rows)
        found = _plain(source, cell) if rows == width else found
    if found is None:
        raise ConversionError(
            f"{source}: weight_ih has {rows} rows and weight_hh {width} columns, which "
            "is neither nn.RNN (as many), nn.GRU (3 times) nor nn.LSTM (4 times)"
        )
    made = plugins.make_cell(cell) if isinstance(cell, str) else cell
    if made is not None and MODULES.get(type(made)) != MODULES[type(found)]:
        raise ConversionError(
            f"{source} is an {MODULES[type(found)]}, not what cell={cell!r} says"
        )
    values = {OUR_NAME.get(name, name): array for name, array in tensors.items()}
    return Layer(source, found, input_size, hidden_size, values)


def _plain(source: str, cell: Any) -> RNN:
    """The cell of an nn.RNN: the caller must say which it is."""
    made = plugins.make_cell(cell) if isinstance(cell, str) else cell
    if not isinstance(made, RNN):
        raise ConversionError(
            f"{source} is an nn.RNN, whose weights do not say whether it is tanh or "
            "relu: give cell='rnn' for tanh, cell=RNN('relu') for relu"
        )
    return made


# ------------------------------------------------------------------- embedding, output


class _Ends:
    """The tensors that are left: of the embedding and of the output layer."""

    def __init__(
        self,
        tensors: dict[str, Array],
        input_size: int,
        embedding: str | None,
        output: str | None,
    ) -> None:
        self.modules: dict[str, dict[str, Array]] = {}
        for name, array in tensors.items():
            module, _, tensor = name.rpartition(".")
            self.modules.setdefault(module, {})[tensor] = array
            if tensor not in ("weight", "bias") or array.ndim != 1 + (
                tensor == "weight"
            ):
                raise ConversionError(
                    f"{name} of shape {array.shape} is part of no embedding, recurrent "
                    "layer or linear output; a model that has more than these, in this "
                    "order, cannot be taken over"
                )
        self.input_size = input_size
        self.embedding = self._asked(embedding) or self._embedding(output)
        self.output = self._asked(output) or self._output()

    def _asked(self, module: str | None) -> str | None:
        if module is not None and module not in self.modules:
            raise ConversionError(
                f"there is no module {module!r}; there are {self._names()}"
            )
        return module

    def _names(self) -> str:
        return ", ".join(repr(name) for name in self.modules) or "none"

    def _embedding(self, output: str | None) -> str:
        """The module of a weight alone, as wide as the lowest layer reads."""
        fitting = [
            name
            for name, tensors in self.modules.items()
            if name != output
            and set(tensors) == {"weight"}
            and tensors["weight"].shape[1] == self.input_size
        ]
        if not fitting and len(self.modules) == 1:  # tied, under the output's name
            fitting = [n for n in self.modules if "weight" in self.modules[n]]
        if not fitting:
            raise ConversionError(
                f"no module is an embedding of {self.input_size} units; there are "
                f"{self._names()}"
            )
        return self._one_of(fitting, EMBEDDINGS, "embedding")

    def _output(self) -> str:
        others = [name for name in self.modules if name != self.embedding]
        return self._one_of(others, OUTPUTS, "output") if others else self.embedding

    def _one_of(self, names: list[str], hints: tuple[str, ...], what: str) -> str:
        """The only one of the names, or the only one that is called so."""
        hinted = [n for n in names if any(h in n.lower() for h in hints)]
        for found in (names, hinted):
            if len(found) == 1:
                return found[0]
        raise ConversionError(
            f"which module is the {what}? There are {', '.join(map(repr, names))}: "
            f"say {what}='...'"
        )

    def parts(self, layers: list[Layer], tie_weights: bool | None) -> Parts:
        """Return the model, everything used."""
        unused = set(self.modules) - {self.embedding, self.output}
        if unused:
            raise ConversionError(
                f"the module {min(unused)!r} is neither the embedding "
                f"{self.embedding!r} nor the output {self.output!r}; a model that has "
                "more layers than these cannot be taken over"
            )
        table = self.modules[self.embedding]["weight"]
        values = {f"output.{n}": a for n, a in self.modules[self.output].items()}
        one_weight = self.embedding == self.output or "output.weight" not in values
        if one_weight and not tie_weights:
            raise ConversionError(
                f"there is one weight, {self.embedding!r}, for embedding and output: "
                "say tie_weights=True if it is that of both"
            )
        weight = values.setdefault("output.weight", table)
        equal = weight.shape == table.shape and bool((weight == table).all())
        tied = equal if tie_weights is None else tie_weights
        if tied and not equal:
            raise ConversionError(
                f"tie_weights=True, but {self.output!r} and {self.embedding!r} have "
                "not the same weight"
            )
        if tied:
            del values["output.weight"]
        return Parts(table, layers, values, tie_weights=tied)


def _embedding_alone(
    tensors: Mapping[str, Array], head_names: list[str], embedding: str | None
) -> Array:
    """The embedding of a model whose other tensors are known."""
    left = [name for name in tensors if name not in head_names]
    wanted = left if embedding is None else [f"{embedding}.weight"]
    if left != wanted or len(left) != 1 or tensors[left[0]].ndim != 2:
        raise ConversionError(
            f"beside layers and adaptive softmax there are {left}; there should be the "
            "weight of the embedding alone"
        )
    return tensors[left[0]]


def _adaptive(
    tensors: Mapping[str, Array], names: list[str], div_value: float
) -> tuple[Head, dict[str, Array]]:
    """The head of an nn.AdaptiveLogSoftmaxWithLoss, and its tensors by our names."""
    values = {}
    for name in names:
        match = HEAD.match(name)
        assert match is not None
        values[f"output.{match['tensor']}"] = tensors[name]
    sizes: list[int] = []
    while f"output.tail.{len(sizes)}.1.weight" in values:
        sizes.append(len(values[f"output.tail.{len(sizes)}.1.weight"]))
    if "output.head.weight" not in values:
        raise ConversionError("the adaptive softmax has no head.weight")
    shortlist = len(values["output.head.weight"]) - len(sizes)
    cutoffs = np.cumsum([shortlist, *sizes[:-1]])
    return Head("adaptive", tuple(map(int, cutoffs)), div_value), values
