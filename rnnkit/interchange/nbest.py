# SPDX-License-Identifier: BSD-3-Clause
"""n-best lists as Kaldi writes them, for `rescore`.

A line of the texts is "utterance-number words", and of a file of costs
"utterance-number cost"; `nbest-to-linear` makes them. Costs are negative logarithms.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import ConversionError
from rnnkit.runtime.rescoring import Ranking


@dataclass(frozen=True)
class NBest:
    """Hypotheses by utterance, in the order of the file.

    Attributes
    ----------
    utterances : list of str
    hypotheses : list of lists of str
        The texts of each utterance, as `rescore` takes them.
    scores : list of lists of float
        Sums of the weighted costs with the sign of a score: higher is better.
    """

    utterances: list[str]
    hypotheses: list[list[str]]
    scores: list[list[float]]

    def best(self, rankings: Sequence[Ranking]) -> str:
        """Return the best text of each utterance, a line each, as Kaldi reads them."""
        lines = [
            f"{name} {texts[ranking.order[0]]}".rstrip() + "\n"
            for name, texts, ranking in zip(
                self.utterances, self.hypotheses, rankings, strict=True
            )
        ]
        return "".join(lines)


def read_nbest(
    texts: str | os.PathLike[str],
    costs: Sequence[str | os.PathLike[str]] = (),
    weights: Sequence[float] | None = None,
) -> NBest:
    """Read n-best lists.

    Parameters
    ----------
    texts : path
        Of the hypotheses.
    costs : sequence of paths
        As of acoustic costs, and those of the old language model.
    weights : sequence of float, optional
        What each file of costs counts; 1 by default.

    Raises
    ------
    ConversionError
        A line is malformed, or the files do not name the same hypotheses.
    """
    weights = [1.0] * len(costs) if weights is None else weights
    if len(weights) != len(costs):
        raise ConversionError(f"{len(weights)} weights for {len(costs)} files of costs")
    lines = _entries(texts)
    totals = dict.fromkeys(lines, 0.0)
    for path, weight in zip(costs, weights, strict=True):
        found = _entries(path)
        if set(found) != set(lines):
            name = min(set(found) ^ set(lines))
            raise ConversionError(f"{path}: {name!r} is in one of the files alone")
        for name, text in found.items():
            try:
                totals[name] -= weight * float(text)
            except ValueError:
                raise ConversionError(f"{path}: {name}: {text!r} is no cost") from None
    lists: dict[str, tuple[list[str], list[float]]] = {}
    for name, text in lines.items():
        utterance, dash, number = name.rpartition("-")
        if not dash or not number.isdigit():
            raise ConversionError(f"{texts}: {name!r} does not end in '-number'")
        hypotheses, scores = lists.setdefault(utterance, ([], []))
        hypotheses.append(text)
        scores.append(totals[name])
    return NBest(
        list(lists), [a for a, _ in lists.values()], [b for _, b in lists.values()]
    )


def _entries(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return what stands behind each name."""
    entries: dict[str, str] = {}
    for line in Path(path).read_text("utf-8").splitlines():
        name, _, text = line.strip().partition(" ")
        if name in entries:
            raise ConversionError(f"{path}: {name!r} is there twice")
        if name:
            entries[name] = text.strip()
    if not entries:
        raise ConversionError(f"{path}: the file is empty")
    return entries
