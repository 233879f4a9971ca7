# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit fit`` and ``rnnkit find-rate``: options are the estimator's parameters."""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from rnnkit.cli.options import (
    add_json,
    assignment,
    paths_of,
    print_json,
    value_of,
)
from rnnkit.cli.parameters import Parameter, estimator_parameters
from rnnkit.errors import ModelFormatError, ParameterError

# Parameters that a command cannot offer, or sets by itself.
NOT_OFFERED = ("input", "vocabulary", "warm_start")
MAX_ROWS = 24  # of the table of rates


def add_commands(commands: Any) -> None:
    """Add the commands to a parser."""
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
    _add_parameters(parser)
    text = "try learning rates on files of text, and suggest one"
    parser = commands.add_parser(
        "find-rate", help=text, description=text.capitalize() + "."
    )
    parser.set_defaults(run=run_find_rate)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="texts; .gz is unpacked"
    )
    parser.add_argument(
        "--low", type=float, default=1e-5, help="the first rate (default: %(default)g)"
    )
    parser.add_argument(
        "--high", type=float, default=100.0, help="the last rate (default: %(default)g)"
    )
    parser.add_argument(
        "--n-steps", type=int, default=200, help="steps, at most (default: %(default)s)"
    )
    add_json(parser)
    _add_parameters(parser)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="settings that are known to work, which other options change; "
        "`rnnkit recipes` lists them",
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
    check_writable(arguments.output)
    chosen = parameters_of(arguments)
    if arguments.init is not None:
        model = model_to_go_on_with(arguments.init, chosen)
    elif chosen.get("extend_vocabulary"):
        raise ParameterError("--extend-vocabulary needs the model to extend: --init")
    else:
        model = new_model(chosen)
    validation = None if arguments.valid is None else paths_of([arguments.valid])
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(
            paths_of(arguments.files),
            X_val=validation,
            checkpoint=arguments.checkpoint,
            resume=arguments.resume,
        )
    model.set_params(warm_start=False).save(arguments.output)


def run_find_rate(arguments: argparse.Namespace) -> None:
    """Print a table of rates and smoothed losses, and the suggestion."""
    from rnnkit.estimators import find_learning_rate

    found = find_learning_rate(
        new_model(parameters_of(arguments)),
        paths_of(arguments.files),
        low=arguments.low,
        high=arguments.high,
        n_steps=arguments.n_steps,
    )
    if arguments.json:
        curve = {"rates": found.rates.tolist(), "losses": found.losses.tolist()}
        print_json({**curve, "suggestion": found.suggestion})
        return
    every = -(-len(found.rates) // MAX_ROWS)
    print("learning rate  loss")
    for rate, loss in zip(found.rates[::every], found.losses[::every], strict=True):
        print(f"{rate:13.2e}  {loss:.4f}")
    print(f"suggestion: --learning-rate-init {found.suggestion:.2g}")


def parameters_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The estimator's parameters that were given, cell and tokenizer made if needed."""
    from rnnkit import plugins, recipes

    chosen: dict[str, Any] = {"verbose": 1}
    if arguments.recipe is not None:
        chosen |= recipes.parameters(arguments.recipe)
    offered = {p.name: p.default for p in offered_parameters()}
    chosen |= {name: getattr(arguments, name) for name in offered if name in arguments}
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
    return chosen


def new_model(chosen: dict[str, Any]) -> Any:
    """The estimator with these parameters."""
    from rnnkit.estimators import RNNLanguageModel

    return RNNLanguageModel(input="filename", **chosen)


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
