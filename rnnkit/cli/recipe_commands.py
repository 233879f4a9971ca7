# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit recipes``: settings that are known to work, and where they come from."""

import argparse
from typing import Any

from rnnkit import recipes
from rnnkit.cli.options import add_json, print_json, print_table


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "settings that are known to work, for fit --recipe"
    parser = commands.add_parser("recipes", help=text, description=text + ".")
    parser.set_defaults(run=run)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="show the parameters of this one"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    """List all recipes with their sources, or show one."""
    if arguments.name is None:
        found = {name: recipe["source"] for name, recipe in recipes.RECIPES.items()}
    else:
        recipes.parameters(arguments.name)  # says which names there are
        found = recipes.RECIPES[arguments.name]["parameters"]
    if arguments.json:
        print_json(found)
    else:
        print_table({name: str(value) for name, value in found.items()})
