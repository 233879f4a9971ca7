# SPDX-License-Identifier: BSD-3-Clause
"""Models at work: load, predict, score, generate, stream. NumPy and the core alone."""

from rnnkit.runtime.files import load, save
from rnnkit.runtime.model import LanguageModel, Options
from rnnkit.runtime.scoring import Evaluation
from rnnkit.runtime.stream import Stream

__all__ = ["Evaluation", "LanguageModel", "Options", "Stream", "load", "save"]
