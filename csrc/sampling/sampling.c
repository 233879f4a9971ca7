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

/* The k likeliest; a heap, unless they are all. */
static void keep_likeliest(const double *scores, size_t n, size_t k, int32_t *ids)
{
    for (size_t i = 0; i < k; i++)
        ids[i] = (int32_t)i;
    if (k == n)
        return;
    for (size_t i = k / 2; i-- > 0;)
        sift(scores, ids, k, i);
    for (size_t i = k; k > 0 && i < n; i++)
        if (is_before(scores, (int32_t)i, ids[0])) {
            ids[0] = (int32_t)i;
            sift(scores, ids, k, 0);
        }
}

void rk_likeliest(const double *scores, size_t n, size_t k, int32_t *ids)
{
    keep_likeliest(scores, n, k, ids);
    for (size_t i = k / 2; i-- > 0;)
        sift(scores, ids, k, i);
    for (size_t left = k; left > 1;) { /* the last goes to the end, again and again */
        int32_t last = ids[0];
        ids[0] = ids[--left];
        ids[left] = last;
        sift(scores, ids, left, 0);
    }
}

/* Brings an id to its place in the order of ids[first .. end), those before it in front of
 * it; returns the place. No score is NaN. Swaps without asking: which way a comparison goes
 * cannot be foreseen, and to guess it costs more than all else. */
static size_t place_one(const double *scores, int32_t *ids, size_t first, size_t end)
{
    size_t middle = first + (end - first) / 2, place = first;
    int32_t pivot = ids[middle];
    double score = scores[pivot];
    ids[middle] = ids[--end];
    for (size_t i = first; i < end; i++) {
        int32_t id = ids[i];
        ids[i] = ids[place];
        ids[place] = id;
        place += (scores[id] > score) | ((scores[id] == score) & (id < pivot));
    }
    ids[end] = ids[place];
    ids[place] = pivot;
    return place;
}

/* The first rank at which the sum of shares reaches `target`, or is above it where it must
 * be `beyond`; ids[rank] is then the token of this rank, and the likelier ones stand in
 * front. Looks on one side of one rank after another, so that nothing need be sorted. */
static size_t find_rank(const double *scores, const double *shares, int32_t *ids, size_t n,
                        double target, bool beyond)
{
    size_t first = 0, end = n;
    double sum = 0; /* of the ranks before `first` */
    while (end - first > 1) {
        size_t place = place_one(scores, ids, first, end);
        double upto = sum;
        for (size_t i = first; i < place; i++)
            upto += shares[ids[i]];
        double with = upto + shares[ids[place]];
        if (beyond ? upto > target : upto >= target) {
            end = place > first ? place : first + 1;
        } else if (place + 1 == end || (beyond ? with > target : with >= target)) {
            return place;
        } else {
            sum = with;
            first = place + 1;
        }
    }
    return first;
}

int32_t rk_draw(const double *scores, size_t n, const struct rk_draw_options *how,
                double uniform, int32_t *ids, double *shares)
{
    size_t kept = how->top_k > 0 && how->top_k < n ? how->top_k : n, n_shares = 0;
    if (how->temperature == 0)
        kept = 1;
    keep_likeliest(scores, n, kept, ids);
    int32_t best = ids[0];
    for (size_t i = 1; i < kept; i++)
        if (is_before(scores, ids[i], best))
            best = ids[i];
    double sum = 0;
    for (size_t i = 0; i < kept; i++) {
        int32_t id = ids[i];
        shares[id] = exp((scores[id] - scores[best]) / how->temperature);
        if (shares[id] > 0) { /* what is barred has no share, NaN neither */
            ids[n_shares++] = id;
            sum += shares[id];
        }
    }
    if (n_shares == 0)
        return best;
    if (how->top_p < 1) {
        n_shares = 1 + find_rank(scores, shares, ids, n_shares, how->top_p * sum, false);
        sum = 0;
        for (size_t i = 0; i < n_shares; i++)
            sum += shares[ids[i]];
    }
    return ids[find_rank(scores, shares, ids, n_shares, uniform * sum, true)];
}
