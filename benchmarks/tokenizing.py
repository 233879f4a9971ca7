# SPDX-License-Identifier: BSD-3-Clause
"""Text to ids: megabytes of UTF-8 a second on one core, documents being lines."""

from collections.abc import Iterator
from pydoc_data import topics

import targets
from plan import Plan
from report import Row, missed

from rnnkit import plugins
from rnnkit.cli.timing import Task, in_turn

TOKENIZERS = ("whitespace", "word", "char", "byte")
COPIES = 10


def run(plan: Plan) -> Iterator[Row]:
    """Learning the vocabulary, and encoding; they have no peer here."""
    lines = "\n".join(topics.topics.values()).splitlines() * COPIES
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    for name in TOKENIZERS:
        learner = plugins.make_tokenizer(name)
        fitted = plugins.make_tokenizer(name).fit(lines)
        tasks = [
            Task("fit", lambda learner=learner: learner.fit(lines)),
            Task("encode", lambda fitted=fitted: fitted.encode_documents(lines)),
        ]
        row = Row("tokenizing", name, times=in_turn(tasks, plan.n_rounds))
        for task in tasks:
            speed = megabytes / row.median(task.name)
            slow = missed(speed, targets.TOKENIZER_MB)
            row.columns[f"{task.name} MB/s"] = f"{speed:.0f}{slow}"
        row.facts["megabytes"] = megabytes
        yield row
