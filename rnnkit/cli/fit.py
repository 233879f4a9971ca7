# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit fit``: train on files. Its options are the estimator's parameters."""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from rnnkit.cli.options import assignment, paths_of, value_of
from rnnkit.cli.parameters import Parameter, estimator_parameters
from rnnkit.errors import ModelFormatError, ParameterError

# Parameters that a command cannot offer, or sets by itself.
NOT_OFFERED = ("input", "vocabulary", "warm_start")


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "train a model on files of text"
    parser = commands.add_parser("fit", help=text, description=text.capitalize() + ".")
    parser.set_defaults(run=run)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="texts; .gz is unpacked"
    )
    parser.add_argument("--valid", metavar="FILE", help="text to watch while training")
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="the file to write"
    )
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="a folder to keep what a run needs to go on"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the newest checkpoint there"
    )
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="go on from this model, with its settings where no others are given",
    )
    for part in ("cell", "tokenizer"):
        parser.add_argument(
            f"--{part}-param",
            type=assignment,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"a parameter of the {part}; may stand several times",
        )
    group = parser.add_argument_group("parameters of the model and of its training")
    for parameter in offered_parameters():
        _add_option(group, parameter)


def offered_parameters() -> list[Parameter]:
    """Parameters of the estimator that are options of the command."""
    return [p for p in estimator_parameters() if p.name not in NOT_OFFERED]


def _add_option(group: Any, parameter: Parameter) -> None:
    default = 1 if parameter.name == "verbose" else parameter.default
    settings: dict[str, Any] = {"default": argparse.SUPPRESS}
    settings["help"] = f"{parameter.help} (default: {default})".replace("%", "%%")
    if parameter.is_switch:
        settings["action"] = argparse.BooleanOptionalAction
    else:
        settings |= {"type": value_of, "metavar": "VALUE"}
    group.add_argument("--" + parameter.name.replace("_", "-"), **settings)


def run(arguments: argparse.Namespace) -> None:
    """Train, with the progress on standard error, and save."""
    from rnnkit.estimators import RNNLanguageModel

    chosen = chosen_parameters(arguments)
    check_writable(arguments.output)
    if arguments.init is None:
        model = RNNLanguageModel(input="filename", **chosen)
    else:
        model = model_to_go_on_with(arguments.init, chosen)
    validation = None if arguments.valid is None else paths_of([arguments.valid])
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(
            paths_of(arguments.files),
            X_val=validation,
            checkpoint=arguments.checkpoint,
            resume=arguments.resume,
        )
    model.set_params(warm_start=False).save(arguments.output)


def chosen_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """The estimator's parameters that were given, cell and tokenizer made if needed."""
    from rnnkit import plugins

    offered = {p.name: p.default for p in offered_parameters()}
    given = {name: getattr(arguments, name) for name in offered if name in arguments}
    chosen = {"verbose": 1, **given}
    for part, make, params in (
        ("cell", plugins.make_cell, arguments.cell_param),
        ("tokenizer", plugins.make_tokenizer, arguments.tokenizer_param),
    ):
        if params:
            made = make(chosen.get(part, offered[part]))
            chosen[part] = with_params(made, dict(params))
    if "tokenizer" in chosen and chosen["tokenizer"] is None:
        raise ParameterError(
            "--tokenizer none: sequences of ids are read in Python alone"
        )
    if chosen.get("extend_vocabulary") and arguments.init is None:
        raise ParameterError("--extend-vocabulary needs the model to extend: --init")
    return chosen


def model_to_go_on_with(path: str, chosen: dict[str, Any]) -> Any:
    """The model of a file, fitted, which goes on from its weights in `fit`."""
    from rnnkit.estimators import load

    if "tokenizer" in chosen:
        raise ParameterError("--tokenizer: a model goes on with its own; leave it out")
    try:
        model = load(path)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None
    return model.set_params(**chosen, warm_start=True, input="filename")


def with_params(part: Any, params: dict[str, Any]) -> Any:
    """A cell or a tokenizer with its parameters set."""
    try:
        return part.set_params(**params)
    except ValueError as error:
        raise ParameterError(str(error)) from None


def check_writable(path: str) -> None:
    """Whether the model can be written, asked before hours of training."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise ParameterError(f"{path}: no file of this name can be written")
