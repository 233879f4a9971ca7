# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: windows through the core, epoch by epoch, to the best weights."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from rnnkit.core import Solver, State, Weights, Window
from rnnkit.errors import InterruptedFitWarning, NonFiniteError, ParameterError
from rnnkit.model import Dropout, Network, NetworkConfig
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.scoring import Evaluation
from rnnkit.training.budget import Budget
from rnnkit.training.checkpoints import Checkpoints, Tensors, fingerprint
from rnnkit.training.config import TrainingConfig
from rnnkit.training.frozen import are_frozen
from rnnkit.training.history import History
from rnnkit.training.progress import EpochResult, Progress
from rnnkit.training.run import Run
from rnnkit.training.schedules import Patience, Schedule
from rnnkit.training.windows import Batch, Windows

Validate = Callable[[], Evaluation]
Getter = Callable[[], np.ndarray]
Putter = Callable[[np.ndarray], None]
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
            frozen=are_frozen([p.name for p in network.parameters], config.frozen),
            limits=[parameter.limits for parameter in network.parameters],
        )
        self._kept = weights.copy()  # the best with early stopping, else the last epoch
        self._run: Run | None = None  # of fit, while it is under way
        self._schedule: Schedule | None = None  # of partial_fit
        self._window: Window | None = None
        self._window_shape: tuple[int, int, bool, Dropout] | None = None
        self._last_state: State | None = None  # of partial_fit

    def fit(
        self,
        windows: Windows,
        validate: Validate | None = None,
        checkpoints: Checkpoints | None = None,
        *,
        resume: bool = False,
    ) -> None:
        """Train for at most `max_iter` epochs and `max_time` seconds.

        Ctrl-C ends it with a warning, a loss that is not finite with an error; either
        way `weights` can be used.

        Parameters
        ----------
        windows : Windows
        validate : function, optional
            Called after each epoch.
        checkpoints : Checkpoints, optional
            Where to keep what a run needs to go on.
        resume : bool, default=False
            Go on with the newest of them, if there is one.
        """
        config = self.config
        run = self._run = self._new_run(windows, config.max_iter, config.max_time)
        if checkpoints and not (resume and checkpoints.resume(self)):
            checkpoints.start()
        progress = Progress(config.verbose, config.max_iter, config.max_time)
        try:
            while self.history.n_iter < config.max_iter and not run.is_over:
                result = self._pass(windows, run, progress, validate, checkpoints)
                run.is_over = self._keep(result, run) or run.budget.is_out_of_time
                run.begin_epoch(self._initial_state(windows))
                if checkpoints:
                    checkpoints.save(self)
        except KeyboardInterrupt:
            self._warn_interrupted()
        if config.early_stopping and self.history.n_iter:
            self._go_back()

    def partial_fit(self, windows: Windows) -> None:
        """Train for one pass; solver, schedule and carried state go on."""
        run = self._new_run(windows, max_iter=1)
        run.schedule = self._schedule = self._schedule or run.schedule
        run.state = self._carried_state(windows)
        try:
            self._pass(windows, run, Progress(self.config.verbose, 1))
            self._last_state = run.state
            self._kept.assign(self.weights)
        except KeyboardInterrupt:
            self._warn_interrupted()

    def go_on_with(self, network: NetworkConfig, config: TrainingConfig) -> None:
        """Take the settings of the next pass; network and solver cannot change."""
        if network != self.network.config:
            raise ParameterError(
                "the network cannot change between calls of partial_fit: sizes, cell, "
                "head, tie_weights and dtype stay as they were at the first"
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

    # ------------------------------------------------------------------- checkpoints

    def identity(self, windows: Windows, held_out: Corpus | None) -> dict[str, str]:
        """Return what must be the same for a run to go on, each in a few words."""
        config = replace(self.config, n_threads=1, verbose=0)
        sizes = dict(vars(self.network.config))
        words = [graph.to_words() for graph in sizes.pop("graphs")]
        return {
            "setting": repr(config),
            "network": f"{sizes}, equations {fingerprint(*words)}",
            "text": _described(windows.targets),
            "validation text": _described(held_out) if held_out else "none",
        }

    def snapshot(self) -> tuple[Tensors, dict[str, Any]]:
        """Return all that the next step of the run under way depends on."""
        assert self._run is not None
        solver = self.solver.state()
        tensors = {name: get() for name, get, _ in self._arrays(self._run.state)}
        for m, moment in enumerate(solver["moments"]):
            tensors |= {f"moment.{m}.{i}": array for i, array in enumerate(moment)}
        numbers = {
            "seed": self.config.seed,
            "n_updates": self.n_updates,
            "solver_steps": solver["steps"],
            "history": asdict(self.history),
            **self._run.numbers(),
        }
        return tensors, numbers

    def restore(self, tensors: Tensors, numbers: dict[str, Any]) -> None:
        """Go on from a snapshot of a trainer of the same identity."""
        assert self._run is not None
        for name, _, put in self._arrays(self._run.state):
            put(tensors[name])
        n = range(len(self.network.parameters))
        moments = [
            [tensors[f"moment.{m}.{i}"] for i in n]
            for m in range(len(self.solver.state()["moments"]))
        ]
        self.solver.load_state({"steps": numbers["solver_steps"], "moments": moments})
        self.n_updates = numbers["n_updates"]
        self.history = History(**numbers["history"])
        self._run.restore(numbers)

    def _arrays(self, state: State) -> Iterator[tuple[str, Getter, Putter]]:
        """Yield name, getter and setter of each array but the solver's."""
        for i in range(len(self.network.parameters)):
            for name, weights in (("weights", self.weights), ("kept", self._kept)):
                yield f"{name}.{i}", partial(weights.get, i), partial(weights.set, i)
        for layer, program in enumerate(self.network.programs()):
            for k in range(program.n_states):
                name, at = f"state.{layer}.{k}", (layer, k)
                yield name, partial(state.get, *at), partial(state.set, *at)

    # ---------------------------------------------------------------------- the loop

    def _new_run(
        self, windows: Windows, max_iter: int, max_time: float | None = None
    ) -> Run:
        config = self.config
        return Run(
            Schedule(
                config.learning_rate,
                config.learning_rate_init,
                n_iter_no_change=config.n_iter_no_change,
                tol=config.tol,
                decay=config.learning_rate_decay,
                decay_start=config.decay_start,
            ),
            Patience(config.n_iter_no_change, config.tol),
            Budget(max_iter * windows.n_windows, max_time),
            self._initial_state(windows),
        )

    def _pass(
        self,
        windows: Windows,
        run: Run,
        progress: Progress,
        validate: Validate | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> EpochResult:
        """Train on every window once, or until the time is over, then validate.

        Those windows of the epoch that the run has done already are passed over.
        """
        begin, epoch = time.monotonic(), self.history.n_iter + 1
        totals, window = run.totals, self._window_for(windows)
        batches = islice(windows.epoch(self._order(windows)), run.n_windows, None)
        for batch in batches:
            try:
                rate = run.schedule.rate(run.budget.progress(self.n_updates))
                loss, weight = self._step(window, batch, run.state, rate)
            except NonFiniteError as error:
                where = f"window {run.n_windows + 1} of {windows.n_windows}"
                raise self._explained(error, f"epoch {epoch}, {where}") from None
            totals.add(loss, weight, batch, window.hits)
            run.n_windows += 1
            progress.window(epoch, run.n_windows / windows.n_windows, totals.loss)
            if run.budget.is_out_of_time:
                break
            if checkpoints:
                checkpoints.save_if_due(self)
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
        run.schedule.end_epoch(result.watched_loss)
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

    def _keep(self, result: EpochResult, run: Run) -> bool:
        """Keep the weights when they are the best, or the last; say when to stop."""
        if not self.config.early_stopping:
            self._kept.assign(self.weights)
            return False
        if result.watched_loss < run.patience.best_loss:
            self._kept.assign(self.weights)
        return run.patience.is_exhausted(result.watched_loss)

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
        dropout = self.config.dropout
        programs = self.network.programs(training=True, flags=flags, dropout=dropout)
        shape = (n_steps, windows.n_streams, flags, dropout)
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
        if self.n_updates == 0:
            return NonFiniteError(
                f"training failed in {where}: {error}, with the first weights. The "
                "cell's own equations leave the finite numbers; check_cell of "
                "rnnkit.testing names the line"
            )
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


def _described(corpus: Corpus) -> str:
    """A text in a few words, by which it is known again."""
    content = fingerprint(corpus.ids, corpus.offsets)
    return f"{len(corpus.ids):,} tokens in {len(corpus):,} documents, {content}"
