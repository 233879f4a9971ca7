/* SPDX-License-Identifier: BSD-3-Clause */
#include "text/strings.h"

#include "text/unicode.h"

/* ------------------------------------------------------------- lower case */

/* One character of `text` in lower case; moves `at` behind it and returns its length. */
static size_t lower_next(struct rk_span text, size_t *at, uint8_t out[4])
{
    uint32_t c;
    *at += rk_utf8_decode(text.bytes + *at, &c);
    return rk_utf8_lower(out, c);
}

size_t rk_span_lower(uint8_t *out, struct rk_span text)
{
    uint8_t piece[4];
    size_t n = 0;
    for (size_t at = 0; at < text.n_bytes;) {
        size_t length = lower_next(text, &at, piece);
        memcpy(out + n, piece, length);
        n += length;
    }
    return n;
}

static bool equals_lower(struct rk_span string, struct rk_span key)
{
    uint8_t piece[4];
    size_t n = 0;
    for (size_t at = 0; at < key.n_bytes;) {
        size_t length = lower_next(key, &at, piece);
        if (string.n_bytes - n < length || memcmp(string.bytes + n, piece, length) != 0)
            return false;
        n += length;
    }
    return n == string.n_bytes;
}

static bool equals(struct rk_span string, struct rk_span key, bool lowercase)
{
    if (lowercase)
        return equals_lower(string, key);
    return string.n_bytes == key.n_bytes &&
           memcmp(string.bytes, key.bytes, key.n_bytes) == 0;
}

/* ------------------------------------------------------------------- hash */

struct hash {
    uint64_t a, b, c, d;
    uint64_t block; /* the bytes that do not fill a block of 8 yet                        */
    size_t n_bytes;
};

static uint64_t sip_rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct hash *h)
{
    h->a += h->b;
    h->c += h->d;
    h->b = sip_rotate(h->b, 13) ^ h->a;
    h->d = sip_rotate(h->d, 16) ^ h->c;
    h->a = sip_rotate(h->a, 32);
    h->c += h->b;
    h->a += h->d;
    h->b = sip_rotate(h->b, 17) ^ h->c;
    h->d = sip_rotate(h->d, 21) ^ h->a;
    h->c = sip_rotate(h->c, 32);
}

static void hash_block(struct hash *h, uint64_t block)
{
    h->d ^= block;
    sip_round(h);
    h->a ^= block;
}

static void hash_bytes(struct hash *h, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        h->block |= (uint64_t)bytes[i] << 8 * (h->n_bytes % 8);
        if (++h->n_bytes % 8 == 0) {
            hash_block(h, h->block);
            h->block = 0;
        }
    }
}

static uint64_t hash_of(struct rk_span key, bool lowercase)
{
    /* SipHash's constants, under the key 0. */
    struct hash h = {.a = UINT64_C(0x736f6d6570736575),
                     .b = UINT64_C(0x646f72616e646f6d),
                     .c = UINT64_C(0x6c7967656e657261),
                     .d = UINT64_C(0x7465646279746573)};
    if (lowercase) {
        uint8_t piece[4];
        for (size_t at = 0; at < key.n_bytes;) {
            size_t length = lower_next(key, &at, piece);
            hash_bytes(&h, piece, length);
        }
    } else {
        hash_bytes(&h, key.bytes, key.n_bytes);
    }
    hash_block(&h, h.block | (uint64_t)h.n_bytes << 56);
    h.c ^= 0xff;
    sip_round(&h);
    sip_round(&h);
    sip_round(&h);
    return h.a ^ h.b ^ h.c ^ h.d;
}

/* ------------------------------------------------------------------ table */

enum { FIRST_SLOTS = 64, FIRST_ROOM = 32 };

/* The key's slot, or the empty one where it belongs. A generator started by the whole hash
 * leads from slot to slot, so strings that meet once part again; its period is 2^64, so it
 * comes to every slot, and half of them are empty. */
