/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Equal rows of the input: products once for each distinct row, gradients summed over its
 * places first.
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
    struct rk_rows to = rk_rows_at(run, item->dst, 0, 0);
    size_t first = run->shard * rk_sequence_shard_rows(sequence);
    for (size_t r = extent->row0; r < extent->row1; r++) {
        size_t step = r / extent->batch, in_step = first + r % extent->batch;
        char *row = rk_row_at(&to, extent->batch, r);
        const char *distinct =
            from.base +
            (size_t)repeats->index[step * sequence->batch + in_step] * RK_PANEL;
        for (size_t p = extent->panel0; p < extent->panel1; p++)
            memcpy(row + p * to.panel_stride, distinct + p * from.panel_stride, RK_PANEL);
    }
}

/* One gradient, summed over the places of distinct rows [u0, u1), in order. */
static void sum_equal_rows(const struct run *run, const struct rk_repeated_sum *sum,
                           size_t u0, size_t u1)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t batch = run->sequence->batch, lanes = run->kernels->lanes;
    rk_vector_fn add = run->kernels->vector[RK_OP_add];
    struct rk_rows from = rk_all_rows(run->sequence, sum->view),
                   to = rk_repeats_at(run, sum->place);
    for (size_t u = u0; u < u1; u++)
        for (int32_t i = repeats->first[u]; i < repeats->first[u + 1]; i++) {
            size_t r = (size_t)repeats->order[i];
            const char *row = rk_row_at(&from, batch, r);
            char *total = to.base + u * RK_PANEL;
            for (size_t p = 0; p < sum->panels; p++) {
                char *panel = total + p * to.panel_stride;
                if (i == repeats->first[u])
                    memcpy(panel, row + p * from.panel_stride, RK_PANEL);
                else
                    add(panel, panel, row + p * from.panel_stride, NULL, lanes);
            }
        }
}

/* Threads share distinct rows so that each sums about as many places. */
void rk_sum_repeats(const struct run *run)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t first, last, bounds[2], n_rows = run->sequence->n_steps * run->sequence->batch;
    rk_share(n_rows, run->team->n_threads, run->thread, &first, &last);
    for (int end = 0; end < 2; end++) {
        size_t u = 0;
        while (u < repeats->n && (size_t)repeats->first[u] < (end ? last : first))
            u++;
        bounds[end] = u;
    }
    if (!rk_team_poll(run->team, run->thread))
        for (int s = 0; s < run->program->n_repeated_sums; s++)
            sum_equal_rows(run, &run->program->repeated_sums[s], bounds[0], bounds[1]);
    rk_team_wait(run->team);
}
