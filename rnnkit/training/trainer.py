# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: windows through the core, epoch by epoch, to the best weights."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from rnnkit.core import Program, Solver, State, Weights, Window
from rnnkit.errors import InterruptedFitWarning, NonFiniteError, ParameterError
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.scoring import Evaluation
from rnnkit.training.average import Average
from rnnkit.training.budget import Budget
from rnnkit.training.checkpoints import Checkpoints, Tensors, fingerprint
from rnnkit.training.config import TrainingConfig
from rnnkit.training.frozen import are_frozen
from rnnkit.training.history import History, Totals
from rnnkit.training.progress import EpochResult, Progress
from rnnkit.training.run import Run
from rnnkit.training.schedules import Patience, Schedule
from rnnkit.training.windows import Batch, Windows

Validate = Callable[[Weights], Evaluation]
Getter = Callable[[], np.ndarray]
Putter = Callable[[np.ndarray], None]
ORDER, LENGTHS = 2, 3  # what the seed's streams of random numbers are for


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
        Always the same object: the last values, and those to go on from.
    answer : Weights
        What was learned: the same, or their average where there is one; after a fit
        that ended early the last good values, with early stopping the best.
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
            alpha=[config.weight_decay(p) for p in network.parameters],
            frozen=are_frozen([p.name for p in network.parameters], config.frozen),
            limits=[p.limits for p in network.parameters],
        )
        self._average = Average(*config.averaging)
        self._kept = weights.copy()  # the best with early stopping, else the last epoch
        self._run: Run | None = None  # of fit, while it is under way
        self._schedule: Schedule | None = None  # of partial_fit
        self._window: Window | None = None
        self._window_shape: tuple[Any, ...] | None = None
        self._last_state: State | None = None  # of partial_fit

    @property
    def answer(self) -> Weights:
        average = self._average.weights
        return self.weights if average is None else average

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
        way `answer` can be used.

        Parameters
        ----------
        windows : Windows
        validate : function of weights, optional
            Called `n_validations` times in each epoch, the last time at its end.
        checkpoints : Checkpoints, optional
            Where to keep what a run needs to go on.
        resume : bool, default=False
            Go on with the newest of them, if there is one.
        """
        config = self.config
        run = self._run = self._new_run(windows, config.max_iter, config.max_time)
        if checkpoints and not (resume and checkpoints.resume(self)):
            checkpoints.start()
        n_done = self.history.n_iter + run.n_steps / windows.n_steps
        progress = Progress(config.verbose, config.max_iter, config.max_time, n_done)
        try:
            while self.history.n_iter < config.max_iter and not run.is_over:
                self._train(windows, run, progress, checkpoints)
                if self._look(windows, run, progress, validate).is_whole:
                    run.begin_epoch(self._initial_state(windows))
                if checkpoints:
                    checkpoints.save(self)
        except KeyboardInterrupt:
            self._warn_interrupted(run)
        if run.has_best:
            self._go_back()

    def partial_fit(self, windows: Windows) -> None:
        """Train for one pass; solver, schedule and carried state go on."""
        run = self._new_run(windows, max_iter=1)
        run.schedule = self._schedule = self._schedule or run.schedule
        run.state = self._carried_state(windows)
        run.patience = None  # there is nothing to stop
        n_done = self.history.n_iter
        progress = Progress(self.config.verbose, n_done + 1, n_done=n_done)
        try:
            self._train(windows, run, progress)
            self._look(windows, run, progress)
            self._last_state = run.state
        except KeyboardInterrupt:
            self._warn_interrupted(run)

    def steps(
        self, windows: Windows, rates: Iterable[float]
    ) -> Iterator[tuple[float, float]]:
        """Make a step with each rate; yield it and the step's loss. Passes repeat."""
        run, window = self._new_run(windows, max_iter=1), self._window_for(windows)
        batches: Iterator[Batch] = iter(())
        for rate in rates:
            group = list(islice(batches, self.config.accumulate))
            if not group:
                run.begin_epoch(self._initial_state(windows))
                cuts = windows.cuts(self._rng(LENGTHS))
                batches = windows.epoch(self._order(windows), cuts)
                group = list(islice(batches, self.config.accumulate))
            run.totals = Totals()
            if self._step(window, group, run, rate * self._scale(group)):
                yield rate, run.totals.loss

    def go_on_with(self, network: NetworkConfig, config: TrainingConfig) -> None:
        """Take the settings of the next pass; network and solver cannot change."""
        if network != self.network.config:
            raise ParameterError(
                "the network cannot change between calls of partial_fit: sizes, cell, "
                "head, zoneout, tie_weights, projection and dtype stay as they were at "
                "the first; set them back, or call fit for a new model"
            )
        before = self.config.solver_settings
        for name, value in config.solver_settings.items():
            if value != before[name]:
                raise ParameterError(
                    "the solver cannot change between calls of partial_fit: it has "
                    f"{name}={before[name]!r}, now {name}={value!r} is asked for; set "
                    "it back, or call fit with warm_start=True to go on with another"
                )
        if config.learning_rates != self.config.learning_rates:
            self._schedule = None
        if config.averaging != self.config.averaging:
            self._average = Average(*config.averaging)
        self.config = config

    # ------------------------------------------------------------------- checkpoints

    def identity(self, windows: Windows, held_out: Corpus | None) -> dict[str, str]:
        """Return what must be the same for a run to go on, each in a few words."""
        config = replace(self.config, n_threads=1, verbose=0)
        settings = {**vars(config), **vars(self.network.config)}
        words = [graph.to_words() for graph in settings.pop("graphs")]
        return {
            **{name: repr(value) for name, value in settings.items()},
            "cell, hidden_size or num_layers": f"equations {fingerprint(*words)}",
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
            "average": self._average.numbers(),
            **self._run.numbers(),
        }
        return tensors, numbers

    def restore(self, tensors: Tensors, numbers: dict[str, Any]) -> None:
        """Go on from a snapshot of a trainer of the same identity."""
        assert self._run is not None
        self._average.restore(numbers["average"], self.weights)
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
        parts = {"weights": self.weights, "kept": self._kept}
        if self._average.weights is not None:
            parts["average"] = self._average.weights
        for name, weights in parts.items():
            for i in range(len(self.network.parameters)):
                yield f"{name}.{i}", partial(weights.get, i), partial(weights.set, i)
        for layer, program in enumerate(self._programs(not self.config.carry_state)):
            for k in range(program.n_states):
                name, at = f"state.{layer}.{k}", (layer, k)
                yield name, partial(state.get, *at), partial(state.set, *at)

    # ------------------------------------------------------------- between two passes

    def solver_state(self) -> tuple[Tensors, dict[str, Any]]:
        """Return what the next `partial_fit` depends on, beside `answer` and `history`.

        Names end in that of a parameter: `moment.M.NAME`, and `weights.NAME` where
        `answer` is an average; `state.L.K` is where a running text stopped.
        """
        names = [p.name for p in self.network.parameters]
        solver, average = self.solver.state(), self._average
        tensors = {
            f"moment.{m}.{name}": array
            for m, moment in enumerate(solver["moments"])
            for name, array in zip(names, moment, strict=True)
        }
        if average.weights is not None:
            values = self.network.values(self.weights)
            tensors |= {f"weights.{name}": value for name, value in values.items()}
        if self._last_state is not None and self.config.carry_state:
            for layer, k in self._cell_states():
                tensors[f"state.{layer}.{k}"] = self._last_state.get(layer, k)[-1]
        numbers = {
            "seed": self.config.seed,
            "n_updates": self.n_updates,
            "solver_steps": solver["steps"],
            "schedule": self._schedule and self._schedule.numbers(),
            "average": average.numbers(),
        }
        return tensors, numbers

    def load_solver_state(
        self, tensors: Tensors, numbers: dict[str, Any], history: History
    ) -> None:
        """Go on as the trainer would that has given them; the weights are its answer.

        Raises
        ------
        KeyError, ValueError
            Something is missing, or has another shape.
        """
        names = [p.name for p in self.network.parameters]
        moments = [
            [tensors[f"moment.{m}.{name}"] for name in names]
            for m in range(len(self.solver.state()["moments"]))
        ]
        self.solver.load_state({"steps": numbers["solver_steps"], "moments": moments})
        self._average.restore(numbers["average"], self.weights)
        if self._average.weights is not None:
            values = {name: tensors[f"weights.{name}"] for name in names}
            self.weights.assign(self.network.weights(values))
        if numbers["schedule"]:
            self._schedule = self._new_schedule()
            self._schedule.restore(numbers["schedule"])
        if any(name.startswith("state.") for name in tensors):
            self._last_state = State(self.weights, self.network.programs(), 1)
            for layer, k in self._cell_states():
                self._last_state.set(layer, k, tensors[f"state.{layer}.{k}"][None])
        self.n_updates = numbers["n_updates"]
        self.history = history

    def _cell_states(self) -> Iterator[tuple[int, int]]:
        """Yield layer and index of each state that a plain step has."""
        for layer, program in enumerate(self.network.programs()):
            yield from ((layer, k) for k in range(program.n_states))

    # ---------------------------------------------------------------------- the loop

    def _new_run(
        self, windows: Windows, max_iter: int, max_time: float | None = None
    ) -> Run:
        config, patience = self.config, None
        if config.early_stopping:
            patience = Patience(config.n_iter_no_change, config.tol)
        return Run(
            self._new_schedule(),
            patience,
            Budget(max_iter * windows.n_steps, max_time),
            self._initial_state(windows),
        )

    def _new_schedule(self) -> Schedule:
        config = self.config
        return Schedule(
            config.learning_rate,
            config.learning_rate_init,
            n_iter_no_change=config.n_iter_no_change,
            tol=config.tol,
            decay=config.learning_rate_decay,
            decay_start=config.decay_start,
            warmup_steps=config.warmup_steps,
        )

    def _train(
        self,
        windows: Windows,
        run: Run,
        progress: Progress,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Train on the windows up to the next validation, or until the time is over."""
        epoch, window = self.history.n_iter + 1, self._window_for(windows)
        cuts = windows.cuts(self._rng(LENGTHS))
        stop = self._next_validation(cuts, run.n_windows)
        batches = windows.epoch(self._order(windows), cuts[run.n_windows : stop + 1])
        begin, n_tokens = time.monotonic(), run.totals.n_tokens
        while group := list(islice(batches, self.config.accumulate)):
            n_epochs = self.history.n_iter + run.n_steps / windows.n_steps
            rate = run.schedule.rate(run.budget.progress, self.n_updates)
            rate *= self._scale(group)
            try:
                is_step = self._step(window, group, run, rate)
            except NonFiniteError as error:
                where = f"window {run.n_windows + 1} of {len(cuts) - 1}"
                raise self._explained(error, f"epoch {epoch}, {where}") from None
            if is_step:
                self._average.take(self.weights, n_epochs, self.config.n_threads)
            run.count([len(batch) for batch in group])
            progress.window(epoch, run.n_steps / windows.n_steps, run.totals.loss)
            run.is_over = run.budget.is_out_of_time
            if run.is_over:
                break
            if checkpoints and run.n_windows < stop:
                checkpoints.save_if_due(self)
        seconds = max(time.monotonic() - begin, 1e-9)
        run.tokens_per_second = (run.totals.n_tokens - n_tokens) / seconds

    def _next_validation(self, cuts: np.ndarray, n_windows: int) -> int:
        """Return the window of the pass before which to look next: between groups."""
        n, last = self.config.n_validations, len(cuts) - 1
        due = np.searchsorted(cuts, cuts[-1] * np.arange(1, n + 1) / n)
        size = self.config.accumulate
        due = np.minimum(-(-due // size) * size, last)
        return int(due[due > n_windows][0])

    def _scale(self, group: list[Batch]) -> float:
        """Return a factor of the learning rate: the longer the windows, the larger."""
        if not self.config.variable_bptt:
            return 1.0
        return sum(map(len, group)) / (len(group) * self.config.bptt)

    def _step(self, window: Window, group: list[Batch], run: Run, rate: float) -> bool:
        """Make a step with the gradient of the mean loss over all targets of a group.

        There is none where all documents have weight 0: they are read, not learned.
        """
        config, total = self.config, 0.0
        for k, batch in enumerate(group):
            number = self.n_updates * config.accumulate + k
            loss, weight = self._forward(window, batch, run.state, number)
            run.totals.add(loss, weight, batch, window.hits)
            if weight == 0.0:
                continue
            window.backward(n_threads=config.n_threads)
            total += weight
            if len(group) > 1:
                self.solver.accumulate(window, weight / total, config.n_threads)
        if total == 0.0:
            return False
        one = window if len(group) == 1 else None
        self.solver.update(one, rate, config.max_grad_norm, config.n_threads)
        self.n_updates += 1
        return True

    def _forward(
        self, window: Window, batch: Batch, state: State, number: int
    ) -> tuple[float, float]:
        """Return a window's loss and sum of weights."""
        loss, weight = window.forward(
            batch.ids,
            state,
            targets=batch.targets,
            target_weights=batch.weights,
            resets=batch.resets,
            seed=self.config.seed,
            update=number,
            n_threads=self.config.n_threads,
        )
        if weight and not math.isfinite(loss):
            self._go_back()
            raise NonFiniteError(f"the loss is {loss}")
        return loss, weight

    def _look(
        self,
        windows: Windows,
        run: Run,
        progress: Progress,
        validate: Validate | None = None,
    ) -> EpochResult:
        """Validate; let all that hangs on the loss know; enter it in the history."""
        report = None if validate is None else validate(self.answer)
        watched = run.totals.loss if report is None else -report.score
        run.is_over |= self._keep(watched, run)
        result = EpochResult(
            epoch=self.history.n_iter + 1,
            part=run.n_steps / windows.n_steps,
            is_whole=run.is_over or run.n_steps == windows.n_steps,
            loss=run.totals.loss,
            accuracy=run.totals.accuracy,
            n_tokens=run.totals.n_tokens,
            tokens_per_second=run.tokens_per_second,
            is_averaged=self._average.weights is not None,
            validation=report,
        )
        self.history.add(result)  # who wants to hear of an epoch is told here
        progress.epoch(result)
        self._average.look(watched)
        run.schedule.look(watched)
        if result.is_whole:
            run.schedule.end_epoch()
        return result

    def _keep(self, loss: float, run: Run) -> bool:
        """Keep the answer when it is the best, or the last; say when to stop."""
        if run.patience is None:
            self._kept.assign(self.answer)
            return False
        if loss < run.patience.best_loss:
            self._kept.assign(self.answer)
        return run.patience.is_exhausted(loss)

    def _go_back(self) -> None:
        """Make what was kept the answer."""
        self.answer.assign(self._kept)

    def _order(self, windows: Windows) -> np.ndarray | None:
        """Return this epoch's order of the documents: a function of seed and epoch."""
        if not self.config.shuffle:
            return None
        return self._rng(ORDER).permutation(len(windows.targets))

    def _rng(self, purpose: int) -> np.random.Generator:
        """Return this epoch's random numbers: a function of seed, purpose and epoch."""
        return np.random.default_rng([self.config.seed, purpose, self.history.n_iter])

    def _window_for(self, windows: Windows) -> Window:
        """Return memory for these windows: that of the last pass, when it fits."""
        flags = not windows.carry_state
        n_steps = windows.max_steps
        config, settings = self.config, self.config.window_settings
        variant = (config.dropout, config.penalties)
        shape = (n_steps, windows.n_streams, flags, variant, settings)
        if self._window is None or self._window_shape != shape:
            self._window = Window(
                self.weights,
                self._programs(flags),
                n_steps,
                windows.n_streams,
                training=True,
                dropped=self.network.dropped() if config.dropout.weight else None,
                **settings,
            )
            self._window_shape = shape
        return self._window

    def _programs(self, flags: bool) -> list[Program]:
        """Return the programs that train: they say which states are carried."""
        config = self.config
        return self.network.programs(
            training=True,
            flags=flags,
            dropout=config.dropout,
            penalties=config.penalties,
        )

    def _initial_state(self, windows: Windows) -> State:
        programs = self._programs(not windows.carry_state)
        return State(self.weights, programs, windows.n_streams)

    def _carried_state(self, windows: Windows) -> State:
        """Return the initial state; of a running text, that of the last end."""
        state = self._initial_state(windows)
        if self._last_state is None or not windows.carry_state:
            return state
        for layer, k in self._cell_states():
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

    def _warn_interrupted(self, run: Run) -> None:
        kept = "the weights of its last step"
        if run.has_best:
            kept = "the weights of its best epoch"
        elif self._average.n_steps:
            kept = f"the mean of the weights of its last {self._average.n_steps} steps"
        warnings.warn(
            f"fit was interrupted after {self.history.n_iter} whole epochs and "
            f"{self.n_updates} steps; the estimator is fitted with {kept}",
            InterruptedFitWarning,
            stacklevel=4,
        )


def _described(corpus: Corpus) -> str:
    """A text in a few words, by which it is known again."""
    content = fingerprint(corpus.ids, corpus.offsets)
    return f"{len(corpus.ids):,} tokens in {len(corpus):,} documents, {content}"
