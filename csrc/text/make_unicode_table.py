# SPDX-License-Identifier: BSD-3-Clause
"""Write csrc/text/unicode_table.inc.h: what the tokenizers know of each code point.

    python csrc/text/make_unicode_table.py > csrc/text/unicode_table.inc.h

Run it with the Python whose `unicodedata` has the Unicode version that is wanted; the
version goes into the file. The result is kept in the repository, since ids must not
depend on the Python that happens to build the package.
"""

import sys
import unicodedata
from collections.abc import Iterable, Sequence

CODE_POINTS = range(0x110000)
BLOCK = 32  # code points in a leaf, and leaves in a branch

# An apostrophe, hyphen, full stop or Catalan middle dot joins the letters beside it;
# the others only digits: 1,000  10:30  3/4.
JOINS_WORDS = "'’-‐‑.·"  # noqa: RUF001
JOINS_DIGITS = ",:/"
ZERO_WIDTH_SPACE = "\u200b"  # a format character, but its business is to part words

# East Asian characters that stand for a word or a syllable: by the first words of their
# names, as unicodedata has no scripts.
IDEOGRAPHS = (
    "CJK UNIFIED IDEOGRAPH",
    "CJK COMPATIBILITY IDEOGRAPH",
    "IDEOGRAPHIC ITERATION MARK",
    "IDEOGRAPHIC NUMBER ZERO",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
)

# Between words: what sticks to the word behind it, or to the one before it, beside the
# brackets and quotation marks that the general category tells.
OPENING = "$£¥#@¿¡"
CLOSING = (
    ".,;:!?%‰…"
    "\u0589\u060c\u061b\u061f\u066a\u06d4"  # Armenian, Arabic
    "\u0964\u0965\u104a\u104b"  # India, Burma
    "\u1362\u1363\u1364\u1365\u1366\u1367\u1368"  # Ethiopia
)
STRAIGHT_QUOTES = "'\""

HEAD = """\
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Unicode %s, written by make_unicode_table.py: three steps from a code point to its
 * record. Included by unicode.c alone.
 */"""


def word_class(char: str) -> str:
    """How the rule `word` treats a character (enum rk_class in unicode.h)."""
    category = unicodedata.category(char)
    if char.isspace():
        return "RK_SPACE"
    if char in JOINS_WORDS:
        return "RK_JOINER"
    if char in JOINS_DIGITS:
        return "RK_DIGIT_JOINER"
    if unicodedata.name(char, "").startswith(IDEOGRAPHS):
        return "RK_IDEOGRAPH"
    if category[0] == "M" or (category == "Cf" and char != ZERO_WIDTH_SPACE):
        return "RK_MARK"
    if category == "Nd":
        return "RK_DIGIT"
    if category[0] in "LN" or category == "Pc":
        return "RK_LETTER"
    return "RK_OTHER"


def spacing(char: str) -> str:
    """What stands beside a character in running text (enum rk_spacing in unicode.h)."""
    category = unicodedata.category(char)
    is_wide = unicodedata.east_asian_width(char) in "WF"
    if word_class(char) == "RK_IDEOGRAPH" or (is_wide and category[0] == "P"):
        return "RK_TIGHT"
    if char in STRAIGHT_QUOTES:
        return "RK_QUOTE"
    if char in OPENING or category in ("Ps", "Pi"):
        return "RK_OPENING"
    if char in CLOSING or category in ("Pe", "Pf"):
        return "RK_CLOSING"
    return "RK_LOOSE"


def lower_case(char: str) -> str:
    """The lower case of a character as one character, whatever stands around it."""
    return char.lower()[0]


def record(code_point: int) -> tuple[str, str, int]:
    """All that is known of a code point."""
    char = chr(code_point)
    return word_class(char), spacing(char), ord(lower_case(char)) - code_point


def share(values: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """Cut values into blocks; give each block's number, and the distinct blocks."""
    numbers: dict[tuple[int, ...], int] = {}
    index = [
        numbers.setdefault(tuple(values[i : i + size]), len(numbers))
        for i in range(0, len(values), size)
    ]
    return index, [value for block in numbers for value in block]


def array(declaration: str, values: Iterable[object], width: int = 88) -> str:
    """A C array, its lines as full as may be."""
    lines = ["   "]
    for value in values:
        item = f" {value},"
        if len(lines[-1]) + len(item) > width:
            lines.append("   ")
        lines[-1] += item
    return "\n".join([f"static const {declaration} = {{", *lines, "};"])


def main() -> None:
    """Write the table to standard output."""
    numbers: dict[tuple[str, str, int], int] = {}
    known = [numbers.setdefault(record(c), len(numbers)) for c in CODE_POINTS]
    leaf_of, leaves = share(known, BLOCK)
    branch_of, branches = share(leaf_of, BLOCK)
    records = [f"{{{cls}, {beside}, {delta}}}" for cls, beside, delta in numbers]
    parts = [
        HEAD % unicodedata.unidata_version,
        "/* clang-format off */",
        array(f"struct rk_character records[{len(records)}]", records),
        array(f"uint8_t branch_of[{len(branch_of)}]", branch_of),
        array(f"uint16_t leaf_of[{len(branches)}]", branches),
        array(f"uint8_t record_of[{len(leaves)}]", leaves),
        "/* clang-format on */",
    ]
    sys.stdout.write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
