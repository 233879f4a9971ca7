# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit export``: a model for other programs."""

import argparse
from pathlib import Path
from typing import Any

from rnnkit.cli.options import add_json, paths_of, print_json, print_table
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
    parser.add_argument(
        "--int8",
        action="store_true",
        help="with weights of int8, a quarter of the size and much faster for one "
        "token, into the model file -o FILE",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="of --int8: where to")
    parser.add_argument(
        "--text",
        action="append",
        metavar="FILE",
        help="of --int8: measure the perplexity of this text before and after; may be "
        "given several times",
    )
    add_json(parser)


def run_export(arguments: argparse.Namespace) -> None:
    """``rnnkit export MODEL``, into what is asked for."""
    asked = {
        export_onnx: arguments.onnx is not None,
        export_c: arguments.c is not None,
        export_int8: arguments.int8,
    }
    if sum(asked.values()) != 1:
        raise ParameterError(
            "export needs to know into what, one at a time: --onnx FILE, --c FILE or "
            "--int8 -o FILE"
        )
    if not arguments.int8 and (arguments.output or arguments.text):
        raise ParameterError("-o and --text belong to --int8")
    (export,) = (function for function, is_asked in asked.items() if is_asked)
    answer, rows = export(arguments)
    if arguments.json:
        print_json(answer)
    else:
        print_table(rows)


def export_onnx(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """``rnnkit export MODEL --onnx FILE``; return what to tell a program, a person."""
    from rnnkit.interchange.onnx_export import export_onnx

    export_onnx(load(arguments.model), arguments.onnx)
    path = Path(arguments.onnx)
    answer = {"model": str(path), "vocabulary": str(path.with_suffix(".json"))}
    return answer, answer


def export_c(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """``rnnkit export MODEL --c FILE``; return the same."""
    from rnnkit.interchange import c_export

    c_export.export_c(load(arguments.model), arguments.c)
    path = Path(arguments.c)
    answer = {"source": str(path), "header": str(path.with_suffix(".h"))}
    return answer, answer


def export_int8(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """``rnnkit export MODEL --int8 -o FILE``; return the same."""
    if arguments.output is None:
        raise ParameterError("--int8 needs a name for the new model: -o FILE")
    model = load(arguments.model)
    small = model.quantize()
    small.save(arguments.output)
    before, after = (
        Path(name).stat().st_size for name in (arguments.model, arguments.output)
    )
    answer = {"model": arguments.output, "bytes_before": before, "bytes": after}
    rows = {"model": arguments.output, "bytes": f"{after:,}, before {before:,}"}
    if arguments.text:
        texts = paths_of(arguments.text)
        old, new = model.perplexity(texts), small.perplexity(texts)
        answer |= {"perplexity_before": old, "perplexity": new}
        rows["perplexity"] = f"{new:.2f}, before {old:.2f} ({new / old - 1:+.2%})"
    return answer, rows
