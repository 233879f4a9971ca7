# SPDX-License-Identifier: BSD-3-Clause
"""Which parameters keep their values in training."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from rnnkit.errors import ParameterError


def are_frozen(names: Sequence[str], patterns: Sequence[str]) -> list[bool]:
    """Return of each parameter whether one of the patterns is its name.

    Raises
    ------
    ParameterError
        A pattern is nobody's name, or nothing is left to learn.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ParameterError(
                f"frozen: the network has no parameter {pattern!r}; "
                f"it has {', '.join(names)}"
            )
    frozen = [any(fnmatchcase(n, pattern) for pattern in patterns) for n in names]
    if all(frozen):
        raise ParameterError(
            f"frozen={tuple(patterns)} holds every parameter, nothing is left to learn"
        )
    return frozen
