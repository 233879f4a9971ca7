/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/sampled.h"

#include <string.h>

#include "heads/head.h"
#include "heads/real.h"

enum { PREDICTED_ROWS = 16 }; /* at a time, in training: where few are asked for */

/* The most candidates of a window: the sample, and as many targets as it has rows. */
static size_t most_candidates(const struct rk_head_shape *shape, size_t n_rows)
{
    size_t n = rk_sample_size(shape->n_samples, shape->vocab);
    return n_rows < shape->vocab - n ? n + n_rows : shape->vocab;
}

static struct rk_head_tensor sampled_tensor(const struct rk_head_shape *shape, size_t index)
{
    struct rk_head_tensor plain = rk_head_plain_tensor(shape, index);
    plain.by_units = index == 0 && !shape->tied;
    return plain;
}

static void sampled_plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                         bool training)
{
    const struct rk_head_shape *shape = head->shape;
    struct rk_sampled *sampled = &head->sampled;
    enum rk_dtype dtype = head->kernels->dtype;
    if (!training) {
        rk_softmax_plan(&head->softmax, arena, n_rows, false);
        return;
    }
    rk_softmax_plan(&head->softmax, arena,
                    n_rows < PREDICTED_ROWS ? n_rows : PREDICTED_ROWS, false);
    size_t most = head->most_placed = most_candidates(shape, n_rows);
    sampled->softmax = (struct rk_softmax){.kernels = head->kernels,
                                           .n_classes = most,
                                           .n_shared = most,
                                           .width = shape->width};
    rk_softmax_plan(&sampled->softmax, arena, n_rows, true);
    size_t vector = rk_packed_size(dtype, 1, most, 1);
    sampled->candidates = rk_arena_take(arena, most, sizeof *sampled->candidates);
    sampled->place = rk_arena_take(arena, shape->vocab, sizeof *sampled->place);
    sampled->targets = rk_arena_take(arena, n_rows, sizeof *sampled->targets);
    sampled->weight = rk_arena_take(arena, shape->width, vector);
    sampled->bias = rk_arena_take(arena, 1, vector);
    sampled->bias_gradient = rk_arena_take(arena, 1, vector);
    if (shape->tied)
        sampled->weight_gradient = rk_arena_take(arena, shape->width, vector);
    head->places = sampled->place;
    sampled->softmax.weight = sampled->weight;
    sampled->softmax.bias = sampled->bias;
}

static size_t sampled_scratch(const struct rk_head *head)
{
    struct rk_softmax largest = head->sampled.softmax;
    largest.n_classes = head->most_placed;
    return rk_softmax_scratch(&largest);
}

/* Draws the sample, and adds the targets that are not in it. */
static void sampled_start(struct rk_head *head, const struct rk_head_task *task)
{
    const struct rk_head_shape *shape = head->shape;
    struct rk_sampled *sampled = &head->sampled;
    if (!task->gradients)
        return;
    for (size_t i = 0; i < sampled->n_candidates; i++)
        sampled->place[sampled->candidates[i]] = 0;
    sampled->n_candidates = 0;
    if (task->words.n_rows == 0)
        return;
    sampled->sample = rk_sample_draw(sampled->candidates, sampled->place, shape->n_samples,
                                     shape->vocab, task->seed, task->update);
    size_t n = sampled->sample.n;
    for (size_t r = 0; r < task->words.n_rows; r++) {
        int32_t row = task->words.rows[r], word = task->words.targets[row];
        if (sampled->place[word] == 0) {
            sampled->candidates[n++] = word;
            sampled->place[word] = (int32_t)n;
        }
        sampled->targets[row] = sampled->place[word] - 1;
    }
    sampled->n_candidates = sampled->softmax.n_classes = n;
    sampled->softmax.n_shared = sampled->sample.n;
}

/* A thread's share of the candidates' weights and corrected biases: whole panels. */
static void gather(const struct rk_head *head, const struct rk_team *team, int thread)
{
    const struct rk_head_shape *shape = head->shape;
    const struct rk_sampled *sampled = &head->sampled;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t lanes = rk_lanes(dtype), width = shape->width, n = sampled->n_candidates;
    size_t panel0, panel1;
    rk_share(rk_panels(dtype, n), team->n_threads, thread, &panel0, &panel1);
    size_t end = panel1 * lanes < n ? panel1 * lanes : n;
    memset(sampled->weight + panel0 * width * RK_PANEL, 0,
           (panel1 - panel0) * width * RK_PANEL);
    memset(sampled->bias + panel0 * RK_PANEL, 0, (panel1 - panel0) * RK_PANEL);
    for (size_t i = panel0 * lanes; i < end; i++) {
        size_t word = (size_t)sampled->candidates[i];
        double bias = shape->bias ? rk_real_get(dtype, head->tensors[1], word) : 0;
        rk_unit_copy(dtype, sampled->weight, i, head->tensors[0], word, width, 0, width);
        rk_real_set(dtype, sampled->bias, i,
                    bias - rk_sample_log_expected(&sampled->sample, sampled->candidates[i],
                                                  shape->vocab));
    }
}

/* The candidates' gradients go to the words': of the bias, and of a tied weight, where a
 * thread has columns of its own. */
static void scatter(const struct rk_head *head, const struct rk_head_task *task,
                    const struct rk_team *team, int thread)
{
    const struct rk_sampled *sampled = &head->sampled;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t column0, column1, width = head->shape->width;
    rk_share(width, team->n_threads, thread, &column0, &column1);
    for (size_t i = 0; i < sampled->n_candidates; i++) {
        size_t word = (size_t)sampled->candidates[i];
        if (head->shape->tied)
            rk_unit_copy(dtype, task->gradients[0], word, sampled->weight_gradient, i,
                         width, column0, column1);
        if (head->shape->bias && thread == 0)
            rk_unit_copy(dtype, task->gradients[1], word, sampled->bias_gradient, i, 1, 0,
                         1);
    }
}

static void train(const struct rk_head *head, const struct rk_head_task *task,
                  struct rk_team *team, int thread)
{
    const struct rk_sampled *sampled = &head->sampled;
    bool tied = head->shape->tied, bias = head->shape->bias;
    struct rk_softmax_task candidates = task->words;
    candidates.targets = sampled->targets;
    candidates.weight_gradient = tied ? sampled->weight_gradient : task->gradients[0];
    candidates.bias_gradient = bias ? sampled->bias_gradient : NULL;
    gather(head, team, thread);
    if (tied)
        rk_head_zero(head, task, 0, team, thread);
    if (bias)
        rk_head_zero(head, task, 1, team, thread);
    rk_team_wait(team);
    if (task->words.n_rows == 0)
        return;
    rk_softmax_run(&sampled->softmax, &candidates, team, thread);
    scatter(head, task, team, thread);
    rk_team_wait(team);
}

static void sampled_run(const struct rk_head *head, const struct rk_head_task *task,
                        struct rk_team *team, int thread)
{
    if (task->gradients)
        train(head, task, team, thread);
    else
        rk_softmax_run(&head->softmax, &task->words, team, thread);
}

const struct rk_head_methods rk_sampled_methods = {
    .n_tensors = rk_head_plain_n_tensors,
    .tensor = sampled_tensor,
    .plan = sampled_plan,
    .scratch = sampled_scratch,
    .start = sampled_start,
    .run = sampled_run,
};
