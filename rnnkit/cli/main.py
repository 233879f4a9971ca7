# SPDX-License-Identifier: BSD-3-Clause
"""The command ``rnnkit``: its parser, and how errors end it."""

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

import rnnkit
from rnnkit.cli import (
    bench,
    demo,
    doctor,
    export,
    fit,
    plugin_commands,
    predict,
    recipe_commands,
    rescore,
)
from rnnkit.errors import ParameterError, RnnkitError, UnknownNameError

FAILED, WRONG_USE = 1, 2  # what the process ends with; argparse ends with 2 by itself


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0, or 1 when the command failed, or 2 when it was asked for in a wrong way.
    """
    for stream in (sys.stdout, sys.stderr):  # no text is a reason to fail at printing
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = make_parser().parse_args(argv)
    try:
        with plain_warnings():
            return int(arguments.run(arguments) or 0)
    except BrokenPipeError:  # the reader has seen enough, as in `rnnkit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return complain("stopped", FAILED)
    except (ParameterError, UnknownNameError) as error:
        return complain(str(error), WRONG_USE)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return complain(f"{name}{error.strerror or error}", FAILED)
    except (RnnkitError, MemoryError) as error:
        return complain(str(error) or "not enough memory", FAILED)


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as sentences, without the line of the library that warns."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"rnnkit: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def complain(text: str, code: int) -> int:
    """Say on standard error why the command ends, and give the process's code."""
    print(f"rnnkit: {text}", file=sys.stderr)
    return code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="rnnkit",
        description="Recurrent language models on a CPU.",
        epilog="Where a file is asked for, - is standard input.",
    )
    version = f"rnnkit {rnnkit.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        fit,
        recipe_commands,
        predict,
        rescore,
        export,
        plugin_commands,
        doctor,
        demo,
        bench,
    ):
        module.add_commands(commands)
    return parser
