# SPDX-License-Identifier: BSD-3-Clause
"""Windows, epochs and schedules: from a corpus to trained weights, and beyond them."""

from rnnkit.training.dynamic import DynamicEvaluation, gradient_rms

__all__ = ["DynamicEvaluation", "gradient_rms"]
