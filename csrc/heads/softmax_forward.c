/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/chunk.h"

#include <math.h>
#include <string.h>

#include "kernels/softmax.h"

static void gather_hidden(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_rows *from = &c->task->hidden;
    for (size_t r = row0, n; r < row1; r += n) {
        n = rk_chunk_together(c, from, r, row1);
        const char *src = rk_row_at(from, c->task->batch, (size_t)c->rows[r]);
        for (size_t p = 0; p < c->width_panels; p++)
            memcpy(c->softmax->hidden + p * c->stride + r * RK_PANEL,
                   src + p * from->panel_stride, n * RK_PANEL);
    }
}

/* Classes that are not shared and not a row's target are not there: their exponentials
 * become zero. Panels [panel0, panel1) that hold such classes. */
static void hide_classes(const struct rk_chunk *c, size_t panel0, size_t panel1,
                         size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    for (size_t p = panel0; p < panel1; p++)
        for (size_t r = row0; r < row1; r++) {
            size_t unit = p * kernels->lanes, end = unit + kernels->lanes;
            size_t target = rk_chunk_target(c, r);
            bool has_target = target >= unit && target < end;
            if (unit >= softmax->n_shared && !has_target) {
                kernels->fill(rk_chunk_logit(c, unit, r), -INFINITY, kernels->lanes);
                continue;
            }
            for (unit = unit < softmax->n_shared ? softmax->n_shared : unit; unit < end;
                 unit++)
                if (unit != target)
                    rk_real_set(kernels->dtype, rk_chunk_logit(c, unit, r), 0, -INFINITY);
        }
}

static void group_logits(const struct rk_chunk *c, size_t group, size_t row0, size_t row1,
                         const struct rk_chunk_share *share)
{
    (void)share;
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    size_t panel0, panel1, units = rk_chunk_group(c, group, &panel0, &panel1);
    size_t hidden = softmax->n_shared / kernels->lanes;
    struct rk_rows logits = {.base = softmax->logits, .panel_stride = c->stride};
    struct rk_term term = {.a = {.base = softmax->hidden, .panel_stride = c->stride},
                           .weight = softmax->weight,
                           .weight_stride =
                               rk_weight_stride(softmax->is_int8, softmax->width),
                           .k = softmax->width,
                           .is_int8 = softmax->is_int8};
    rk_product(kernels, logits, c->n, row0, row1, panel0, panel1, softmax->bias, false,
               &term, 1);
    if (softmax->n_shared < softmax->n_classes)
        hide_classes(c, hidden < panel0 ? panel0 : hidden, panel1, row0, row1);
    kernels->softmax->max(rk_chunk_row(c, softmax->group_max, group, row0),
                          softmax->logits + panel0 * c->stride + row0 * RK_PANEL, c->stride,
                          units, row1 - row0);
}

static double logit(const struct rk_chunk *c, size_t unit, size_t row)
{
    return rk_real_get(c->softmax->kernels->dtype, rk_chunk_logit(c, unit, row), 0);
}

/* Whether no class has a larger logit and no earlier one an equal one. False on NaN. */
static bool is_likeliest(const struct rk_chunk *c, size_t group, size_t first_unit,
                         size_t unit, size_t row)
{
    enum rk_dtype dtype = c->softmax->kernels->dtype;
    double value = logit(c, unit, row);
    for (size_t g = 0; g < c->n_groups; g++) {
        double max = rk_real_get(dtype, rk_chunk_row(c, c->softmax->group_max, g, row), 0);
        if (!(g < group ? value > max : value >= max))
            return false;
    }
    for (size_t other = first_unit; other < unit; other++)
        if (logit(c, other, row) == value)
            return false;
    return true;
}

