# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit plugins list | check | show | new``: for users and authors of plugins.

Listing imports nothing. Checking imports in a child process with a time limit.
"""

import argparse
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rnnkit import plugins
from rnnkit.cli.options import add_json, assignment, print_json
from rnnkit.cli.template import write_package
from rnnkit.errors import UnknownNameError

SECONDS_TO_CHECK = 120
# What the child runs after the import has passed.
CHECKS = """
import json, sys, warnings
from rnnkit import plugins, testing
warnings.simplefilter("ignore", plugins.PluginWarning)  # the parent has said it
kind, name, parameters = sys.argv[1:]
made = plugins.make_cell(name) if kind == "cell" else plugins.make_tokenizer(name)
check = testing.check_cell if kind == "cell" else testing.check_tokenizer
try:
    check(made.set_params(**json.loads(parameters)))
except Exception as error:
    sys.exit(str(error) or repr(error))
"""


def add_commands(commands: Any) -> None:
    """Add the command and its actions to a parser."""
    text = "cells and tokenizers, and whether they work"
    parser = commands.add_parser("plugins", help=text, description=text + ".")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="names and packages; imports nothing")
    listing.set_defaults(run=run_list)
    add_json(listing)
    check = actions.add_parser("check", help="import it in a child process and test it")
    check.set_defaults(run=run_check)
    check.add_argument("name", metavar="NAME", help='"name" or "package:name"')
    check.add_argument(
        "--param",
        type=assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="check it with this parameter; may stand several times",
    )
    show = actions.add_parser("show", help="its parameters, equations and program")
    show.set_defaults(run=run_show)
    show.add_argument("name", metavar="NAME", help='"name" or "package:name"')
    new = actions.add_parser("new", help="write a small package, tests included")
    new.set_defaults(run=run_new)
    new.add_argument("name", metavar="NAME", help="what users will write, as in spam")
    new.add_argument("--tokenizer", action="store_true", help="instead of a cell")
    new.add_argument("--folder", type=Path, default=Path("."), metavar="FOLDER")


def run_list(arguments: argparse.Namespace) -> None:
    """``rnnkit plugins list``"""
    found = plugins.list_plugins()
    if arguments.json:
        print_json([row_of(plugin) for plugin in found])
        return
    for plugin in found:
        row = row_of(plugin)
        note = f"  ({row['problem']})" if row["problem"] else ""
        print(f"{row['kind']:<9}  {row['name']:<12}  {row['source']}{note}")


def row_of(plugin: plugins.Plugin) -> dict[str, str | None]:
    """A plugin as the list shows it."""
    package = " ".join(filter(None, (plugin.distribution, plugin.version)))
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "source": "built in" if plugin.is_builtin else package,
        "class": plugin.value,
        "problem": plugin.problem,
    }


def run_check(arguments: argparse.Namespace) -> int:
    """``rnnkit plugins check NAME``: 1 when something is wrong with it."""
    failed = False
    for plugin in _found(arguments.name):
        message = check(plugin, dict(arguments.param))
        message = message.removeprefix(f"{plugin} ")
        print(f"{plugin}: {message or 'fine'}")
        failed = failed or bool(message)
    return int(failed)


def _found(name: str) -> list[plugins.Plugin]:
    """The cell and the tokenizer of this name, as far as there are."""
    found = []
    for kind in plugins.KINDS:
        try:
            found.append(plugins.find(kind, name))
        except UnknownNameError:
            continue
    if not found:
        raise UnknownNameError(
            f"no cell and no tokenizer is called {name!r}; "
            "`rnnkit plugins list` lists them"
        )
    return found


def check(plugin: plugins.Plugin, parameters: dict[str, Any]) -> str:
    """What is wrong with a plugin; empty when nothing is."""
    imported = plugins.check_in_child(plugin)
    if not imported.ok:
        return imported.message
    command = [sys.executable, "-c", CHECKS, plugin.kind, plugin.full_name]
    command.append(json.dumps(parameters))
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS_TO_CHECK,
        )
    except subprocess.TimeoutExpired:
        return f"its checks had not ended after {SECONDS_TO_CHECK} s"
    if child.returncode == 0:
        return ""
    return child.stderr.strip() or f"its checks ended with status {child.returncode}"


def run_show(arguments: argparse.Namespace) -> None:
    """``rnnkit plugins show NAME``: this one does import it."""
    for plugin in _found(arguments.name):
        cls = plugins.load(plugin)
        shown = f"{plugin}\n\n{inspect.getdoc(cls) or 'It has no description.'}\n"
        if plugin.kind == "cell":
            shown += f"\n{cell_text(plugins.make_cell(plugin.full_name))}"
        print(shown)


def cell_text(cell: Any) -> str:
    """A cell's equations as a drawing, then all that the core makes of them."""
    from rnnkit.compiler import differentiate, trace
    from rnnkit.core import Program

    graph = trace(cell, 16, 16)
    trained = differentiate(graph)
    program = Program(trained.to_words(), "float32")
    return f"{graph.draw()}\n{trained}\n{program}"


def run_new(arguments: argparse.Namespace) -> None:
    """``rnnkit plugins new NAME``"""
    kind = "tokenizer" if arguments.tokenizer else "cell"
    target = write_package(arguments.name, kind, arguments.folder)
    for file in sorted(target.rglob("*.*")):
        print(file)
    print(f"\nnext: pip install {as_argument(target)}")
    print(f"      rnnkit plugins check {arguments.name}")


def as_argument(path: Path) -> str:
    """A folder as pip understands it: a bare name would be one of a package index."""
    return str(path) if path.is_absolute() else f"./{path}"
