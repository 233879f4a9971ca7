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

struct rk_draw_options {
    double temperature; /* divides the scores; 0: the likeliest */
    size_t top_k;       /* keep so many likeliest; 0: all       */
    double top_p;       /* keep the fewest that hold this share */
};

/* Draws one token: `uniform` falls into the cumulative sum over the ranks that are kept.
 * `ids` has room for n, `cumulative` too. */
int32_t rk_draw(const double *scores, size_t n, const struct rk_draw_options *how,
                double uniform, int32_t *ids, double *cumulative);

#endif
