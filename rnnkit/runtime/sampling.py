# SPDX-License-Identifier: BSD-3-Clause
"""Choosing tokens from a distribution."""

from typing import Any

import numpy as np

from rnnkit import core
from rnnkit.errors import ParameterError


def likeliest(log_probabilities: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` likeliest tokens, best first; of equals the lower id first."""
    n = len(log_probabilities)
    if k >= n:
        return np.argsort(-log_probabilities, kind="stable")
    least = np.partition(log_probabilities, n - k)[n - k]
    candidates = np.flatnonzero(log_probabilities >= least)
    order = np.argsort(-log_probabilities[candidates], kind="stable")
    return candidates[order[:k]]


def draw(
    log_probabilities: np.ndarray,
    uniform: float,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    never: int | None = None,
) -> int:
    """Draw one token.

    The tokens are ranked, likeliest first; the ranks beyond `top_k` are dropped, then
    those behind the first ones that hold the probability `top_p`; the token is where
    `uniform`, a number in [0, 1), falls into the cumulative sum of what is left.

    Parameters
    ----------
    log_probabilities : (V,) array
        Of the next token.
    uniform : float
        The random number.
    temperature : float, default=1.0
        Divides the log-probabilities; 0 takes the likeliest token.
    top_k : int, optional
        Keep this many tokens.
    top_p : float, optional
        Keep the fewest likeliest tokens of at least this probability together.
    never : int, optional
        The id of a token that must not be drawn.
    """
    scores = np.array(log_probabilities, np.float64)
    if never is not None:
        scores[never] = -np.inf
    return core.draw(
        scores,
        uniform,
        temperature=temperature,
        top_k=top_k or 0,
        top_p=1.0 if top_p is None else top_p,
    )


def uniform(seed: int, stream: int, position: int) -> float:
    """Return random number `position` of prompt number `stream`, in [0, 1).

    That of NumPy's Philox(key=[seed, stream]), from a counter: the draws of a prompt
    depend neither on the other prompts nor on the machine, and a C program with the
    same seed draws the same.
    """
    return core.uniform(seed, stream, position)


def seed_from(random_state: Any) -> int:
    """Return a 64-bit seed from None, an int, or a generator of NumPy's (either kind).

    Raises
    ------
    ParameterError
        For a number out of range, and for anything else.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 1 << 63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 1 << 32, dtype=np.uint64))
    if isinstance(random_state, (int, np.integer)) and not isinstance(
        random_state, bool
    ):
        if 0 <= random_state < 1 << 64:
            return int(random_state)
        raise ParameterError(f"random_state={random_state}; a seed lies in [0, 2**64)")
    raise ParameterError(
        f"random_state={random_state!r}; allowed: None, a seed, or a generator of numpy"
    )
