/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The solvers' kernels: clip, decay, moments, update and limits in one pass; and running
 * means, of gradients and of weights.
 */
#ifndef RK_UPDATE_H
#define RK_UPDATE_H

#include <stddef.h>

/* g = scale * gradient + decay * w;  w = clamp(shrink * w - step(g), low, high) */
struct rk_update {
    double scale, decay, shrink, low, high;
    double rate; /* adam: learning rate over the first moment's correction */
    double momentum;
    double beta_1, beta_2, epsilon;
    double root;       /* adam: 1 / sqrt of the second moment's correction */
    double keep, take; /* rms: of the mean of squares, and of the new square */
};

/* n elements, a whole number of panels; first and second are the moments, NULL where the
 * solver has none. A gradient of NULL is zero everywhere. Nothing overlaps. */
typedef void (*rk_update_fn)(const struct rk_update *update, void *weights,
                             const void *gradient, void *first, void *second, size_t n);

struct rk_update_kernels {
    rk_update_fn sgd, momentum, nesterov, adam, rms;
    /* mean += rate * (values - mean); values of NULL are zero. */
    void (*mean)(double rate, void *mean, const void *values, size_t n);
};

#endif
