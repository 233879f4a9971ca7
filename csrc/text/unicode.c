/* SPDX-License-Identifier: BSD-3-Clause
 *
 * UTF-8 by the table of well-formed byte sequences (Unicode, chapter 3.9), and characters
 * by a table in three steps that shares equal blocks.
 */
#include "text/unicode.h"

#include <string.h>

#include "text/unicode_table.inc.h"

const struct rk_character *rk_character_get(uint32_t code_point)
{
    size_t leaf = leaf_of[branch_of[code_point >> 10] * 32u + (code_point >> 5 & 31)];
    return &records[record_of[leaf * 32 + (code_point & 31)]];
}

size_t rk_utf8_step(const uint8_t *text, size_t n_bytes, bool *is_valid)
{
    /* The second byte has a narrower range behind some first bytes; so longer forms than
     * needed, surrogates and what is above U+10FFFF end here. */
    uint8_t first = text[0], low = 0x80, high = 0xbf;
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *is_valid = false;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4)
        return 1;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++) {
        if (i == n_bytes || text[i] < low || text[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *is_valid = true;
    return length;
}

bool rk_utf8_check(const uint8_t *text, size_t n_bytes, size_t *position)
{
    size_t at = 0;
    while (at < n_bytes) {
        uint64_t eight = ~(uint64_t)0;
        if (n_bytes - at >= sizeof eight)
            memcpy(&eight, text + at, sizeof eight);
        if ((eight & UINT64_C(0x8080808080808080)) == 0) {
            at += sizeof eight;
            continue;
        }
        bool is_valid;
        size_t length = rk_utf8_step(text + at, n_bytes - at, &is_valid);
        if (!is_valid) {
            *position = at;
            return false;
        }
        at += length;
    }
    return true;
}

static size_t utf8_encode(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

size_t rk_utf8_lower(uint8_t out[4], uint32_t code_point)
{
    int32_t change = rk_character_get(code_point)->lower;
    return utf8_encode(out, (uint32_t)((int32_t)code_point + change));
}
