/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Choosing tokens from a distribution, the same for Python and for C programs.
 */
#ifndef RK_SAMPLING_H
#define RK_SAMPLING_H

#include "base/base.h"

/* Number `position` of a stream of random numbers in [0, 1): those of NumPy's generator
 * Philox(key=[seed, stream]). */
double rk_uniform(uint64_t seed, uint64_t stream, uint64_t position);

/* The k likeliest of n > 0 tokens, best first, of equals the lower id; NaN is least. */
void rk_likeliest(const double *scores, size_t n, size_t k, int32_t *ids);

/* What may be written next, whatever the model thinks of it. */
struct rk_controls {
    int32_t end_id, unk_id;    /* unk_id -1: nothing is unknown; else it is never written */
    size_t min_new_tokens;     /* the document does not end before                        */
    double repetition_penalty; /* multiplies the score of what occurred, but the end */
    size_t no_repeat_ngram_size; /* no sequence of so many tokens occurs twice; 0: any */
    const int32_t *bad_words;    /* sequences that are not written, behind each a -1   */
    size_t n_bad_words;          /* numbers in it, the -1 counted                      */
};

/* Changes scores, log-probabilities, so that what is barred has -inf; they are not
 * normalised again. Where nothing is left the document ends. `ids` has all that stands
 * before, the prompt too, n_new of them written; `scratch` has room for n_tokens. */
void rk_control(double *scores, size_t n_tokens, const struct rk_controls *how,
                const int32_t *ids, size_t n_ids, size_t n_new, int32_t *scratch);

struct rk_draw_options {
    double temperature; /* divides the scores; 0: the likeliest */
    size_t top_k;       /* keep so many likeliest; 0: all       */
    double top_p;       /* keep the fewest that hold this share */
};

/* Draws one token: where `uniform` falls into the sum of shares over the ranks that are
 * kept, the likeliest first. What has no share is never drawn unless nothing has one. `ids`
 * has room for n, `shares` too. */
int32_t rk_draw(const double *scores, size_t n, const struct rk_draw_options *how,
                double uniform, int32_t *ids, double *shares);

#endif
