# SPDX-License-Identifier: BSD-3-Clause
"""Rows of figures, as a table for a person and as JSON for a program."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.cli.timing import Ratio


@dataclass
class Row:
    """One measurement: what is printed under each title, and the figures behind it.

    Attributes
    ----------
    part, shape, cell, tokens : str
        What was measured.
    times : dict of str to array
        Seconds of every sample by engine; element k of all is of one round.
    columns : dict of str to str
        What is printed, in this order.
    ratios : dict of str to Ratio
        By peer: above 1 rnnkit is the faster one.
    facts : dict
        Other figures, for the JSON.
    """

    part: str
    shape: str
    cell: str = ""
    tokens: str = ""
    times: dict[str, np.ndarray] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def labels(self) -> dict[str, str]:
        """What was measured, as the first columns."""
        named = {"shape": self.shape, "cell": self.cell, "tokens": self.tokens}
        return {title: text for title, text in named.items() if text}

    def median(self, engine: str) -> float:
        """Median seconds of an engine."""
        return float(np.median(self.times[engine]))

    def best(self, engines: Iterable[str]) -> str:
        """The one with the smallest median: a peer is taken at its best setting."""
        return min(engines, key=self.median)

    def compare(self, title: str, peer: str, target: float | None = None) -> Ratio:
        """Add the ratio of a peer's times to rnnkit's as a column."""
        ratio = Ratio.of(self.times[peer], self.times["rnnkit"])
        self.ratios[title] = ratio
        self.columns[f"x {title}"] = f"{ratio}{missed(ratio.median, target)}"
        return ratio

    def share(
        self, title: str, work: float, ceiling: str, ceiling_work: float, target: Any
    ) -> None:
        """Add rnnkit's rate of work as a share of a ceiling's in the same rounds."""
        ratio = Ratio.of(
            self.times[ceiling] / ceiling_work, self.times["rnnkit"] / work
        )
        self.facts[title] = ratio.median
        self.columns[title] = f"{ratio.median:.0%}{missed(ratio.median, target, '.0%')}"

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "part": self.part,
            **self.labels(),
            "seconds": {name: list(times) for name, times in self.times.items()},
            "medians": {name: self.median(name) for name in self.times},
            "ratios": {name: vars(ratio) for name, ratio in self.ratios.items()},
            **self.facts,
        }

    def __str__(self) -> str:
        shown = self.labels() | self.columns
        return f"{self.part}: " + ", ".join(f"{k} {v}" for k, v in shown.items())


def missed(value: float, target: float | None, form: str = "g") -> str:
    """What was wanted, where it was not reached."""
    return "" if target is None or value >= target else f" <{target:{form}}"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows below a head, columns in the order of their first appearance.

    Text stands left, what begins with a digit right; a missing value is "-".
    """
    titles = list(dict.fromkeys(title for row in rows for title in row))
    lines = [titles] + [[row.get(title, "-") for title in titles] for row in rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(titles))]
    numeric = [
        all(line[k][:1].isdigit() or line[k] == "-" for line in lines[1:])
        for k in range(len(titles))
    ]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def part_table(rows: Sequence[Row]) -> str:
    """The table of one part's rows."""
    return table([row.labels() | row.columns for row in rows])


def write_json(path: Path, machine: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write all figures to a file."""
    answer = {"machine": dict(machine), "rows": [row.record() for row in rows]}
    path.write_text(json.dumps(answer, indent=1) + "\n", "utf-8")
