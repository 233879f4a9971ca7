/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A set of strings that numbers them in the order of their arrival. Private to csrc/text.
 *
 * Open addressing, at most half full. What a text holds may be chosen by someone who wants
 * many strings to meet in one place, so the hash is SipHash-1-3 (Aumasson and Bernstein,
 * 2012) and all of its 64 bits choose the walk through the table: to lengthen the walk of a
 * string by one step, an attacker must double the work for it. There is no seed, and
 * nothing that anyone sees depends on the hash.
 */
#ifndef RK_STRINGS_H
#define RK_STRINGS_H

#include "text/split.h"

struct rk_string {
    uint64_t hash;
    size_t end; /* in the bytes; the string begins where the one before it ends           */
};

struct rk_string_slot {
    uint32_t tag;    /* the hash's lower half                                             */
    uint32_t number; /* of the string, counted from 1; 0: empty                           */
};

/* All zero is an empty set. */
struct rk_strings {
    uint8_t *bytes;
    struct rk_string *items;
    struct rk_string_slot *slots;
    size_t n, byte_room, item_room, n_slots;
    int shift; /* 64 less the slots' bits                                                 */
};

void rk_strings_free(struct rk_strings *strings);

/* With `lowercase` both stand for the lower case of `key`. */
bool rk_strings_find(const struct rk_strings *strings, struct rk_span key, bool lowercase,
                     size_t *number);

/* Finds the key or adds it at the end. RK_NOMEM leaves the set as it was. */
enum rk_status rk_strings_add(struct rk_strings *strings, struct rk_span key,
                              bool lowercase, size_t *number);

static inline size_t rk_strings_n_bytes(const struct rk_strings *strings)
{
    return strings->n > 0 ? strings->items[strings->n - 1].end : 0;
}

static inline struct rk_span rk_strings_get(const struct rk_strings *strings, size_t number)
{
    size_t begin = number > 0 ? strings->items[number - 1].end : 0;
    return (struct rk_span){strings->bytes + begin, strings->items[number].end - begin};
}

/* `memory` with room for n_more items behind n_used, moved if need be; NULL, and nothing
 * changed, when there is none. All zero is an empty array. */
void *rk_grow(void *memory, size_t item_size, size_t n_used, size_t n_more, size_t *room);

/* The lower case of a valid text; `out` has room for half as much again. */
size_t rk_span_lower(uint8_t *out, struct rk_span text);

#endif
