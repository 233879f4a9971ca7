/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/chunk.h"

#include <string.h>

/* d loss / d logits of a row is factor * (exponentials - sum at the target). The factor
 * goes into `hidden` for dW and later into dh, which are smaller than the logits. */
static void differentiate_rows(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_softmax_task *task = c->task;
    const struct rk_kernels *kernels = softmax->kernels;
    for (size_t r = row0; r < row1; r++) {
        double sum = rk_real_get(kernels->dtype, softmax->sum + r * RK_PANEL, 0);
        double weight = task->weights ? (double)task->weights[c->rows[r]] : 1.0;
        kernels->fill(softmax->factor + r * RK_PANEL, weight / task->weight_sum / sum,
                      kernels->lanes);
    }
    if (task->augmented)
        rk_chunk_weigh(c, row0, row1);
    for (size_t p = 0; p < c->width_panels; p++) {
        char *hidden = softmax->hidden + p * c->stride + row0 * RK_PANEL;
        kernels->vector[RK_OP_mul](hidden, hidden, softmax->factor + row0 * RK_PANEL, NULL,
                                   (row1 - row0) * kernels->lanes);
    }
}

/* The subtraction at the targets is done by whoever has their logits. */
static void subtract_targets(const struct rk_chunk *c, size_t group, size_t row0,
                             size_t row1, const struct rk_chunk_share *share)
{
    (void)share;
    const struct rk_softmax *softmax = c->softmax;
    enum rk_dtype dtype = softmax->kernels->dtype;
    size_t panel0, panel1, units = rk_chunk_group(c, group, &panel0, &panel1);
    size_t first_unit = panel0 * softmax->kernels->lanes;
    for (size_t r = row0; r < row1; r++) {
        size_t unit = rk_chunk_target(c, r);
        if (unit < first_unit || unit >= first_unit + units)
            continue;
        double sum = rk_real_get(dtype, softmax->sum + r * RK_PANEL, 0);
        char *logit = rk_chunk_logit(c, unit, r);
        rk_real_set(dtype, logit, 0, rk_real_get(dtype, logit, 0) - sum);
    }
    if (c->task->augmented)
        rk_chunk_augment(c, group, row0, row1);
}

/* Columns [j0, j1) of panels [i0, i1) of a packed weight's gradient start from zero. */
static void start_gradient(char *gradient, size_t panel_stride, size_t i0, size_t i1,
                           size_t j0, size_t j1)
{
    for (size_t i = i0; i < i1; i++)
        memset(gradient + i * panel_stride + j0 * RK_PANEL, 0, (j1 - j0) * RK_PANEL);
}

/* dW += dlogits^T hidden over the chunk's rows, and db likewise with `factor` as operand:
 * threads own classes and columns. The first chunk zeroes each piece when it comes to it,
 * so that the zeros need not travel through memory. */
static void weight_gradients(const struct rk_chunk *c, const struct rk_cells *cells,
                             const struct rk_chunk_share *share)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_softmax_task *task = c->task;
    struct rk_rows delta = {.base = softmax->logits, .panel_stride = c->stride};
    struct rk_rows hidden = {.base = softmax->hidden, .panel_stride = c->stride};
    struct rk_rows factor = {.base = softmax->factor, .panel_stride = c->stride};
    for (size_t p = cells->i0; p < cells->i1; p += RK_PIECE_PANELS) {
        size_t end = cells->i1 - p < RK_PIECE_PANELS ? cells->i1 : p + RK_PIECE_PANELS;
        if (rk_team_poll(share->team, share->thread))
            return;
        size_t stride = softmax->width * RK_PANEL;
        if (c->first == 0)
            start_gradient(task->weight_gradient, stride, p, end, cells->j0, cells->j1);
        rk_outer(softmax->kernels, task->weight_gradient, stride, delta, hidden, c->n, 0,
                 c->n, p, end, cells->j0, cells->j1);
        if (!task->bias_gradient || cells->j0 > 0)
            continue;
        if (c->first == 0)
            start_gradient(task->bias_gradient, RK_PANEL, p, end, 0, 1);
        rk_outer(softmax->kernels, task->bias_gradient, RK_PANEL, delta, factor, c->n, 0,
                 c->n, p, end, 0, 1);
    }
}

/* partial = W^T dlogits over the classes of one group. The weight is transposed piece by
 * piece as it is needed, so that no transposed copy of the whole is kept. */
static void group_hidden_gradient(const struct rk_chunk *c, size_t group, size_t row0,
                                  size_t row1, const struct rk_chunk_share *share)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    char *piece =
        c->task->thread_scratch + (size_t)share->thread * rk_softmax_scratch(softmax);
    size_t panel0, panel1, left = rk_chunk_group(c, group, &panel0, &panel1);
    struct rk_rows partial = {
        .base = softmax->partial + group * c->width_panels * c->stride,
        .panel_stride = c->stride,
    };
    for (size_t p = panel0; p < panel1; p += RK_PIECE_PANELS) {
        size_t most = RK_PIECE_PANELS * kernels->lanes, k = left < most ? left : most;
        struct rk_term term = {
            .a = {.base = softmax->logits + p * c->stride, .panel_stride = c->stride},
            .weight = piece,
            .weight_stride = k * RK_PANEL,
            .k = k,
        };
        if (rk_team_poll(share->team, share->thread))
            return;
        rk_transpose(kernels, piece, softmax->weight + p * softmax->width * RK_PANEL, 1, k,
                     softmax->width, 0, c->width_panels);
        rk_product(kernels, partial, c->n, row0, row1, 0, c->width_panels, NULL, p > panel0,
                   &term, 1);
        left -= k;
    }
}

static void join_hidden_gradient(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *softmax = c->softmax;
    const struct rk_kernels *kernels = softmax->kernels;
    const struct rk_rows *to = &c->task->hidden_gradient;
    size_t n = (row1 - row0) * kernels->lanes;
    for (size_t p = 0; p < c->width_panels; p++) {
        char *sum = softmax->partial + p * c->stride + row0 * RK_PANEL;
        for (size_t g = 1; g < c->n_groups; g++)
            kernels->vector[RK_OP_add](sum, sum, sum + g * c->width_panels * c->stride,
                                       NULL, n);
        kernels->vector[RK_OP_mul](sum, sum, softmax->factor + row0 * RK_PANEL, NULL, n);
    }
    for (size_t r = row0, n_rows; r < row1; r += n_rows) {
        n_rows = rk_chunk_together(c, to, r, row1);
        char *row = rk_row_at(to, c->task->batch, (size_t)c->rows[r]);
        for (size_t p = 0; p < c->width_panels; p++)
            memcpy(row + p * to->panel_stride,
                   softmax->partial + p * c->stride + r * RK_PANEL, n_rows * RK_PANEL);
    }
}

void rk_chunk_backward(const struct rk_chunk *c, const struct rk_chunk_share *share)
{
    differentiate_rows(c, share->row0, share->row1);
    rk_team_wait(share->team);
    rk_chunk_cells(subtract_targets, c, share);
    rk_team_wait(share->team);
    for (int i = 0; i < share->n_columns; i++)
        weight_gradients(c, &share->columns[i], share);
    rk_chunk_cells(group_hidden_gradient, c, share);
    rk_team_wait(share->team);
    join_hidden_gradient(c, share->row0, share->row1);
}
