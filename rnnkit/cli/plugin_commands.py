# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit plugins list | check``: what is installed, and whether it works.

Listing imports nothing. Checking imports in a child process with a time limit.
"""

import argparse
import subprocess
import sys
from typing import Any

from rnnkit import plugins
from rnnkit.cli.options import add_json, print_json
from rnnkit.errors import UnknownNameError

SECONDS_TO_CHECK = 120
# What the child runs after the import has passed.
CHECK_CELL = (
    "import sys; from rnnkit import plugins, testing;"
    "testing.check_cell(plugins.make_cell(sys.argv[1]))"
)


def add_commands(commands: Any) -> None:
    """Add the command and its two actions to a parser."""
    text = "cells and tokenizers, and whether they work"
    parser = commands.add_parser("plugins", help=text, description=text + ".")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="names and packages; imports nothing")
    listing.set_defaults(run=run_list)
    add_json(listing)
    check = actions.add_parser("check", help="import it in a child process and test it")
    check.set_defaults(run=run_check)
    check.add_argument("name", metavar="NAME", help='"name" or "package:name"')


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
    found = [*_found(arguments.name)]
    if not found:
        raise UnknownNameError(
            f"no cell and no tokenizer is called {arguments.name!r}; "
            "`rnnkit plugins list` lists them"
        )
    failed = False
    for plugin in found:
        message = check(plugin)
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
    return found


def check(plugin: plugins.Plugin) -> str:
    """What is wrong with a plugin; empty when nothing is."""
    imported = plugins.check_in_child(plugin)
    if not imported.ok or plugin.kind != "cell":
        return imported.message
    command = [sys.executable, "-c", CHECK_CELL, plugin.full_name]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_TO_CHECK
        )
    except subprocess.TimeoutExpired:
        return f"the check of its equations had not ended after {SECONDS_TO_CHECK} s"
    if child.returncode == 0:
        return ""
    return (child.stderr.strip().splitlines() or ["the check ended the process"])[-1]
