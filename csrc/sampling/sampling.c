/* SPDX-License-Identifier: BSD-3-Clause */
#include "sampling/sampling.h"

#include <math.h>

/* The upper half of a product; the lower one is that of the language. */
static uint64_t high_half(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    return a1 * b1 + (middle >> 32) + ((a0 * b1 + (uint32_t)middle) >> 32);
}

/* Philox 4x64-10 (Salmon et al., 2011), read as NumPy does: from block 1 on, a number of
 * 53 bits from each word. */
double rk_uniform(uint64_t seed, uint64_t stream, uint64_t position)
{
    const uint64_t m0 = UINT64_C(0xd2e7470ee14c6c93), m1 = UINT64_C(0xca5a826395121157);
    uint64_t x[4] = {position / 4 + 1, 0, 0, 0};
    for (int round = 0; round < 10; round++) {
        uint64_t x0 = x[0], x2 = x[2];
        x[0] = high_half(m1, x2) ^ x[1] ^ seed;
        x[2] = high_half(m0, x0) ^ x[3] ^ stream;
        x[1] = m1 * x2;
        x[3] = m0 * x0;
        seed += UINT64_C(0x9e3779b97f4a7c15);
        stream += UINT64_C(0xbb67ae8584caa73b);
    }
    return (double)(x[position % 4] >> 11) * 0x1p-53;
}

/* Whether a stands before b in the order of likelihood. */
static bool is_before(const double *scores, int32_t a, int32_t b)
{
    double x = scores[a], y = scores[b];
    if (x != x || y != y) /* NaN */
        return (x == x) != (y == y) ? x == x : a < b;
    return x > y || (x == y && a < b);
}

/* ids[0 .. n) is a heap with its last in order on top, but for its element i. */
static void sift(const double *scores, int32_t *ids, size_t n, size_t i)
{
    int32_t id = ids[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(scores, ids[child], ids[child + 1]))
            child++;
        if (!is_before(scores, id, ids[child]))
            break;
        ids[i] = ids[child];
    }
    ids[i] = id;
}

void rk_likeliest(const double *scores, size_t n, size_t k, int32_t *ids)
{
    for (size_t i = 0; i < k; i++)
        ids[i] = (int32_t)i;
    for (size_t i = k / 2; i-- > 0;)
        sift(scores, ids, k, i);
    for (size_t i = k; k > 0 && i < n; i++)
        if (is_before(scores, (int32_t)i, ids[0])) {
            ids[0] = (int32_t)i;
            sift(scores, ids, k, 0);
        }
    for (size_t left = k; left > 1;) { /* the last goes to the end, again and again */
        int32_t last = ids[0];
        ids[0] = ids[--left];
        ids[left] = last;
        sift(scores, ids, left, 0);
    }
}

/* The first rank whose sum reaches `target`, or is above it where it must be `beyond`. */
static size_t find(const double *cumulative, size_t n, double target, bool beyond)
{
    size_t rank = 0;
    while (rank + 1 < n &&
           (beyond ? cumulative[rank] <= target : cumulative[rank] < target))
        rank++;
    return rank;
}

int32_t rk_draw(const double *scores, size_t n, const struct rk_draw_options *how,
                double uniform, int32_t *ids, double *cumulative)
{
    size_t kept = how->top_k > 0 && how->top_k < n ? how->top_k : n;
    if (how->temperature == 0)
        kept = 1;
    rk_likeliest(scores, n, kept, ids);
    if (kept == 1)
        return ids[0];
    double sum = 0, best = scores[ids[0]];
    for (size_t rank = 0; rank < kept; rank++) {
        sum += exp((scores[ids[rank]] - best) / how->temperature);
        cumulative[rank] = sum;
    }
    if (how->top_p < 1)
        kept = 1 + find(cumulative, kept, how->top_p * sum, false);
    return ids[find(cumulative, kept, uniform * cumulative[kept - 1], true)];
}
