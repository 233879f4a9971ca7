/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Distances in units in the last place, and the elementary functions to compare with: the
 * system's, in long double.
 */
#ifndef ULP_H
#define ULP_H

#include <float.h>
#include <math.h>

/* The spacing of `dtype`'s numbers at `x`. */
static inline long double ulp_at(enum rk_dtype dtype, long double x)
{
    int digits = dtype == RK_FLOAT32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    int least = dtype == RK_FLOAT32 ? FLT_MIN_EXP : DBL_MIN_EXP, exponent;
    frexpl(x, &exponent);
    if (x == 0 || exponent < least) exponent = least;
    return ldexpl(1, exponent - digits);
}

/* How far `got` is from the true value, in ulp. Infinity where the kinds differ; where the
 * true value is beyond the largest number, infinity is right. */
static inline double ulp_distance(enum rk_dtype dtype, double got, long double want)
{
    long double most = dtype == RK_FLOAT32 ? FLT_MAX : DBL_MAX;
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : (double)INFINITY;
    if (isinf(got) && !isinf(want))
        return fabsl(want) > most && (got > 0) == (want > 0) ? 0 : (double)INFINITY;
    if (isinf(want)) return got == (double)want ? 0 : (double)INFINITY;
    return (double)(fabsl((long double)got - want) / ulp_at(dtype, want));
}

static inline long double true_softplus(long double a)
{
    return (a > 0 ? a : 0) + log1pl(expl(-fabsl(a)));
}
static inline long double true_sigmoid(long double a)
{
    return a < 0 ? expl(a) / (1 + expl(a)) : 1 / (1 + expl(-a));
}
static inline long double true_logsigmoid(long double a) { return -true_softplus(-a); }

#endif
