# SPDX-License-Identifier: BSD-3-Clause
"""Draw the ratios of a run: `python benchmarks/chart.py figures.json chart.svg`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44")  # told apart by all eyes
ROW_INCHES = 0.34
PARTS = ("training", "scoring", "one token", "scaling", "cells")


def draw(rows: Sequence[Mapping[str, Any]], machine: Mapping, path: Path) -> None:
    """Draw a panel for each part that has ratios: bars, quartiles, and a line at 1."""
    panels = {
        part: here
        for part in PARTS
        if (here := [row for row in rows if row["part"] == part and row["ratios"]])
    }
    if not panels:
        raise SystemExit("chart.py: there is no ratio to draw")
    heights = [len(here) for here in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels),
        figsize=(8, 1.2 * len(panels) + ROW_INCHES * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (part, here) in zip(axes.flat, panels.items(), strict=True):
        _panel(axis, part, here)
    threads = f"{machine['threads']} threads, {machine['instruction set']}"
    figure.suptitle(f"How many times faster rnnkit is\n{machine['cpu']}, {threads}")
    figure.savefig(path)
    pyplot.close(figure)


def _panel(axis: Any, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
    peers = list(dict.fromkeys(peer for row in rows for peer in row["ratios"]))
    height = 0.8 / len(peers)
    for k, peer in enumerate(peers):
        places = [i for i, row in enumerate(rows) if peer in row["ratios"]]
        ratios = [rows[i]["ratios"][peer] for i in places]
        middle = [ratio["median"] for ratio in ratios]
        spread = [
            [ratio["median"] - ratio["low"] for ratio in ratios],
            [ratio["high"] - ratio["median"] for ratio in ratios],
        ]
        axis.barh(
            [i + (k - (len(peers) - 1) / 2) * height for i in places],
            middle,
            height,
            xerr=spread,
            color=COLOURS[k % len(COLOURS)],
            label=peer,
            error_kw={"linewidth": 0.8},
        )
    names = [
        " ".join(filter(None, (row["shape"], row.get("cell"), row.get("tokens"))))
        for row in rows
    ]
    axis.set_yticks(range(len(rows)), names)
    axis.invert_yaxis()
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_title(part, loc="left")
    axis.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(peers), frameon=False
    )
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: chart.py figures.json chart.svg")
    answer = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    draw(answer["rows"], answer["machine"], Path(sys.argv[2]))
