/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One step of each solver on flat arrays (see update.h; the equations are in
 * solvers/solver.h).
 */
#include "kernels/update.h"

/* What all solvers share, as vectors. */
struct RK_T(update_terms) {
    v_real scale, decay, shrink, rate, low, high;
};

RK_INLINE struct RK_T(update_terms) RK_T(update_terms_of)(const struct rk_update *u)
{
    return (struct RK_T(update_terms)){
        .scale = v_splat((RK_REAL)u->scale),
        .decay = v_splat((RK_REAL)u->decay),
        .shrink = v_splat((RK_REAL)u->shrink),
        .rate = v_splat((RK_REAL)u->rate),
        .low = v_splat((RK_REAL)u->low),
        .high = v_splat((RK_REAL)u->high),
    };
}

RK_INLINE v_real RK_T(update_gradient)(const struct RK_T(update_terms) * t,
                                       const RK_REAL *gradient, size_t i, v_real weight)
{
    v_real gi = gradient ? v_load(gradient + i) : v_splat(0);
    return v_fma(t->decay, weight, gi * t->scale);
}

RK_INLINE v_real RK_T(update_weight)(const struct RK_T(update_terms) * t, v_real weight,
                                     v_real direction)
{
    v_real stepped = weight * t->shrink - t->rate * direction;
    return v_at_most(v_at_least(stepped, t->low), t->high);
}

static void RK_T(update_sgd)(const struct rk_update *u, void *weights, const void *gradient,
                             void *first, void *second, size_t n)
{
    (void)first, (void)second;
    const struct RK_T(update_terms) t = RK_T(update_terms_of)(u);
    RK_REAL *w = weights;
    const RK_REAL *g = gradient;
    for (size_t i = 0; i < n; i += RK_VL) {
        v_real wi = v_load(w + i);
        v_store(w + i, RK_T(update_weight)(&t, wi, RK_T(update_gradient)(&t, g, i, wi)));
    }
}

RK_INLINE void RK_T(update_with_momentum)(const struct rk_update *u, RK_REAL *w,
                                          const RK_REAL *g, RK_REAL *m, size_t n,
                                          bool nesterov)
{
    const struct RK_T(update_terms) t = RK_T(update_terms_of)(u);
    const v_real momentum = v_splat((RK_REAL)u->momentum);
    for (size_t i = 0; i < n; i += RK_VL) {
        v_real wi = v_load(w + i);
        v_real gi = RK_T(update_gradient)(&t, g, i, wi);
        v_real mi = v_fma(momentum, v_load(m + i), gi);
        v_store(m + i, mi);
        v_real direction = nesterov ? v_fma(momentum, mi, gi) : mi;
        v_store(w + i, RK_T(update_weight)(&t, wi, direction));
    }
}

static void RK_T(update_momentum)(const struct rk_update *u, void *weights,
                                  const void *gradient, void *first, void *second, size_t n)
{
    (void)second;
    RK_T(update_with_momentum)(u, weights, gradient, first, n, false);
}

static void RK_T(update_nesterov)(const struct rk_update *u, void *weights,
                                  const void *gradient, void *first, void *second, size_t n)
{
    (void)second;
    RK_T(update_with_momentum)(u, weights, gradient, first, n, true);
}

static void RK_T(update_adam)(const struct rk_update *u, void *weights,
                              const void *gradient, void *first, void *second, size_t n)
{
    const struct RK_T(update_terms) t = RK_T(update_terms_of)(u);
    const v_real toward = v_splat((RK_REAL)(1 - u->beta_1));
    const v_real keep = v_splat((RK_REAL)u->beta_2);
    const v_real take = v_splat((RK_REAL)(1 - u->beta_2));
    const v_real root = v_splat((RK_REAL)u->root), epsilon = v_splat((RK_REAL)u->epsilon);
    RK_REAL *w = weights, *m = first, *v = second;
    const RK_REAL *g = gradient;
    for (size_t i = 0; i < n; i += RK_VL) {
        v_real wi = v_load(w + i);
        v_real gi = RK_T(update_gradient)(&t, g, i, wi);
        v_real mi = v_load(m + i);
        mi = v_fma(toward, gi - mi, mi);
        v_real vi = v_fma(take * gi, gi, keep * v_load(v + i));
        v_store(m + i, mi);
        v_store(v + i, vi);
        v_real direction = mi / v_fma(v_sqrt(vi), root, epsilon);
        v_store(w + i, RK_T(update_weight)(&t, wi, direction));
    }
}

static void RK_T(update_rms)(const struct rk_update *u, void *weights, const void *gradient,
                             void *first, void *second, size_t n)
{
    (void)first;
    const struct RK_T(update_terms) t = RK_T(update_terms_of)(u);
    const v_real keep = v_splat((RK_REAL)u->keep), take = v_splat((RK_REAL)u->take);
    const v_real epsilon = v_splat((RK_REAL)u->epsilon);
    RK_REAL *w = weights, *v = second;
    const RK_REAL *g = gradient;
    for (size_t i = 0; i < n; i += RK_VL) {
        v_real wi = v_load(w + i);
        v_real gi = RK_T(update_gradient)(&t, g, i, wi);
        v_real vi = v_fma(take * gi, gi, keep * v_load(v + i));
        v_store(v + i, vi);
        v_store(w + i, RK_T(update_weight)(&t, wi, gi / (v_sqrt(vi) + epsilon)));
    }
}

static void RK_T(update_mean)(double rate, void *mean, const void *values, size_t n)
{
    const v_real r = v_splat((RK_REAL)rate);
    RK_REAL *m = mean;
    const RK_REAL *v = values;
    for (size_t i = 0; i < n; i += RK_VL) {
        v_real mi = v_load(m + i), vi = v ? v_load(v + i) : v_splat(0);
        v_store(m + i, v_fma(r, vi - mi, mi));
    }
}

static const struct rk_update_kernels RK_T(update_kernels) = {
    .sgd = RK_T(update_sgd),
    .momentum = RK_T(update_momentum),
    .nesterov = RK_T(update_nesterov),
    .adam = RK_T(update_adam),
    .rms = RK_T(update_rms),
    .mean = RK_T(update_mean),
};
