# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit bench``: rnnkit's speed on this machine, and what the machine could do.

No peer is needed; benchmarks/ in the sources measures rnnkit beside others.
"""

import argparse
from typing import Any

from rnnkit.cli.options import add_json, print_json, print_table
from rnnkit.cli.shapes import SHAPES, shape_of

TITLES = (
    f"{'training':>34}{'scoring':>25}{'1 token':>24}{'of int8':>15}",
    "shape       cell        tok/s     GF  share      tok/s     GF  share       us"
    "   GB/s  share       us  times",
)
LINE = (
    "{shape:<11} {cell:<6} "
    "{training[tokens_per_second]:>10,.0f}{training[gflops]:>7.1f}{training[share]:>7.0%}"
    "{scoring[tokens_per_second]:>11,.0f}{scoring[gflops]:>7.1f}{scoring[share]:>7.0%}"
    "{one_token[microseconds]:>9.1f}{one_token[gbytes_per_second]:>7.1f}{reading:>7}"
    "{int8_token[microseconds]:>9.1f}{int8_token[times_faster]:>7.1f}"
)
NOTE = """
GF: floating-point operations of products really made, 10^9 a second. share: of the
rate of NumPy's product of large float32 matrices in the same rounds; for one token,
of its rate of reading as many bytes as the weights have (not where they are small).
of int8: the same token with weights of int8, and how many times faster that is.
"""


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "how fast rnnkit is on this machine, and what the machine could do"
    parser = commands.add_parser(
        "bench", help=text, description=text.capitalize() + "."
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "shapes",
        nargs="*",
        metavar="SHAPE",
        help=f"{', '.join(SHAPES)} (default: all), or sizes: L2,E64,H128,V65,B50,T50",
    )
    parser.add_argument(
        "--cell",
        action="append",
        metavar="NAME",
        help="a cell; may stand several times (default: lstm)",
    )
    parser.add_argument(
        "--rounds", type=positive, default=7, help="samples of a figure (default: 7)"
    )
    parser.add_argument(
        "--n-threads", type=positive, help="threads (default: all cores)"
    )
    add_json(parser)


def positive(text: str) -> int:
    """A number from 1 up, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def run(arguments: argparse.Namespace) -> None:
    """Measure each shape and cell; print a line as soon as it is known."""
    from rnnkit import plugins
    from rnnkit.cli.speed import measure
    from rnnkit.cli.timing import blas_threads, machine
    from rnnkit.core import default_threads

    shapes = {name: shape_of(name) for name in arguments.shapes or SHAPES}
    cells = {name: plugins.make_cell(name) for name in arguments.cell or ["lstm"]}
    n_threads = arguments.n_threads or default_threads()
    facts = machine() | {"threads": str(n_threads)}
    if not arguments.json:
        print_table(facts)
        print(NOTE, *TITLES, sep="\n")
    rows = []
    with blas_threads(n_threads):
        for shape_name, shape in shapes.items():
            for cell_name, cell in cells.items():
                figures = measure(cell, shape, n_threads, arguments.rounds)
                rows.append({"shape": shape_name, "cell": cell_name, **figures})
                if not arguments.json:
                    print_row(rows[-1])
    if arguments.json:
        print_json({"machine": facts, "rows": rows})


def print_row(row: dict[str, Any]) -> None:
    """A line of the table."""
    share = row["one_token"]["share"]
    print(
        LINE.format(**row, reading="-" if share is None else f"{share:.0%}"), flush=True
    )
