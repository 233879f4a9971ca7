# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]
Limits = Sequence[tuple[float, float] | None]

class SolverState(TypedDict):
    steps: int
    moments: list[list[Reals]]

class Program:
    dtype: str
    can_train: bool
    reads_flags: bool
    has_loop_product: bool
    n_states: int
    input_size: int
    output_size: int
    def __init__(self, words: Ids, dtype: str) -> None: ...
    @property
    def state_widths(self) -> list[int]: ...
    @property
    def parameter_shapes(self) -> list[tuple[int, ...]]: ...

class Weights:
    vocab_size: int
    embedding_size: int
    hidden_size: int
    tie_weights: bool
    int8: bool
    output_bias: bool
    head: dict[str, Any]
    dtype: str
    shapes: list[tuple[int, ...]]
    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        programs: Sequence[Program],
        *,
        tie_weights: bool = False,
        dtype: str = "float32",
        int8: bool = False,
        output_bias: bool = True,
        head: str = "softmax",
        n_samples: int = 0,
        cutoffs: Ids | None = None,
        cluster_widths: Ids | None = None,
    ) -> None: ...
    def get(self, index: int) -> Reals: ...
    def set(self, index: int, array: npt.ArrayLike) -> None: ...
    def is_int8(self, index: int) -> bool: ...
    def get_int8(
        self, index: int
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]: ...
    def set_int8(
        self, index: int, codes: npt.ArrayLike, scales: npt.ArrayLike
    ) -> None: ...
    def assign(self, other: Weights) -> None: ...
    def average(self, other: Weights, rate: float, n_threads: int = 1) -> None: ...
    def copy(self) -> Weights: ...

class State:
    batch_size: int
    def __init__(
        self, weights: Weights, programs: Sequence[Program], batch_size: int
    ) -> None: ...
    def copy(self) -> State: ...
    def get(self, layer: int, k: int) -> Reals: ...
    def set(self, layer: int, k: int, array: npt.ArrayLike) -> None: ...

class Window:
    weights: Weights
    def __init__(
        self,
        weights: Weights,
        programs: Sequence[Program],
        n_steps: int,
        batch_size: int,
        *,
        training: bool = False,
        augmented_loss: float = 0.0,
        augmented_temperature: float = 1.0,
        embedding_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        dropped: Sequence[bool] | None = None,
    ) -> None: ...
    def forward(
        self,
        ids: Ids,
        state: State,
        *,
        targets: Ids | None = None,
        target_weights: npt.NDArray[np.float32] | None = None,
        resets: Flags | None = None,
        active: Flags | None = None,
        seed: int = 0,
        update: int = 0,
        n_threads: int = 1,
    ) -> tuple[float, float]: ...
    def predict(self, ids: Ids, state: State, *, n_threads: int = 1) -> Reals: ...
    @property
    def log_likelihood(self) -> Reals: ...
    @property
    def hits(self) -> Flags: ...
    def outputs(self) -> Reals: ...
    def log_probabilities(self, rows: Ids, *, n_threads: int = 1) -> Reals: ...
    def backward(
        self, *, outputs_gradient: npt.ArrayLike | None = None, n_threads: int = 1
    ) -> None: ...
    def gradient(self, index: int) -> Reals: ...
    def initial_state_gradient(self, layer: int, k: int) -> Reals: ...

class Solver:
    def __init__(
        self,
        weights: Weights,
        kind: str,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum: float = 0.9,
        alpha: float | Sequence[float] = 0.0,
        frozen: Sequence[bool] | None = None,
        limits: Limits | None = None,
    ) -> None: ...
    @property
    def steps(self) -> int: ...
    def state(self) -> SolverState: ...
    def load_state(self, state: SolverState) -> None: ...
    def accumulate(self, window: Window, rate: float, n_threads: int = 1) -> None: ...
    def update(
        self,
        window: Window | None,
        learning_rate: float,
        max_grad_norm: float = 0.0,
        n_threads: int = 1,
    ) -> float: ...

FORMAT_VERSION: int

def uniform(seed: int, stream: int, position: int) -> float: ...
def draw(
    scores: Reals,
    uniform: float,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> int: ...
def checksum(data: bytes, seed: int = 0) -> int: ...
def read_container(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]: ...
def read_model(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]: ...
def isa() -> str: ...
def supported_isas() -> list[str]: ...
def default_threads() -> int: ...
def openmp_runtime() -> str: ...
