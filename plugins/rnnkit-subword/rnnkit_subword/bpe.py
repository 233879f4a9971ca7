# SPDX-License-Identifier: BSD-3-Clause
"""Byte-pair encoding, by the library `tokenizers`."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Self

from rnnkit.errors import InputError
from rnnkit.tokenizers import END
from rnnkit.tokenizers.texts import check_texts
from rnnkit_subword.base import SubwordTokenizer, check_text, check_whole

N_BYTES = 256
SHOWN_BYTES = re.compile(r"(<0x[0-9A-F]{2}>)+")


def _characters() -> list[str]:
    """The character that stands for each byte within the library.

    Bytes that are printable characters of Latin-1 stand for themselves, the others, in
    order, for the characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = count(0x100)
    return [chr(b if b in printable else next(others)) for b in range(N_BYTES)]


CHARACTERS = _characters()
BYTES = {character: byte for byte, character in enumerate(CHARACTERS)}


class BPETokenizer(SubwordTokenizer):
    """Byte-pair encoding (Sennrich et al., 2016) of the bytes of the text, as GPT-2's.

    Every text can be written, nothing is unknown, and decoding gives the same text
    again. Words are cut before blanks and around punctuation, a blank belongs to the
    word behind it; frequent neighbours within a word become one token, and so on.

    Parameters
    ----------
    vocab_size : int, default=8000
        Tokens to learn at most, the 256 bytes and the end of a document included.
    min_count : int, default=2
        Join two neighbours that occur so often.

    Attributes
    ----------
    vocabulary_ : list of str
        The bytes, then joined tokens in the order of their joining, then `<eos>`. A
        token that is no whole characters is shown by its bytes, as in ``<0xE4><0xBD>``.
    end_id : int
    unk_id : None

    Examples
    --------
    >>> from rnnkit_subword import BPETokenizer
    >>> BPETokenizer().fit(["low lower lowest"] * 5).tokenize("lowest low")
    ['lowest', ' low']
    """

    def __init__(self, *, vocab_size: int = 8000, min_count: int = 2) -> None:
        self.vocab_size = vocab_size
        self.min_count = min_count

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn which neighbours to join.

        Raises
        ------
        rnnkit.errors.ParameterError
            When a parameter is out of its range.
        rnnkit.errors.InputError
            When a document is no text, or all of them are empty.
        """
        from tokenizers import trainers

        self._check_parameters()
        model = _library_model({}, [])
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size - 1,
            min_frequency=self.min_count,
            initial_alphabet=CHARACTERS,
            show_progress=False,
        )
        n_characters = 0

        def checked() -> Iterable[str]:
            nonlocal n_characters
            for text in check_texts(texts):
                n_characters += len(check_text(text))
                yield text

        model.train_from_iterator(checked(), trainer)
        if not n_characters:
            raise InputError("the texts hold no tokens: all documents are empty")
        self._adopt(self._state_of(json.loads(model.to_str())["model"]))
        return self

    def get_state(self) -> dict[str, Any]:
        """Return what a model file must keep, as plain data.

        "splits" has, for each token that was joined, how many bytes its left part has.
        """
        self._fitted()
        return {
            "parameters": self.get_params(),
            "vocabulary": list(self.vocabulary_),
            "splits": list(self._splits),
        }

    def _check_parameters(self) -> None:
        check_whole("vocab_size", self.vocab_size, N_BYTES + 1)
        check_whole("min_count", self.min_count, 1)

    def _state_of(self, learned: dict[str, Any]) -> dict[str, Any]:
        """The state, from what the library has learned.

        The library may find two ways to join one token; the first one is kept.
        """
        ways: dict[str, int] = {}
        for left, right in learned["merges"]:
            ways.setdefault(left + right, len(left))
        joined = [_to_bytes(token) for token in ways]
        tokens = [*(bytes([b]) for b in range(N_BYTES)), *joined]
        return {
            "parameters": self.get_params(),
            "vocabulary": [*map(shown, tokens), END],
            "splits": list(ways.values()),
        }

    def _adopt(self, state: Mapping[str, Any]) -> None:
        vocabulary, splits = state["vocabulary"], state["splits"]
        tokens = [hidden(token) for token in vocabulary[:-1]]
        joined = tokens[N_BYTES:]
        if vocabulary[-1] != END or tokens[:N_BYTES] != [
            bytes([b]) for b in range(256)
        ]:
            raise ValueError("the vocabulary does not begin with the bytes")
        if len(set(tokens)) != len(tokens) or len(splits) != len(joined):
            raise ValueError("the vocabulary does not fit the splits")
        ids = {_from_bytes(token): i for i, token in enumerate(tokens)}
        merges = []
        for i, (token, split) in enumerate(zip(joined, splits, strict=True), N_BYTES):
            left, right = _from_bytes(token[:split]), _from_bytes(token[split:])
            if type(split) is not int or not max(ids[left], ids[right]) < i:
                raise ValueError(f"token {i} is not joined from earlier ones")
            merges.append((left, right))
        self._model = _library_model(ids, merges)
        self._splits = tuple(splits)
        self._bytes = tokens
        self.vocabulary_ = list(vocabulary)
        self.end_id = len(tokens)
        self.unk_id = None

    def _encoded(self, model: Any, text: str) -> list[int]:
        ids: list[int] = model.encode(text).ids
        return ids

    def _decoded(self, model: Any, ids: list[int]) -> str:
        return b"".join(self._bytes[i] for i in ids).decode("utf-8", "replace")


def _library_model(ids: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """The library's object, which cuts words as GPT-2 does."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    model = Tokenizer(models.BPE(vocab=ids, merges=merges))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return model


def _to_bytes(token: str) -> bytes:
    """The bytes of a token of the library."""
    return bytes(BYTES[character] for character in token)


def _from_bytes(token: bytes) -> str:
    """What the library calls these bytes."""
    return "".join(CHARACTERS[byte] for byte in token)


def shown(token: bytes) -> str:
    """How a token is shown: as its characters if it is whole ones, else as bytes."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or SHOWN_BYTES.fullmatch(text):
        return "".join(f"<0x{byte:02X}>" for byte in token)
    return text


def hidden(text: str) -> bytes:
    """The bytes of a token that is shown so."""
    if SHOWN_BYTES.fullmatch(text):
        return bytes.fromhex(text.replace("<0x", "").replace(">", ""))
    return text.encode("utf-8")
