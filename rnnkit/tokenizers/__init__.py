# SPDX-License-Identifier: BSD-3-Clause
"""Tokenizers: text to ids and back. The built-in ones, and the base of all others."""

from rnnkit.tokenizers.base import END, UNK, Tokenizer
from rnnkit.tokenizers.byte import ByteTokenizer
from rnnkit.tokenizers.char import CharTokenizer
from rnnkit.tokenizers.whitespace import WhitespaceTokenizer
from rnnkit.tokenizers.word import WordTokenizer

__all__ = [
    "END",
    "UNK",
    "ByteTokenizer",
    "CharTokenizer",
    "Tokenizer",
    "WhitespaceTokenizer",
    "WordTokenizer",
]
