# SPDX-License-Identifier: BSD-3-Clause
"""Unigram pieces, by the library `sentencepiece`."""

import base64
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any, Self

from rnnkit.errors import InputError, ParameterError
from rnnkit.tokenizers import END, UNK
from rnnkit.tokenizers.texts import check_texts
from rnnkit_subword.base import SubwordTokenizer, check_text, check_whole

BLANK = "\u2581"  # what the library writes for a blank
BREAKS = ("\n", "\t", "\r")  # tokens of their own, since no piece reaches across them
N_THREADS = 4  # of the training; fixed, since the sums depend on it
MAX_SENTENCE = 1 << 30  # bytes; the library leaves out longer ones in silence
MAX_MODEL = 1 << 26  # bytes of a library model in a file


class UnigramTokenizer(SubwordTokenizer):
    """Pieces of words by a unigram language model (Kudo, 2018).

    Of all the ways to write a text in pieces the likeliest is taken. The text is not
    normalised, and decoding gives the same text again, but for unknown characters.

    Parameters
    ----------
    vocab_size : int, default=8000
        Tokens to learn at most, `<eos>`, `<unk>` and three kinds of breaks included.
    character_coverage : float, default=1.0
        Share of the characters of the texts that pieces are to cover; the rarest
        become unknown. 0.9995 is usual for Chinese and Japanese.
    byte_fallback : bool, default=False
        Write unknown characters as bytes, for which 256 tokens are set aside.

    Attributes
    ----------
    vocabulary_ : list of str
        `<eos>`, `<unk>`, the breaks, then pieces by their probability.
    end_id, unk_id : int
        0 and 1.

    Examples
    --------
    >>> from rnnkit_subword import UnigramTokenizer
    >>> tokenizer = UnigramTokenizer(vocab_size=20).fit(["low lower lowest"] * 5)
    >>> tokenizer.decode(tokenizer.encode("lowest low"))
    'lowest low'
    """

    def __init__(
        self,
        *,
        vocab_size: int = 8000,
        character_coverage: float = 1.0,
        byte_fallback: bool = False,
    ) -> None:
        self.vocab_size = vocab_size
        self.character_coverage = character_coverage
        self.byte_fallback = byte_fallback

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the pieces and their probabilities.

        Raises
        ------
        rnnkit.errors.ParameterError
            When a parameter is out of its range.
        rnnkit.errors.InputError
            When a document is no text, all of them are empty, or they have more
            characters than `vocab_size` has room for.
        """
        from sentencepiece import SentencePieceTrainer

        self._check_parameters()
        pieces = list(_pieces(texts))
        if not pieces:
            raise InputError("the texts hold no tokens: all documents are empty")
        written = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(pieces),
                model_writer=written,
                model_type="unigram",
                vocab_size=self.vocab_size,
                hard_vocab_limit=False,
                character_coverage=self.character_coverage,
                byte_fallback=self.byte_fallback,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                add_dummy_prefix=False,
                max_sentence_length=MAX_SENTENCE,
                user_defined_symbols=list(BREAKS),
                eos_id=0,
                unk_id=1,
                bos_id=-1,
                pad_id=-1,
                eos_piece=END,
                unk_piece=UNK,
                unk_surface=UNK,
                num_threads=N_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise InputError(
                f"sentencepiece cannot learn {self.vocab_size} tokens from these "
                f"texts: {error}"
            ) from None
        self._load(written.getvalue())
        return self

    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data.

        "model" is the library's own, compressed, in base 64.
        """
        packed = zlib.compress(self._fitted().serialized_model_proto(), 9)
        return {
            "parameters": self.get_params(),
            "vocabulary": list(self.vocabulary_),
            "model": base64.b64encode(packed).decode("ascii"),
        }

    def _check_parameters(self) -> None:
        check_whole("vocab_size", self.vocab_size, 2 + len(BREAKS) + 1)
        coverage = self.character_coverage
        if not isinstance(coverage, Real) or not 0.9 <= coverage <= 1.0:
            raise ParameterError(
                f"character_coverage={coverage!r} must be a number from 0.9 to 1.0"
            )
        if not isinstance(self.byte_fallback, bool):
            raise ParameterError(
                f"byte_fallback={self.byte_fallback!r} must be True or False"
            )

    def _adopt(self, state: Mapping[str, Any]) -> None:
        packed = base64.b64decode(state["model"], validate=True)
        unpacking = zlib.decompressobj()
        model = unpacking.decompress(packed, MAX_MODEL)
        if not unpacking.eof:
            raise ValueError("the library's model is cut off, or too large")
        self._load(model)
        if self.vocabulary_ != state["vocabulary"]:
            raise ValueError("the library's model has another vocabulary")

    def _load(self, model: bytes) -> None:
        """Become fitted, by the library's own model."""
        from sentencepiece import SentencePieceProcessor

        loaded = SentencePieceProcessor(model_proto=model)
        pieces = [loaded.id_to_piece(i) for i in range(loaded.get_piece_size())]
        if pieces[:2] != [END, UNK] or loaded.unk_id() != 1:
            raise ValueError(f"the vocabulary does not begin with {END} and {UNK}")
        self._model = loaded
        self.vocabulary_ = [piece.replace(BLANK, " ") for piece in pieces]
        self.end_id, self.unk_id = 0, 1

    def _encoded(self, model: Any, text: str) -> list[int]:
        ids: list[int] = model.encode(text)
        return ids

    def _decoded(self, model: Any, ids: list[int]) -> str:
        text: str = model.decode(ids)
        return text


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    """What stands between breaks; the library would leave out texts with a tab."""
    for text in check_texts(texts):
        for piece in re.split("[\n\t\r]", check_text(text)):
            if piece:
                yield piece
