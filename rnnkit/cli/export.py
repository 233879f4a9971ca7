# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit export``: a model for other programs."""

import argparse
from pathlib import Path
from typing import Any

from rnnkit.cli.options import add_json, print_json, print_table
from rnnkit.cli.predict import load
from rnnkit.errors import ParameterError


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "export",
        help="write a model for other programs",
        description="Write a model for other programs.",
    )
    parser.set_defaults(run=run_export)
    parser.add_argument("model", metavar="MODEL", help="a file that `rnnkit fit` wrote")
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        help="as ONNX, tried in ONNX Runtime, its vocabulary as JSON beside it",
    )
    add_json(parser)


def run_export(arguments: argparse.Namespace) -> None:
    """``rnnkit export MODEL --onnx FILE``"""
    from rnnkit.interchange.onnx_export import export_onnx

    if arguments.onnx is None:
        raise ParameterError("export needs to know into what: --onnx FILE")
    export_onnx(load(arguments.model), arguments.onnx)
    path = Path(arguments.onnx)
    answer = {"model": str(path), "vocabulary": str(path.with_suffix(".json"))}
    if arguments.json:
        print_json(answer)
    else:
        print_table(answer)
