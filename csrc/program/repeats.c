/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Equal rows of the input: products once for each distinct row. Their gradients are summed
 * in sums.c.
 */
#include <string.h>

#include "program/run.h"

/* Of the repeats' memory, [panel][distinct row]. */
struct rk_rows rk_repeats_at(const struct run *run, int place)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t panel_stride = repeats->n * RK_PANEL;
    return (struct rk_rows){.base = repeats->memory + (size_t)place * panel_stride,
                            .panel_stride = panel_stride};
}

struct rk_rows rk_repeats_half(const struct run *run, int place, size_t half)
{
    return rk_repeats_at(run, place + (int)half * run->program->n_backward_repeats);
}

void rk_run_distinct_rows(const struct run *run, const struct rk_stage *stage)
{
    size_t n = run->sequence->repeats->n;
    struct extent extent = {.batch = n, .of_repeats = true};
    rk_share(n, run->team->n_threads, run->thread, &extent.row0, &extent.row1);
    for (int i = 0; i < stage->n_items; i++) {
        extent.panel1 = stage->u.products[i].panels;
        if (stage->u.products[i].repeats >= 0)
            rk_run_product(run, &stage->u.products[i], &extent);
    }
}

/* The results for distinct rows go to all places where these stand. */
void rk_spread_repeats(const struct run *run, const struct rk_product_item *item,
                       const struct extent *extent)
{
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_repeats *repeats = sequence->repeats;
    struct rk_rows from = rk_repeats_at(run, item->repeats);
    struct rk_rows to = rk_rows_at(run, item->dst, extent->step, 0);
    size_t first = run->shard * rk_sequence_shard_rows(sequence);
    for (size_t r = extent->row0, n; r < extent->row1; r += n) {
        size_t step = extent->step + r / extent->batch, left = extent->row1 - r;
        n = rk_rows_together(&to, extent->batch, r);
        n = n < left ? n : left;
        const int32_t *index =
            repeats->index + step * sequence->batch + first + r % extent->batch;
        char *row = rk_row_at(&to, extent->batch, r);
        for (size_t p = extent->panel0; p < extent->panel1; p++)
            run->kernels->gather(row + p * to.panel_stride,
                                 from.base + p * from.panel_stride, index, n);
    }
}
