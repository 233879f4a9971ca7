# SPDX-License-Identifier: BSD-3-Clause
"""How a model reads what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnkit.core import default_threads
from rnnkit.errors import ModelFormatError
from rnnkit.runtime.documents import DOCUMENTS, INPUTS


@dataclass(frozen=True)
class Options:
    """How a model reads what it is given; the estimator's parameters of these names."""

    carry_state: bool = False
    input: str = "content"
    documents: str | None = None  # None: as the tokenizer says
    n_threads: int | None = None

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "Options":
        """Take the options from an estimator's parameters in a file."""
        given = {
            "carry_state": parameters.get("carry_state", False),
            "input": parameters.get("input", "content"),
            "documents": parameters.get("documents"),
        }
        known = (
            isinstance(given["carry_state"], bool)
            and given["input"] in INPUTS
            and given["documents"] in (None, *DOCUMENTS)
        )
        if not known:
            raise ModelFormatError(f"parameters: a value is unknown among {given}")
        return cls(**given)


def resolve_threads(n_threads: int | None) -> int:
    """Return a number of threads: None means all that there are, -2 all but one."""
    if n_threads is None:
        return default_threads()
    return n_threads if n_threads > 0 else max(1, default_threads() + 1 + n_threads)
