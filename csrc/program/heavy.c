/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Heavy stages on the rows at hand: matrix products, reductions, units that move;
 * gradients of vectors.
 */
#include <string.h>

#include "linalg/sizes.h"
#include "program/run.h"

/* -------------------------------------------------------------------- products */

static struct rk_rows factor_rows(const struct run *run, const struct rk_factor *factor,
                                  const struct extent *extent)
{
    if (!extent->of_repeats)
        return rk_rows_at(run, factor->operand, extent->step, extent->turn);
    return factor->repeats >= 0 ? rk_repeats_at(run, factor->repeats)
                                : run->sequence->repeats->rows;
}

void rk_run_product(const struct run *run, const struct rk_product_item *item,
                    const struct extent *extent)
{
    enum { AT_ONCE = 16 };
    const struct rk_sequence *sequence = run->sequence;
    struct rk_rows dst = extent->of_repeats
                             ? rk_repeats_at(run, item->repeats)
                             : rk_rows_at(run, item->dst, extent->step, extent->turn);
    const char *start = item->start < 0 ? NULL : run->operands[item->start].base;
    struct rk_term terms[AT_ONCE];
    int n = 0;
    for (int f = 0; f < item->n_factors; f++) {
        const struct rk_factor *factor = &item->factors[f];
        const struct rk_parameter *p = &run->program->graph.parameters[factor->parameter];
        size_t block = (size_t)factor->block;
        struct rk_term *term = &terms[n++];
        term->a = factor_rows(run, factor, extent);
        term->k = factor->k;
        term->is_int8 = false;
        if (factor->transposed) {
            term->weight_stride = p->blocks * p->width * RK_PANEL;
            term->weight =
                sequence->transposed[factor->parameter] + block * p->width * RK_PANEL;
        } else {
            term->is_int8 = sequence->is_int8;
            term->weight_stride = rk_weight_stride(sequence->is_int8, p->columns);
            term->weight =
                sequence->parameters[factor->parameter] +
                block * rk_panels(run->program->dtype, p->width) * term->weight_stride;
        }
        if (n < AT_ONCE && f + 1 < item->n_factors)
            continue;
        bool first = f < AT_ONCE;
        rk_product(run->kernels, dst, extent->batch, extent->row0, extent->row1,
                   extent->panel0, extent->panel1, first ? start : NULL,
                   !first || item->accumulates, terms, (size_t)n);
        n = 0;
    }
}

/* ------------------------------------------------------------------- reductions */

void rk_run_row_reduction(const struct run *run, const struct rk_reduction_item *item,
                          size_t step, size_t turn, size_t row0, size_t row1)
{
    if (row0 == row1)
        return;
    struct rk_rows dst = rk_rows_at(run, item->dst, step, turn);
    struct rk_rows src = rk_rows_at(run, item->src, step, turn);
    void (*reduce)(void *, const void *, size_t, size_t, size_t) =
        item->op == RK_OP_row_sum ? run->kernels->row_sum : run->kernels->row_max;
    reduce(dst.base + row0 * RK_PANEL, src.base + row0 * RK_PANEL, src.panel_stride,
           item->width, row1 - row0);
}

/* ------------------------------------------------------------------------- moves */

/* Units of dst from `to` on, as many as lie in one panel of both; returns how many. */
static size_t move_some(const struct run *run, struct rk_rows dst, struct rk_rows src,
                        size_t to, size_t from, size_t most, size_t rows)
{
    size_t lanes = run->kernels->lanes, size = rk_real_size(run->program->dtype);
    size_t n = least(most, least(lanes - to % lanes, lanes - from % lanes));
    char *out = dst.base + to / lanes * dst.panel_stride + to % lanes * size;
    const char *in = src.base + from / lanes * src.panel_stride + from % lanes * size;
    if (n == lanes)
        memcpy(out, in, rows * RK_PANEL);
    else
        for (size_t r = 0; r < rows; r++)
            memcpy(out + r * RK_PANEL, in + r * RK_PANEL, n * size);
    return n;
}

void rk_run_move(const struct run *run, const struct rk_move_item *item,
                 const struct extent *extent)
{
    struct rk_rows dst = rk_rows_at(run, item->dst, extent->step, extent->turn);
    struct rk_rows src = rk_rows_at(run, item->src, extent->step, extent->turn);
    size_t lanes = run->kernels->lanes, rows = extent->row1 - extent->row0;
    size_t to = extent->panel0 * lanes,
           end = least(extent->panel1 * lanes, item->to + item->n);
    if (rows == 0)
        return;
    dst.base += extent->row0 * RK_PANEL;
    src.base += extent->row0 * RK_PANEL;
    if (to < item->to)
        to = item->to;
    while (to < end)
        to += move_some(run, dst, src, to, item->from + (to - item->to), end - to, rows);
    if (item->clear_tail && extent->panel0 < extent->panel1 &&
        extent->panel1 == item->panels)
        run->kernels->clear_tail(dst.base + (item->panels - 1) * dst.panel_stride,
                                 item->clear_tail, rows);
}

/* ----------------------------------------------------------- gradients of vectors */

void rk_run_vector_gradient(const struct run *run, const struct rk_gradient_item *item)
{
    char *dst = run->sequence->gradients[item->parameter] +
                (size_t)item->block * item->panels * RK_PANEL;
    run->kernels->vector[RK_OP_add](dst, dst, run->operands[item->delta].base, NULL,
                                    item->panels * run->kernels->lanes);
}
