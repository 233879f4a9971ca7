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

/* ids[0 .. n) is a heap, with its first or its last in order on top, but for element i. */
static void sift(const double *scores, int32_t *ids, size_t n, size_t i, bool first_on_top)
{
    int32_t id = ids[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(scores, ids[child], ids[child + 1]) != first_on_top)
            child++;
        if (is_before(scores, id, ids[child]) == first_on_top)
            break;
        ids[i] = ids[child];
    }
    ids[i] = id;
}

static void make_heap(const double *scores, int32_t *ids, size_t n, bool first_on_top)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(scores, ids, n, i, first_on_top);
}

/* Moves the top of a heap of *n behind it. */
static int32_t heap_pop(const double *scores, int32_t *ids, size_t *n, bool first_on_top)
{
    int32_t top = ids[0];
    ids[0] = ids[--*n];
    ids[*n] = top;
    if (*n > 0)
        sift(scores, ids, *n, 0, first_on_top);
    return top;
}

/* The k likeliest in any order. */
static void keep_likeliest(const double *scores, size_t n, size_t k, int32_t *ids)
{
    for (size_t i = 0; i < k; i++)
        ids[i] = (int32_t)i;
    if (k == n)
        return;
    make_heap(scores, ids, k, false);
    for (size_t i = k; k > 0 && i < n; i++)
        if (is_before(scores, (int32_t)i, ids[0])) {
            ids[0] = (int32_t)i;
            sift(scores, ids, k, 0, false);
        }
}

void rk_likeliest(const double *scores, size_t n, size_t k, int32_t *ids)
{
    keep_likeliest(scores, n, k, ids);
    make_heap(scores, ids, k, false);
    for (size_t left = k; left > 1;) /* the last goes to the end, again and again */
        heap_pop(scores, ids, &left, false);
}

/* Ranks are found one after another, the likeliest first, until the draw is sure: most
 * often a few of many. Rank r then stands in ids[kept - 1 - r]. */
int32_t rk_draw(const double *scores, size_t n, const struct rk_draw_options *how,
                double uniform, int32_t *ids, double *cumulative)
{
    size_t kept = how->top_k > 0 && how->top_k < n ? how->top_k : n, rank = 0;
    if (how->temperature == 0)
        kept = 1;
    keep_likeliest(scores, n, kept, ids);
    if (kept == 1)
        return ids[0];
    make_heap(scores, ids, kept, true);
    double sum = 0, reached = 0, best = scores[ids[0]];
    for (size_t i = 0; i < kept; i++)
        sum += exp((scores[ids[i]] - best) / how->temperature);
    bool is_cut = how->top_p < 1;
    double target = (is_cut ? how->top_p : uniform) * sum;
    size_t left = kept;
    do {
        int32_t id = heap_pop(scores, ids, &left, true);
        reached += exp((scores[id] - best) / how->temperature);
        cumulative[rank++] = reached;
    } while (left > 0 && (is_cut ? reached < target : reached <= target));
    size_t drawn =
        is_cut ? 0 : rank - 1; /* within what top_p has kept, or the last found */
    while (drawn + 1 < rank && cumulative[drawn] <= uniform * reached)
        drawn++;
    return ids[kept - 1 - drawn];
}
