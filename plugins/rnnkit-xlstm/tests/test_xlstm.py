# SPDX-License-Identifier: BSD-3-Clause
"""The sLSTM, against its equations without a stabiliser."""

import numpy as np
from cell_tests import ROWS, STEPS, CellTests, E, H, sigmoid, split
from rnnkit_xlstm import SLSTM

from rnnkit.compiler import differentiate, initialise, trace
from rnnkit.testing import complex_step_gradient, reference, relative_error


class TestSLSTM(CellTests):
    cell = SLSTM()
    shapes = {
        "weight_ih": (4 * H, E),
        "weight_hh": (4 * H, H),
        "bias_ih": (4 * H,),
        "bias_hh": (4 * H,),
    }
    refused = [
        ({"forget_gate": "tanh"}, "forget_gate is 'tanh'"),
        ({"forget_bias": None}, "bias_ih"),
    ]

    @staticmethod
    def forget(a):
        return sigmoid(a)

    def plain_step(self, p, x, h, c, n):
        """The equations as they stand, before anything is done against overflow."""
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"] + p["bias_hh"]
        z, i, f, o = split(a, 4)
        c = self.forget(f) * c + np.exp(i) * np.tanh(z)
        n = self.forget(f) * n + np.exp(i)
        return sigmoid(o) * c / n, c, n, np.log(self.forget(f)), i

    def step(self, p, x, h, c, n, m):
        h, c, n, log_f, log_i = self.plain_step(p, x, h, np.exp(m) * c, np.exp(m) * n)
        m = np.maximum(log_f + m, log_i)
        return h, h, c / np.exp(m), n / np.exp(m), m

    def test_the_stabiliser_changes_no_gradient(self):
        graph = differentiate(trace(self.cell, E, H))
        rng = np.random.default_rng(3)
        parameters = [rng.normal(size=p.shape) for p in graph.parameters]
        x = rng.normal(size=(STEPS, ROWS, E))
        weights = rng.normal(size=(STEPS, ROWS, H))

        def loss(arrays):
            *parameters, x = arrays
            names = [p.name for p in graph.parameters]
            p = dict(zip(names, parameters, strict=True))
            h = c = n = np.zeros((ROWS, H))
            total = 0
            for t in range(STEPS):
                h, c, n, _, _ = self.plain_step(p, x[t], h, c, n)
                total = total + np.sum(h * weights[t])
            return total

        expected = complex_step_gradient(loss, [*parameters, x])
        run = reference.forward(reference.Window(graph, parameters, x))
        found = reference.backward(run, weights)
        error = relative_error([*found.parameters, found.x], expected)
        assert error <= 1e-13  # some thousand roundings of 1.1e-16

    def test_gates_that_would_overflow_do_not(self):
        graph = trace(self.cell, 1, 1)
        z, i, f, o = 0.3, 800.0, -900.0, 0.1  # exp(800) is beyond float64
        values = {p.name: np.zeros(p.shape) for p in graph.parameters}
        values["bias_ih"] += z, i, f, o
        window = reference.Window(graph, list(values.values()), np.zeros((5, 1, 1)))
        outputs = reference.forward(window).outputs
        expected = np.full((5, 1, 1), sigmoid(o) * np.tanh(z))
        assert relative_error([outputs], [expected]) <= 1e-15


class TestSLSTMWithExponentialForgetGate(TestSLSTM):
    cell = SLSTM(forget_gate="exp")

    @staticmethod
    def forget(a):
        return np.exp(a)


class TestSLSTMWithHeads(CellTests):
    cell = SLSTM(heads=3)
    hidden_size = 2  # of each head
    shapes = {
        "weight_ih": (4 * 6, E),
        "weight_hh": (4 * 6, 2),
        "bias_ih": (4 * 6,),
        "bias_hh": (4 * 6,),
    }
    refused = [({"heads": 0}, "hidden_multiple is 0"), ({"heads": 4}, "multiple of 4")]

    def step(self, p, x, *states):
        blocks = p["weight_hh"].reshape(4, 3, 2, 2)  # gate, head, to, from
        full = np.zeros((4, 3, 2, 3, 2))
        for head in range(3):
            full[:, head, :, head] = blocks[:, head]
        p = p | {"weight_hh": full.reshape(4 * 6, 6)}
        return TestSLSTM.step(TestSLSTM(), p, x, *states)


def test_the_forget_bias_starts_where_the_parameter_says():
    parameters = trace(SLSTM(forget_bias=3.0), E, H).parameters
    (bias,) = (p for p in parameters if p.name == "bias_ih")
    z, i, f, o = split(initialise(bias, np.random.default_rng(0)), 4)
    assert (f == 3).all()
    assert not np.any([z, i, o])
