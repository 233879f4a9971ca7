# SPDX-License-Identifier: BSD-3-Clause
"""Constructor parameters of the estimator, checked in `fit`, in one table."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.model import DTYPES, HEADS, MAX_CLUSTERS, MAX_SAMPLES, Network
from rnnkit.runtime.documents import DOCUMENTS, INPUTS
from rnnkit.training.average import TRIGGERED
from rnnkit.training.config import SOLVERS
from rnnkit.training.schedules import SCHEDULES

MAX_THREADS = 512  # of the core
LEAST_BPTT = 10  # around which lengths can be drawn
Check = Callable[[Any], bool]


def integer(
    low: int, high: float = math.inf, *, none: bool = False
) -> tuple[Check, str]:
    """Accept whole numbers (no booleans) from `low` to `high`."""

    def check(value: Any) -> bool:
        if value is None:
            return none
        is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return is_number and low <= value <= high

    bounds = f">= {low}" if high == math.inf else f"from {low} to {high:,}"
    text = f"a whole number {bounds}"
    return check, text + (" or None" if none else "")


def real(
    low: float, high: float = math.inf, *, brackets: str = "[]", none: bool = False
) -> tuple[Check, str]:
    """Accept finite numbers between bounds; `brackets` say which bounds count."""

    def check(value: Any) -> bool:
        if value is None:
            return none
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return False
        number = float(value)
        above = number >= low if brackets[0] == "[" else number > low
        below = number <= high if brackets[1] == "]" else number < high
        return math.isfinite(number) and above and below

    text = f"a number in {brackets[0]}{low:g}, {high:g}{brackets[1]}"
    return check, text + (" or None" if none else "")


def choice(*values: Any) -> tuple[Check, str]:
    """Accept these values."""

    def check(value: Any) -> bool:
        return any(type(value) is type(known) and value == known for known in values)

    return check, "one of " + ", ".join(repr(value) for value in values)


def schedule() -> tuple[Check, str]:
    """Accept schedules by name; users write the rate here, which has its own name."""
    check, text = choice("auto", *SCHEDULES)
    return check, f"{text}; the rate itself is learning_rate_init"


def boolean(*, none: bool = False) -> tuple[Check, str]:
    """Accept True and False, NumPy's too."""

    def check(value: Any) -> bool:
        return isinstance(value, (bool, np.bool_)) or (none and value is None)

    return check, "True or False" + (" or None" if none else "")


def threads() -> tuple[Check, str]:
    """Accept None, positive numbers, and negative ones (all but)."""
    check, _ = integer(-MAX_THREADS, MAX_THREADS, none=True)
    text = f"None, 1 to {MAX_THREADS}, or -1 (all), -2 (all but one) and so on"
    return lambda value: check(value) and value != 0, text


def level() -> tuple[Check, str]:
    """Accept whole numbers >= 0, and booleans, which users write here."""
    check, text = integer(0)
    return lambda value: isinstance(value, bool) or check(value), text


def ascending(most: int) -> tuple[Check, str]:
    """Accept None, and sequences of up to `most` ascending numbers from 1 on."""
    is_number, _ = integer(1)

    def check(value: Any) -> bool:
        if value is None:
            return True
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            return False
        numbers = list(value)
        if not all(is_number(number) for number in numbers):
            return False
        return len(numbers) <= most and numbers == sorted(set(numbers))

    return check, f"at most {most} ascending whole numbers from 1 on, or None"


