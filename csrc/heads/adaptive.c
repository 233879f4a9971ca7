/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/clusters.h"

enum { CLUSTER_CHUNK = 64 }; /* rows at a time in a cluster, which may have many words */

/* ------------------------------------------------------------------- tensors */

enum rk_status rk_clusters_check(const struct rk_clusters *clusters, size_t vocab,
                                 struct rk_error *error)
{
    if (clusters->n > RK_MAX_CLUSTERS)
        return rk_fail(error, RK_INVALID, "there are %zu cutoffs; there may be up to %d",
                       clusters->n, RK_MAX_CLUSTERS);
    for (size_t i = 0, least = 1; i < clusters->n; i++) {
        size_t cutoff = clusters->cutoff[i];
        if (cutoff < least || cutoff >= vocab)
            return rk_fail(error, RK_INVALID,
                           "cutoffs[%zu] is %zu; cutoffs must ascend, from 1 to %zu", i,
                           cutoff, vocab - 1);
        if (clusters->width[i] < 1)
            return rk_fail(error, RK_INVALID, "the width of cluster %zu is 0", i);
        least = cutoff + 1;
    }
    return RK_OK;
}

static size_t cluster_words(const struct rk_head_shape *shape, size_t i)
{
    const struct rk_clusters *clusters = &shape->clusters;
    size_t end = i + 1 < clusters->n ? clusters->cutoff[i + 1] : shape->vocab;
    return end - clusters->cutoff[i];
}

static size_t n_tensors(const struct rk_head_shape *shape)
{
    return rk_adaptive_root_tensors(shape) + 2 * shape->clusters.n;
}

static struct rk_head_tensor adaptive_tensor(const struct rk_head_shape *shape,
                                             size_t index)
{
    size_t root = rk_adaptive_root_tensors(shape),
           i = index < root ? 0 : (index - root) / 2;
    if (index < root)
        return (struct rk_head_tensor){.rows =
                                           rk_adaptive_common(shape) + shape->clusters.n,
                                       .columns = index == 0 ? shape->width : 0};
    if ((index - root) % 2 == 0)
        return (struct rk_head_tensor){.rows = shape->clusters.width[i],
                                       .columns = shape->width};
    return (struct rk_head_tensor){.rows = cluster_words(shape, i),
                                   .columns = shape->clusters.width[i]};
}

/* -------------------------------------------------------------------- memory */

static size_t widest(const struct rk_head_shape *shape)
{
    size_t most = 0;
    for (size_t i = 0; i < shape->clusters.n; i++)
        if (shape->clusters.width[i] > most)
            most = shape->clusters.width[i];
    return most;
}

static void plan_clusters(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                          bool training)
{
    const struct rk_head_shape *shape = head->shape;
    for (size_t i = 0; i < shape->clusters.n; i++) {
        size_t first = rk_adaptive_root_tensors(shape) + 2 * i, n = cluster_words(shape, i);
        struct rk_cluster *cluster = &head->adaptive.clusters[i];
        cluster->first_word = shape->clusters.cutoff[i];
        cluster->projection = head->tensors[first];
        cluster->softmax = (struct rk_softmax){.kernels = head->kernels,
                                               .n_classes = n,
                                               .n_shared = n,
                                               .width = shape->clusters.width[i],
                                               .weight = head->tensors[first + 1],
                                               .is_int8 = shape->is_int8};
        rk_softmax_plan(&cluster->softmax, arena,
                        n_rows < CLUSTER_CHUNK ? n_rows : CLUSTER_CHUNK, training);
    }
}

static void adaptive_plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                          bool training)
{
    const struct rk_head_shape *shape = head->shape;
    struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t real = rk_real_size(dtype), row_bytes = n_rows * RK_PANEL;
    size_t chunk = n_rows < RK_SOFTMAX_CHUNK ? n_rows : RK_SOFTMAX_CHUNK;
    size_t unclear = n_rows < RK_UNCLEAR_CHUNK ? n_rows : RK_UNCLEAR_CHUNK;
    size_t panels = rk_panels(dtype, shape->width);
    size_t narrow = rk_panels(dtype, widest(shape));
    rk_softmax_plan(&head->softmax, arena, n_rows, training);
    plan_clusters(head, arena, n_rows, training);
    adaptive->classes = rk_arena_take(arena, n_rows, sizeof *adaptive->classes);
    adaptive->rows = rk_arena_take(arena, n_rows, sizeof *adaptive->rows);
    adaptive->targets = rk_arena_take(arena, n_rows, sizeof *adaptive->targets);
    adaptive->weights = rk_arena_take(arena, n_rows, sizeof *adaptive->weights);
    adaptive->log_likelihood = rk_arena_take(arena, n_rows, real);
    adaptive->hits = rk_arena_take(arena, n_rows, sizeof *adaptive->hits);
    adaptive->n_order = n_rows;
    adaptive->order = rk_arena_take(arena, n_rows, sizeof *adaptive->order);
    adaptive->hidden = rk_arena_take(arena, panels, row_bytes);
    adaptive->projected = rk_arena_take(arena, narrow, row_bytes);
    adaptive->root = rk_arena_take(arena, chunk * head->softmax.n_classes, real);
    adaptive->shift = rk_arena_take(arena, shape->clusters.n, chunk * RK_PANEL);
    if (training) {
        adaptive->projected_gradient = rk_arena_take(arena, narrow, row_bytes);
        adaptive->transposed = rk_arena_take(arena, panels, widest(shape) * RK_PANEL);
    } else {
        adaptive->unclear = rk_arena_take(arena, n_rows, sizeof *adaptive->unclear);
        adaptive->words = rk_arena_take(arena, unclear * shape->vocab, real);
    }
}

