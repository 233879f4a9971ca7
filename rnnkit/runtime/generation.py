# SPDX-License-Identifier: BSD-3-Clause
"""Writing on from a prompt."""

from collections.abc import Iterator

import numpy as np

from rnnkit.runtime.sampling import draw
from rnnkit.runtime.stream import Stream


def generate_ids(
    stream: Stream,
    uniforms: np.random.Generator,
    *,
    end_id: int,
    unk_id: int | None,
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Iterator[int]:
    """Yield tokens until the document ends; an unknown token is never drawn."""
    for _ in range(max_new_tokens):
        token = draw(
            stream.log_probabilities(),
            uniforms.random(),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            never=unk_id,
        )
        if token == end_id:
            return
        yield token
        stream.feed_ids(np.array([token], np.int32))
