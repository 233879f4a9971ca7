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
        "token: into a model file, -o FILE, or a C file, --c FILE",
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
    if not (arguments.onnx or arguments.c or arguments.output):
        raise ParameterError(
            "export needs to know into what: --onnx FILE, --c FILE, or --int8 -o FILE"
        )
    if not arguments.int8 and (arguments.output or arguments.text):
        raise ParameterError("-o and --text belong to --int8")
    model = load(arguments.model)
    answer: dict[str, Any] = {}
    if arguments.int8:
        exact, model = model, model.quantize()
        if arguments.text:
            answer |= cost(exact, model, paths_of(arguments.text))
    if arguments.output:
        answer |= export_int8(model, arguments)
    if arguments.onnx:
        answer |= export_onnx(model, Path(arguments.onnx))
    if arguments.c:
        answer |= export_c(model, Path(arguments.c))
    if arguments.json:
        print_json(answer)
    else:
        print_table({name: told(value) for name, value in answer.items()})


def told(value: Any) -> str:
    """Return a figure as a person reads it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def cost(exact: Any, small: Any, texts: list[Any]) -> dict[str, float]:
    """Return the perplexity of texts with the weights of before, and with int8."""
    before, after = exact.perplexity(texts), small.perplexity(texts)
    return {"perplexity_before": before, "perplexity": after, "ratio": after / before}


def export_int8(model: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """``rnnkit export MODEL --int8 -o FILE``; return what to tell."""
    model.save(arguments.output)
    before, after = (
        Path(name).stat().st_size for name in (arguments.model, arguments.output)
    )
    return {"model": arguments.output, "bytes_before": before, "bytes": after}


def export_onnx(model: Any, path: Path) -> dict[str, Any]:
    """``rnnkit export MODEL --onnx FILE``; return what to tell."""
    from rnnkit.interchange import onnx_export

    onnx_export.export_onnx(model, path)
    return {"onnx": str(path), "vocabulary": str(path.with_suffix(".json"))}


def export_c(model: Any, path: Path) -> dict[str, Any]:
    """``rnnkit export MODEL --c FILE``; return what to tell."""
    from rnnkit.interchange import c_export

    c_export.export_c(model, path)
    return {"source": str(path), "header": str(path.with_suffix(".h"))}
