# SPDX-License-Identifier: BSD-3-Clause
"""Completes what is typed, as one types: a terminal on `rnnkit.runtime`.

    python examples/autocomplete.py model.rnn

Behind the cursor stands, in grey, how the likeliest word goes on; below it what else it
may be. Tab takes the word, up and down choose another one, Enter begins a new line,
Ctrl-D ends. Where the input is no terminal each line is answered by its words and their
probabilities.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size

from rnnkit.runtime import LanguageModel, load

GREY, PLAIN, CLEAR = "\x1b[90m", "\x1b[0m", "\r\x1b[J"
KEYS = {"\x1b[A": "up", "\x1b[B": "down", "\t": "take", "\n": "new line"}
KEYS |= {"\x7f": "delete", "\x08": "delete", "\x04": "end", "\x03": "end", "": "end"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a file that `save` has written")
    parser.add_argument("-k", type=int, default=5, help="how many words to show")
    arguments = parser.parse_args()
    model = load(arguments.model)
    if sys.stdin.isatty():
        with keys_as_typed():
            converse(model, arguments.k)
    else:
        for line in sys.stdin:
            for word, probability in model.complete(line.rstrip("\n"), arguments.k)[0]:
                print(f"{probability:.9g}\t{word}")
            print(flush=True)


def converse(model: LanguageModel, k: int) -> None:
    """Show words behind what is typed, until the user has had enough."""
    text, chosen = "", 0
    while True:
        words = [word for word, _ in model.complete(text, k)[0]] or [""]
        words = words[chosen % len(words) :] + words[: chosen % len(words)]
        show(text, words)
        key = read_key()
        if key == "end":
            break
        if key in ("up", "down"):
            chosen += 1 if key == "down" else -1
            continue
        if key == "new line":
            print(CLEAR + text)
        text, chosen = typed(text, key, ending(text, words[0])), 0
    print(CLEAR + text)


def typed(text: str, key: str, rest: str) -> str:
    """Return the text after a key; `rest` is what is left of the word beside it."""
    if key == "take":
        return text + rest + " "
    if key == "delete":
        return text[:-1]
    if key == "new line":
        return ""
    return text + key if key.isprintable() else text


def ending(text: str, word: str) -> str:
    """Return what is left to type of a word."""
    half = text.split(" ")[-1].lower()
    starts = (half[i:] for i in range(len(half) + 1))  # the longest one that fits
    return word[next(len(s) for s in starts if word.lower().startswith(s)) :]


def show(text: str, words: list[str]) -> None:
    """Draw the line, the first word's ending behind it, and the others below."""
    width = get_terminal_size().columns - 1
    rest = ending(text, words[0])
    line = text[-max(1, width - len(rest)) :]
    below = "  ".join(words[1:])[:width]
    sys.stdout.write(f"{CLEAR}{line}{GREY}{rest}\n{below}{PLAIN}\x1b[A\r")
    sys.stdout.write(f"\x1b[{len(line)}C" if line else "")
    sys.stdout.flush()


# ------------------------------------------------------------------------- the terminal


@contextmanager
def keys_as_typed() -> Iterator[None]:
    """Let keys through as they come, unseen; afterwards the terminal is as it was."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    except KeyboardInterrupt:
        print()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def read_key() -> str:
    """Return the name of the next key, or the character that it types."""
    key = os.read(sys.stdin.fileno(), 1)
    if key == b"\x1b":
        key += os.read(sys.stdin.fileno(), 2)
    while True:
        try:
            text = key.decode()
            return KEYS.get(text, text)
        except UnicodeDecodeError:
            key += os.read(sys.stdin.fileno(), 1)


if __name__ == "__main__":
    main()
