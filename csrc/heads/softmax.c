/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/chunk.h"

void rk_softmax_plan(struct rk_softmax *softmax, struct rk_arena *arena, size_t n_rows,
                     bool training)
{
    enum rk_dtype dtype = softmax->kernels->dtype;
    size_t rows = n_rows < RK_SOFTMAX_CHUNK ? n_rows : RK_SOFTMAX_CHUNK;
    size_t row_bytes = rows * RK_PANEL, groups = rk_softmax_groups(softmax->n_classes);
    size_t width_bytes = rk_panels(dtype, softmax->width) * RK_PANEL;
    softmax->max_rows = rows;
    softmax->hidden = rk_arena_take(arena, rows, width_bytes);
    softmax->logits = rk_arena_take(arena, rk_panels(dtype, softmax->n_classes), row_bytes);
    softmax->group_max = rk_arena_take(arena, groups, row_bytes);
    softmax->group_sum = rk_arena_take(arena, groups, row_bytes);
    softmax->max = rk_arena_take(arena, 1, row_bytes);
    softmax->sum = rk_arena_take(arena, 1, row_bytes);
    softmax->log_sum = rk_arena_take(arena, 1, row_bytes);
    softmax->target_logit = rk_arena_take(arena, 1, row_bytes);
    if (!training)
        return;
    softmax->factor = rk_arena_take(arena, 1, row_bytes);
    softmax->partial = rk_arena_take(arena, groups * rows, width_bytes);
}

size_t rk_softmax_scratch(const struct rk_softmax *softmax)
{
    enum rk_dtype dtype = softmax->kernels->dtype;
    size_t panels = rk_panels(dtype, softmax->n_classes);
    size_t units = (panels < RK_PIECE_PANELS ? panels : RK_PIECE_PANELS) * rk_lanes(dtype);
    return rk_transposed_size(dtype, 1, units, softmax->width);
}

void rk_softmax_run(const struct rk_softmax *softmax, const struct rk_softmax_task *task,
                    struct rk_team *team, int thread)
{
    enum rk_dtype dtype = softmax->kernels->dtype;
    for (size_t first = 0; first < task->n_rows; first += softmax->max_rows) {
        size_t left = task->n_rows - first,
               n = left < softmax->max_rows ? left : softmax->max_rows;
        struct rk_chunk chunk = {
            .softmax = softmax,
            .task = task,
            .rows = task->rows + first,
            .n = n,
            .stride = n * RK_PANEL,
            .first = first,
            .panels = rk_panels(dtype, softmax->n_classes),
            .width_panels = rk_panels(dtype, softmax->width),
            .n_groups = rk_softmax_groups(softmax->n_classes),
            .keeps = task->weight_gradient != NULL,
        };
        if (task->augmented)
            rk_chunk_soften_targets(&chunk, team, thread);
        struct rk_chunk_share share = rk_chunk_share(&chunk, team, thread);
        rk_chunk_forward(&chunk, &share);
        if (task->weight_gradient)
            rk_chunk_backward(&chunk, &share);
    }
    rk_team_wait(team);
}
