# SPDX-License-Identifier: BSD-3-Clause
"""Bytes of UTF-8."""

from collections.abc import Iterable
from typing import ClassVar, Self

from rnnkit.errors import InputError
from rnnkit.tokenizers.base import END
from rnnkit.tokenizers.builtin import BuiltinTokenizer
from rnnkit.tokenizers.texts import check_text, check_texts, to_utf8


class ByteTokenizer(BuiltinTokenizer):
    """The bytes of the text in UTF-8: 256 tokens and the end of a document.

    An id is the byte's value; `end_id` is 256. Nothing is unknown and nothing is
    learned, so any text in any language will do. Decoding puts U+FFFD where the bytes
    are no UTF-8. The whole of a file is a document, unless the user says otherwise.

    Attributes
    ----------
    vocabulary_ : list of str
        Printable ASCII characters as they are, other bytes as ``<0x0A>``, and `<eos>`.
    end_id : int
        256.
    unk_id : None

    Examples
    --------
    >>> from rnnkit import ByteTokenizer
    >>> ByteTokenizer().fit([]).encode("né")
    array([110, 195, 169], dtype=int32)
    """

    documents: ClassVar[str] = "file"
    rule = "byte"

    def fit(self, texts: Iterable[str]) -> Self:
        """Check that these are texts; there is nothing to learn."""
        for _ in check_texts(texts):
            pass
        self._adopt(list(VOCABULARY))
        return self

    def tokenize(self, text: str) -> list[str]:
        """Return the bytes of a text as they are shown."""
        return [VOCABULARY[byte] for byte in to_utf8(check_text(text))]

    def pieces(self, *, first: bool = False) -> list[bytes]:
        """Return the bytes themselves, and nothing for the end of a document."""
        return [*(bytes([byte]) for byte in range(256)), b""]

    def _adopt(self, vocabulary: list[str]) -> None:
        if tuple(vocabulary) != VOCABULARY:
            raise InputError("the vocabulary is not that of bytes")
        super()._adopt(vocabulary)


def _shown(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F else f"<0x{byte:02X}>"


VOCABULARY = (*map(_shown, range(256)), END)
