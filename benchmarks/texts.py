# SPDX-License-Identifier: BSD-3-Clause
"""Tokens of a real text that every Python has: the help topics of pydoc."""

import re
from collections import Counter
from pydoc_data import topics

import numpy as np

from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import Tokens

CHARACTERS = 256  # up to so many words a vocabulary is one of characters
ZIPF_SHIFT = 2.7  # Mandelbrot's: p(rank) ~ 1 / (rank + shift)


def real_tokens(shape: Shape) -> Tokens:
    """The text as ids, the most frequent first; where it has too few words, Zipf's law.

    Characters or words beyond the vocabulary share its last id.
    """
    text = "\n".join(topics.topics.values())
    units = list(text) if shape.V <= CHARACTERS else re.findall(r"\w+|[^\w\s]", text)
    counts = Counter(units).most_common()
    if len(counts) >= shape.V:
        rank = {unit: min(k, shape.V - 1) for k, (unit, _) in enumerate(counts)}
        source = "pydoc characters" if shape.V <= CHARACTERS else "pydoc words"
        return Tokens.of(source, np.array([rank[unit] for unit in units]), shape)
    n = shape.B * (shape.T + 1)
    return Tokens.of("Zipf", zipf_tokens(n, shape.V), shape)


def zipf_tokens(n: int, vocab_size: int) -> np.ndarray:
    """Ids drawn by the law of Zipf and Mandelbrot."""
    weights = 1.0 / (np.arange(vocab_size) + 1 + ZIPF_SHIFT)
    rng = np.random.default_rng(0)
    return rng.choice(vocab_size, n, p=weights / weights.sum())
