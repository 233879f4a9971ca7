/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The head's kernels.
 */
#ifndef RK_SOFTMAX_KERNELS_H
#define RK_SOFTMAX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct rk_softmax_kernels {
    /* Row by row: sum = sum over the true units of exp(src - m), m the largest of the row's
     * n_maxima maxima; all are "one a row" panels, the maxima max_stride bytes apart. The
     * exponentials go to `exps`, laid out as src (which it may be), zero beyond the width;
     * or nowhere when it is NULL. One partial a lane, panels in order, one fixed tree. */
    void (*exp_sum)(void *sum, void *exps, const void *src, size_t panel_stride,
                    size_t width, size_t rows, const void *maxima, size_t max_stride,
                    size_t n_maxima);
    /* The same of exp((src - m) * scale); exps is not NULL, and not src. */
    void (*tempered_exp_sum)(void *sum, void *exps, const void *src, size_t panel_stride,
                             size_t width, size_t rows, const void *maxima,
                             size_t max_stride, size_t n_maxima, double scale);
    /* Panels of rows: dst += plus * a - minus * b, with row index[r] of `minus` for row r;
     * a and b are one a row. `plus` is laid out as dst. */
    void (*add_difference)(void *dst, const void *plus, size_t panel_stride,
                           const void *minus, size_t minus_stride, const int32_t *index,
                           size_t panels, size_t rows, const void *a, const void *b);
    /* Row by row the largest of the true units, as row_max does, but panel after panel:
     * for values whose panels lie far apart. */
    void (*max)(void *max, const void *src, size_t panel_stride, size_t width, size_t rows);
    /* Rows of plain reals, row_stride bytes apart, = (src - max) - log_sum (+ shift, unless
     * NULL), as `vector` subtracts and adds; max, log_sum and shift are one a row. */
    void (*normalise)(void *plain, size_t row_stride, const void *src, size_t panel_stride,
                      size_t width, size_t rows, const void *max, const void *log_sum,
                      const void *shift);
};

#endif
