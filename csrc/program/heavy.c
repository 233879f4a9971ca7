/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Heavy stages: matrix products, reductions, gradients of parameters.
 */
#include <string.h>

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
        if (factor->transposed) {
            term->weight_stride = p->blocks * p->width * RK_PANEL;
            term->weight =
                sequence->transposed[factor->parameter] + block * p->width * RK_PANEL;
        } else {
            term->weight_stride = p->columns * RK_PANEL;
            term->weight =
                sequence->parameters[factor->parameter] +
                block * rk_panels(run->program->dtype, p->width) * p->columns * RK_PANEL;
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

static void column_sum(const struct run *run, const struct rk_reduction_item *item)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t panel0, panel1;
    rk_share(item->panels, run->team->n_threads, run->thread, &panel0, &panel1);
    char *dst = run->operands[item->dst].base;
    memset(dst + panel0 * RK_PANEL, 0, (panel1 - panel0) * RK_PANEL);
    run->kernels->column_sum(dst, rk_all_rows(sequence, item->src), sequence->batch, 0,
                             sequence->n_steps * sequence->batch, panel0, panel1);
}

void rk_run_column_sums(const struct run *run, const struct rk_stage *stage)
{
    for (int i = 0; i < stage->n_items; i++)
        column_sum(run, &stage->u.reductions[i]);
}

/* ---------------------------------------------------------------- weight gradients */

static void outer(const struct run *run, const struct rk_gradient_item *item, size_t panel0,
                  size_t panel1, size_t k0, size_t k1)
{
    if (panel0 >= panel1 || k0 >= k1)
        return;
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_repeats *repeats = sequence->repeats;
    size_t stride = item->columns * RK_PANEL;
    char *dw =
        sequence->gradients[item->parameter] + (size_t)item->block * item->panels * stride;
    if (repeats && item->repeats >= 0) {
        rk_outer(run->kernels, dw, stride, rk_repeats_at(run, item->repeats), repeats->rows,
                 repeats->n, 0, repeats->n, panel0, panel1, k0, k1);
        return;
    }
    rk_outer(run->kernels, dw, stride, rk_all_rows(sequence, item->delta),
             rk_all_rows(sequence, item->operand), sequence->batch, 0,
             sequence->n_steps * sequence->batch, panel0, panel1, k0, k1);
}

/* Elements of all gradients of the stage, panel by panel, column by column, are shared out
 * evenly; a share begins and ends at a multiple of 16 columns. */
void rk_run_outer(const struct run *run, const struct rk_stage *stage)
{
    size_t total = 0, passed = 0, first, last;
    for (int i = 0; i < stage->n_items; i++)
        total += stage->u.gradients[i].panels * stage->u.gradients[i].columns;
    rk_share(total, run->team->n_threads, run->thread, &first, &last);
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_gradient_item *item = &stage->u.gradients[i];
        size_t columns = item->columns, size = item->panels * columns;
        size_t begin = first > passed ? first - passed : 0;
        size_t end = last > passed ? last - passed : 0;
        if (begin > size)
            begin = size;
        if (end > size)
            end = size;
        passed += size;
        size_t panel0 = begin / columns, k0 = begin % columns / 16 * 16;
        size_t panel1 = end / columns, k1 = end % columns / 16 * 16;
        if (panel0 == panel1) {
            outer(run, item, panel0, panel0 + 1, k0, k1);
            continue;
        }
        if (k0 > 0)
            outer(run, item, panel0, panel0 + 1, k0, columns);
        outer(run, item, panel0 + (k0 > 0), panel1, 0, columns);
        outer(run, item, panel1, panel1 + 1, 0, k1);
    }
}

void rk_run_vector_gradient(const struct run *run, const struct rk_gradient_item *item)
{
    char *dst = run->sequence->gradients[item->parameter] +
                (size_t)item->block * item->panels * RK_PANEL;
    run->kernels->vector[RK_OP_add](dst, dst, run->operands[item->delta].base, NULL,
                                    item->panels * run->kernels->lanes);
}
