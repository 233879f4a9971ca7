# SPDX-License-Identifier: BSD-3-Clause
"""First values of parameters."""

import numpy as np
import pytest

from rnnkit.compiler import Initialiser, Parameter, initialise
from rnnkit.compiler.initialise import KINDS, parse


def draw(*specs, width=17, columns=65, seed=0):
    names = tuple(str(i) for i in range(len(specs)))
    initialisers = tuple(Initialiser(*spec) for spec in specs)
    weight = Parameter("w", True, names, width, columns, initialisers)
    return initialise(weight, np.random.default_rng(seed))


def test_zeros_and_constants_are_exact():
    assert (draw(("zeros", 0.0)) == 0).all()
    assert (draw(("constant", 0.1)) == 0.1).all()


def test_blocks_are_drawn_each_by_its_own():
    values = draw(("constant", 1.0), ("zeros", 0.0), ("identity", 2.0), width=3)
    assert values.shape == (9, 65)
    assert (values[:3] == 1).all()
    assert (values[3:6] == 0).all()
    np.testing.assert_array_equal(values[6:], 2 * np.eye(3, 65))


def test_vectors_have_one_dimension():
    spec = (Initialiser("uniform", 1.0),) * 2
    vector = Parameter("b", False, ("i", "f"), 5, 1, spec)
    assert initialise(vector, np.random.default_rng(0)).shape == (10,)


# 500 * 500 draws: a mean of uniforms has a standard deviation of 0.0012 of the bound.
def test_uniform_stays_within_its_bound_and_fills_it():
    values = draw(("uniform", 0.25), width=500, columns=500)
    assert -0.25 <= values.min() < -0.249
    assert 0.249 < values.max() <= 0.25
    assert abs(values.mean()) < 0.001


def test_normal_has_its_standard_deviation():
    values = draw(("normal", 0.01), width=500, columns=500)
    assert values.std() == pytest.approx(0.01, rel=0.01)  # relative error 1 / 707
    assert abs(values).max() > 0.04


def test_glorot_bounds_by_rows_and_columns_of_a_block():
    values = draw(("glorot", 1.0), ("glorot", 1.0), width=200, columns=400)
    assert abs(values).max() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(("width", "columns"), [(1, 1), (17, 65), (65, 17), (3, 3)])
def test_orthogonal_blocks_have_orthonormal_rows_or_columns(width, columns):
    for block in np.split(
        draw(("orthogonal", 2.0), ("orthogonal", 2.0), width=width, columns=columns), 2
    ):
        small = block @ block.T if width <= columns else block.T @ block
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-14)


def test_orthogonal_matrices_turn_either_way():
    determinants = [
        np.linalg.det(draw(("orthogonal", 1.0), width=3, columns=3, seed=seed))
        for seed in range(40)
    ]
    assert {round(d) for d in determinants} == {-1, 1}


def test_the_same_generator_gives_the_same_values():
    for kind, (value, _, _) in KINDS.items():
        number = value if isinstance(value, float) else 0.5
        first, second = (draw((kind, number)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (0, ("constant", 0.0)),
        (-1.5, ("constant", -1.5)),
        ("uniform", ("uniform", 0.5)),
        ("normal", ("normal", 0.5)),
        ("glorot", ("glorot", 1.0)),
        (("identity", 0.1), ("identity", 0.1)),
        (["uniform", 1], ("uniform", 1.0)),
        (np.float32(2.0), ("constant", 2.0)),
    ],
)
def test_specifications_are_read_as_authors_write_them(spec, expected):
    assert parse(spec, 4, True) == expected
