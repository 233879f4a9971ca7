# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit plugins new``: a small package, to be filled with equations of your own."""

import re
from pathlib import Path

from rnnkit import plugins
from rnnkit.errors import ParameterError


def write_package(name: str, kind: str, folder: Path) -> Path:
    """Write a package that offers one cell or tokenizer, with tests.

    Parameters
    ----------
    name : str
        What users will write as ``cell="name"``: lower-case letters, digits and "_".
    kind : {"cell", "tokenizer"}
    folder : Path
        Where the package's folder, `rnnkit-name`, is made.

    Raises
    ------
    ParameterError
        When the name is none, or taken, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ParameterError(
            f"{name!r} is no name for a plugin; it has lower-case letters, digits and "
            "single _, as in 'spam' or 'spam_2'"
        )
    if name in plugins.BUILT_IN[kind] or name == "cell":
        what = "what every cell is" if name == "cell" else f"a built-in {kind}"
        raise ParameterError(f"{name!r} is {what}; choose another name")
    words = {
        "name": name,
        "kind": kind,
        "package": f"rnnkit-{name.replace('_', '-')}",
        "module": f"rnnkit_{name}",
        "cls": "".join(word.capitalize() for word in name.split("_"))
        + ("Tokenizer" if kind == "tokenizer" else ""),
    }
    target = folder / words["package"]
    if target.exists():
        raise ParameterError(f"{target} is there already; nothing was written")
    for path, text in (SHARED | FILES[kind]).items():
        file = target / _filled(path, words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_filled(text, words), "utf-8")
    return target


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"<<(\w+)>>", lambda found: words[found[1]], text)


SHARED = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "<<package>>"
version = "0.1.0"
description = "The <<kind>> <<name>> for rnnkit"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["rnnkit"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points."rnnkit.<<kind>>s"]
<<name>> = "<<module>>:<<cls>>"

[tool.setuptools]
packages = ["<<module>>"]
""",
    "README.md": """\
# <<package>>

The <<kind>> `<<name>>` for rnnkit. Say here which paper it follows, and what for.

    pip install ./<<package>>
    rnnkit plugins check <<name>>
    rnnkit fit --<<kind>> <<name>> texts.txt -o model.rnn

In Python: `RNNLanguageModel(<<kind>>="<<name>>")`.

Its tests, which are those that rnnkit's own must pass: `pip install pytest && pytest`.
""",
    "<<module>>/__init__.py": '''\
"""The <<kind>> <<name>> for rnnkit."""

from <<module>>.<<kind>> import <<cls>>

__all__ = ["<<cls>>"]
''',
}

CELL = '''\
"""The equations; nothing else is needed."""

from rnnkit.cells import Cell, sigmoid, tanh


class <<cls>>(Cell):
    """Minimal gated unit (Zhou et al., 2016): put your own paper and equations here.

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the gate's bias: how much of the state changes in each step.
    """

    states = ("h",)
    initialisers = {"bias_ih": "forget_bias"}

    def __init__(self, forget_bias=1.0):
        self.forget_bias = forget_bias

    def step(self, x, h):
        f = sigmoid(self.linear("f", x, h))
        n = tanh(self.linear("n", x, f * h))
        return (1 - f) * h + f * n
'''

CELL_TEST = '''\
"""What every cell must pass, and the paper's equations once more, in NumPy."""

import numpy as np
from <<module>> import <<cls>>

from rnnkit.testing import CellTests


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Test<<cls>>(CellTests):
    cell = <<cls>>()

    def step(self, p, x, h):
        gate = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
        f = sigmoid(gate)
        new = x @ p["weight_n_x"].T + p["bias_n_x"]
        new = np.tanh(new + (f * h) @ p["weight_n_1"].T + p["bias_n_1"])
        h = (1 - f) * h + f * new
        return h, h
'''

TOKENIZER = '''\
"""From text to tokens and back."""

import re

from rnnkit.errors import NotFittedError
from rnnkit.tokenizers import Tokenizer, WhitespaceTokenizer
from rnnkit.tokenizers.texts import check_text, check_texts


class <<cls>>(Tokenizer):
    """Words, and each other character that is no space; put your own rule in `split`.

    Parameters
    ----------
    lowercase : bool, default=False
        Turn each character into its lower case.
    min_count : int, default=1
        Tokens that occur less often are unknown.
    """

    _words = None  # knows ids, once `fit` has counted

    def __init__(self, *, lowercase=False, min_count=1):
        self.lowercase = lowercase
        self.min_count = min_count

    def split(self, text):
        """The tokens of a text; none of them may hold a space."""
        return re.findall(r"\\w+|[^\\w\\s]", check_text(text))

    def fit(self, texts):
        words = WhitespaceTokenizer(lowercase=self.lowercase, min_count=self.min_count)
        self._adopt(words.fit(map(self._spaced, check_texts(texts))))
        return self

    def encode(self, text):
        return self._fitted().encode(self._spaced(text))

    def decode(self, ids):
        return self._fitted().decode(ids)

    def get_state(self):
        return self._fitted().get_state()

    @classmethod
    def from_state(cls, state):
        words = WhitespaceTokenizer.from_state(state)
        made = cls(lowercase=words.lowercase, min_count=words.min_count)
        made._adopt(words)
        return made

    def _spaced(self, text):
        return " ".join(self.split(text))

    def _adopt(self, words):
        self._words = words
        self.vocabulary_ = words.vocabulary_
        self.end_id, self.unk_id = words.end_id, words.unk_id

    def _fitted(self):
        if self._words is None:
            raise NotFittedError(f"this {type(self).__name__} knows no words; call fit")
        return self._words
'''

TOKENIZER_TEST = '''\
"""What every tokenizer must pass, and what this one makes of a text."""

from <<module>> import <<cls>>

from rnnkit.testing import TokenizerTests


class Test<<cls>>(TokenizerTests):
    tokenizer = <<cls>>()
    refused = [({"min_count": 0}, "min_count")]


def test_words_and_marks_are_tokens():
    assert <<cls>>().split("Spam, eggs & spam!") == [
        *("Spam", ",", "eggs", "&", "spam", "!")
    ]
'''

FILES = {
    "cell": {
        "<<module>>/cell.py": CELL,
        "tests/test_<<name>>.py": CELL_TEST,
    },
    "tokenizer": {
        "<<module>>/tokenizer.py": TOKENIZER,
        "tests/test_<<name>>.py": TOKENIZER_TEST,
    },
}
