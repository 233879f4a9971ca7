/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/sampled.h"

#include <math.h>

enum { MOST_DRAWS = 1 << 10 }; /* for each word; in vain only where sizes are absurd */

size_t rk_sample_size(size_t n_samples, size_t vocab)
{
    return n_samples < vocab / 2 ? n_samples : vocab;
}

/* The word at a place u, 0 < u < 1, of the distribution. */
static size_t word_at(double u, double log_total, size_t vocab)
{
    size_t word = (size_t)exp(u * log_total) - 1;
    return word < vocab ? word : vocab - 1;
}

/* Two numbers with 0 < u < 1 from a counter. */
static void draw_two(double u[2], uint32_t counter, uint64_t seed, uint32_t update)
{
    /* No dropout mask has such a row and step: draws share no counter with one. */
    const uint32_t place[4] = {counter, UINT32_MAX, UINT32_MAX, update};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    rk_philox(words, place, key);
    for (int i = 0; i < 2; i++) {
        uint64_t bits = (uint64_t)words[2 * i + 1] << 32 | words[2 * i];
        u[i] = ((double)(bits >> 12) + 0.5) * 0x1p-52;
    }
}

struct rk_sample rk_sample_draw(int32_t *words, int32_t *place, size_t n_samples,
                                size_t vocab, uint64_t seed, uint32_t update)
{
    size_t wanted = rk_sample_size(n_samples, vocab);
    struct rk_sample sample = {0};
    if (wanted == vocab) {
        for (; sample.n < vocab; sample.n++) {
            words[sample.n] = (int32_t)sample.n;
            place[sample.n] = (int32_t)sample.n + 1;
        }
        return sample;
    }
    double log_total = log1p((double)vocab), u[2];
    while (sample.n < wanted && sample.draws < (uint64_t)MOST_DRAWS * wanted) {
        if (sample.draws % 2 == 0)
            draw_two(u, (uint32_t)(sample.draws / 2), seed, update);
        size_t word = word_at(u[sample.draws++ % 2], log_total, vocab);
        if (place[word])
            continue;
        words[sample.n++] = (int32_t)word;
        place[word] = (int32_t)sample.n;
    }
    return sample;
}

/* 1 - (1 - p)^draws, as if their number had been fixed. */
double rk_sample_log_expected(const struct rk_sample *sample, int32_t word, size_t vocab)
{
    if (sample->draws == 0)
        return 0;
    double p = log1p(1 / ((double)word + 1)) / log1p((double)vocab);
    return log(-expm1((double)sample->draws * log1p(-p)));
}
