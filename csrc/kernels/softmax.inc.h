/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Maxima, exponentials and their sums over a part of the vocabulary (see softmax.h).
 *
 * A block of rows goes through all panels before the next block starts: a panel's rows are
 * neighbours in memory, a row's panels are pages apart. A block's partials, one panel a
 * row, stay in L1.
 */
#include "kernels/softmax.h"

enum { RK_T(softmax_block) = 32 };

/* A value "one a row". */
RK_INLINE void RK_T(softmax_put)(char *panel, RK_REAL value)
{
    RK_UNROLL for (int j = 0; j < RK_VP; j++)
        v_store(panel + (size_t)j * RK_VBYTES, v_splat(value));
}

/* A block's rows of one panel join the partial maxima. */
RK_INLINE void RK_T(softmax_max_panel)(v_real *partial, const char *src, size_t rows,
                                       size_t units)
{
    for (size_t r = 0; r < rows; r++)
        RK_UNROLL for (int j = 0; j < RK_VP; j++)
        {
            v_real x = v_load(src + r * RK_PANEL + (size_t)j * RK_VBYTES);
            if (units < RK_LANES)
                x = RK_T(keep_lanes)(x, j, units, v_splat(-(RK_REAL)INFINITY));
            partial[r * RK_VP + j] = v_max(partial[r * RK_VP + j], x);
        }
}

static void RK_T(softmax_max)(void *max, const void *src, size_t panel_stride, size_t width,
                              size_t rows)
{
    v_real partial[RK_T(softmax_block) * RK_VP];
    for (size_t row = 0; row < rows; row += RK_T(softmax_block)) {
        size_t n = rows - row < RK_T(softmax_block) ? rows - row : RK_T(softmax_block);
        const char *panel = (const char *)src + row * RK_PANEL;
        for (size_t i = 0; i < n * RK_VP; i++)
            partial[i] = v_splat(-(RK_REAL)INFINITY);
        for (size_t unit = 0; unit < width; unit += RK_LANES, panel += panel_stride) {
            if (width - unit < RK_LANES)
                RK_T(softmax_max_panel)(partial, panel, n, width - unit);
            else
                RK_T(softmax_max_panel)(partial, panel, n, RK_LANES);
        }
        for (size_t r = 0; r < n; r++) {
            char *to = (char *)max + (row + r) * RK_PANEL;
            RK_T(softmax_put)(to, lanes_max(partial + r * RK_VP));
        }
    }
}

/* A block's rows of one panel: exponentials out, and into the partial sums. `scale` is NULL
 * or a constant. */
RK_INLINE void RK_T(softmax_exp_panel)(v_real *partial, const v_real *max, char *exps,
                                       const char *src, size_t rows, size_t units,
                                       const RK_REAL *scale)
{
    for (size_t r = 0; r < rows; r++)
        RK_UNROLL for (int j = 0; j < RK_VP; j++)
        {
            size_t at = r * RK_PANEL + (size_t)j * RK_VBYTES;
            v_real x = v_load(src + at) - max[r];
            v_real e = v_exp(scale ? x * *scale : x);
            if (units < RK_LANES)
                e = RK_T(keep_lanes)(e, j, units, v_splat(0));
            if (exps)
                v_store(exps + at, e);
            partial[r * RK_VP + j] += e;
        }
}

RK_INLINE void RK_T(softmax_exp_rows)(void *sum, void *exps, const void *src,
                                      size_t panel_stride, size_t width, size_t rows,
                                      const void *maxima, size_t max_stride,
                                      size_t n_maxima, const RK_REAL *scale)
{
    v_real partial[RK_T(softmax_block) * RK_VP], max[RK_T(softmax_block)];
    for (size_t row = 0; row < rows; row += RK_T(softmax_block)) {
        size_t n = rows - row < RK_T(softmax_block) ? rows - row : RK_T(softmax_block);
        const char *panel = (const char *)src + row * RK_PANEL;
        char *out = exps ? (char *)exps + row * RK_PANEL : NULL;
        for (size_t r = 0; r < n; r++) {
            const char *first = (const char *)maxima + (row + r) * RK_PANEL;
            max[r] = v_load(first);
            for (size_t i = 1; i < n_maxima; i++)
                max[r] = v_max(max[r], v_load(first + i * max_stride));
        }
        for (size_t i = 0; i < n * RK_VP; i++)
            partial[i] = v_splat(0);
        for (size_t unit = 0; unit < width; unit += RK_LANES) {
            if (width - unit < RK_LANES)
                RK_T(softmax_exp_panel)(partial, max, out, panel, n, width - unit, scale);
            else
                RK_T(softmax_exp_panel)(partial, max, out, panel, n, RK_LANES, scale);
            panel += panel_stride;
            if (out)
                out += panel_stride;
        }
        for (size_t r = 0; r < n; r++) {
            char *to = (char *)sum + (row + r) * RK_PANEL;
            RK_T(softmax_put)(to, lanes_sum(partial + r * RK_VP));
        }
    }
}

