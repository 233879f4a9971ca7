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
    parser.add_argument(
        "--c",
        metavar="FILE",
        help="as a C file that needs no library, its header beside it",
    )
    add_json(parser)


def run_export(arguments: argparse.Namespace) -> None:
    """``rnnkit export MODEL --onnx FILE`` or ``--c FILE``, or both"""
    if arguments.onnx is None and arguments.c is None:
        raise ParameterError("export needs to know into what: --onnx FILE or --c FILE")
    model = load(arguments.model)
    answer: dict[str, str] = {}
    if arguments.onnx is not None:
        from rnnkit.interchange.onnx_export import export_onnx

        export_onnx(model, arguments.onnx)
        path = Path(arguments.onnx)
        answer |= {"model": str(path), "vocabulary": str(path.with_suffix(".json"))}
    if arguments.c is not None:
        from rnnkit.interchange.c_export import export_c

        export_c(model, arguments.c)
        path = Path(arguments.c)
        answer |= {"source": str(path), "header": str(path.with_suffix(".h"))}
    if arguments.json:
        print_json(answer)
    else:
        print_table(answer)
