/* SPDX-License-Identifier: BSD-3-Clause */
#include "text/split.h"

#include "text/unicode.h"

/* The kind of the character at `at` and its length; 0 at the end of the text. */
static size_t look(struct rk_span text, size_t at, enum rk_class *kind)
{
    if (at >= text.n_bytes)
        return 0;
    uint32_t c;
    size_t length = rk_utf8_decode(text.bytes + at, &c);
    *kind = (enum rk_class)rk_character_get(c)->kind;
    return length;
}

/* Where a run of characters ends that all are, or all are not, of this kind. */
static size_t run_end(struct rk_span text, size_t at, enum rk_class kind, bool wanted)
{
    enum rk_class found;
    size_t length;
    while ((length = look(text, at, &found)) > 0 && (found == kind) == wanted)
        at += length;
    return at;
}

static bool joins(enum rk_class joiner, enum rk_class before, enum rk_class behind)
{
    if (joiner == RK_DIGIT_JOINER)
        return before == RK_DIGIT && behind == RK_DIGIT;
    return joiner == RK_JOINER && (behind == RK_LETTER || behind == RK_DIGIT);
}

/* Where a word ends whose first character is of the kind `last` and ends at `at`. */
static size_t word_end(struct rk_span text, size_t at, enum rk_class last)
{
    enum rk_class kind, next;
    size_t length;
    while ((length = look(text, at, &kind)) > 0) {
        bool goes_on = kind == RK_LETTER || kind == RK_DIGIT || kind == RK_MARK;
        if (!goes_on && !(look(text, at + length, &next) > 0 && joins(kind, last, next)))
            break;
        at += length;
        last = kind;
    }
    return at;
}

/* The length of a token with a meaning of its own at `at`, or 0. */
static size_t special_length(struct rk_span text, size_t at)
{
    struct rk_span head = {text.bytes + at, RK_SPECIAL_LENGTH};
    if (text.n_bytes - at < RK_SPECIAL_LENGTH || text.bytes[at] != '<')
        return 0;
    return rk_span_is(head, RK_UNK) || rk_span_is(head, RK_END) ? RK_SPECIAL_LENGTH : 0;
}

static size_t word_or_sign_end(struct rk_span text, size_t at)
{
    enum rk_class kind;
    size_t special = special_length(text, at);
    if (special > 0)
        return at + special;
    at += look(text, at, &kind);
    if (kind == RK_LETTER || kind == RK_DIGIT || kind == RK_MARK)
        return word_end(text, at, kind);
    return run_end(text, at, RK_MARK, true);
}

static size_t token_end(enum rk_rule rule, struct rk_span text, size_t at)
{
    uint32_t c;
    switch (rule) {
    case RK_WHITESPACE:
        return run_end(text, at, RK_SPACE, false);
    case RK_WORD:
        return word_or_sign_end(text, at);
    case RK_CHAR:
        return at + rk_utf8_decode(text.bytes + at, &c);
    case RK_BYTE:
    case RK_PLUGIN:
        break;
    }
    return at + 1;
}

bool rk_token_next(enum rk_rule rule, struct rk_span text, size_t *position,
                   struct rk_span *token)
{
    size_t at = *position;
    if (rule == RK_WHITESPACE || rule == RK_WORD)
        at = run_end(text, at, RK_SPACE, true);
    if (at >= text.n_bytes)
        return false;
    *position = token_end(rule, text, at);
    *token = (struct rk_span){text.bytes + at, *position - at};
    return true;
}
