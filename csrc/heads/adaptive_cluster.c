/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/clusters.h"

#include <string.h>

#include "heads/real.h"

/* Rows of the list through the projection of a cluster, a list of n rows of its own. */
void rk_adaptive_project(const struct rk_head *head, const struct rk_cluster *cluster,
                         const struct rk_softmax_task *words, const int32_t *rows, size_t n,
                         const struct rk_team *team, int thread)
{
    const struct rk_kernels *kernels = head->kernels;
    size_t width = head->shape->width, stride = n * RK_PANEL, row0, row1;
    char *hidden = head->adaptive.hidden;
    struct rk_rows projected = {.base = head->adaptive.projected, .panel_stride = stride};
    struct rk_term term = {.a = {.base = hidden, .panel_stride = stride},
                           .weight = cluster->projection,
                           .weight_stride = rk_weight_stride(head->shape->is_int8, width),
                           .k = width,
                           .is_int8 = head->shape->is_int8};
    rk_share(n, team->n_threads, thread, &row0, &row1);
    for (size_t r = row0; r < row1; r++) {
        const char *from = rk_row_at(&words->hidden, words->batch, (size_t)rows[r]);
        for (size_t p = 0; p < rk_panels(kernels->dtype, width); p++)
            memcpy(hidden + p * stride + r * RK_PANEL,
                   from + p * words->hidden.panel_stride, RK_PANEL);
    }
    rk_product(kernels, projected, n, row0, row1, 0,
               rk_panels(kernels->dtype, cluster->softmax.width), NULL, false, &term, 1);
}

/* What a cluster adds to its rows' log-likelihoods. */
static void add_likelihoods(const struct rk_head *head, const struct rk_cluster *cluster,
                            const struct rk_softmax_task *words, size_t row0, size_t row1)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    for (size_t r = row0; r < row1; r++) {
        size_t at = cluster->first_row + r, row = (size_t)adaptive->rows[at];
        rk_real_set(dtype, words->log_likelihood, row,
                    rk_real_get(dtype, words->log_likelihood, row) +
                        rk_real_get(dtype, adaptive->log_likelihood, at));
        words->hits[row] = words->hits[row] && adaptive->hits[at];
    }
}

/* The projection's gradient; threads own columns. */
static void projection_gradient(const struct rk_head *head,
                                const struct rk_cluster *cluster, char *gradient,
                                const struct rk_team *team, int thread)
{
    const struct rk_kernels *kernels = head->kernels;
    size_t n = cluster->n_rows, width = head->shape->width, column0, column1;
    size_t panels = rk_panels(kernels->dtype, cluster->softmax.width);
    struct rk_rows delta = {.base = head->adaptive.projected_gradient,
                            .panel_stride = n * RK_PANEL};
    struct rk_rows hidden = {.base = head->adaptive.hidden, .panel_stride = n * RK_PANEL};
    rk_share(width, team->n_threads, thread, &column0, &column1);
    for (size_t p = 0; p < panels; p++)
        memset(gradient + (p * width + column0) * RK_PANEL, 0,
               (column1 - column0) * RK_PANEL);
    rk_outer(kernels, gradient, width * RK_PANEL, delta, hidden, n, 0, n, 0, panels,
             column0, column1);
}

/* Back through the projection, added to what came through the root. */
static void hidden_gradient(const struct rk_head *head, const struct rk_cluster *cluster,
                            const struct rk_softmax_task *words, size_t row0, size_t row1)
{
    const struct rk_kernels *kernels = head->kernels;
    const struct rk_adaptive *adaptive = &head->adaptive;
    size_t stride = cluster->n_rows * RK_PANEL, k = cluster->softmax.width;
    size_t panels = rk_panels(kernels->dtype, head->shape->width);
    struct rk_rows back = {.base = adaptive->hidden, .panel_stride = stride};
    struct rk_term term = {
        .a = {.base = adaptive->projected_gradient, .panel_stride = stride},
        .weight = adaptive->transposed,
        .weight_stride = k * RK_PANEL,
        .k = k};
    rk_product(kernels, back, cluster->n_rows, row0, row1, 0, panels, NULL, false, &term,
               1);
    for (size_t r = row0; r < row1; r++) {
        size_t row = (size_t)adaptive->rows[cluster->first_row + r];
        char *to = rk_row_at(&words->hidden_gradient, words->batch, row);
        for (size_t p = 0; p < panels; p++, to += words->hidden_gradient.panel_stride)
            kernels->vector[RK_OP_add](to, to, back.base + p * stride + r * RK_PANEL, NULL,
                                       kernels->lanes);
    }
}

void rk_adaptive_cluster(const struct rk_head *head, const struct rk_head_task *task,
                         size_t index, struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    const struct rk_cluster *cluster = &adaptive->clusters[index];
    const struct rk_softmax_task *words = &task->words;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t first = cluster->first_row, n = cluster->n_rows, stride = n * RK_PANEL;
    size_t row0, row1, panel0, panel1, width = head->shape->width;
    char *const *gradients =
        task->gradients
            ? task->gradients + rk_adaptive_root_tensors(head->shape) + 2 * index
            : NULL;
    struct rk_softmax_task within = {
        .hidden = {.base = adaptive->projected, .panel_stride = stride},
        .batch = n,
        .rows = adaptive->order,
        .n_rows = n,
        .targets = adaptive->targets + first,
        .weights = words->weights ? adaptive->weights + first : NULL,
        .weight_sum = words->weight_sum,
        .log_likelihood = adaptive->log_likelihood + first * rk_real_size(dtype),
        .hits = adaptive->hits + first,
        .weight_gradient = gradients ? gradients[1] : NULL,
        .hidden_gradient = {.base = adaptive->projected_gradient, .panel_stride = stride},
        .thread_scratch = words->thread_scratch,
    };
    rk_adaptive_project(head, cluster, words, adaptive->rows + first, n, team, thread);
    rk_share(rk_panels(dtype, width), team->n_threads, thread, &panel0, &panel1);
    if (gradients)
        rk_transpose(head->kernels, adaptive->transposed, cluster->projection, 1,
                     cluster->softmax.width, width, panel0, panel1);
    rk_team_wait(team);
    rk_softmax_run(&cluster->softmax, &within, team, thread);
    rk_share(n, team->n_threads, thread, &row0, &row1);
    add_likelihoods(head, cluster, words, row0, row1);
    if (gradients) {
        projection_gradient(head, cluster, gradients[0], team, thread);
        rk_team_wait(team);
        hidden_gradient(head, cluster, words, row0, row1);
    }
    rk_team_wait(team);
}
