# SPDX-License-Identifier: BSD-3-Clause
"""rnnkit: recurrent language models on a CPU, from equations to the next word.

The public names stand here and are imported when they are first asked for, so that
`import rnnkit` costs nothing and `rnnkit.runtime` never pays for scikit-learn.
"""

import importlib
from typing import TYPE_CHECKING, Any

if (
    TYPE_CHECKING
):  # what checkers and editors read; show_versions stands above this file
    from rnnkit.c_library import get_include, get_lib
    from rnnkit.cells import Cell
    from rnnkit.estimators import (
        RNNLanguageModel,
        find_learning_rate,
        from_keras,
        from_onnx,
        from_torch_state_dict,
        load,
    )
    from rnnkit.plugins import register_cell, register_tokenizer
    from rnnkit.tokenizers import (
        ByteTokenizer,
        CharTokenizer,
        Tokenizer,
        WhitespaceTokenizer,
        WordTokenizer,
    )

__version__ = "0.1.0"

_HOMES = {
    "RNNLanguageModel": "rnnkit.estimators",
    "find_learning_rate": "rnnkit.estimators",
    "load": "rnnkit.estimators",
    "from_keras": "rnnkit.estimators",
    "from_onnx": "rnnkit.estimators",
    "from_torch_state_dict": "rnnkit.estimators",
    "get_include": "rnnkit.c_library",
    "get_lib": "rnnkit.c_library",
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

__all__ = [
    "ByteTokenizer",
    "Cell",
    "CharTokenizer",
    "RNNLanguageModel",
    "Tokenizer",
    "WhitespaceTokenizer",
    "WordTokenizer",
    "__version__",
    "find_learning_rate",
    "from_keras",
    "from_onnx",
    "from_torch_state_dict",
    "get_include",
    "get_lib",
    "load",
    "register_cell",
    "register_tokenizer",
    "show_versions",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it lives (PEP 562), and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
