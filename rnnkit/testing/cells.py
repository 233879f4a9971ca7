# SPDX-License-Identifier: BSD-3-Clause
"""What every cell must do: our own, and yours."""

from __future__ import annotations

import contextlib
import math
import tempfile
import unittest
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.compiler import Graph, initialise, trace
from rnnkit.core import Solver, State, Window, isa, supported_isas
from rnnkit.errors import CellError
from rnnkit.model import Network, NetworkConfig
from rnnkit.storage.model_file import ModelRecord, save_model
from rnnkit.testing.bench import N_STEPS, VOCAB_SIZE, Array, Batch, Bench, Result
from rnnkit.testing.blame import LARGEST, line_to_blame
from rnnkit.testing.checks import (
    require,
    require_close,
    require_finite,
    require_same_bits,
    require_small,
    run_checks,
)
from rnnkit.testing.elsewhere import run_elsewhere
from rnnkit.testing.gradients import COMPLEX_STEP

# Of an array's norm: thousands of roundings of 1e-16, and what the equations make of
# them; the same with roundings of 6e-8.
ROUNDING = {"float64": 1e-10, "float32": 1e-4}
# Elements of an array whose gradients are checked one by one; all of a small one.
SAMPLE = 24
LONG_TEXT = 1000  # steps: 1.02 to this power is beyond all bounds
MANY = 100.0  # what adds up to more, and doubles with the steps, has no bound


