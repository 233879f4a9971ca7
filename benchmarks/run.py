# SPDX-License-Identifier: BSD-3-Clause
"""Measure rnnkit beside its peers: `python benchmarks/run.py --help`.

The first run makes the peers' environments; each run goes on inside theirs.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import environment

PARTS = {
    "training": "a training step beside PyTorch and TensorFlow",
    "scoring": "scoring a window beside PyTorch and ONNX Runtime",
    "one_token": "one token, state carried, beside PyTorch and ONNX Runtime",
    "memory": "peak memory at a vocabulary of 50,000 beside PyTorch",
    "tokenizing": "text to ids, megabytes a second",
    "loading": "a model file beside reading its bytes, in C and Python",
    "start": "seconds to the first prediction, and installed size",
    "scaling": "one thread beside several; windows of twice the length",
    "cells": "every cell beside the LSTM and beside eager PyTorch",
    "large_vocabulary": "heads for a vocabulary of 50,000 beside the full softmax",
}


def main(argv: Sequence[str]) -> None:
    """Make the environments, move into the peers', measure what is asked for."""
    arguments = parser().parse_args(argv)
    environment.make_peers()
    if arguments.tensorflow:
        environment.make_tensorflow()
    if not environment.is_inside(environment.PEERS):
        python = str(environment.python_of(environment.PEERS))
        os.execv(python, [python, __file__, *argv])
    measure(arguments)


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Measure rnnkit beside its peers.",
        epilog="Parts: " + "; ".join(f"{part}: {text}" for part, text in PARTS.items()),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)"
    )
    parser.add_argument(
        "--shape",
        action="append",
        help="seed, ptb-small, ptb-medium, char128, char512 (default: all), or sizes: "
        "L2,E64,H128,V65,B50,T50; may stand several times",
    )
    parser.add_argument(
        "--cell",
        action="append",
        help="rnn, lstm or gru, in the part `cells` any that is installed; may stand "
        "several times (default: all)",
    )
    parser.add_argument(
        "--tokens",
        action="append",
        choices=("uniform", "real"),
        help="may stand several times (default: both)",
    )
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all cores")
    parser.add_argument(
        "--tensorflow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with TensorFlow in training (default) or without",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the ratios")
    return parser


def measure(arguments: argparse.Namespace) -> None:
    """Run the parts; their tables go to standard output, progress to standard error."""
    from plan import Plan
    from report import part_table, table, write_json

    from rnnkit.cli.shapes import SHAPES, shape_of
    from rnnkit.cli.timing import blas_threads
    from rnnkit.core import default_threads

    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        sys.exit(f"run.py: unknown part {unknown.pop()!r}; known: {', '.join(PARTS)}")
    plan = Plan(
        shapes={name: shape_of(name) for name in arguments.shape or SHAPES},
        named_cells=tuple(arguments.cell or ()),
        tokens=tuple(arguments.tokens or ("uniform", "real")),
        n_threads=arguments.threads or default_threads(),
        n_rounds=arguments.rounds,
        with_tensorflow=arguments.tensorflow,
    )
    facts = machine_facts(plan)
    print(table([{"": name, " ": value} for name, value in facts.items()]))
    rows = []
    with blas_threads(plan.n_threads):
        for part in arguments.parts or PARTS:
            found = []
            for row in importlib.import_module(part).run(plan):
                print(row, file=sys.stderr, flush=True)
                found.append(row)
            print(f"\n{part}: {PARTS[part]}\n{part_table(found)}", flush=True)
            rows += found
            if arguments.json:
                write_json(arguments.json, facts, rows)
    if arguments.chart:
        from chart import draw

        draw([row.record() for row in rows], facts, arguments.chart)


def machine_facts(plan) -> dict[str, str]:
    """What a figure has to name, the peers' versions with it."""
    from importlib.metadata import version

    from rnnkit.cli.timing import machine

    facts = machine() | {"threads": str(plan.n_threads), "rounds": str(plan.n_rounds)}
    facts |= {"PyTorch": version("torch"), "ONNX Runtime": version("onnxruntime")}
    if plan.with_tensorflow:
        facts["TensorFlow"] = environment.tensorflow_version()
    return facts


if __name__ == "__main__":
    main(sys.argv[1:])
