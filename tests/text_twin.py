# SPDX-License-Identifier: BSD-3-Clause
"""The rules of csrc/text once more, in a few regular expressions over `unicodedata`.

Slow and plain: what the C code is compared with, on every code point and on random
strings made to be awkward.
"""

import random
import re
import unicodedata
from collections.abc import Iterable
from functools import cache

SPECIAL = re.compile("<unk>|<eos>")
JOIN_WORDS = "'\u2019-\u2010\u2011.\xb7"
JOIN_DIGITS = ",:/"
ALONE = re.compile(
    "(CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|IDEOGRAPHIC (ITERATION MARK|NUMBER ZERO)"
    "|HIRAGANA|KATAKANA|HALFWIDTH KATAKANA)"
)
# The rule `word` over the letters of `kind`: a special token, a word, anything else.
WORD = re.compile("U{5}|[LDM](?:[LDM]|J(?=[LD])|(?<=D)K(?=D))*|[^S]M*")


@cache
def kind(char: str) -> str:
    """A letter for what a character is: space, joiner, alone, mark, digit, letter."""
    category = unicodedata.category(char)
    if category in ("Cn", "Co"):  # most code points: unassigned, or for private use
        return "O"
    if char.isspace():
        return "S"
    if char in JOIN_WORDS:
        return "J"
    if char in JOIN_DIGITS:
        return "K"
    if ALONE.match(unicodedata.name(char, "")):
        return "A"
    if category in ("Mn", "Mc", "Me", "Cf") and char != "\u200b":
        return "M"
    if category == "Nd":
        return "D"
    return "L" if category.startswith(("L", "N")) or category == "Pc" else "O"


def words(text: str) -> list[str]:
    """The tokens of the rule `word`: their places are found in the string of kinds."""
    kinds = "".join(map(kind, text))
    for special in SPECIAL.finditer(text):
        kinds = kinds[: special.start()] + "U" * 5 + kinds[special.end() :]
    return [text[slice(*token.span())] for token in WORD.finditer(kinds)]


def lower(token: str) -> str:
    """Each character's lower case by itself; the one that has two loses its dot."""
    if token == token.lower():
        return token
    return "".join(char.lower()[0] for char in token)


def split(rule: str, text: str, lowercase: bool = False) -> list[str]:
    """The tokens of a text."""
    if rule == "whitespace":
        tokens = text.split()
    elif rule == "word":
        tokens = words(text)
    else:
        tokens = list(text)
    return [lower(token) for token in tokens] if lowercase else tokens


# Characters in which the rules differ, some of them often.
POOL = [
    *"aZ09_ \n\t'-.,:/<>&\"()$%",
    *("<unk>", "<eos>", "<unk", "unk>", "<UNK>"),
    *"\u2019\u2010\u2011\xb7\u2018\u201c\u2026\u2014",
    *"\u0301\u0300\u200d\u200b\u200e\u202e\ufeff\xad\ufe0f",  # marks and formats
    *"\u4e2d\u6587\u3042\u30ab\uff76\u3001\u3002\uff0c\u3000\u3005\u3007",  # East Asia
    *"\u0410\u0130\u03a3\u1e9e\u212a\u023a\u01c5\ufb01",  # cases that change length
    *"\u0663\u0968\u0e01\u0e34\uac00\u05d0\u0627\u0640",  # digits and other scripts
    *"\x00\x1c\x85\xa0\u2028\ufffd\uffff\U0001f600\U0001f3fb\U00020000\U0010ffff",
]


def random_texts(n: int, seed: int, longest: int = 30) -> Iterable[str]:
    """Texts of the pool's pieces, and of any code points that are no surrogates."""
    rng = random.Random(seed)
    for _ in range(n):
        pieces = rng.choices(POOL, k=rng.randrange(longest))
        if rng.random() < 0.3:
            pieces.append(chr(rng.choice([*range(0x300, 0x3000), 0xE000, 0x1F468])))
            rng.shuffle(pieces)
        yield "".join(pieces)
