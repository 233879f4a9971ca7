# SPDX-License-Identifier: BSD-3-Clause
"""What every cell must do, as one class: a subclass names a cell and its equations.

    class TestMinGRU(CellTests):
        cell = MinGRU()
        shapes = {"weight_ih": (2 * H, E), "bias_ih": (2 * H,)}

        def step(self, p, x, h):          # in NumPy, from the paper
            ...

Sizes are E units of x, H hidden units. Arithmetic is float64 unless it says otherwise.
"""

import core_oracle as oracle
import numpy as np
import pytest
from core_oracle import Model

from rnnkit.compiler import differentiate, trace, with_resets
from rnnkit.core import Program, Solver, State
from rnnkit.errors import CellError
from rnnkit.testing import complex_step_gradient, reference, relative_error

E, H, V = 3, 5, 17  # odd, and not multiples of any vector's length
STEPS, ROWS = 6, 3


def sigmoid(a):
    """1 / (1 + exp(-a)), where exp does not overflow."""
    return 1 / (1 + np.exp(-a))


def split(array, n):
    """The blocks of a parameter or of a row of gates."""
    return np.split(array, n, axis=-1 if array.ndim > 1 else 0)


class CellTests:
    """The tests.

    Attributes
    ----------
    cell : Cell
    shapes : dict
        Of the parameters, for E inputs and H units.
    input_size : int, default=E
        Units of x.
    has_loop_product : bool, default=True
        Whether a matrix product of a state stands in the time loop.
    refused : sequence of (dict, str)
        Parameters of the cell that are out of range, and what the error says of them.
    """

    cell = None
    shapes = None
    input_size = E
    has_loop_product = True
    refused = ()

    def step(self, p, x, *states):
        """One step in NumPy: parameters by name, x and states to output and states.

        The first axis of x and of the states is the rows.
        """
        raise NotImplementedError

    def first_states(self, rng, graph):
        """States from which the tests start; none is 0."""
        return [rng.normal(0, 0.5, (ROWS, state.width)) for state in graph.states]

    # ------------------------------------------------------------------------ values

    def test_the_core_gives_the_values_of_the_paper(self):
        model, ids, targets = self.problem()
        state, initial = self.states_of(model)
        found = oracle.run_core(model, ids, state, targets)
        embedding, (layer,), _, _ = model.parts()
        names = [parameter.name for parameter in model.graphs[0].parameters]
        p, states, outputs = dict(zip(names, layer, strict=True)), initial, []
        for t in range(STEPS):
            output, *states = self.step(p, embedding[ids[t]], *states)
            outputs.append(output)
        # Sums of a few tens of products; an ulp is 1e-16.
        assert relative_error([found.outputs], [np.array(outputs)]) <= 1e-13
        assert relative_error(found.states[0], states) <= 1e-13

    def test_the_core_agrees_with_the_graph_in_values_and_gradients(self):
        model, ids, targets = self.problem(flags=True)
        state, initial = self.states_of(model)
        flags = some_flags()
        found = oracle.run_core(model, ids, state, targets, **flags)
        expected = oracle.run(model, ids, [initial], targets, **flags)
        error = relative_error(*self.finite(found, expected))
        assert error <= 1e-12  # sums of some hundred products over all steps

    def test_one_token_at_a_time_equals_the_window(self):
        model, ids, _ = self.problem(dtype="float32")
        whole, one = model.window(STEPS, ROWS), model.window(1, ROWS)
        state, step_state = model.state(ROWS), model.state(ROWS)
        whole.forward(ids, state)
        outputs = whole.outputs()
        for t in range(STEPS):
            one.forward(ids[t : t + 1], step_state)
            assert one.outputs()[0].tobytes() == outputs[t].tobytes()

    # --------------------------------------------------------------------- gradients

    def test_gradients_equal_a_complex_step(self):
        graph = differentiate(with_resets(trace(self.cell, self.input_size, H)))
        rng = np.random.default_rng(1)
        parameters = [rng.normal(size=p.shape) for p in graph.parameters]
        x = rng.normal(size=(STEPS, ROWS, self.input_size))
        arrays = [*parameters, x, *self.first_states(rng, graph)]
        weights = rng.normal(size=(STEPS, ROWS, graph.output_width))
        n, flags = len(parameters), some_flags()

        def run(arrays):
            return reference.forward(
                reference.Window(graph, arrays[:n], arrays[n], arrays[n + 1 :], **flags)
            )

        expected = complex_step_gradient(
            lambda arrays: np.sum(run(arrays).outputs * weights), arrays
        )
        found = reference.backward(run(arrays), weights)
        error = relative_error([*found.parameters, found.x, *found.states], expected)
        assert error <= 1e-13  # some thousand roundings of 1.1e-16

    def test_inputs_that_saturate_give_finite_values_and_gradients(self):
        model, ids, targets = self.problem(dtype="float32")
        model.weights.set(0, 1000 * model.values[0])
        result = oracle.run_core(model, ids, model.state(ROWS), targets)
        assert np.isfinite(result.outputs).all()
        for gradient in result.gradients:
            assert np.isfinite(gradient).all()

    # --------------------------------------------------------------------- the shape

    def test_a_product_stands_in_the_loop_or_does_not(self):
        graph = differentiate(trace(self.cell, self.input_size, H))
        program = Program(graph.to_words(), "float32")
        assert program.has_loop_product == self.has_loop_product

    def test_parameters_have_these_names_and_shapes(self):
        graph = trace(self.cell, self.input_size, H)
        assert {p.name: p.shape for p in graph.parameters} == self.shapes

    def test_a_cell_is_made_again_from_its_parameters(self):
        twin = type(self.cell)(**self.cell.get_params())
        assert twin == self.cell
        assert trace(twin, E, H) == trace(self.cell, E, H)

    def test_parameters_out_of_range_are_refused(self):
        for parameters, message in self.refused:
            cell = type(self.cell)().set_params(**parameters)
            with pytest.raises(CellError, match=message):
                trace(cell, E, H)

    # ---------------------------------------------------------------------- training

    def test_a_few_updates_lower_the_loss_and_keep_the_limits(self):
        model, ids, targets = self.problem(dtype="float32")
        parameters = model.graphs[0].parameters
        limits = [None, *(p.limits for p in parameters), None, None]
        solver = Solver(model.weights, "adam", limits=limits)
        window, losses = model.window(STEPS, ROWS, training=True), []
        for _ in range(20):
            loss, _ = window.forward(ids, model.state(ROWS), targets=targets)
            window.backward()
            solver.update(window, 0.02)
            losses.append(loss)
        assert losses[-1] < 0.8 * losses[0]
        for i, limit in enumerate(limits):
            if limit is not None:
                low, high = np.float32(limit)
                values = model.weights.get(i)
                assert (low <= values).all() and (values <= high).all()

    # ----------------------------------------------------------------------- helpers

    def problem(self, **given):
        """A model, and a window of ids and targets for it."""
        model = Model(
            self.cell,
            vocab_size=V,
            embedding_size=self.input_size,
            hidden_size=H,
            **{"dtype": "float64", "scale": 0.7} | given,
        )
        rng = np.random.default_rng(0)
        ids, targets = rng.integers(V, size=(2, STEPS, ROWS), dtype=np.int32)
        return model, ids, targets

    def states_of(self, model):
        """The same first states for the core and as arrays."""
        state = State(model.weights, model.programs, ROWS)
        arrays = self.first_states(np.random.default_rng(2), model.graphs[0])
        for k, array in enumerate(arrays):
            state.set(0, k, array.astype(model.dtype))
        return state, arrays

    def finite(self, found, expected):
        """The arrays of both, without those with an infinite element."""
        pairs = zip(oracle.arrays_of(found), oracle.arrays_of(expected), strict=True)
        kept = [(a, b) for a, b in pairs if np.isfinite(b).all()]
        return zip(*kept, strict=True)


def some_flags():
    """Resets in mid-window, and rows that end early."""
    resets = np.zeros((STEPS, ROWS), np.uint8)
    resets[2, 0] = resets[1, 2] = resets[4, 2] = 1
    active = np.ones((STEPS, ROWS), np.uint8)
    active[3:, 1] = active[5:, 2] = 0
    return {"resets": resets, "active": active}
