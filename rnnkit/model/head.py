# SPDX-License-Identifier: BSD-3-Clause
"""The output layer as data: how units become probabilities of tokens."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnkit.compiler import Initialiser, Parameter
from rnnkit.errors import ParameterError

HEADS = ("softmax", "adaptive", "sampled")
TABLE_BOUND = 0.1  # embedding and output weights start uniform within it
MAX_CLUSTERS = 16  # of the core
MAX_SAMPLES = 1 << 24
# Of the vocabulary, where cutoffs are chosen: at 50,000 words 2,000 and 10,000.
SHORTLIST, COMMON = 25, 5


@dataclass(frozen=True)
class Head:
    """An output layer; what a kind does not use keeps its default.

    Parameters
    ----------
    kind : {"softmax", "adaptive", "sampled"}, default="softmax"
        A softmax over all tokens; an adaptive softmax (Grave et al., 2017), with the
        tensors of PyTorch's `AdaptiveLogSoftmaxWithLoss`; a softmax that is trained on
        a sample of the tokens (Jean et al., 2015).
    cutoffs : tuple of int, default=()
        Of "adaptive": the first token of each cluster.
    div_value : float, default=4.0
        Of "adaptive": cluster i, from 0, reads H / div_value ** (i + 1) units.
    n_samples : int, default=1024
        Of "sampled": how many tokens are drawn for a window.

    Raises
    ------
    ParameterError
        When a number is out of its range.
    """

    kind: str = "softmax"
    cutoffs: tuple[int, ...] = ()
    div_value: float = 4.0
    n_samples: int = 1024

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise ParameterError(f"head={self.kind!r}; allowed: {', '.join(HEADS)}")
        ascending = [0, *self.cutoffs]
        if len(self.cutoffs) > MAX_CLUSTERS or ascending != sorted(set(ascending)):
            raise ParameterError(
                f"cutoffs={self.cutoffs} must be at most {MAX_CLUSTERS} numbers that "
                "ascend, from 1"
            )
        if not (self.div_value >= 1.0 and math.isfinite(self.div_value)):
            raise ParameterError(f"div_value={self.div_value} must be at least 1")
        if not 1 <= self.n_samples <= MAX_SAMPLES:
            raise ParameterError(
                f"n_samples={self.n_samples} is not from 1 to {MAX_SAMPLES:,}"
            )

    def check(self, vocab_size: int, tie_weights: bool) -> None:
        """Raise ParameterError when it does not fit the rest of a network."""
        if self.cutoffs and self.cutoffs[-1] >= vocab_size:
            raise ParameterError(
                f"cutoffs={self.cutoffs} must lie below the number of tokens, "
                f"{vocab_size}"
            )
        if tie_weights and self.kind == "adaptive":
            raise ParameterError(
                "tie_weights=True needs one output weight, which head='adaptive' has "
                "not; use head='sampled' or head='softmax', or do not tie"
            )

    def settings(self, hidden_size: int) -> dict[str, Any]:
        """Return the keywords of the core's `Weights`."""
        if self.kind == "softmax":
            return {}
        if self.kind == "sampled":
            return {"head": self.kind, "n_samples": self.n_samples}
        return {
            "head": self.kind,
            "cutoffs": np.array(self.cutoffs, np.int32),
            "cluster_widths": np.array(self._widths(hidden_size), np.int32),
        }

    def parameters(
        self, vocab_size: int, hidden_size: int, tie_weights: bool
    ) -> Iterator[Parameter]:
        """Yield the parameters in the core's order."""
        if self.kind != "adaptive":
            if not tie_weights:
                yield weight("output.weight", vocab_size, hidden_size)
            yield _bias("output.bias", vocab_size)
            return
        # Named and drawn as PyTorch's.
        ends = [*self.cutoffs, vocab_size]
        n_classes = ends[0] + len(self.cutoffs)
        bound = 1 / math.sqrt(hidden_size)
        yield weight("output.head.weight", n_classes, hidden_size, bound)
        yield _bias("output.head.bias", n_classes)
        for i, width in enumerate(self._widths(hidden_size)):
            n, tail = ends[i + 1] - ends[i], f"output.tail.{i}"
            yield weight(f"{tail}.0.weight", width, hidden_size, bound)
            yield weight(f"{tail}.1.weight", n, width, 1 / math.sqrt(width))

    def _widths(self, hidden_size: int) -> list[int]:
        return [
            max(1, int(hidden_size // self.div_value ** (i + 1)))
            for i in range(len(self.cutoffs))
        ]


def chosen_cutoffs(vocab_size: int) -> tuple[int, ...]:
    """Return cutoffs where none are given: a 25th and a fifth of the vocabulary."""
    wanted = {max(1, vocab_size // SHORTLIST), vocab_size // COMMON}
    return tuple(sorted(cutoff for cutoff in wanted if 1 <= cutoff < vocab_size))


def weight(name: str, rows: int, columns: int, bound: float = TABLE_BOUND) -> Parameter:
    """Return a matrix that starts uniform within a bound."""
    uniform = (Initialiser("uniform", bound),)
    return Parameter(name, True, ("",), rows, columns, uniform)


def _bias(name: str, n: int) -> Parameter:
    zeros = (Initialiser("constant", 0.0),)
    return Parameter(name, False, ("",), n, 1, zeros, decay=False)
