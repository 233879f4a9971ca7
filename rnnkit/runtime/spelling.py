# SPDX-License-Identifier: BSD-3-Clause
"""What a word is, and what the tokens of a vocabulary spell of one."""

import unicodedata

import numpy as np

from rnnkit.tokenizers import Tokenizer

JOINERS = "_'\N{RIGHT SINGLE QUOTATION MARK}-"


def is_word_character(character: str) -> bool:
    """Whether a character may stand beside others in a word."""
    return unicodedata.category(character)[0] in "LNM" or character in JOINERS


def first_word(text: str) -> tuple[str, bool]:
    """Return the first word of a text, and whether it is sure to end there."""
    text = text.lstrip()
    if not text or not is_word_character(text[0]):
        return text[:1], bool(text)
    for i, character in enumerate(text):
        if not is_word_character(character):
            return text[:i], True
    return text, False


class Spelling:
    """What the tokens of a tokenizer spell, as UTF-8.

    Attributes
    ----------
    pieces, first_pieces : list of bytes
        By id, behind another token and at a document's start.
    silent : (V,) bool array
        Which tokens can be in no word: the end, the unknown one, and what has no text
        behind another token.
    closes : (V,) bool array
        Whether a token begins with no character of a word, so that it ends one; the end
        of a document does.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end_id = tokenizer.end_id
        self.pieces = tokenizer.pieces()
        self.first_pieces = tokenizer.pieces(first=True)
        self.silent = np.array([not piece for piece in self.pieces])
        self.silent[self.end_id] = True
        if tokenizer.unk_id is not None:
            self.silent[tokenizer.unk_id] = True
        self.closes = np.array([_closes(piece) for piece in self.pieces])
        self.closes &= ~self.silent
        self.closes[self.end_id] = True


def _closes(piece: bytes) -> bool:
    text = piece.decode("utf-8", "ignore")
    # A piece that is less than a character says nothing yet.
    is_known = bool(text) and piece.startswith(text[0].encode())
    return is_known and not is_word_character(text[0])
