# SPDX-License-Identifier: BSD-3-Clause
import pytest

from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit.errors import CellError
from rnnkit.plugins import BUILT_IN, make_cell
from rnnkit.testing import check_cell


@pytest.mark.parametrize("name", BUILT_IN["cell"])
def test_every_built_in_cell_passes(name: str) -> None:
    check_cell(make_cell(name))


class Explodes(Cell):
    states = ("h",)

    def step(self, x, h):  # type: ignore[no-untyped-def, override]
        return tanh(self.linear("h", x, h)) / (h - h)


def test_values_that_are_not_finite_are_named() -> None:
    with pytest.raises(AssertionError, match="is not finite"):
        check_cell(Explodes())


class Branches(Cell):
    states = ("h",)

    def step(self, x, h):  # type: ignore[no-untyped-def, override]
        return sigmoid(h) if h > 0 else h


def test_equations_that_cannot_be_traced_are_an_error_of_the_cell() -> None:
    with pytest.raises(CellError, match="branches"):
        check_cell(Branches())


def test_a_failed_check_is_named_as_a_sentence() -> None:
    class Grows(Cell):
        states = ("h", "n")

        def step(self, x, h, n):  # type: ignore[no-untyped-def, override]
            return tanh(self.linear("h", x, h)), 10 * n + 1

    with pytest.raises(AssertionError, match="not so: values stay finite over a long"):
        check_cell(Grows())