/* Keeps what is wanted of the targets' logits, then makes exponentials of all. */
static void group_exponentials(const struct rk_chunk *c, size_t group, size_t row0,
                               size_t row1, const struct rk_chunk_share *share)
{
    (void)share;
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_softmax_task *task = c->task;
    const struct rk_kernels *kernels = softmax->kernels;
    size_t panel0, panel1, units = rk_chunk_group(c, group, &panel0, &panel1);
    size_t first_unit = panel0 * kernels->lanes;
    for (size_t r = row0; task->targets && r < row1; r++) {
        size_t unit = rk_chunk_target(c, r);
        if (unit < first_unit || unit >= first_unit + units)
            continue;
        kernels->fill(softmax->target_logit + r * RK_PANEL, logit(c, unit, r),
                      kernels->lanes);
        task->hits[c->rows[r]] = is_likeliest(c, group, first_unit, unit, r);
    }
    if (task->augmented)
        rk_chunk_soften(c, group, row0, row1);
    char *logits = softmax->logits + panel0 * c->stride + row0 * RK_PANEL;
    kernels->softmax->exp_sum(rk_chunk_row(c, softmax->group_sum, group, row0),
                              c->keeps ? logits : NULL, logits, c->stride, units,
                              row1 - row0, rk_chunk_row(c, softmax->group_max, 0, row0),
                              c->stride, c->n_groups);
}

/* Maximum, sum of exponentials and its logarithm of each row, from the groups' in order. */
static void join_groups(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    size_t n = (row1 - row0) * kernels->lanes, offset = row0 * RK_PANEL;
    char *max = softmax->max + offset, *sum = softmax->sum + offset;
    memcpy(max, rk_chunk_row(c, softmax->group_max, 0, row0), (row1 - row0) * RK_PANEL);
    memcpy(sum, rk_chunk_row(c, softmax->group_sum, 0, row0), (row1 - row0) * RK_PANEL);
    for (size_t g = 1; g < c->n_groups; g++) {
        kernels->vector[RK_OP_max](max, max, rk_chunk_row(c, softmax->group_max, g, row0),
                                   NULL, n);
        kernels->vector[RK_OP_add](sum, sum, rk_chunk_row(c, softmax->group_sum, g, row0),
                                   NULL, n);
    }
    kernels->vector[RK_OP_log](softmax->log_sum + offset, sum, NULL, NULL, n);
}

/* (logit - max) - log_sum, of the targets as of all classes: with the same bits. */
static void score_rows(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    size_t n = (row1 - row0) * kernels->lanes, offset = row0 * RK_PANEL;
    char *x = softmax->target_logit + offset;
    kernels->vector[RK_OP_sub](x, x, softmax->max + offset, NULL, n);
    kernels->vector[RK_OP_sub](x, x, softmax->log_sum + offset, NULL, n);
    for (size_t r = row0; r < row1; r++, x += RK_PANEL)
        rk_real_set(kernels->dtype, c->task->log_likelihood, (size_t)c->rows[r],
                    rk_real_get(kernels->dtype, x, 0));
}

static void normalise_rows(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_softmax_task *task = c->task;
    size_t first = c->first + row0, offset = row0 * RK_PANEL;
    char *plain = task->log_probabilities;
    softmax->kernels->softmax->normalise(
        plain + first * task->row_stride, task->row_stride, softmax->logits + offset,
        c->stride, softmax->n_classes, row1 - row0, softmax->max + offset,
        softmax->log_sum + offset, task->shift ? task->shift + first * RK_PANEL : NULL);
}

/* A barrier stands at each change of who owns what: rows, then cells, then rows again. */
void rk_chunk_exponentials(const struct rk_chunk *c, const struct rk_chunk_share *share)
{
    rk_team_wait(share->team);
    rk_chunk_cells(group_logits, c, share);
    rk_team_wait(share->team);
    rk_chunk_cells(group_exponentials, c, share);
    rk_team_wait(share->team);
    join_groups(c, share->row0, share->row1);
}

void rk_chunk_forward(const struct rk_chunk *c, const struct rk_chunk_share *share)
{
    gather_hidden(c, share->row0, share->row1);
    rk_chunk_exponentials(c, share);
    if (c->task->targets)
        score_rows(c, share->row0, share->row1);
    if (c->task->log_probabilities)
        normalise_rows(c, share->row0, share->row1);
}
