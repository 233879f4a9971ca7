# SPDX-License-Identifier: BSD-3-Clause
"""Constructor parameters as scikit-learn treats them, for what must not import it."""

import inspect
from typing import Any, Self

from rnnkit.errors import ParameterError


class Parameterized:
    """An object that its constructor's parameters describe: cells and tokenizers.

    A subclass names every parameter in the signature of its `__init__`, which stores
    each one unchanged under its own name. `clone`, `get_params`, `set_params`, nested
    names (`cell__activation`) and the repr then work as for an estimator.
    """

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Each parameter's name and default, in the order of the signature."""
        if cls.__init__ is object.__init__:
            return {}
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if any(parameter.kind in starred for parameter in parameters):
            raise TypeError(
                f"{cls.__name__}.__init__ must name each parameter in its signature; "
                "*args and **kwargs cannot be listed"
            )
        return {parameter.name: parameter.default for parameter in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Taken for scikit-learn's sake; no parameter has parameters of its own.
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; what was learned before does not change.

        Raises
        ------
        ParameterError
            When there is no such parameter; nothing is set then.
        """
        known = self._defaults()
        unknown = [name for name in params if name not in known]
        if unknown:
            raise ParameterError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; "
                f"it has: {', '.join(known) or 'none'}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes an equal object; what is at its default is left out."""
        defaults = self._defaults()
        shown = [
            f"{name}={_short(value)}"
            for name, value in self.get_params().items()
            if not _same(value, defaults[name])
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _short(value: object) -> str:
    """A repr that fits on a line, whatever the length of a vocabulary."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}...{text[-10:]}"


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
