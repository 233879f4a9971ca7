# SPDX-License-Identifier: BSD-3-Clause
"""A model as a C file that needs nothing else, neither a model file nor a library.

The file is rnnkit.h, rnnkit.c and the bytes of the model file as an array. The array
has words of 64 bits: compilers take long over many small elements, and some of them
refuse long string literals.
"""

import os
import re
from pathlib import Path

import numpy as np

from rnnkit.c_library import header, source
from rnnkit.errors import ParameterError
from rnnkit.runtime.files import record_of
from rnnkit.runtime.model import LanguageModel
from rnnkit.storage.files import replace_file
from rnnkit.storage.model_file import to_bytes

INCLUDED = '#include "rnnkit.h"\n'
WORDS_A_LINE = 4

HEADER = """
#ifndef @NAME@_H
#define @NAME@_H

#ifdef __cplusplus
extern "C" {
#endif

/* The model of @name@.c. */
RNNKIT_API rnnkit_status @name@_model(rnnkit_model **model, rnnkit_error *error);

#ifdef __cplusplus
}
#endif
#endif
"""

ABOUT = """/* @name@.c: a language model, and all that it needs to run.
 *
 *   cc -O2 -D@NAME@_MAIN @name@.c -lm -o @name@
 *   ./@name@ "the beginning of a text"
 *
 * Other programs include @name@.h and call @name@_model. -DRNNKIT_LINKED leaves rnnkit
 * out, for a program that has it: from its library, or from another such file.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

"""

MODEL = """
rnnkit_status @name@_model(rnnkit_model **model, rnnkit_error *error)
{
    return rnnkit_model_read(model, @name@_file, @n_bytes@, error);
}

#if defined(@NAME@_MAIN)
#include <stdio.h>
#include <string.h>

/* Prints how the model goes on from a text. */
int main(int argc, char **argv)
{
    enum { MOST_TOKENS = 50, MOST_BYTES = 1 << 14 };
    static char text[MOST_BYTES];
    rnnkit_generation how = RNNKIT_GENERATION;
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {"give a text"};
    int32_t ids[MOST_TOKENS];
    size_t n = 0, n_bytes = 0;
    how.max_new_tokens = MOST_TOKENS;
    int failed = argc != 2 || @name@_model(&model, &error) ||
                 rnnkit_stream_create(&stream, model, 1, &error) ||
                 rnnkit_stream_feed_text(stream, argv[1], strlen(argv[1]), &error) ||
                 rnnkit_stream_generate(stream, &how, ids, &n, &error) ||
                 rnnkit_model_decode(model, ids, n, text, MOST_BYTES, &n_bytes, &error);
    if (failed)
        fprintf(stderr, "%s\\n", error.text);
    else
        printf("%.*s\\n", (int)(n_bytes < MOST_BYTES ? n_bytes : MOST_BYTES), text);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return failed;
}
#endif
"""


def export_c(model: LanguageModel, path: str | os.PathLike[str]) -> None:
    """Write a model as a C file, and the header for it beside it.

    Parameters
    ----------
    model : LanguageModel
    path : str or path
        As in "pets.c"; the header is then "pets.h", and the function that makes the
        model `pets_model`.

    Raises
    ------
    ParameterError
        No C function can be named after the file.
    NotBuiltError
        This rnnkit was built without its C library.
    """
    path = Path(path)
    library = source().replace(INCLUDED, "")
    name = _name_of(path, library)
    data = to_bytes(record_of(model))
    interface = header() + _named(HEADER, name)
    content = [
        _named(ABOUT, name),
        interface,
        "\n#if !defined(RNNKIT_LINKED)\n",
        library,
        "#endif\n\n/* The model file, little endian. */\n",
        f"static const uint64_t {name}_file[] = {{\n{_words(data)}}};\n",
        _named(MODEL, name).replace("@n_bytes@", str(len(data))),
    ]
    replace_file(path, "".join(content).encode())
    replace_file(path.with_suffix(".h"), interface.encode())


def _name_of(path: Path, library: str) -> str:
    """The name of what a C file defines, which nothing in the library has."""
    if path.suffix != ".c" or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", path.stem):
        raise ParameterError(
            f"the C file is {path.name!r}, but functions are named after it; allowed "
            "are a letter, then letters, digits and _, then .c, as in 'pets.c'"
        )
    name = path.stem
    taken = rf"\b({name}_(model|file)|{name.upper()}_(H|MAIN))\b"
    if name.lower().startswith("rnnkit") or re.search(taken, library):
        raise ParameterError(
            f"the C file is {path.name!r}, but the library, which is part of it, has "
            "such a name; choose another one, as in 'pets.c'"
        )
    return name


def _named(template: str, name: str) -> str:
    return template.replace("@name@", name).replace("@NAME@", name.upper())


def _words(data: bytes) -> str:
    """The lines of an array of 64-bit words, the last one filled up with zeros."""
    words = np.frombuffer(data + bytes(-len(data) % 8), "<u8")
    digits = np.frombuffer(words.astype(">u8").tobytes().hex().encode(), np.uint8)
    text = np.empty((len(words), 20), np.uint8)
    text[:, :2] = [*b"0x"]
    text[:, 2:18] = digits.reshape(-1, 16)
    text[:, 18:] = [*b", "]
    text[WORDS_A_LINE - 1 :: WORDS_A_LINE, 19] = ord("\n")
    text[-1, 19] = ord("\n")
    return text.tobytes().decode()