def rates() -> tuple[Check, str]:
    """Accept a rate, and rates by name."""
    is_rate, text = real(0, 1, brackets="[)")

    def check(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return is_rate(value)
        return all(isinstance(name, str) for name in value) and all(
            map(is_rate, value.values())
        )

    return check, f"{text}, or such numbers by the names of the cell's states"


def averaging() -> tuple[Check, str]:
    """Accept True and False, epochs, and the trigger."""
    is_number, _ = real(0)
    is_switch, _ = boolean()

    def check(value: Any) -> bool:
        return is_switch(value) or is_number(value) or value == TRIGGERED

    return check, f"True, False, a number of epochs >= 0 or {TRIGGERED!r}"


def strings() -> tuple[Check, str]:
    """Accept None, a str, and sequences of them."""

    def check(value: Any) -> bool:
        if value is None or isinstance(value, str):
            return True
        is_sequence = isinstance(value, Sequence) and not isinstance(value, bytes)
        return is_sequence and all(isinstance(item, str) for item in value)

    return check, "a str, a sequence of them, or None"


PARAMETERS: dict[str, tuple[Check, str]] = {
    "hidden_size": integer(1, 1 << 16),
    "num_layers": integer(1, 64),
    "embedding_size": integer(1, 1 << 16, none=True),
    "tie_weights": boolean(),
    "projection": boolean(none=True),
    "head": choice(*HEADS),
    "cutoffs": ascending(MAX_CLUSTERS),
    "div_value": real(1, brackets="[)"),
    "n_samples": integer(1, MAX_SAMPLES),
    "dropout": real(0, 1, brackets="[)"),
    "input_dropout": real(0, 1, brackets="[)", none=True),
    "hidden_dropout": real(0, 1, brackets="[)", none=True),
    "output_dropout": real(0, 1, brackets="[)", none=True),
    "state_dropout": real(0, 1, brackets="[)"),
    "embedding_dropout": real(0, 1, brackets="[)"),
    "weight_dropout": real(0, 1, brackets="[)"),
    "variational": boolean(),
    "zoneout": rates(),
    "activation_penalty": real(0, brackets="[)"),
    "temporal_activation_penalty": real(0, brackets="[)"),
    "bptt": integer(1, 1 << 20),
    "variable_bptt": boolean(),
    "batch_size": integer(1, 1 << 20),
    "accumulate": integer(1, 1 << 20),
    "max_iter": integer(0),
    "max_time": real(0, brackets="()", none=True),
    "solver": choice(*SOLVERS),
    "learning_rate_init": real(0, brackets="()", none=True),
    "learning_rate": schedule(),
    "learning_rate_decay": real(0, 1, brackets="()", none=True),
    "decay_start": integer(1),
    "warmup_steps": integer(0),
    "momentum": real(0, 1, brackets="[)"),
    "nesterovs_momentum": boolean(),
    "beta_1": real(0, 1, brackets="[)"),
    "beta_2": real(0, 1, brackets="[)"),
    "epsilon": real(0, brackets="()"),
    "alpha": real(0, brackets="[)", none=True),
    "projection_alpha": real(0, brackets="[)"),
    "augmented_loss": real(0, brackets="[)"),
    "augmented_temperature": real(0, brackets="()"),
    "max_grad_norm": real(0, brackets="()", none=True),
    "frozen": strings(),
    "average": averaging(),
    "average_patience": integer(0),
    "carry_state": boolean(),
    "shuffle": boolean(none=True),
    "early_stopping": boolean(),
    "validation_fraction": real(0, 1, brackets="()"),
    "validation_interval": real(0, 1, brackets="(]"),
    "n_iter_no_change": integer(1),
    "tol": real(0, brackets="[)"),
    "warm_start": boolean(),
    "extend_vocabulary": boolean(),
    "input": choice(*INPUTS),
    "documents": choice(None, *DOCUMENTS),
    "n_threads": threads(),
    "dtype": choice(*DTYPES),
    "verbose": level(),
}


def check_parameters(params: Mapping[str, Any]) -> None:
    """Check all parameters of the estimator; see `check_parameter`."""
    for name in PARAMETERS:
        check_parameter(name, params[name])
    if params["variable_bptt"] and params["bptt"] < LEAST_BPTT:
        raise ParameterError(
            f"variable_bptt=True needs bptt of at least {LEAST_BPTT}, not "
            f"{params['bptt']}: lengths are drawn around bptt and its half, with a "
            "deviation of 5, and are at least 5"
        )


def check_parameter(name: str, value: Any) -> None:
    """Raise ParameterError with what was given and what is allowed, if it is not."""
    check, allowed = PARAMETERS[name]
    if not check(value):
        raise ParameterError(f"{name}={value!r}; allowed: {allowed}")


def check_nested(estimator: Any, params: Mapping[str, Any]) -> None:
    """Refuse `cell__x` where the cell is a name: a name has no parameters."""
    for key in params:
        name, _, parameter = key.partition("__")
        value = params.get(name, getattr(estimator, name, None))
        if parameter and isinstance(value, str):
            raise ParameterError(
                f"{key} cannot be set while {name}={value!r} is a name; use an "
                f"instance: {name}=TheClass() with its parameter {parameter!r}"
            )


def check_values(
    network: Network, values: Mapping[str, Any], who: str
) -> dict[str, np.ndarray]:
    """Return values for every parameter of a network, of its shapes, finite.

    Raises
    ------
    InputError
        What does not fit; `who` begins the message.
    """
    shapes = {parameter.name: parameter.shape for parameter in network.parameters}
    unknown = set(values) - set(shapes)
    if unknown:
        raise InputError(
            f"{who}: the network has no parameter {min(unknown)!r}; "
            f"it has {', '.join(shapes)}"
        )
    checked = {}
    for name, shape in shapes.items():
        if name not in values:
            raise InputError(f"{who}: the parameter {name!r} is missing")
        try:
            value = np.asarray(values[name], network.config.dtype)
        except (TypeError, ValueError):
            raise InputTypeError(f"{who}: {name!r} holds no numbers") from None
        if value.shape != shape:
            raise InputError(
                f"{who}: {name!r} has shape {value.shape}, the network needs {shape}"
            )
        if not np.isfinite(value).all():
            raise InputError(f"{who}: {name!r} holds NaN or infinity")
        checked[name] = value
    return checked


def check_sample_weight(sample_weight: Any, n_documents: int) -> np.ndarray | None:
    """Return one finite weight >= 0 a document, float32; None for None.

    Raises
    ------
    InputError, InputTypeError
        What is wrong with them.
    """
    if sample_weight is None:
        return None
    try:
        weight = np.asarray(sample_weight, np.float32)
    except (TypeError, ValueError):
        raise InputTypeError("sample_weight must be numbers, one a document") from None
    if weight.shape == ():
        weight = np.full(n_documents, weight)
    if weight.shape != (n_documents,):
        raise InputError(
            f"sample_weight has shape {weight.shape}; X holds {n_documents} documents"
        )
    if not np.isfinite(weight).all() or (weight < 0).any() or not (weight > 0).any():
        raise InputError(
            "sample_weight must be finite, not negative, and not 0 for all documents"
        )
    return weight
