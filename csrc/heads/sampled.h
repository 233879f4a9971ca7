/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A softmax that in training sees a sample of the words (Jean et al., 2015): those drawn
 * for the window, which all its rows share, and each row its own target. From each logit
 * the logarithm of the word's expected number in the sample is taken, so that the gradient
 * tends to that of the full softmax as the sample grows. A target that was drawn counts
 * once. Without training it is the full softmax.
 *
 * Words are drawn until so many are distinct, word k with probability
 * log((k + 2) / (k + 1)) / log(V + 1): Zipf's law where the ids go by falling frequency.
 * Draws are a function of seed and update alone. A sample of half the words or more is
 * all of them.
 */
#ifndef RK_SAMPLED_H
#define RK_SAMPLED_H

#include "heads/softmax.h"

struct rk_head;

/* A sample of the words, and what it is expected to be. */
struct rk_sample {
    size_t n;       /* distinct words */
    uint64_t draws; /* made for them; 0: all words are taken */
};

/* The most words that rk_sample_draw gives. */
size_t rk_sample_size(size_t n_samples, size_t vocab);
/* Writes distinct words; `place` (by word, zero at first) becomes 1 + index in `words`. */
struct rk_sample rk_sample_draw(int32_t *words, int32_t *place, size_t n_samples,
                                size_t vocab, uint64_t seed, uint32_t update);
/* The logarithm of the probability that a word is in such a sample. */
double rk_sample_log_expected(const struct rk_sample *sample, int32_t word, size_t vocab);

struct rk_sampled {
    struct rk_softmax softmax; /* over the candidates */
    struct rk_sample sample;   /* of this window */
    size_t n_candidates;
    int32_t *candidates; /* words: the sample, then the targets that are not in it */
    int32_t *place;      /* by word: 1 + its index in `candidates`, or 0 */
    int32_t *targets;    /* by index into the list: index in `candidates` */
    char *weight, *bias; /* of the candidates, packed */
    char *weight_gradient, *bias_gradient; /* theirs; the first one where it is tied */
};

#endif
