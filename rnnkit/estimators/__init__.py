# SPDX-License-Identifier: BSD-3-Clause
"""What the user holds: scikit-learn estimators."""

from rnnkit.estimators.conversion import (
    from_keras,
    from_onnx,
    from_torch_state_dict,
)
from rnnkit.estimators.files import load
from rnnkit.estimators.language_model import RNNLanguageModel
from rnnkit.estimators.rates import find_learning_rate

__all__ = [
    "RNNLanguageModel",
    "find_learning_rate",
    "from_keras",
    "from_onnx",
    "from_torch_state_dict",
    "load",
]