static struct rk_string_slot *walk(const struct rk_strings *strings, struct rk_span key,
                                   bool lowercase, uint64_t hash)
{
    uint64_t at = hash;
    for (;;) {
        struct rk_string_slot *slot = &strings->slots[at >> strings->shift];
        if (slot->number == 0)
            return slot;
        if (slot->tag == (uint32_t)hash &&
            equals(rk_strings_get(strings, slot->number - 1), key, lowercase))
            return slot;
        at = at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
}

void *rk_grow(void *memory, size_t item_size, size_t n_used, size_t n_more, size_t *room)
{
    size_t needed, n_bytes, bigger = *room + *room / 2;
    if (!rk_add(n_used, n_more, &needed))
        return NULL;
    if (needed <= *room)
        return memory;
    if (bigger < needed + FIRST_ROOM)
        bigger = needed + FIRST_ROOM;
    void *moved = rk_mul(bigger, item_size, &n_bytes) ? rk_alloc(n_bytes) : NULL;
    if (!moved)
        return NULL;
    if (n_used > 0)
        memcpy(moved, memory, n_used * item_size);
    rk_free(memory);
    *room = bigger;
    return moved;
}

/* Room for one more string of up to n_bytes. */
static bool reserve(struct rk_strings *strings, size_t n_bytes)
{
    size_t used = rk_strings_n_bytes(strings);
    void *bytes = rk_grow(strings->bytes, 1, used, n_bytes, &strings->byte_room);
    if (!bytes)
        return false;
    strings->bytes = bytes;
    void *items =
        rk_grow(strings->items, sizeof *strings->items, strings->n, 1, &strings->item_room);
    if (!items)
        return false;
    strings->items = items;
    return true;
}

/* Twice as many slots, once half of them would be taken. */
static bool reserve_slot(struct rk_strings *strings)
{
    if (strings->n < strings->n_slots / 2)
        return true;
    size_t n_slots = strings->n_slots > 0 ? 2 * strings->n_slots : FIRST_SLOTS, n_bytes;
    if (!rk_mul(n_slots, sizeof *strings->slots, &n_bytes))
        return false;
    struct rk_string_slot *slots = rk_alloc(n_bytes);
    if (!slots)
        return false;
    rk_free(strings->slots);
    strings->slots = slots;
    strings->n_slots = n_slots;
    strings->shift = 64;
    for (size_t n = n_slots; n > 1; n /= 2)
        strings->shift--;
    for (size_t i = 0; i < strings->n; i++) {
        uint64_t hash = strings->items[i].hash;
        struct rk_string_slot *slot =
            walk(strings, rk_strings_get(strings, i), false, hash);
        *slot = (struct rk_string_slot){(uint32_t)hash, (uint32_t)(i + 1)};
    }
    return true;
}

bool rk_strings_find(const struct rk_strings *strings, struct rk_span key, bool lowercase,
                     size_t *number)
{
    if (strings->n == 0)
        return false;
    struct rk_string_slot *slot = walk(strings, key, lowercase, hash_of(key, lowercase));
    *number = slot->number - 1;
    return slot->number > 0;
}

enum rk_status rk_strings_add(struct rk_strings *strings, struct rk_span key,
                              bool lowercase, size_t *number)
{
    uint64_t hash = hash_of(key, lowercase);
    if (!reserve_slot(strings))
        return RK_NOMEM;
    struct rk_string_slot *slot = walk(strings, key, lowercase, hash);
    if (slot->number == 0) {
        size_t most = key.n_bytes + key.n_bytes / 2, begin = rk_strings_n_bytes(strings);
        if (strings->n >= INT32_MAX || !reserve(strings, most))
            return RK_NOMEM;
        size_t length = key.n_bytes;
        if (lowercase)
            length = rk_span_lower(strings->bytes + begin, key);
        else
            memcpy(strings->bytes + begin, key.bytes, length);
        strings->items[strings->n++] = (struct rk_string){hash, begin + length};
        *slot = (struct rk_string_slot){(uint32_t)hash, (uint32_t)strings->n};
    }
    *number = slot->number - 1;
    return RK_OK;
}

void rk_strings_free(struct rk_strings *strings)
{
    rk_free(strings->bytes);
    rk_free(strings->items);
    rk_free(strings->slots);
    *strings = (struct rk_strings){0};
}
