# SPDX-License-Identifier: BSD-3-Clause
"""rnnkit: recurrent language models on a CPU, from equations to the next word.

The public names stand here and are imported when they are first asked for, so that
`import rnnkit` costs nothing and `rnnkit.runtime` never pays for scikit-learn.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "RNNLanguageModel": "rnnkit.estimators",
    "load": "rnnkit.estimators",
    "Cell": "rnnkit.cells",
    "Tokenizer": "rnnkit.tokenizers",
    "WhitespaceTokenizer": "rnnkit.tokenizers",
    "WordTokenizer": "rnnkit.tokenizers",
    "CharTokenizer": "rnnkit.tokenizers",
    "ByteTokenizer": "rnnkit.tokenizers",
    "register_cell": "rnnkit.plugins",
    "register_tokenizer": "rnnkit.plugins",
    "show_versions": "rnnkit.cli",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    """Import a public name where it lives (PEP 562), and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnkit' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