class CellTests:
    """What every cell must pass; subclass it, name the cell, and run pytest.

    ::

        from rnnkit.testing import CellTests

        class TestSpam(CellTests):
            cell = Spam()

    A cell with parameters has a subclass for each setting that matters. Define `step`
    too, the paper's equations in NumPy, to have the core's values compared with it::

            def step(self, p, x, h):
                h = np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"])
                return h, h

    Attributes
    ----------
    cell : Cell
        An instance.
    input_size, hidden_size : int, default=3 and 7
        Sizes in most checks, hidden_size times the cell's `hidden_multiple`. Odd ones
        find what even ones hide.
    n_updates : int, default=2000
        Within which it must learn a periodic text.
    """

    cell: Any = None
    input_size = 3
    hidden_size = 7
    n_updates = 2000

    # What the checks do with a cell; the kit's own tests put broken things here.

    def graph(self, **sizes: int) -> Graph:
        """The graph of the cell, of the sizes above unless told otherwise."""
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size} | sizes
        sizes["hidden_size"] *= self._multiple
        return trace(self.cell, **sizes)

    @property
    def _multiple(self) -> int:
        multiple = getattr(self.cell, "hidden_multiple", 1)
        return getattr(self.cell, multiple) if isinstance(multiple, str) else multiple

    def stored(self, graph: Graph) -> Graph:
        """The graph as a model file gives it back."""
        return Graph.from_json(graph.to_words(), graph.to_json())

    def run(self, bench: Bench, batch: Batch, states: Any = None, **how: Any) -> Result:
        """A window on the core."""
        return bench.run(batch, states, **how)

    def elsewhere(self, path: Path, isa: str | None = None) -> dict[str, Array]:
        """A window of a saved model, in a process that cannot import the cell."""
        return run_elsewhere(path, type(self.cell).__module__, isa)

    def solver(self, bench: Bench, graph: Graph) -> Solver:
        """What updates the weights, with the limits that the cell declares."""
        limits = [None, *(p.limits for p in graph.parameters), None, None]
        return Solver(bench.weights, "adam", limits=limits)

    def step(self, p: dict[str, Array], x: Array, *states: Array) -> Any:
        """One step in NumPy: the output, then each new state; rows are the first axis.

        Parameters
        ----------
        p : dict
            The parameters by name, as in ``p["weight_ih"]``.
        x : array of shape (rows, input_size)
        *states : arrays of shape (rows, width)
        """
        raise unittest.SkipTest("no step in NumPy to compare with")

    # ----------------------------------------------------------------- the cell itself

    def test_its_parameters_make_it_again(self) -> None:
        """`get_params`, `set_params` and clone: what a grid search needs."""
        from sklearn.base import clone

        cell = self.cell
        if isinstance(cell, type) or not callable(getattr(cell, "step", None)):
            raise CellError(
                f"the cell to check is {cell!r}; needed is an instance with a step, as "
                "in cell = Spam()"
            )
        parameters = cell.get_params()
        for name in vars(cell):
            require(
                name in parameters,
                f"__init__ sets {name!r}, which is no parameter and would stay as it "
                "is when a parameter is set; compute it in step, or in a property",
            )
        for name, value in parameters.items():
            require(
                _is_plain(value),
                f"the parameter {name} is {value!r}; numbers, texts, None and tuples "
                "of them can be stored in a file and compared",
            )
        twin = type(cell)(**parameters)
        require(twin == cell, f"{twin!r} is made of the parameters of {cell!r}")
        require(clone(cell) == cell, f"scikit-learn's clone of {cell!r} differs")
        require(twin.set_params(**cell.get_params()) is twin, "set_params returns self")

    def test_it_is_traced_to_the_same_graph_each_time(self) -> None:
        """A step depends on nothing but its arguments and the cell's parameters."""
        first, second = self.graph(), self.graph()
        require(first == second, f"two traces differ:\n{first}\n{second}")

    def test_it_can_have_any_size(self) -> None:
        """No width is written into the equations by mistake."""
        for hidden_size in (1, 4, 17):
            graph = self.graph(hidden_size=hidden_size)
            self._require_values(Bench([graph]), f"at hidden_size={hidden_size}")

    def test_layers_of_it_can_be_stacked(self) -> None:
        """A second layer reads the output of the first, whatever its width."""
        below = self.graph()
        above = self.graph(input_size=below.output_width)
        self._require_values(Bench([below, above]), "with two layers")

    # ------------------------------------------------------------------------- values

    def test_the_core_gives_the_values_of_its_graph(self) -> None:
        """Each output and state, from states that are not the initial ones."""
        bench = Bench([self.graph()])
        self._require_values(bench, "", bench.first_states())

    def test_the_core_gives_the_values_of_its_paper(self) -> None:
        """The equations in NumPy, where the subclass has a `step`."""
        bench, batch = Bench([self.graph()]), Batch.random()
        names = [p.name for p in bench.plain[0].parameters]
        embedding, *parameters = bench.tensors[: 1 + len(names)]
        p = dict(zip(names, parameters, strict=True))
        states, outputs = bench.first_states(), []
        found = self.run(bench, batch, states)
        for ids in batch.ids:
            output, *states = self.step(p, embedding[ids], *states)
            outputs.append(output)
        expected = zip(found.states, states, strict=True)
        items = [("the output", found.outputs), *found.states.items()]
        exact = [("", np.array(outputs)), *expected]
        require_close(items, exact, ROUNDING["float64"], "the step in NumPy")

    def test_float32_agrees_with_float64(self) -> None:
        """No digits are lost to a difference of large numbers, say."""
        graph, batch = self.graph(), Batch.random()
        wide = Bench([graph])
        narrow = Bench([graph], dtype="float32", tensors=wide.tensors)
        states = wide.first_states()
        found, expected = (self.run(b, batch, states) for b in (narrow, wide))
        require_close(found.items(), expected.items(), ROUNDING["float32"], "float64")

    def test_values_stay_finite_over_a_long_text(self) -> None:
        """No state grows without bound, in float32, from the first weights."""
        bench = Bench([self.graph()], dtype="float32")
        values = self._first_values(bench)
        bench.set_tensors(values)
        batch = Batch.random(LONG_TEXT, 2)
        found = self.run(bench, batch)
        starts = {s.name: s.initial for s in bench.plain[0].states}
        states = [
            (f"state {name}", state)
            for name, state in found.states.items()
            if np.isfinite(starts[name])
        ]
        with self._blaming(values, batch):
            require_finite([("the output", found.outputs), *states])
            half = self.run(bench, batch.part(slice(LONG_TEXT // 2))).states.values()
            for (what, state), before in zip(states, half, strict=False):
                now, then = np.max(np.abs(state)), np.max(np.abs(before))
                bounded = now <= LARGEST and not (now > MANY and now > 1.9 * then)
                require(
                    bounded,
                    f"{what} grows without bound, to {now:.3g} after {LONG_TEXT} "
                    "steps; let a gate of at most 1 forget, or normalise it",
                )

    def test_values_and_gradients_stay_finite_where_inputs_are_huge(self) -> None:
        """Nothing overflows on its way to a finite value, as exp(a) / (1 + exp(a))."""
        bench = Bench([self.graph()], dtype="float32", scale=1000.0)
        batch = Batch.random()
        found = self.run(bench, batch)
        gradients = ((f"the gradient of {k}", g) for k, g in found.gradients.items())
        with self._blaming(bench.tensors, batch):
            require_finite([("the output", found.outputs), *gradients])

    # ---------------------------------------------------------------------- gradients

    def test_gradients_equal_a_complex_step(self) -> None:
        """Of every parameter, the input and the first states, which are not initial."""
        self._require_gradients(Bench([self.graph()]), Batch.random())

    def test_gradients_obey_resets_and_ends_of_rows(self) -> None:
        """The same, where texts begin and end inside the window."""
        bench = Bench([self.graph()], flags=True)
        self._require_gradients(bench, Batch.random(flags=True))

    def test_gradients_are_right_where_inputs_saturate(self) -> None:
        """Where gates are open or shut; as a whole, since some have no digits."""
        bench = Bench([self.graph()], scale=30.0)
        self._require_gradients(bench, Batch.random(), as_a_whole=True)

    def test_gradients_are_right_under_dropout(self) -> None:
        """Masks are drawn again in the backward pass: compared with differences."""
        bench, batch = Bench([self.graph()], dropout=0.4), Batch.random()
        states, rng = bench.first_states(), np.random.default_rng(3)
        found = self.run(bench, batch, states, seed=5, update=2)
        step = 1e-6
        for i, name in enumerate(bench.names):
            direction = rng.normal(size=bench.tensors[i].shape)
            losses = []
            for sign in (1, -1):
                tensors = list(bench.tensors)
                tensors[i] = tensors[i] + sign * step * direction
                bench.set_tensors(tensors)
                losses.append(self.run(bench, batch, states, seed=5, update=2).loss)
            bench.set_tensors(bench.tensors)
            slope = (losses[0] - losses[1]) / (2 * step)
            error = abs(np.sum(found.gradients[name] * direction) - slope)
            norm = max(float(np.linalg.norm(found.gradients[name])), 1e-3)
            what, other = f"the gradient of {name}", "a central difference"
            require_small(what, error / norm, 1e-5, other)

    # ----------------------------------------------------------- windows, rows, threads

    def test_one_token_at_a_time_equals_a_window(self) -> None:
        """The same bits: what is trained is what predicts."""
        self._require_parts([slice(t, t + 1) for t in range(N_STEPS)], "step by step")

    def test_two_windows_with_the_state_carried_equal_a_long_one(self) -> None:
        """The same bits: where a text is cut changes no value."""
        self._require_parts([slice(0, 3), slice(3, N_STEPS)], "in two windows")

    def test_a_row_alone_equals_the_row_in_a_batch(self) -> None:
        """The same bits: neighbours change nothing."""
        bench = Bench([self.graph()], dtype="float32")
        batch, states = Batch.random(), bench.first_states()
        whole = self.run(bench, batch, states)
        for b in range(len(states[0])):
            row = slice(b, b + 1)
            alone = self.run(bench, batch.part(rows=row), [s[row] for s in states])
            expected = [("the output", whole.outputs[:, row])]
            expected += [(name, state[row]) for name, state in whole.states.items()]
            found = [("the output", alone.outputs), *alone.states.items()]
            require_same_bits(found, expected, f"where row {b} is alone")

    def test_any_number_of_threads_gives_the_same_bits(self) -> None:
        """Values and gradients, with many rows and with one."""
        bench = Bench([self.graph()], dtype="float32")
        for batch in (Batch.random(N_STEPS, 9), Batch.random(N_STEPS, 1)):
            expected = self.run(bench, batch)
            for n_threads in (2, 3, 8):
                found = self.run(bench, batch, n_threads=n_threads)
                when = f"with {n_threads} threads"
                require_same_bits(found.items(), expected.items(), when)

    def test_each_instruction_set_gives_the_same_to_rounding(self) -> None:
        """All that this machine has, each in a process of its own."""
        with tempfile.TemporaryDirectory() as folder:
            path = self._saved(Path(folder), Bench([self.graph()], flags=True))
            expected = self.elsewhere(path).items()
            for name in supported_isas():
                if name != isa():
                    found = self.elsewhere(path, name).items()
                    require_close(found, expected, ROUNDING["float64"], f"{name}'s")

    def test_a_reset_starts_a_row_anew_and_an_end_holds_its_state(self) -> None:
        """The same bits as in a text of its own."""
        bench = Bench([self.graph()], dtype="float32", flags=True)
        batch, states = Batch.random(), bench.first_states()
        resets = np.zeros(batch.ids.shape, np.uint8)
        active = np.ones(batch.ids.shape, np.uint8)
        resets[3, 0], active[3:, 1] = 1, 0
        flagged = Batch(batch.ids, batch.targets, resets, active)
        found = self.run(bench, flagged, states)
        plain = Batch(batch.ids, batch.targets)
        anew = self.run(bench, plain.part(slice(3, None), slice(0, 1)))
        parts = [("the output", found.outputs[3:, :1])]
        expected = [("", anew.outputs)]
        first = [state[1:2] for state in states]
        held = self.run(bench, plain.part(slice(0, 3), slice(1, 2)), first)
        for name, state in found.states.items():
            parts += [(f"state {name}", state[:1]), (f"state {name}", state[1:2])]
            expected += [("", anew.states[name]), ("", held.states[name])]
        require_same_bits(parts, expected, "where a text begins or ends")

    def test_dropout_is_drawn_from_the_seed(self) -> None:
        """The same masks for the same seed, others for another."""
        bench, batch = Bench([self.graph()], dropout=0.5), Batch.random()
        first, again, other = (self.run(bench, batch, seed=s) for s in (1, 1, 2))
        require_same_bits(first.items(), again.items(), "with the same seed")
        require(first.loss != other.loss, "another seed gives the same loss")

    # ------------------------------------------------------------------ files, training

    def test_its_graph_comes_back_from_a_file(self) -> None:
        """Equations, names, first values, limits: all that training on needs."""
        graph = self.graph()
        found = self.stored(graph)
        require(found == graph, f"this came back:\n{found}\ninstead of\n{graph}")

    def test_a_saved_model_runs_where_its_package_is_not_installed(self) -> None:
        """The same bits, forward and backward, in a process that cannot import it."""
        bench = Bench([self.graph()], dtype="float32", flags=True)
        expected = self.run(bench, Batch.random(flags=True))
        with tempfile.TemporaryDirectory() as folder:
            found = self.elsewhere(self._saved(Path(folder), bench))
        require_same_bits(found.items(), expected.items(), "in another process")

    def test_its_limits_hold_from_the_first_values_on(self) -> None:
        """Values are within the limits when drawn and after each update."""
        graph = self.graph()
        bench = Bench([graph], dtype="float32")
        bench.set_tensors(self._first_values(bench))
        self._require_limits(bench, "at first")
        for loss in self._train(bench, graph, n_updates=3, learning_rate=1.0):
            self._require_limits(bench, f"after an update, the loss being {loss:.2f}")

    def test_it_learns_a_periodic_text(self) -> None:
        """The loss falls clearly below what the tokens alone, without order, allow."""
        graph = self.graph()
        bench = Bench([graph], dtype="float32")
        wanted, loss = 0.9 * math.log(PERIOD), math.inf
        losses = self._train(bench, graph, n_updates=self.n_updates, learning_rate=0.02)
        for loss in losses:
            if loss < wanted:
                return
        raise AssertionError(
            f"after {self.n_updates} updates the loss is {loss:.2f}, wanted is "
            f"{wanted:.2f}; does the output depend on x? If it does, but changes "
            "slowly, give CellTests more n_updates"
        )

    # ------------------------------------------------------------------------- helpers

    def _first_values(self, bench: Bench) -> list[Array]:
        """Weights as the estimator draws them, but for a livelier embedding."""
        rng = np.random.default_rng(0)
        embedding, *_, head, bias = bench.weights.shapes
        parameters = [initialise(p, rng) for p in bench.plain[0].parameters]
        first = rng.uniform(-0.5, 0.5, embedding)
        return [first, *parameters, rng.uniform(-0.1, 0.1, head), np.zeros(bias)]

    def _train(
        self, bench: Bench, graph: Graph, *, n_updates: int, learning_rate: float
    ) -> Iterator[float]:
        """Updates on a text that repeats itself; the loss before each, after it."""
        text = np.add.outer(np.arange(13), np.arange(PERIOD)) % PERIOD
        ids, targets = text[:-1].astype(np.int32), text[1:].astype(np.int32)
        window = Window(bench.weights, bench.programs, *ids.shape, training=True)
        solver = self.solver(bench, graph)
        for _ in range(n_updates):
            state = State(bench.weights, bench.programs, PERIOD)
            loss, _ = window.forward(ids, state, targets=targets)
            window.backward()
            solver.update(window, learning_rate, 1.0)
            yield loss

    def _require_limits(self, bench: Bench, when: str) -> None:
        for i, p in enumerate(bench.plain[0].parameters, 1):
            if p.limits:
                low, high = map(np.float32, p.limits)
                values = bench.weights.get(i)
                holds = (low <= values).all() and (values <= high).all()
                require(holds, f"{p.name} is not within {p.limits} {when}")

    def _require_values(self, bench: Bench, when: str, states: Any = None) -> None:
        """The core's outputs and states are those of the graphs in NumPy."""
        batch = Batch.random()
        found = self.run(bench, batch, states)
        given = None if states is None else [states]
        with np.errstate(all="ignore"):  # what is not finite shows in the comparison
            exact = bench.reference.forward(
                bench.tensors, batch.ids, batch.targets, states=given
            )
        items = [("the output", found.outputs), *found.states.items()]
        expected = [("", exact.outputs)]
        expected += [("", np.array(s)) for layer in exact.states for s in layer]
        other = " ".join(["the graph in NumPy", when]).strip()
        require_close(items, expected, ROUNDING["float64"], other)

    def _require_gradients(
        self, bench: Bench, batch: Batch, *, as_a_whole: bool = False
    ) -> None:
        """The core's gradients in float64 are those of a complex step in NumPy."""
        states = bench.first_states()
        found = self.run(bench, batch, states).gradients
        n = len(bench.tensors)

        def loss(arrays: Sequence[Array]) -> Any:
            return bench.reference_loss(batch, arrays[:n], arrays[n:])

        with np.errstate(all="ignore"):  # what is not finite shows in the comparison
            arrays = [*bench.tensors, *states]
            errors = list(_gradient_errors(loss, arrays, list(found.values())))
        norms = [float(np.linalg.norm(gradient)) for gradient in found.values()]
        other, tolerance = "a complex step", ROUNDING["float64"]
        if as_a_whole:
            whole = np.linalg.norm(errors) / (np.linalg.norm(norms) or 1.0)
            require_small("the gradient", whole, tolerance, other)
            return
        for name, error, norm in zip(found, errors, norms, strict=True):
            what = f"the gradient of {name}"
            require_small(what, error / (norm or 1.0), tolerance, other)

    @contextlib.contextmanager
    def _blaming(self, tensors: Sequence[Array], batch: Batch) -> Iterator[None]:
        """Add the line that makes the first wrong value to what is said of a window."""
        try:
            yield
        except AssertionError as error:
            embedding, *weights = tensors[:-2]
            names = [p.name for p in self.graph().parameters]
            where = line_to_blame(
                self.cell,
                self.hidden_size * self._multiple,
                dict(zip(names, weights, strict=True)),
                np.asarray(embedding)[batch.ids],
            )
            raise AssertionError(f"{error}; {where}" if where else error) from None

    def _require_parts(self, parts: Sequence[slice], how: str) -> None:
        """A window in parts, the state carried over, gives the bits of the window."""
        bench = Bench([self.graph()], dtype="float32")
        batch, states = Batch.random(), bench.first_states()
        whole = self.run(bench, batch, states)
        outputs = []
        for steps in parts:
            result = self.run(bench, batch.part(steps), states)
            outputs.append(result.outputs)
            states = list(result.states.values())
        found = [("the output", np.concatenate(outputs)), *result.states.items()]
        expected = [("the output", whole.outputs), *whole.states.items()]
        require_same_bits(found, expected, how)

    def _saved(self, folder: Path, bench: Bench) -> Path:
        """A model file of the network."""
        graph = bench.plain[0]
        config = NetworkConfig(
            VOCAB_SIZE, graph.input_width, (graph,), dtype=bench.dtype
        )
        names = ["embedding.weight", *(f"rnn.{p.name}_l0" for p in graph.parameters)]
        names += ["output.weight", "output.bias"]
        tensors = (np.asarray(tensor, bench.dtype) for tensor in bench.tensors)
        values = dict(zip(names, tensors, strict=True))
        path = folder / f"{bench.dtype}.rnn"
        network = Network(config)
        weights = network.weights(values)
        save_model(path, ModelRecord(network, weights, None, {}, {}))
        return path


PERIOD = 5


def check_cell(cell: Any, *, input_size: int = 3, hidden_size: int = 7) -> None:
    """Run all checks of `CellTests` on a cell, without pytest.

    Parameters
    ----------
    cell : Cell
        An instance.
    input_size, hidden_size : int, default=3 and 7
        Sizes in most checks.

    Raises
    ------
    rnnkit.errors.CellError
        The equations cannot be traced; the message names the line.
    AssertionError
        A check fails; the message says which, and what differs by how much.
    """
    tests = CellTests()
    tests.cell = cell
    tests.input_size, tests.hidden_size = input_size, hidden_size
    run_checks(tests)


def _is_plain(value: Any) -> bool:
    """Whether a parameter survives a file: None, numbers, texts, and tuples of them."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _gradient_errors(
    function: Callable[[Sequence[Array]], Any],
    arrays: Sequence[Array],
    found: Sequence[Array],
) -> Iterator[float]:
    """For each array, the norm of its gradient's difference from a complex step.

    Element by element where they are few; else a random sample of the elements, and
    the slope in one random direction, which sees them all.
    """
    rng = np.random.default_rng(2)
    points = [np.array(a, dtype=complex) for a in arrays]
    for i, gradient in enumerate(found):
        kept = points[i]
        differences = []
        for direction in _directions(gradient.shape, rng):
            points[i] = kept + COMPLEX_STEP * 1j * direction
            slope = np.imag(function(points)) / COMPLEX_STEP
            differences.append(np.sum(gradient * direction) - slope)
        points[i] = kept
        yield float(np.linalg.norm(differences))


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Array]:
    size = math.prod(shape)
    chosen = range(size) if size <= SAMPLE else rng.choice(size, SAMPLE, replace=False)
    for at in chosen:
        direction = np.zeros(size)
        direction[at] = 1.0
        yield direction.reshape(shape)
    if size > SAMPLE:
        yield rng.choice([-1.0, 1.0], size=shape)
