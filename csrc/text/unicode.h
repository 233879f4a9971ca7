/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Characters: UTF-8 in and out, and what the tokenizers know of a code point. Private to
 * csrc/text. "Valid" means well-formed UTF-8 as Unicode defines it: no surrogates, no
 * longer forms than needed, nothing above U+10FFFF; NUL is a character like any other.
 */
#ifndef RK_UNICODE_H
#define RK_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the rule `word` treats a character; make_unicode_table.py decides. */
enum rk_class {
    RK_OTHER,        /* punctuation, symbols, controls: a token each                      */
    RK_SPACE,        /* parts tokens (str.isspace)                                        */
    RK_LETTER,       /* letters, numbers that are no decimal digits, underscores          */
    RK_DIGIT,        /* decimal digits of any script                                      */
    RK_MARK,         /* combining marks and format characters: go with what precedes      */
    RK_JOINER,       /* ' - . and their like: inside a word between letters or digits     */
    RK_DIGIT_JOINER, /* , : / inside a number between digits                              */
    RK_IDEOGRAPH,    /* Chinese characters and kana: a token each                         */
};

/* What stands beside a character in running text. */
enum rk_spacing {
    RK_LOOSE,   /* a blank on both sides                                                  */
    RK_OPENING, /* none behind it: ( [ $                                                  */
    RK_CLOSING, /* none before it: . , ! )                                                */
    RK_QUOTE,   /* ' and ": opening and closing in turn                                   */
    RK_TIGHT,   /* none on either side: East Asian characters and punctuation             */
};

struct rk_character {
    uint8_t kind, spacing; /* enum rk_class, enum rk_spacing                              */
    int32_t lower;         /* to be added for its lower case                              */
};

/* Any code point up to U+10FFFF. */
const struct rk_character *rk_character_get(uint32_t code_point);

/* The length of the character that begins `text` (n_bytes > 0), or, when it is not valid,
 * of what one U+FFFD stands for: as long as it could have become a character. */
size_t rk_utf8_step(const uint8_t *text, size_t n_bytes, bool *is_valid);

/* Whether all of it is valid; else `position` is the first byte that is not. */
bool rk_utf8_check(const uint8_t *text, size_t n_bytes, size_t *position);

/* The character that begins a valid text; returns its length. */
static inline size_t rk_utf8_decode(const uint8_t *text, uint32_t *code_point)
{
    uint32_t c = text[0];
    if (c < 0x80) {
        *code_point = c;
        return 1;
    }
    if (c < 0xe0) {
        *code_point = (c & 0x1f) << 6 | (text[1] & 0x3f);
        return 2;
    }
    uint32_t low = (uint32_t)(text[1] & 0x3f) << 6 | (text[2] & 0x3f);
    if (c < 0xf0) {
        *code_point = (c & 0x0f) << 12 | low;
        return 3;
    }
    *code_point = (c & 0x07) << 18 | low << 6 | (text[3] & 0x3f);
    return 4;
}

/* Its lower case (one character, whatever stands around it); returns its length. A
 * character grows by half at most: two bytes become three. */
size_t rk_utf8_lower(uint8_t out[4], uint32_t code_point);

#endif
