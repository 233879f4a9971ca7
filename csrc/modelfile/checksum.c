/* SPDX-License-Identifier: BSD-3-Clause */
#include "modelfile/checksum.h"

#include <string.h>

#define P1 UINT64_C(0x9e3779b185ebca87)
#define P2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P3 UINT64_C(0x165667b19e3779f9)
#define P4 UINT64_C(0x85ebca77c2b2ae63)
#define P5 UINT64_C(0x27d4eb2f165667c5)

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

/* Four sums side by side, over all stripes of 32 bytes. */
static uint64_t sum_stripes(const unsigned char *p, size_t n_stripes, uint64_t seed)
{
    uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
    for (size_t i = 0; i < n_stripes; i++, p += 32) {
        a = mix(a, word64(p));
        b = mix(b, word64(p + 8));
        c = mix(c, word64(p + 16));
        d = mix(d, word64(p + 24));
    }
    uint64_t sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    sum = (sum ^ mix(0, a)) * P1 + P4;
    sum = (sum ^ mix(0, b)) * P1 + P4;
    sum = (sum ^ mix(0, c)) * P1 + P4;
    return (sum ^ mix(0, d)) * P1 + P4;
}

uint64_t rk_checksum(const void *data, size_t n_bytes, uint64_t seed)
{
    const unsigned char *p = data;
    size_t left = n_bytes % 32;
    uint64_t sum = n_bytes < 32 ? seed + P5 : sum_stripes(p, n_bytes / 32, seed);
    p += n_bytes - left;
    sum += n_bytes;
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
