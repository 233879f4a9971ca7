/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/head.h"

#include <string.h>

/* -------------------------------------------------------- the plain softmax */

size_t rk_head_plain_n_tensors(const struct rk_head_shape *shape)
{
    return shape->bias ? 2 : 1;
}

struct rk_head_tensor rk_head_plain_tensor(const struct rk_head_shape *shape, size_t index)
{
    return (struct rk_head_tensor){.rows = shape->vocab,
                                   .columns = index == 0 ? shape->width : 0};
}

static void plain_plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                       bool training)
{
    rk_softmax_plan(&head->softmax, arena, n_rows, training);
    if (training && head->augmented.alpha > 0)
        rk_augmented_plan(&head->augmented, &head->softmax, arena, n_rows);
}

static size_t plain_scratch(const struct rk_head *head)
{
    return rk_softmax_scratch(&head->softmax);
}

static void plain_start(struct rk_head *head, const struct rk_head_task *task)
{
    if (task->gradients && head->augmented.alpha > 0)
        rk_augmented_start(&head->augmented, &task->words);
}

static void plain_run(const struct rk_head *head, const struct rk_head_task *task,
                      struct rk_team *team, int thread)
{
    struct rk_softmax_task words = task->words;
    if (task->gradients) {
        words.weight_gradient = task->gradients[0];
        words.bias_gradient = head->shape->bias ? task->gradients[1] : NULL;
        words.augmented = head->augmented.alpha > 0 ? &head->augmented : NULL;
    }
    size_t n_unwritten =
        task->gradients && words.n_rows == 0 ? rk_head_plain_n_tensors(head->shape) : 0;
    for (size_t i = 0; i < n_unwritten; i++)
        rk_head_zero(head, task, i, team, thread);
    rk_softmax_run(&head->softmax, &words, team, thread);
}

static const struct rk_head_methods softmax_methods = {
    .n_tensors = rk_head_plain_n_tensors,
    .tensor = rk_head_plain_tensor,
    .plan = plain_plan,
    .scratch = plain_scratch,
    .start = plain_start,
    .run = plain_run,
};

/* ---------------------------------------------------------------- all kinds */

static const struct rk_head_methods *const methods[RK_N_HEADS] = {
    [RK_SOFTMAX] = &softmax_methods,
    [RK_SAMPLED] = &rk_sampled_methods,
    [RK_ADAPTIVE] = &rk_adaptive_methods,
};

enum rk_status rk_head_check(const struct rk_head_shape *shape, struct rk_error *error)
{
    if ((int)shape->kind < 0 || shape->kind >= RK_N_HEADS)
        return rk_fail(error, RK_INVALID, "head number %d is unknown", (int)shape->kind);
    if (shape->kind == RK_SAMPLED && shape->n_samples < 1)
        return rk_fail(error, RK_INVALID, "n_samples is 0; it must be at least 1");
    if (shape->kind != RK_ADAPTIVE)
        return RK_OK;
    if (shape->tied)
        return rk_fail(error, RK_INVALID,
                       "an adaptive head has several weights: it cannot be tied to the "
                       "embedding");
    return rk_clusters_check(&shape->clusters, shape->vocab, error);
}

size_t rk_head_n_tensors(const struct rk_head_shape *shape)
{
    return methods[shape->kind]->n_tensors(shape);
}

struct rk_head_tensor rk_head_tensor(const struct rk_head_shape *shape, size_t index)
{
    return methods[shape->kind]->tensor(shape, index);
}

struct rk_head rk_head_of(const struct rk_kernels *kernels,
                          const struct rk_head_shape *shape, const char *const *tensors)
{
    struct rk_head head = {
        .methods = methods[shape->kind],
        .kernels = kernels,
        .shape = shape,
        .softmax = {.kernels = kernels,
                    .n_classes = rk_head_tensor(shape, 0).rows,
                    .n_shared = rk_head_tensor(shape, 0).rows,
                    .width = shape->width,
                    .weight = tensors[0],
                    .is_int8 = shape->is_int8,
                    .bias = shape->bias ? tensors[1] : NULL},
    };
    memcpy(head.tensors, tensors, rk_head_n_tensors(shape) * sizeof *tensors);
    return head;
}

void rk_head_plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                  bool training)
{
    head->methods->plan(head, arena, n_rows, training);
}

size_t rk_head_scratch(const struct rk_head *head)
{
    return head->methods->scratch(head);
}

size_t rk_head_gradient_size(const struct rk_head *head, size_t index)
{
    struct rk_head_tensor tensor = rk_head_tensor(head->shape, index);
    size_t rows = tensor.by_units ? head->most_placed : tensor.rows;
    return rk_packed_size(head->kernels->dtype, 1, rows,
                          tensor.columns ? tensor.columns : 1);
}

void rk_head_start(struct rk_head *head, const struct rk_head_task *task)
{
    head->methods->start(head, task);
}

void rk_head_run(const struct rk_head *head, const struct rk_head_task *task,
                 struct rk_team *team, int thread)
{
    head->methods->run(head, task, team, thread);
}

const int32_t *rk_head_places(const struct rk_head *head, size_t index)
{
    return rk_head_tensor(head->shape, index).by_units ? head->places : NULL;
}

void rk_head_zero(const struct rk_head *head, const struct rk_head_task *task, size_t index,
                  const struct rk_team *team, int thread)
{
    size_t first, last;
    rk_share(rk_head_gradient_size(head, index) / RK_PANEL, team->n_threads, thread, &first,
             &last);
    memset(task->gradients[index] + first * RK_PANEL, 0, (last - first) * RK_PANEL);
}
