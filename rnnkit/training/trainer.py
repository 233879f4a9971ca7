# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: windows through the core, epoch by epoch, to the best weights."""

import math
import time
import warnings
from collections.abc import Callable

import numpy as np

from rnnkit.core import Solver, State, Weights, Window
from rnnkit.errors import InterruptedFitWarning, NonFiniteError, ParameterError
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime.scoring import Evaluation
from rnnkit.training.budget import Budget
from rnnkit.training.config import TrainingConfig
from rnnkit.training.history import History, Totals
from rnnkit.training.progress import EpochResult, Progress
from rnnkit.training.schedules import Patience, Schedule
from rnnkit.training.windows import Batch, Windows

Validate = Callable[[], Evaluation]
ORDER = 2  # what the seed's stream of random numbers is for


class Trainer:
    """Weights in training, with all that goes on from one pass to the next.

    Parameters
    ----------
    network : Network
        What is trained.
    weights : Weights
        Initial values. The trainer changes them, and nobody else may.
    config : TrainingConfig
        How.

    Attributes
    ----------
    weights : Weights
        Always the same object: the last good values, with early stopping the best.
    history : History
        Of all passes.
    n_updates : int
        Steps made.
    """

    def __init__(
        self, network: Network, weights: Weights, config: TrainingConfig
    ) -> None:
        self.network = network
        self.weights = weights
        self.config = config
        self.history = History()
        self.n_updates = 0
        self.solver = Solver(
            weights,
            config.solver_kind,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            momentum=config.momentum,
            alpha=config.alpha,
            decay=[parameter.decay for parameter in network.parameters],
            limits=[parameter.limits for parameter in network.parameters],
        )
        self._kept = weights.copy()  # the best with early stopping, else the last epoch
        self._patience = Patience(config.n_iter_no_change, config.tol)
        self._schedule: Schedule | None = None  # of partial_fit
        self._window: Window | None = None
        self._window_shape: tuple[int, int, bool] | None = None
        self._last_state: State | None = None  # of partial_fit

    def fit(self, windows: Windows, validate: Validate | None = None) -> None:
        """Train for at most `max_iter` epochs and `max_time` seconds.

        Ctrl-C ends it with a warning, a loss that is not finite with an error; either
        way `weights` can be used.
        """
        config = self.config
        schedule = self._new_schedule()
        progress = Progress(config.verbose, config.max_iter, config.max_time)
        budget = Budget(config.max_iter * windows.n_windows, config.max_time)
        try:
            for _ in range(config.max_iter):
                state = self._initial_state(windows)
                result = self._pass(
                    windows, state, schedule, progress, budget, validate
                )
                if self._keep(result) or budget.is_out_of_time:
                    break
        except KeyboardInterrupt:
            self._warn_interrupted()
        if config.early_stopping and self.history.n_iter:
            self._go_back()

    def partial_fit(self, windows: Windows) -> None:
        """Train for one pass; solver, schedule and carried state go on."""
        if self._schedule is None:
            self._schedule = self._new_schedule()
        progress = Progress(self.config.verbose, 1)
        try:
            state = self._carried_state(windows)
            budget = Budget(self.n_updates + windows.n_windows)
            self._pass(windows, state, self._schedule, progress, budget)
            self._last_state = state
            self._kept.assign(self.weights)
        except KeyboardInterrupt:
            self._warn_interrupted()

    def go_on_with(self, network: NetworkConfig, config: TrainingConfig) -> None:
        """Take the settings of the next pass; network and solver cannot change."""
        if network != self.network.config:
            raise ParameterError(
                "the network cannot change between calls of partial_fit: sizes, cell, "
                "dropout, head, tie_weights and dtype stay as they were at the first"
            )
        if config.solver_settings != self.config.solver_settings:
            raise ParameterError(
                f"the solver cannot change between calls of partial_fit: it has "
                f"{self.config.solver_settings}, now {config.solver_settings} is asked "
                "for; call fit with warm_start=True to go on with another one"
            )
        if config.learning_rates != self.config.learning_rates:
            self._schedule = None
        self.config = config

    def _new_schedule(self) -> Schedule:
        """Return the learning rates of a run."""
        config = self.config
        return Schedule(
            config.learning_rate,
            config.learning_rate_init,
            n_iter_no_change=config.n_iter_no_change,
            tol=config.tol,
        )

    def _pass(
        self,
        windows: Windows,
        state: State,
        schedule: Schedule,
        progress: Progress,
        budget: Budget,
        validate: Validate | None = None,
    ) -> EpochResult:
        """Train on every window once, or until the time is over, then validate."""
        begin, epoch = time.monotonic(), self.history.n_iter + 1
        totals, window = Totals(), self._window_for(windows)
        for i, batch in enumerate(windows.epoch(self._order(windows))):
            try:
                rate = schedule.rate(budget.progress(self.n_updates))
                loss, weight = self._step(window, batch, state, rate)
            except NonFiniteError as error:
                where = f"epoch {epoch}, window {i + 1} of {windows.n_windows}"
                raise self._explained(error, where) from None
            totals.add(loss, weight, batch, window.hits)
            progress.window(epoch, (i + 1) / windows.n_windows, totals.loss)
            if budget.is_out_of_time:
                break
        result = EpochResult(
            epoch=epoch,
            loss=totals.loss,
            accuracy=totals.accuracy,
            n_tokens=totals.n_tokens,
            seconds=time.monotonic() - begin,
            validation=None if validate is None else validate(),
        )
        self.history.add(result)  # who wants to hear of an epoch is told here
        progress.epoch(result)
        schedule.end_epoch(result.watched_loss)
        return result

    def _step(
        self, window: Window, batch: Batch, state: State, rate: float
    ) -> tuple[float, float]:
        """Forward, backward, update; return the window's loss and sum of weights."""
        config = self.config
        loss, weight = window.forward(
            batch.ids,
            state,
            targets=batch.targets,
            target_weights=batch.weights,
            resets=batch.resets,
            seed=config.seed,
            update=self.n_updates,
            n_threads=config.n_threads,
        )
        if weight == 0.0:  # nothing but documents of weight 0: read, not learned
            return 0.0, 0.0
        if not math.isfinite(loss):
            self._go_back()
            raise NonFiniteError(f"the loss is {loss}")
        window.backward(n_threads=config.n_threads)
        self.solver.update(window, rate, config.max_grad_norm, config.n_threads)
        self.n_updates += 1
        return loss, weight

    def _keep(self, result: EpochResult) -> bool:
        """Keep the weights when they are the best, or the last; say when to stop."""
        if not self.config.early_stopping:
            self._kept.assign(self.weights)
            return False
        if result.watched_loss < self._patience.best_loss:
            self._kept.assign(self.weights)
        return self._patience.is_exhausted(result.watched_loss)

    def _go_back(self) -> None:
        """Return to the weights that were kept."""
        self.weights.assign(self._kept)

    def _order(self, windows: Windows) -> np.ndarray | None:
        """Return this epoch's order of the documents: a function of seed and epoch."""
        if not self.config.shuffle:
            return None
        rng = np.random.default_rng([self.config.seed, ORDER, self.history.n_iter])
        return rng.permutation(len(windows.targets))

    def _window_for(self, windows: Windows) -> Window:
        """Return memory for these windows: that of the last pass, when it fits."""
        flags = not windows.carry_state
        n_steps = -(-windows.n_steps // windows.n_windows)
        programs = self.network.programs(training=True, flags=flags)
        shape = (n_steps, windows.n_streams, flags)
        if self._window is None or self._window_shape != shape:
            self._window = Window(
                self.weights, programs, n_steps, windows.n_streams, training=True
            )
            self._window_shape = shape
        return self._window

    def _initial_state(self, windows: Windows) -> State:
        return State(self.weights, self.network.programs(), windows.n_streams)

    def _carried_state(self, windows: Windows) -> State:
        """Return the initial state; of a running text, that of the last end."""
        state = self._initial_state(windows)
        if self._last_state is None or not windows.carry_state:
            return state
        for layer, program in enumerate(self.network.programs()):
            for k in range(program.n_states):
                rows = state.get(layer, k)
                rows[0] = self._last_state.get(layer, k)[-1]
                state.set(layer, k, rows)
        return state

    def _explained(self, error: NonFiniteError, where: str) -> NonFiniteError:
        config = self.config
        return NonFiniteError(
            f"training failed in {where} (step {self.n_updates + 1}): {error}. Try a "
            f"smaller learning_rate_init (now {config.learning_rate_init:g}), a "
            f"smaller max_grad_norm (now {config.max_grad_norm:g}) or dtype='float64'. "
            "The estimator keeps its last good weights"
        )

    def _warn_interrupted(self) -> None:
        n_iter, kept = self.history.n_iter, "last step"
        if self.config.early_stopping and n_iter:
            kept = "best epoch"
        warnings.warn(
            f"fit was interrupted after {n_iter} whole epochs and {self.n_updates} "
            f"steps; the estimator is fitted with the weights of its {kept}",
            InterruptedFitWarning,
            stacklevel=4,
        )
