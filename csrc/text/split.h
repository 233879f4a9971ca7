/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The four rules that cut a text into tokens. Private to csrc/text, but this is the one
 * place where they are defined:
 *
 * whitespace  A run of characters that are not white space.
 *
 * word        Words and punctuation. The first of these that fits, white space skipped:
 *             - `<unk>` and `<eos>`, written just so;
 *             - a word: letters, digits, underscores and marks, as long as they go on. One
 *               of ' - . (or its typographic twin) between two letters or digits belongs to
 *               it, and so does one of , : / between two decimal digits:
 *               don't  well-known  U.S  3.14  1,000  10:30;
 *             - any other character, and each Chinese character and kana for itself, with
 *               the marks that follow it.
 *             Thai and its neighbours write no blanks: there a run of letters is one word.
 *
 * char        Each character, white space too.
 *
 * byte        Each byte.
 *
 * No token reaches across white space: a text may be cut before any and given in pieces.
 */
#ifndef RK_SPLIT_H
#define RK_SPLIT_H

#include <string.h>

#include "text/text.h"

/* The tokens with a meaning of their own: what is not in the vocabulary, and the end of a
 * document. A text may hold them too; there they mean the same. */
#define RK_UNK "<unk>"
#define RK_END "<eos>"
enum { RK_SPECIAL_LENGTH = 5 };

/* A view of bytes that someone else keeps. */
struct rk_span {
    const uint8_t *bytes;
    size_t n_bytes;
};

/* The next token at or behind *position, which moves behind it; false when there is none.
 * `text` is valid UTF-8, but for the rule `byte`. */
bool rk_token_next(enum rk_rule rule, struct rk_span text, size_t *position,
                   struct rk_span *token);

static inline bool rk_span_is(struct rk_span span, const char *special)
{
    return span.n_bytes == RK_SPECIAL_LENGTH &&
           memcmp(span.bytes, special, RK_SPECIAL_LENGTH) == 0;
}

#endif
