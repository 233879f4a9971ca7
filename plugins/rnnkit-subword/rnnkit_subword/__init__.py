# SPDX-License-Identifier: BSD-3-Clause
"""Subword tokenizers, found by rnnkit under the names "bpe" and "unigram"."""

from rnnkit_subword.bpe import BPETokenizer
from rnnkit_subword.unigram import UnigramTokenizer

__all__ = ["BPETokenizer", "UnigramTokenizer"]
