# SPDX-License-Identifier: BSD-3-Clause
"""Networks as data: names and shapes of parameters, and variants that agree."""

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rnnkit.cells import GRU, LSTM, RNN
from rnnkit.compiler import Graph, trace
from rnnkit.core import State, Window
from rnnkit.model import Dropout, Network, NetworkConfig


def graphs(*sizes: int, cell: Any = None) -> tuple[Graph, ...]:
    """One layer for each two neighbours among the sizes."""
    cell = cell or LSTM()
    return tuple(trace(cell, below, size) for below, size in pairwise(sizes))


def forward(
    network: Network, values: dict[str, np.ndarray], *, window: int = 9, **variant: Any
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs over 9 steps of 3 rows in windows of a length, and the last states."""
    flags = variant.get("flags", False)
    weights = network.weights(values)
    programs = network.programs(**variant)
    ids = np.random.default_rng(5).integers(0, 7, (9, 3)).astype(np.int32)
    state = State(weights, programs, 3)
    training = variant.get("training", False)
    space = Window(weights, programs, window, 3, training=training)
    outputs = []
    for first in range(0, 9, window):
        part = ids[first : first + window]
        marks = {}
        if flags:
            marks["active"] = np.ones_like(part, np.uint8)
            marks["resets"] = np.zeros_like(part, np.uint8)
        space.forward(part, state, targets=part, **marks)
        outputs.append(space.outputs())
    layers = range(network.config.num_layers)
    return np.concatenate(outputs), [state.get(layer, 0) for layer in layers]


def test_parameters_have_pytorchs_names_and_shapes() -> None:
    network = Network(NetworkConfig(7, 3, graphs(3, 5, 5, cell=GRU())))
    found = {p.name: p.shape for p in network.parameters}
    assert list(found.items()) == [
        ("embedding.weight", (7, 3)),
        ("rnn.weight_ih_l0", (15, 3)),
        ("rnn.bias_ih_l0", (15,)),
        ("rnn.weight_hh_l0", (15, 5)),
        ("rnn.bias_hh_l0", (15,)),
        ("rnn.weight_ih_l1", (15, 5)),
        ("rnn.bias_ih_l1", (15,)),
        ("rnn.weight_hh_l1", (15, 5)),
        ("rnn.bias_hh_l1", (15,)),
        ("output.weight", (7, 5)),
        ("output.bias", (7,)),
    ]
    decays = {p.name for p in network.parameters if p.decay}
    assert decays == {name for name in found if "weight" in name}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_values_go_into_weights_and_come_out(dtype: str, tie_weights: bool) -> None:
    config = NetworkConfig(7, 5, graphs(5, 3, 5), tie_weights=tie_weights, dtype=dtype)
    network = Network(config)
    values = network.initial_values(np.random.default_rng(0))
    assert ("output.weight" in values) is not tie_weights
    weights = network.weights(values)
    assert [tuple(shape) for shape in weights.shapes] == [
        p.shape for p in network.parameters
    ]
    for name, value in network.values(weights).items():
        assert value.dtype == dtype
        assert (value == values[name].astype(dtype)).all()


@pytest.mark.parametrize("cell", [RNN(), LSTM(), GRU()])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 17), (5, 1, 3)])
def test_all_variants_of_a_network_give_the_same_bits(
    cell: Any, sizes: tuple[int, ...]
) -> None:
    network = Network(NetworkConfig(7, sizes[0], graphs(*sizes, cell=cell)))
    values = network.initial_values(np.random.default_rng(0))
    expected, states = forward(network, values)
    assert expected.any()
    for variant in (
        {"flags": True},
        {"training": True},
        {"training": True, "flags": True},
        {"window": 1},
        {"window": 4, "flags": True},
    ):
        outputs, other = forward(network, values, **variant)
        assert outputs.tobytes() == expected.tobytes()
        for one, two in zip(states, other, strict=True):
            assert one.tobytes() == two.tobytes()


def test_dropout_masks_differ_by_layer_and_belong_to_training() -> None:
    sizes = (17, 17, 17)
    plain = Network(NetworkConfig(7, 17, graphs(*sizes)))
    values = plain.initial_values(np.random.default_rng(0))
    dropout = Dropout(input=0.5, hidden=0.5, output=0.5, state=0.5)
    outputs = forward(plain, values, training=True, dropout=dropout)[0]
    dropped = (outputs == 0.0).mean()
    assert 0.35 < dropped < 0.65  # 459 coins: 0.5 +- 6 standard deviations
    bottom, top = plain.programs(training=True, dropout=dropout)
    assert bottom is not top  # sites of their own; the top one has one more
    assert "mask" not in str(plain.programs(training=True)[0])
    counts = [str(program).count("= mask") for program in (bottom, top)]
    assert counts[0] < counts[1]


def test_layers_of_equal_graphs_share_their_programs() -> None:
    network = Network(NetworkConfig(7, 5, graphs(5, 5, 5)))
    bottom, top = network.programs()
    assert bottom is top
    assert network.programs() is network.programs()
    assert network.programs(training=True)[0].can_train
    assert network.programs(flags=True)[0].reads_flags


def test_a_network_is_pickled_as_its_description() -> None:
    network = Network(NetworkConfig(7, 5, graphs(5, 3)))
    twin = pickle.loads(pickle.dumps(network))
    assert twin.config == network.config
    assert twin.parameters == network.parameters


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 0}, "must be at least 1"),
        ({"embedding_size": 0}, "must be at least 1"),
        ({"graphs": ()}, "at least one layer"),
        ({"embedding_size": 4}, "layer 0 reads 3 units, but 4 arrive"),
        (
            {"graphs": graphs(3, 5) + graphs(4, 5)},
            "layer 1 reads 4 units, but 5 arrive",
        ),
        ({"tie_weights": True}, "embedding_size=3, the top layer gives 5"),
        ({"dtype": "float16"}, "allowed: float32, float64"),
    ],
)
def test_a_network_that_does_not_fit_together_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    fitting = {"vocab_size": 7, "embedding_size": 3, "graphs": graphs(3, 5)}
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**{**fitting, **settings})
