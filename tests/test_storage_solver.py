# SPDX-License-Identifier: BSD-3-Clause
"""The solver's state in a model file: training goes on as if nothing had been saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnkit
from rnnkit import RNNLanguageModel, runtime
from rnnkit.errors import ModelFormatError
from rnnkit.storage.safetensors import decode, encode

FIRST = ["the cat sat on the mat", "the dog sat", "a cat ran"]
MORE = ["the dog ran on the mat", "a cat sat on a dog", "the the"]


def make(**params: Any) -> RNNLanguageModel:
    defaults = {"hidden_size": 3, "batch_size": 2, "bptt": 3, "n_threads": 1}
    return RNNLanguageModel(**{"random_state": 0, **defaults, **params})


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "sgd"},
        {"solver": "sgd", "momentum": 0.9, "learning_rate": "plateau"},
        {"solver": "adagrad", "cell": "gru", "num_layers": 2, "dropout": 0.25},
        {
            "solver": "adamw",
            "warmup_steps": 9,
            "random_state": 2**64 - 1,
            "dropout": 0.25,
        },
        {"carry_state": True, "dtype": "float64", "zoneout": 0.25, "projection": True},
        {"average": True, "tie_weights": True, "variable_bptt": True, "bptt": 12},
        {"average": "triggered", "average_patience": 1, "learning_rate": "adaptive"},
        {"head": "adaptive", "cutoffs": [3], "accumulate": 2},
        {"carry_state": True, "temporal_activation_penalty": 0.5, "solver": "rmsprop"},
    ],
)
def test_partial_fit_goes_on_from_a_file_with_the_same_bits(
    params: dict[str, Any], tmp_path: Path
) -> None:
    lm = make(**params).partial_fit(FIRST).partial_fit(FIRST)
    lm.save(tmp_path / "a", solver_state=True)
    twin = rnnkit.load(tmp_path / "a")
    twin.save(tmp_path / "b", solver_state=True)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    for _ in range(3):
        lm.partial_fit(MORE)
        twin.partial_fit(MORE)
    for name, value in lm.params_.items():
        assert twin.params_[name].tobytes() == value.tobytes(), name
    assert twin.loss_curve_ == lm.loss_curve_
    assert twin.n_iter_ == 5


def test_without_it_the_file_is_as_ever(tmp_path: Path) -> None:
    lm = make().partial_fit(FIRST)
    lm.save(tmp_path / "a")
    lm.save(tmp_path / "b", solver_state=True)
    tensors, metadata = decode((tmp_path / "b").read_bytes())
    del metadata["solver"]
    tensors = {n: t for n, t in tensors.items() if not n.startswith("solver.")}
    assert encode(tensors, metadata) == (tmp_path / "a").read_bytes()
    rnnkit.load(tmp_path / "b").save(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()
    lm.fit(FIRST).save(tmp_path / "d", solver_state=True)  # there is no solver to keep
    assert "solver" not in decode((tmp_path / "d").read_bytes())[1]


def test_the_runtime_takes_such_a_file_and_leaves_the_solver(tmp_path: Path) -> None:
    lm = make().partial_fit(FIRST)
    lm.save(tmp_path / "a")
    lm.save(tmp_path / "b", solver_state=True)
    model = runtime.load(tmp_path / "b")
    assert model.score(MORE) == lm.score(MORE)
    runtime.save(model, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()


def test_settings_that_partial_fit_would_refuse_are_refused(tmp_path: Path) -> None:
    lm = make().partial_fit(FIRST).set_params(solver="sgd")
    with pytest.raises(ValueError, match="the solver cannot change"):
        lm.save(tmp_path / "a", solver_state=True)


def tensor(name: str, change: Any) -> Callable[[Any, Any], None]:
    def apply(tensors: Any, metadata: Any) -> None:
        tensors["solver." + name] = change(tensors.get("solver." + name))

    return apply


def numbers(old: str, new: str) -> Callable[[Any, Any], None]:
    def apply(tensors: Any, metadata: Any) -> None:
        assert old in metadata["solver"]
        metadata["solver"] = metadata["solver"].replace(old, new)

    return apply


def without(what: str) -> Callable[[Any, Any], None]:
    def apply(tensors: Any, metadata: Any) -> None:
        (metadata if what in metadata else tensors).pop(what)

    return apply


ONE = np.ones(1, "f4")
BIAS = "moment.1.output.bias"
BOTH_DOORS: dict[str, tuple[Any, str]] = {
    "no parameter": (tensor("moment.0.x", lambda v: ONE), "no part of a"),
    "third moment": (tensor("moment.2.output.bias", lambda v: ONE), "no part"),
    "unknown": (tensor("x", lambda v: ONE), "no part of a solver"),
    "of a vocabulary": (tensor("weights.vocabulary", lambda v: ONE), "no part of a"),
    "shape": (tensor(BIAS, lambda v: v[:-1]), "another shape"),
    "rank": (tensor(BIAS, lambda v: v[None]), "another shape"),
    "dtype": (tensor(BIAS, lambda v: v.astype("f8")), "or dtype"),
    "NaN": (tensor(BIAS, lambda v: v * np.nan), "NaN or infinity"),
    "state": (tensor("state.0.0", lambda v: v[:-1]), "another shape"),
    "state too many": (tensor("state.0.2", lambda v: np.ones(3, "f4")), "no part of a"),
    "no numbers": (without("solver"), "have no 'solver'"),
    "one moment is missing": (without("solver." + BIAS), "for each of"),
}  # fmt: skip
FOR_TRAINING: dict[str, tuple[Any, str]] = {
    "no JSON": (numbers("{", "["), "not JSON|canonical"),
    "steps are text": (numbers('"n_updates":5', '"n_updates":"x"'), "not those of"),
    "steps are negative": (numbers('"solver_steps":', '"solver_steps":-'), "not those"),
    "seed is huge": (numbers('"seed":0', '"seed":18446744073709551616'), "not those"),
    "no state": (without("solver.state.0.1"), "state.0.1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("solver") / "model"
    make(carry_state=True).partial_fit(FIRST).save(path, solver_state=True)
    return path.read_bytes()


@pytest.mark.parametrize("what", [*BOTH_DOORS, *FOR_TRAINING])
def test_a_solver_that_is_wrong_is_refused(
    data: bytes, what: str, tmp_path: Path
) -> None:
    change, message = {**BOTH_DOORS, **FOR_TRAINING}[what]
    tensors, metadata = decode(data)
    change(tensors, metadata)
    (tmp_path / "a").write_bytes(encode(tensors, metadata))
    with pytest.raises(ModelFormatError, match=message):
        rnnkit.load(tmp_path / "a")
    if what in BOTH_DOORS:
        with pytest.raises(ModelFormatError, match=message):
            runtime.load(tmp_path / "a")
    else:
        runtime.load(tmp_path / "a").predict_next("the")
