# SPDX-License-Identifier: BSD-3-Clause
"""Models at work: load, predict, score, generate, stream. NumPy and the core alone."""

from rnnkit.runtime.cache import NeuralCache
from rnnkit.runtime.ensemble import Ensemble
from rnnkit.runtime.files import load, save
from rnnkit.runtime.generation_config import GenerationConfig
from rnnkit.runtime.model import LanguageModel
from rnnkit.runtime.options import Options
from rnnkit.runtime.rescoring import Ranking
from rnnkit.runtime.scorer import TokenScores
from rnnkit.runtime.scoring import Evaluation
from rnnkit.runtime.stream import Stream

__all__ = [
    "Ensemble",
    "Evaluation",
    "GenerationConfig",
    "LanguageModel",
    "NeuralCache",
    "Options",
    "Ranking",
    "Stream",
    "TokenScores",
    "load",
    "save",
]
