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

/* One panel of a gradient: the rows of the list in order, each added to its distinct row.
 */
static void sum_panel(const struct run *run, const struct rk_repeated_sum *sum,
                      size_t panel)
{
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_repeats *repeats = sequence->repeats;
    struct rk_rows from = rk_all_rows(sequence, sum->view);
    struct rk_rows to = rk_repeats_at(run, sum->place);
    size_t n_rows = sequence->n_steps * sequence->batch;
    char *total = to.base + panel * to.panel_stride;
    memset(total, 0, repeats->n * RK_PANEL);
    for (size_t r = 0, n; r < n_rows; r += n) {
        n = rk_rows_together(&from, sequence->batch, r);
        const char *rows = rk_row_at(&from, sequence->batch, r);
        run->kernels->scatter_add(total, rows + panel * from.panel_stride,
                                  repeats->index + r, n);
    }
}

/* Threads share the panels of all gradients. */
void rk_sum_repeats(const struct run *run)
{
    const struct rk_program *program = run->program;
    size_t n_panels = 0, first, last;
    for (int s = 0; s < program->n_repeated_sums; s++)
        n_panels += program->repeated_sums[s].panels;
    rk_share(n_panels, run->team->n_threads, run->thread, &first, &last);
    n_panels = 0;
    for (int s = 0; s < program->n_repeated_sums; s++) {
        const struct rk_repeated_sum *sum = &program->repeated_sums[s];
        for (size_t p = 0; p < sum->panels; p++, n_panels++)
            if (n_panels >= first && n_panels < last &&
                !rk_team_poll(run->team, run->thread))
                sum_panel(run, sum, p);
    }
    rk_team_wait(run->team);
}
