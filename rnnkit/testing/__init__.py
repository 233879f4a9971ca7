# SPDX-License-Identifier: BSD-3-Clause
"""For authors of plugins: what a cell or a tokenizer must pass, and oracles.

`CellTests` and `TokenizerTests` are classes of tests to subclass, `check_cell` and
`check_tokenizer` run them without pytest. The oracles: a slow interpreter of graphs in
NumPy, and gradients from values alone.
"""

from rnnkit.testing.cells import CellTests, check_cell
from rnnkit.testing.gradients import (
    central_difference,
    complex_step_gradient,
    relative_error,
)
from rnnkit.testing.network import ReferenceNetwork
from rnnkit.testing.tokenizers import TokenizerTests, check_tokenizer

__all__ = [
    "CellTests",
    "ReferenceNetwork",
    "TokenizerTests",
    "central_difference",
    "check_cell",
    "check_tokenizer",
    "complex_step_gradient",
    "relative_error",
]
