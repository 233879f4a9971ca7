# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit rescore``: n-best lists of another system in the order of a model.

A line is ``list ||| hypothesis ||| score``, as decoders write them: lines of one list
stand together, what is between hypothesis and score is passed over, and the score may
be left out everywhere.
"""

import argparse
from dataclasses import dataclass, field
from typing import Any

from rnnkit.cli.options import paths_of, print_json
from rnnkit.cli.predict import add_model_command, asked, document_of
from rnnkit.errors import InputError

MARK = "|||"


@dataclass
class NBest:
    """Hypotheses of one sentence with their scores, where there are any."""

    name: str
    texts: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "put n-best lists of another system in order"
    parser = add_model_command(commands, "rescore", run, text)
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"lines of the form: list {MARK} hypothesis {MARK} score",
    )
    parser.add_argument(
        "--weight",
        type=float,
        default=1.0,
        help="what the model counts beside the scores (default: 1)",
    )
    parser.add_argument(
        "--length-penalty",
        type=float,
        default=0.0,
        help="1: the model's mean per token instead of its sum (default: 0)",
    )
    parser.add_argument(
        "--best", action="store_true", help="print the best hypothesis of each alone"
    )


def run(arguments: argparse.Namespace) -> None:
    """``rnnkit rescore MODEL FILE``"""
    from rnnkit.runtime.documents import read_texts

    model = asked(arguments)
    lists = lists_of(read_texts(paths_of([arguments.file]), "filename", "line"))
    rankings = model.rescore(
        [[document_of(model, text) for text in given.texts] for given in lists],
        [given.scores for given in lists] if lists[0].scores else None,
        weight=arguments.weight,
        length_penalty=arguments.length_penalty,
    )
    answer = []
    for given, ranking in zip(lists, rankings, strict=True):
        order = ranking.order[:1] if arguments.best else ranking.order
        texts, scores = [given.texts[i] for i in order], ranking.scores[order].tolist()
        answer.append({"list": given.name, "hypotheses": texts, "scores": scores})
    if arguments.json:
        print_json(answer)
        return
    for row in answer:
        for text, score in zip(row["hypotheses"], row["scores"], strict=True):
            line = f"{row['list']} {MARK} {text} {MARK} {score:.4f}"
            print(text if arguments.best else line)


def lists_of(lines: list[str]) -> list[NBest]:
    """The lists of a file.

    Raises
    ------
    InputError
        A line is malformed, or a list comes back; the message says where.
    """
    lists: dict[str, NBest] = {}
    has_scores = lines[0].count(MARK) > 1
    for number, line in enumerate(lines, 1):
        name, *fields = [part.strip() for part in line.split(MARK)]
        if not fields or (len(fields) > 1) != has_scores:
            wanted = f"list {MARK} hypothesis" + f" {MARK} score" * has_scores
            raise InputError(f"line {number} is not of the form: {wanted}")
        if name in lists and name != next(reversed(lists)):
            raise InputError(
                f"line {number} belongs to the list {name!r}, which ended before; "
                "lines of one list must stand together"
            )
        given = lists.setdefault(name, NBest(name))
        given.texts.append(fields[0])
        if has_scores:
            given.scores.append(_score(fields[-1], number))
    return list(lists.values())


def _score(text: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"line {number}: the score {text!r} is no number") from None
