# SPDX-License-Identifier: BSD-3-Clause
"""Errors: each own one is a built-in one too, and survives a trip between processes."""

import inspect
import pickle

import pytest

from rnnkit import errors

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == "rnnkit.errors"
]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_ours_and_a_builtin_one(cls: type[Exception]) -> None:
    bases = [base for base in cls.__mro__ if base.__module__ == "builtins"]
    assert issubclass(cls, (errors.RnnkitError, Warning))
    if cls is not errors.RnnkitError:
        assert (
            len([b for b in bases if b not in (Exception, BaseException, object)]) >= 1
        )


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_can_be_pickled(cls: type[Exception]) -> None:
    error = pickle.loads(pickle.dumps(cls("what, got, allowed")))
    assert type(error) is cls
    assert str(error) == "what, got, allowed"


def test_a_wrong_type_is_caught_as_type_and_as_value() -> None:
    for builtin in (TypeError, ValueError):
        assert issubclass(errors.InputTypeError, builtin)
        assert issubclass(errors.ParameterError, builtin)
