# SPDX-License-Identifier: BSD-3-Clause
"""How to train, as data; the names are those of `RNNLanguageModel`."""

from dataclasses import dataclass

from rnnkit.model.dropout import NO_DROPOUT, Dropout

SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run; checked by the estimator that takes them."""

    batch_size: int = 32
    bptt: int = 64
    max_iter: int = 10
    max_time: float | None = None
    solver: str = "adam"
    learning_rate_init: float = 1e-3
    learning_rate: str = "constant"
    learning_rate_decay: float | None = None
    decay_start: int = 1
    momentum: float = 0.0
    nesterovs_momentum: bool = False
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    alpha: float = 0.0
    max_grad_norm: float = 5.0
    frozen: tuple[str, ...] = ()
    dropout: Dropout = NO_DROPOUT
    carry_state: bool = False
    shuffle: bool = True
    early_stopping: bool = False
    n_iter_no_change: int = 3
    tol: float = 1e-4
    seed: int = 0
    n_threads: int = 1
    verbose: int = 0

    @property
    def solver_kind(self) -> str:
        """The core's name of the solver: SGD has three, by its momentum."""
        if self.solver != "sgd" or self.momentum == 0.0:
            return self.solver
        return "nesterov" if self.nesterovs_momentum else "momentum"

    @property
    def solver_settings(self) -> tuple:
        """What a solver is made of."""
        momenta = (self.momentum, self.beta_1, self.beta_2, self.epsilon)
        return (self.solver_kind, *momenta, self.alpha, self.frozen)

    @property
    def learning_rates(self) -> tuple:
        """What a schedule is made of."""
        patience = (self.n_iter_no_change, self.tol)
        decay = (self.learning_rate_decay, self.decay_start)
        return (self.learning_rate, self.learning_rate_init, *patience, *decay)
