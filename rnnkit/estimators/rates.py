# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate for an estimator and a text."""

import numbers
from typing import Any

import numpy as np
from sklearn.base import clone

from rnnkit.errors import InputError, ParameterError
from rnnkit.estimators.language_model import RNNLanguageModel
from rnnkit.training.rates import RateCurve, try_rates


def find_learning_rate(
    estimator: RNNLanguageModel,
    X: Any,
    *,
    low: float = 1e-5,
    high: float = 100.0,
    n_steps: int = 200,
    sample_weight: Any = None,
) -> RateCurve:
    """Find out which learning rates the training of an estimator can bear.

    A copy makes `n_steps` steps from first weights, with a rate that grows
    exponentially from `low` to `high`, until its loss explodes (the learning-rate range
    test of Smith, 2017). Schedule and warm-up play no part; all else is as in `fit`,
    the text repeated where it is short.

    Parameters
    ----------
    estimator : RNNLanguageModel
        Is not changed, nor are its weights used where it is fitted.
    X : iterable of str
        The documents, as in `fit`.
    low, high : float, default=1e-5, 100.0
        The first rate and the last one.
    n_steps : int, default=200
        Steps, at most.
    sample_weight : (n_documents,) array, optional
        As in `fit`.

    Returns
    -------
    RateCurve
        `rates`, `losses` (smoothed) and a `suggestion`: the middle of that half decade
        of rates over which the loss fell most.

    Raises
    ------
    ParameterError
        A parameter is out of range.
    InputError, InputTypeError
        X holds no documents.

    Examples
    --------
    >>> from rnnkit import RNNLanguageModel, find_learning_rate
    >>> lm = RNNLanguageModel(hidden_size=16, random_state=0)
    >>> found = find_learning_rate(lm, ["the cat sat on the mat"] * 50)
    >>> 1e-4 < found.suggestion < 1
    True
    """
    _check(low, high, n_steps)
    copy = clone(estimator).set_params(warm_start=False, verbose=0)
    trainer, windows = copy.trainer(X, sample_weight)
    curve = try_rates(trainer, windows, np.geomspace(low, high, n_steps))
    if len(curve.rates) < 2:
        raise InputError(
            f"the loss left the finite numbers at the first rate, low={low:g}; "
            "begin with a smaller one"
        )
    return curve


def _check(low: Any, high: Any, n_steps: Any) -> None:
    are_numbers = all(isinstance(value, numbers.Real) for value in (low, high))
    if not (are_numbers and 0.0 < low < high < np.inf):
        raise ParameterError(
            f"low={low!r}, high={high!r}; allowed: numbers with 0 < low < high"
        )
    if not isinstance(n_steps, numbers.Integral) or n_steps < 2:
        raise ParameterError(f"n_steps={n_steps!r}; allowed: a whole number >= 2")
