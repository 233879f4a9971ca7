# SPDX-License-Identifier: BSD-3-Clause
"""What rnnkit raises and warns of. Each error of our own is a built-in one as well."""


class RnnkitError(Exception):
    """Any error that rnnkit raises on purpose."""


class InputError(RnnkitError, ValueError):
    """Texts, ids or arrays whose content cannot be used."""


class InputTypeError(InputError, TypeError):
    """Something else than the texts, ids or arrays that are expected."""


class ParameterError(RnnkitError, ValueError, TypeError):
    """A constructor parameter out of its range, or of the wrong type."""


class NotFittedError(RnnkitError, ValueError, AttributeError):
    """Asked for what only `fit` learns, before `fit`.

    Estimators raise scikit-learn's error of this name instead.
    """


class CellError(RnnkitError, ValueError):
    """Equations of a cell that cannot be traced."""


class GraphError(RnnkitError, ValueError):
    """A graph that is malformed."""


class ModelFormatError(RnnkitError, ValueError):
    """A model file that is malformed."""


class ConversionError(RnnkitError, ValueError):
    """A model of another library that cannot come in, or one that cannot go there.

    Also when what was converted does not compute the same numbers.
    """


class NonFiniteError(RnnkitError, FloatingPointError):
    """A loss or a gradient that is NaN or infinite."""


class UnknownNameError(RnnkitError, ValueError):
    """A name that no built-in and no plugin has registered."""


class PluginError(RnnkitError, ImportError):
    """A plugin that cannot be loaded, or a name that several of them claim."""


class NotBuiltError(RnnkitError, FileNotFoundError):
    """A part of the package that building it should have made, and has not."""


class MissingPackageError(RnnkitError, ImportError):
    """Something that needs a package which rnnkit can do without."""


class PluginWarning(RuntimeWarning):
    """Plugins that stand in each other's way."""


class CheckpointWarning(UserWarning):
    """A checkpoint that cannot be read; an older one is taken."""


class InterruptedFitWarning(UserWarning):
    """A fit that was stopped before its end; the estimator can be used."""
