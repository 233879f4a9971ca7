# SPDX-License-Identifier: BSD-3-Clause
"""The public names of the package, which are imported when they are asked for."""

import importlib
from typing import Any

import pytest

import rnnkit


@pytest.mark.parametrize("name", rnnkit._HOMES)
def test_a_public_name_is_that_of_its_home(name: str) -> None:
    home = importlib.import_module(rnnkit._HOMES[name])
    assert getattr(rnnkit, name) is getattr(home, name)


def test_the_public_names_are_listed() -> None:
    assert set(rnnkit.__all__) == {"__version__", *rnnkit._HOMES}
    assert set(rnnkit.__all__) <= set(dir(rnnkit))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'rnnkit' has no attribute 'LSTMs'"):
        _ = rnnkit.LSTMs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("register_cell", "False False"),
        ("WordTokenizer", "True False"),
        ("Cell", "True False"),
    ],
)
def test_a_name_brings_in_no_more_than_it_needs(
    run_python: Any, name: str, expected: str
) -> None:
    code = (
        f"import sys, rnnkit\nrnnkit.{name}\n"
        "print('numpy' in sys.modules, 'sklearn' in sys.modules)"
    )
    assert run_python("-c", code).stdout.strip() == expected