static void RK_T(softmax_exp_sum)(void *sum, void *exps, const void *src,
                                  size_t panel_stride, size_t width, size_t rows,
                                  const void *maxima, size_t max_stride, size_t n_maxima)
{
    RK_T(softmax_exp_rows)
    (sum, exps, src, panel_stride, width, rows, maxima, max_stride, n_maxima, NULL);
}

static void RK_T(softmax_tempered_exp_sum)(void *sum, void *exps, const void *src,
                                           size_t panel_stride, size_t width, size_t rows,
                                           const void *maxima, size_t max_stride,
                                           size_t n_maxima, double scale)
{
    const RK_REAL rounded = (RK_REAL)scale;
    RK_T(softmax_exp_rows)
    (sum, exps, src, panel_stride, width, rows, maxima, max_stride, n_maxima, &rounded);
}

static void RK_T(softmax_add_difference)(void *dst, const void *plus, size_t panel_stride,
                                         const void *minus, size_t minus_stride,
                                         const int32_t *index, size_t panels, size_t rows,
                                         const void *a, const void *b)
{
    for (size_t p = 0; p < panels; p++)
        for (size_t r = 0; r < rows; r++) {
            char *to = (char *)dst + p * panel_stride + r * RK_PANEL;
            const char *more = (const char *)plus + p * panel_stride + r * RK_PANEL;
            const char *less =
                (const char *)minus + p * minus_stride + (size_t)index[r] * RK_PANEL;
            v_real up = v_load((const char *)a + r * RK_PANEL);
            v_real down = v_load((const char *)b + r * RK_PANEL);
            RK_EACH(j, RK_VP) {
                size_t at = (size_t)j * RK_VBYTES;
                v_real difference = v_load(more + at) * up - v_load(less + at) * down;
                v_store(to + at, v_load(to + at) + difference);
            }
        }
}

/* One row. */
RK_INLINE void RK_T(softmax_normalise_row)(RK_REAL *out, const char *panel,
                                           size_t panel_stride, size_t width, v_real top,
                                           v_real less, const v_real *more)
{
    size_t n = 0;
    for (size_t left = width; left > 0; left -= n, out += n, panel += panel_stride) {
        v_real x[RK_VP];
        RK_EACH(j, RK_VP) {
            x[j] = v_load(panel + j * RK_VBYTES) - top - less;
            if (more)
                x[j] += *more;
        }
        n = left < RK_LANES ? left : RK_LANES;
        if (n == RK_LANES)
            memcpy(out, x, sizeof x);
        else
            memcpy(out, x, n * sizeof *out);
    }
}

static void RK_T(softmax_normalise)(void *plain, size_t row_stride, const void *src,
                                    size_t panel_stride, size_t width, size_t rows,
                                    const void *max, const void *log_sum, const void *shift)
{
    for (size_t r = 0; r < rows; r++) {
        RK_REAL *out = (RK_REAL *)((char *)plain + r * row_stride);
        const char *panel = (const char *)src + r * RK_PANEL;
        v_real top = v_load((const char *)max + r * RK_PANEL);
        v_real less = v_load((const char *)log_sum + r * RK_PANEL);
        if (shift) {
            v_real more = v_load((const char *)shift + r * RK_PANEL);
            RK_T(softmax_normalise_row)(out, panel, panel_stride, width, top, less, &more);
        } else {
            RK_T(softmax_normalise_row)(out, panel, panel_stride, width, top, less, NULL);
        }
    }
}

static const struct rk_softmax_kernels RK_T(softmax_kernels) = {
    .exp_sum = RK_T(softmax_exp_sum),
    .tempered_exp_sum = RK_T(softmax_tempered_exp_sum),
    .add_difference = RK_T(softmax_add_difference),
    .max = RK_T(softmax_max),
    .normalise = RK_T(softmax_normalise),
};
