# SPDX-License-Identifier: BSD-3-Clause
"""What several commands share: reading values and files, printing an answer."""

import argparse
import json
from typing import Any

WORDS = {"none": None, "true": True, "false": False}


def value_of(text: str) -> Any:
    """A value as it is written: 3, 0.5, true, none, a word, 1,2 or h=0.1,c=0.5."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if "=" in text:
        return _by_name(text)
    if "," not in text:
        return text
    parts = tuple(value_of(part) for part in text.split(",") if part)
    return parts if all(type(part) in (int, float) for part in parts) else text


def _by_name(text: str) -> Any:
    """Numbers by name, as in h=0.1,c=0.5; what is something else stays text."""
    parts = [part.partition("=") for part in text.split(",") if part]
    numbers = {name: value_of(value) for name, _, value in parts}
    is_number = [type(number) in (int, float) for number in numbers.values()]
    return numbers if all(is_number) and all(map(str.isidentifier, numbers)) else text


def assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE, for argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value_of(value)


def paths_of(names: list[str]) -> list[str]:
    """Names of files, with standard input under the name that the system gives it."""
    return ["/dev/stdin" if name == "-" else name for name in names]


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option to print for a program instead of a person."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def print_json(answer: Any) -> None:
    """An answer on one line, for a program."""
    print(json.dumps(answer, ensure_ascii=False))


def print_table(rows: dict[str, str]) -> None:
    """Names and values, one on a line, the values below each other."""
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
