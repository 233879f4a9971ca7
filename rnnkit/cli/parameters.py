# SPDX-License-Identifier: BSD-3-Clause
"""The estimator's parameters as a table, read from its source without importing it.

Names and defaults come from the signature of `RNNLanguageModel`, types and help from
its docstring, so that the command line cannot drift from it; importing it would load
scikit-learn before the first line of help.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ESTIMATOR = "RNNLanguageModel"


@dataclass(frozen=True)
class Parameter:
    """One constructor parameter, with its docstring's type and first paragraph."""

    name: str
    default: Any
    kind: str
    help: str

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off; where its default is None, the estimator decides."""
        return self.kind.startswith("bool")


def estimator_parameters() -> list[Parameter]:
    """All parameters of the estimator, in the order of its signature."""
    definition = _class_definition()
    described = dict(_described(ast.get_docstring(definition) or ""))
    init = next(
        node
        for node in definition.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    arguments = init.args
    positional = zip(arguments.args[1:], arguments.defaults, strict=True)
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [
        Parameter(argument.arg, ast.literal_eval(default), *described[argument.arg])
        for argument, default in [*positional, *keyword]
        if default is not None
    ]


def _class_definition() -> ast.ClassDef:
    """The estimator's class, from whichever file of rnnkit/estimators defines it."""
    folder = Path(__file__).parent.parent / "estimators"
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == ESTIMATOR:
                return node
    raise LookupError(f"no file of {folder} defines {ESTIMATOR}")


def _described(docstring: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, type and first paragraph of each entry under "Parameters"."""
    lines = inspect.cleandoc(docstring).splitlines()
    begin = lines.index("Parameters") + 2
    entry: tuple[str, str] | None = None
    text: list[str] = []
    for line in [*lines[begin:], ""]:
        match = re.fullmatch(r"(\w+) : (.+)", line)
        is_title = line and not line.startswith(" ") and not match
        if (match or is_title) and entry:
            yield entry[0], (entry[1], _first_sentence(text))
        if is_title:
            return
        if match:
            entry, text = (match[1], re.sub(r",? default=.*", "", match[2])), []
        else:
            text.append(line.strip())
    if entry:
        yield entry[0], (entry[1], _first_sentence(text))


def _first_sentence(lines: list[str]) -> str:
    """Text up to the first empty line, on one line, without marks of code."""
    words = []
    for line in lines:
        if not line:
            break
        words.append(line)
    return " ".join(words).replace("`", "").removesuffix(".")
