# SPDX-License-Identifier: BSD-3-Clause
"""Text that is there without a download."""

import re

RULE = re.compile(r"\s*[^\w\s]{4,}\s*")  # a line that underlines a title


def load_python_topics(held_out: int = 8) -> tuple[list[str], list[str]]:
    """Load the English that Python carries for its ``help()``, whole topics held out.

    Several topics repeat each other's paragraphs; each is kept once, in the held-out
    part first, so that nothing of it can be seen in training.

    Parameters
    ----------
    held_out : int, default=8
        Every `held_out`-th topic, in order of their names, is kept from training.

    Returns
    -------
    train, test : list of str
        Paragraphs, in the order of the topics.

    Notes
    -----
    The text is ``pydoc_data.topics`` of the running Python: the Python Software
    Foundation's language reference. It differs a little from version to version.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    tested = names[held_out - 1 :: held_out]
    seen: set[str] = set()
    test = [text for name in tested for text in _new_paragraphs(topics[name], seen)]
    train = [
        text
        for name in names
        if name not in tested
        for text in _new_paragraphs(topics[name], seen)
    ]
    return train, test


def _new_paragraphs(topic: str, seen: set[str]) -> list[str]:
    """Paragraphs of a topic that are not in `seen`, which gets them."""
    found = []
    for paragraph in topic.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not RULE.fullmatch(line)]
        text = " ".join(" ".join(lines).split())
        if text and text not in seen:
            seen.add(text)
            found.append(text)
    return found