static size_t adaptive_scratch(const struct rk_head *head)
{
    size_t most = rk_softmax_scratch(&head->softmax);
    for (size_t i = 0; i < head->shape->clusters.n; i++) {
        size_t n_bytes = rk_softmax_scratch(&head->adaptive.clusters[i].softmax);
        most = n_bytes > most ? n_bytes : most;
    }
    return most;
}

/* ------------------------------------------------------------ rows by cluster */

/* The cluster of a word, or the number of clusters. */
static size_t cluster_of(const struct rk_clusters *clusters, int32_t word)
{
    size_t i = 0;
    if (clusters->n == 0 || (size_t)word < clusters->cutoff[0])
        return clusters->n;
    while (i + 1 < clusters->n && (size_t)word >= clusters->cutoff[i + 1])
        i++;
    return i;
}

static void adaptive_start(struct rk_head *head, const struct rk_head_task *task)
{
    const struct rk_head_shape *shape = head->shape;
    const struct rk_softmax_task *words = &task->words;
    struct rk_adaptive *adaptive = &head->adaptive;
    size_t n = shape->clusters.n, next = 0;
    for (size_t r = 0; words->targets && r < words->n_rows; r++) {
        int32_t row = words->rows[r], word = words->targets[row];
        size_t i = cluster_of(&shape->clusters, word);
        adaptive->classes[row] = i == n ? word : (int32_t)(rk_adaptive_common(shape) + i);
    }
    for (size_t r = 0; r < adaptive->n_order; r++)
        adaptive->order[r] = (int32_t)r;
    for (size_t i = 0; i < n; i++) {
        struct rk_cluster *cluster = &adaptive->clusters[i];
        cluster->first_row = next;
        for (size_t r = 0; words->targets && r < words->n_rows; r++) {
            int32_t row = words->rows[r];
            if ((size_t)adaptive->classes[row] != rk_adaptive_common(shape) + i)
                continue;
            adaptive->rows[next] = row;
            adaptive->targets[next] = words->targets[row] - (int32_t)cluster->first_word;
            if (words->weights)
                adaptive->weights[next] = words->weights[row];
            next++;
        }
        cluster->n_rows = next - cluster->first_row;
    }
}

/* ------------------------------------------------------------------------ run */

static void train_root(const struct rk_head *head, const struct rk_head_task *task,
                       struct rk_team *team, int thread)
{
    struct rk_softmax_task root = task->words;
    root.targets = head->adaptive.classes;
    root.weight_gradient = task->gradients[0];
    root.bias_gradient = head->shape->bias ? task->gradients[1] : NULL;
    for (size_t i = 0; root.n_rows == 0 && i < rk_adaptive_root_tensors(head->shape); i++)
        rk_head_zero(head, task, i, team, thread);
    rk_softmax_run(&head->softmax, &root, team, thread);
}

static void adaptive_run(const struct rk_head *head, const struct rk_head_task *task,
                         struct rk_team *team, int thread)
{
    const struct rk_softmax_task *words = &task->words;
    if (words->log_probabilities) {
        rk_adaptive_predict(head, words, team, thread);
        return;
    }
    if (task->gradients)
        train_root(head, task, team, thread);
    else
        rk_adaptive_score_root(head, words, team, thread);
    for (size_t i = 0; i < head->shape->clusters.n; i++) {
        size_t first = rk_adaptive_root_tensors(head->shape) + 2 * i;
        if (head->adaptive.clusters[i].n_rows > 0)
            rk_adaptive_cluster(head, task, i, team, thread);
        else if (task->gradients)
            for (size_t k = first; k < first + 2; k++)
                rk_head_zero(head, task, k, team, thread);
    }
    if (!task->gradients)
        rk_adaptive_find_hits(head, words, team, thread);
    rk_team_wait(team);
}

const struct rk_head_methods rk_adaptive_methods = {
    .n_tensors = n_tensors,
    .tensor = adaptive_tensor,
    .plan = adaptive_plan,
    .scratch = adaptive_scratch,
    .start = adaptive_start,
    .run = adaptive_run,
};
