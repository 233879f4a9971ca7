# SPDX-License-Identifier: BSD-3-Clause
"""How to train, as data; the names are those of `RNNLanguageModel`."""

from dataclasses import dataclass
from typing import Any

from rnnkit.compiler import Parameter
from rnnkit.model import (
    PROJECTION_WEIGHT,
    Dropout,
    Penalties,
)

SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
SOLVER_SETTINGS = (
    "solver",
    "momentum",
    "nesterovs_momentum",
    "beta_1",
    "beta_2",
    "epsilon",
    "alpha",
    "projection_alpha",
    "frozen",
)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run; checked by the estimator that takes them."""

    batch_size: int
    bptt: int
    variable_bptt: bool
    accumulate: int
    max_iter: int
    max_time: float | None
    solver: str
    learning_rate_init: float
    learning_rate: str
    learning_rate_decay: float | None
    decay_start: int
    warmup_steps: int
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float
    alpha: float
    projection_alpha: float
    augmented_loss: float
    augmented_temperature: float
    max_grad_norm: float
    frozen: tuple[str, ...]
    average: bool | float | str
    average_patience: int
    dropout: Dropout
    penalties: Penalties
    carry_state: bool
    shuffle: bool
    early_stopping: bool
    validation_interval: float
    n_iter_no_change: int
    tol: float
    seed: int
    n_threads: int
    verbose: int

    @property
    def solver_kind(self) -> str:
        """The core's name of the solver: SGD has three, by its momentum."""
        if self.solver != "sgd" or self.momentum == 0.0:
            return self.solver
        return "nesterov" if self.nesterovs_momentum else "momentum"

    @property
    def solver_settings(self) -> dict[str, Any]:
        """What a solver is made of."""
        return {name: getattr(self, name) for name in SOLVER_SETTINGS}

    def weight_decay(self, parameter: Parameter) -> float:
        """Return the coefficient of a parameter's L2 penalty."""
        alpha = self.alpha if parameter.decay else 0.0
        if parameter.name == PROJECTION_WEIGHT:
            alpha += self.projection_alpha
        return alpha

    @property
    def window_settings(self) -> dict[str, float]:
        """Keywords of a window that trains."""
        return {
            "augmented_loss": self.augmented_loss,
            "augmented_temperature": self.augmented_temperature,
            "embedding_dropout": self.dropout.embedding,
            "weight_dropout": self.dropout.weight,
        }

    @property
    def learning_rates(self) -> tuple:
        """What a schedule is made of."""
        patience = (self.n_iter_no_change, self.tol)
        decay = (self.learning_rate_decay, self.decay_start, self.warmup_steps)
        return (self.learning_rate, self.learning_rate_init, *patience, *decay)

    @property
    def averaging(self) -> tuple:
        """What an average is made of."""
        return (self.average, self.average_patience)

    @property
    def n_validations(self) -> int:
        """How many an epoch has."""
        return max(1, round(1.0 / self.validation_interval))
