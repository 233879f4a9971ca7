/* SPDX-License-Identifier: BSD-3-Clause */
#include "modelfile/checksum.h"

#include <string.h>

#define P1 UINT64_C(0x9e3779b185ebca87)
#define P2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P3 UINT64_C(0x165667b19e3779f9)
#define P4 UINT64_C(0x85ebca77c2b2ae63)
#define P5 UINT64_C(0x27d4eb2f165667c5)

enum { STRIPE = 32 };

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t word64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint64_t word32(const unsigned char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    return rotate(sum + word * P2, 31) * P1;
}

/* Four sums side by side, over whole stripes. */
static void add_stripes(uint64_t sums[4], const unsigned char *p, size_t n_stripes)
{
    uint64_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    for (size_t i = 0; i < n_stripes; i++, p += STRIPE) {
        a = mix(a, word64(p));
        b = mix(b, word64(p + 8));
        c = mix(c, word64(p + 16));
        d = mix(d, word64(p + 24));
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

void rk_checksum_begin(struct rk_checksum *checksum, uint64_t seed)
{
    *checksum = (struct rk_checksum){.seed = seed,
                                     .sums = {seed + P1 + P2, seed + P2, seed, seed - P1}};
}

void rk_checksum_add(struct rk_checksum *checksum, const void *data, size_t n_bytes)
{
    const unsigned char *p = data;
    size_t waiting = checksum->n_bytes % STRIPE;
    size_t lacking = waiting ? STRIPE - waiting : 0;
    checksum->n_bytes += n_bytes;
    if (lacking > 0) {
        size_t n = n_bytes < lacking ? n_bytes : lacking;
        memcpy(checksum->stripe + waiting, p, n);
        if (n < lacking)
            return;
        add_stripes(checksum->sums, checksum->stripe, 1);
        p += n, n_bytes -= n;
    }
    add_stripes(checksum->sums, p, n_bytes / STRIPE);
    memcpy(checksum->stripe, p + n_bytes - n_bytes % STRIPE, n_bytes % STRIPE);
}

static uint64_t joined(const uint64_t sums[4])
{
    uint64_t sum =
        rotate(sums[0], 1) + rotate(sums[1], 7) + rotate(sums[2], 12) + rotate(sums[3], 18);
    for (int i = 0; i < 4; i++)
        sum = (sum ^ mix(0, sums[i])) * P1 + P4;
    return sum;
}

uint64_t rk_checksum_end(const struct rk_checksum *checksum)
{
    const unsigned char *p = checksum->stripe;
    size_t left = checksum->n_bytes % STRIPE;
    uint64_t sum =
        checksum->n_bytes < STRIPE ? checksum->seed + P5 : joined(checksum->sums);
    sum += checksum->n_bytes;
    for (; left >= 8; left -= 8, p += 8)
        sum = rotate(sum ^ mix(0, word64(p)), 27) * P1 + P4;
    if (left >= 4) {
        sum = rotate(sum ^ word32(p) * P1, 23) * P2 + P3;
        left -= 4, p += 4;
    }
    for (; left > 0; left--, p++)
        sum = rotate(sum ^ *p * P5, 11) * P1;
    sum = (sum ^ sum >> 33) * P2;
    sum = (sum ^ sum >> 29) * P3;
    return sum ^ sum >> 32;
}

uint64_t rk_checksum(const void *data, size_t n_bytes, uint64_t seed)
{
    struct rk_checksum checksum;
    rk_checksum_begin(&checksum, seed);
    rk_checksum_add(&checksum, data, n_bytes);
    return rk_checksum_end(&checksum);
}
