# SPDX-License-Identifier: BSD-3-Clause
"""What our own cells must do beyond `rnnkit.testing.CellTests`: names and refusals.

    class TestMinGRU(CellTests):
        cell = MinGRU()
        shapes = {"weight_ih": (2 * H, E), "bias_ih": (2 * H,)}

        def step(self, p, x, h):          # in NumPy, from the paper
            ...

Sizes are E units of x, H hidden units.
"""

import numpy as np
import pytest

from rnnkit import testing
from rnnkit.compiler import differentiate, trace
from rnnkit.core import Program
from rnnkit.errors import CellError

E, H = 3, 5  # odd, and not multiples of any vector's length
STEPS, ROWS = 6, 3


def sigmoid(a):
    """1 / (1 + exp(-a)), where exp does not overflow."""
    return 1 / (1 + np.exp(-a))


def split(array, n):
    """The blocks of a parameter or of a row of gates."""
    return np.split(array, n, axis=-1 if array.ndim > 1 else 0)


class CellTests(testing.CellTests):
    """The tests.

    Attributes
    ----------
    shapes : dict
        Of the parameters, for E inputs and H units.
    has_loop_product : bool, default=True
        Whether a matrix product of a state stands in the time loop.
    refused : sequence of (dict, str)
        Parameters of the cell that are out of range, and what the error says of them.
    """

    input_size = E
    hidden_size = H
    shapes = None
    has_loop_product = True
    refused = ()

    def test_a_product_stands_in_the_loop_or_does_not(self):
        words = differentiate(self.graph()).to_words()
        assert Program(words, "float32").has_loop_product == self.has_loop_product

    def test_parameters_have_these_names_and_shapes(self):
        assert {p.name: p.shape for p in self.graph().parameters} == self.shapes

    def test_parameters_out_of_range_are_refused(self):
        for parameters, message in self.refused:
            cell = type(self.cell)().set_params(**parameters)
            with pytest.raises(CellError, match=message):
                trace(cell, E, H)
