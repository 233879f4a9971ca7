/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/augmented.h"

#include "heads/chunk.h"
#include "heads/embedding.h"
#include "kernels/softmax.h"

/* ------------------------------------------------------------------ words */

void rk_augmented_plan(struct rk_augmented *augmented, const struct rk_softmax *softmax,
                       struct rk_arena *arena, size_t n_rows)
{
    size_t row_bytes = softmax->max_rows * RK_PANEL;
    size_t groups = rk_softmax_groups(softmax->n_classes);
    size_t panels = rk_panels(softmax->kernels->dtype, softmax->n_classes);
    augmented->soft = (struct rk_softmax){.kernels = softmax->kernels,
                                          .n_classes = softmax->n_classes,
                                          .n_shared = softmax->n_shared,
                                          .width = softmax->width,
                                          .weight = softmax->weight};
    rk_softmax_plan(&augmented->soft, arena, n_rows, false);
    augmented->exps = rk_arena_take(arena, panels, row_bytes);
    augmented->group_sum = rk_arena_take(arena, groups, row_bytes);
    augmented->more = rk_arena_take(arena, 1, row_bytes);
    augmented->less = rk_arena_take(arena, 1, row_bytes);
    augmented->words = rk_arena_take(arena, n_rows, sizeof *augmented->words);
    augmented->index = rk_arena_take(arena, n_rows, sizeof *augmented->index);
    augmented->place = rk_arena_take(arena, softmax->n_classes, sizeof *augmented->place);
    augmented->n_words =
        rk_arena_take(arena, n_rows / softmax->max_rows + 1, sizeof *augmented->n_words);
}

void rk_augmented_start(const struct rk_augmented *augmented,
                        const struct rk_softmax_task *task)
{
    size_t most = augmented->soft.max_rows;
    for (size_t first = 0; first < task->n_rows; first += most) {
        size_t end = task->n_rows - first < most ? task->n_rows : first + most, n = 0;
        int32_t *words = augmented->words + first;
        for (size_t r = first; r < end; r++) {
            int32_t word = task->targets[task->rows[r]];
            if (augmented->place[word] == 0) {
                words[n++] = word;
                augmented->place[word] = (int32_t)n;
            }
            augmented->index[r] = augmented->place[word] - 1;
        }
        for (size_t i = 0; i < n; i++)
            augmented->place[words[i]] = 0;
        augmented->n_words[first / most] = n;
    }
}

/* ----------------------------------------------------------------- phases */

/* The words' rows of the weight, divided by the temperature. */
static void gather_words(const struct rk_augmented *augmented, const int32_t *words,
                         const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *soft = &augmented->soft;
    const struct rk_embedding weight = {.kernels = soft->kernels,
                                        .tied = true,
                                        .width = soft->width,
                                        .table = soft->weight};
    struct rk_rows hidden = {.base = soft->hidden, .panel_stride = c->stride};
    rk_embedding_gather(&weight, hidden, c->n, words, row0, row1);
    for (size_t p = 0; p < c->width_panels; p++)
        soft->kernels->scale(soft->hidden + p * c->stride + row0 * RK_PANEL,
                             1 / augmented->temperature,
                             (row1 - row0) * soft->kernels->lanes);
}

void rk_chunk_soften_targets(const struct rk_chunk *c, struct rk_team *team, int thread)
{
    static const struct rk_softmax_task unscored;
    const struct rk_augmented *augmented = c->task->augmented;
    struct rk_chunk soft = *c;
    soft.softmax = &augmented->soft;
    soft.task = &unscored;
    soft.n = augmented->n_words[c->first / augmented->soft.max_rows];
    soft.stride = soft.n * RK_PANEL;
    struct rk_chunk_share share = rk_chunk_share(&soft, team, thread);
    gather_words(augmented, augmented->words + c->first, &soft, share.row0, share.row1);
    rk_chunk_exponentials(&soft, &share);
}

void rk_chunk_soften(const struct rk_chunk *c, size_t group, size_t row0, size_t row1)
{
    const struct rk_augmented *augmented = c->task->augmented;
    const struct rk_softmax *softmax = c->softmax;
    size_t panel0, panel1, units = rk_chunk_group(c, group, &panel0, &panel1);
    size_t offset = panel0 * c->stride + row0 * RK_PANEL;
    softmax->kernels->softmax->tempered_exp_sum(
        rk_chunk_row(c, augmented->group_sum, group, row0), augmented->exps + offset,
        softmax->logits + offset, c->stride, units, row1 - row0,
        rk_chunk_row(c, softmax->group_max, 0, row0), c->stride, c->n_groups,
        1 / augmented->temperature);
}

/* In units of a row's `factor`, weight / weight_sum / sum. */
void rk_chunk_weigh(const struct rk_chunk *c, size_t row0, size_t row1)
{
    const struct rk_augmented *augmented = c->task->augmented;
    const struct rk_kernels *kernels = c->softmax->kernels;
    enum rk_dtype dtype = kernels->dtype;
    double gamma = augmented->alpha / augmented->temperature;
    for (size_t r = row0; r < row1; r++) {
        size_t word = (size_t)augmented->index[c->first + r];
        double share = gamma * rk_real_get(dtype, c->softmax->sum + r * RK_PANEL, 0);
        double soft_sum = rk_real_get(dtype, augmented->soft.sum + word * RK_PANEL, 0);
        double sum = 0;
        for (size_t g = 0; g < c->n_groups; g++)
            sum += rk_real_get(dtype, rk_chunk_row(c, augmented->group_sum, g, r), 0);
        kernels->fill(augmented->more + r * RK_PANEL, share / sum, kernels->lanes);
        kernels->fill(augmented->less + r * RK_PANEL, share / soft_sum, kernels->lanes);
    }
}

void rk_chunk_augment(const struct rk_chunk *c, size_t group, size_t row0, size_t row1)
{
    const struct rk_augmented *augmented = c->task->augmented;
    size_t n_words = augmented->n_words[c->first / augmented->soft.max_rows];
    size_t panel0, panel1, stride = n_words * RK_PANEL;
    rk_chunk_group(c, group, &panel0, &panel1);
    size_t offset = panel0 * c->stride + row0 * RK_PANEL;
    c->softmax->kernels->softmax->add_difference(
        c->softmax->logits + offset, augmented->exps + offset, c->stride,
        augmented->soft.logits + panel0 * stride, stride,
        augmented->index + c->first + row0, panel1 - panel0, row1 - row0,
        augmented->more + row0 * RK_PANEL, augmented->less + row0 * RK_PANEL);
}
