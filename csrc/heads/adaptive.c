/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/adaptive.h"

#include <string.h>

#include "heads/head.h"
#include "heads/real.h"

enum {
    CLUSTER_CHUNK = 64, /* rows at a time in a cluster, which may have many words */
    UNCLEAR_CHUNK = 16, /* rows at a time whose likeliest word all words are asked for */
};

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

/* Words that have a class of their own in the root. */
static size_t n_common(const struct rk_head_shape *shape)
{
    return shape->clusters.n ? shape->clusters.cutoff[0] : shape->vocab;
}

static size_t n_root_tensors(const struct rk_head_shape *shape)
{
    return shape->bias ? 2 : 1;
}

static size_t n_tensors(const struct rk_head_shape *shape)
{
    return n_root_tensors(shape) + 2 * shape->clusters.n;
}

static struct rk_head_tensor tensor(const struct rk_head_shape *shape, size_t index)
{
    size_t root = n_root_tensors(shape), i = index < root ? 0 : (index - root) / 2;
    if (index < root)
        return (struct rk_head_tensor){.rows = n_common(shape) + shape->clusters.n,
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
        size_t first = n_root_tensors(shape) + 2 * i, n = cluster_words(shape, i);
        struct rk_cluster *cluster = &head->adaptive.clusters[i];
        cluster->first_word = shape->clusters.cutoff[i];
        cluster->projection = head->tensors[first];
        cluster->softmax = (struct rk_softmax){.kernels = head->kernels,
                                               .n_classes = n,
                                               .n_shared = n,
                                               .width = shape->clusters.width[i],
                                               .weight = head->tensors[first + 1]};
        rk_softmax_plan(&cluster->softmax, arena,
                        n_rows < CLUSTER_CHUNK ? n_rows : CLUSTER_CHUNK, training);
    }
}

static void plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows, bool training)
{
    const struct rk_head_shape *shape = head->shape;
    struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t real = rk_real_size(dtype), row_bytes = n_rows * RK_PANEL;
    size_t chunk = n_rows < RK_SOFTMAX_CHUNK ? n_rows : RK_SOFTMAX_CHUNK;
    size_t unclear = n_rows < UNCLEAR_CHUNK ? n_rows : UNCLEAR_CHUNK;
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

static size_t scratch(const struct rk_head *head)
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

static void start(struct rk_head *head, const struct rk_head_task *task)
{
    const struct rk_head_shape *shape = head->shape;
    const struct rk_softmax_task *words = &task->words;
    struct rk_adaptive *adaptive = &head->adaptive;
    size_t n = shape->clusters.n, next = 0;
    for (size_t r = 0; words->targets && r < words->n_rows; r++) {
        int32_t row = words->rows[r], word = words->targets[row];
        size_t i = cluster_of(&shape->clusters, word);
        adaptive->classes[row] = i == n ? word : (int32_t)(n_common(shape) + i);
    }
    for (size_t r = 0; r < adaptive->n_order; r++)
        adaptive->order[r] = (int32_t)r;
    for (size_t i = 0; i < n; i++) {
        struct rk_cluster *cluster = &adaptive->clusters[i];
        cluster->first_row = next;
        for (size_t r = 0; words->targets && r < words->n_rows; r++) {
            int32_t row = words->rows[r];
            if ((size_t)adaptive->classes[row] != n_common(shape) + i)
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

/* Rows of the list through the projection of a cluster, a list of n rows of its own. */
static void project(const struct rk_head *head, const struct rk_cluster *cluster,
                    const struct rk_softmax_task *words, const int32_t *rows, size_t n,
                    const struct rk_team *team, int thread)
{
    const struct rk_kernels *kernels = head->kernels;
    size_t width = head->shape->width, stride = n * RK_PANEL, row0, row1;
    char *hidden = head->adaptive.hidden;
    struct rk_rows projected = {.base = head->adaptive.projected, .panel_stride = stride};
    struct rk_term term = {.a = {.base = hidden, .panel_stride = stride},
                           .weight = cluster->projection,
                           .weight_stride = width * RK_PANEL,
                           .k = width};
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

/* ------------------------------------------------------------------- clusters */

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

static void run_cluster(const struct rk_head *head, const struct rk_head_task *task,
                        size_t index, struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    const struct rk_cluster *cluster = &adaptive->clusters[index];
    const struct rk_softmax_task *words = &task->words;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t first = cluster->first_row, n = cluster->n_rows, stride = n * RK_PANEL;
    size_t row0, row1, panel0, panel1, width = head->shape->width;
    char *const *gradients =
        task->gradients ? task->gradients + n_root_tensors(head->shape) + 2 * index : NULL;
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
    project(head, cluster, words, adaptive->rows + first, n, team, thread);
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

/* ----------------------------------------------------------------- prediction */

/* A plain log-probability of the root's for row r of the chunk. */
static const char *root_row(const struct rk_head *head, size_t r)
{
    size_t real = rk_real_size(head->kernels->dtype);
    return head->adaptive.root + r * head->softmax.n_classes * real;
}

/* Plain log-probabilities of all words, for a chunk of rows. */
static void predict_chunk(const struct rk_head *head, const struct rk_softmax_task *words,
                          const int32_t *rows, size_t n, char *plain, struct rk_team *team,
                          int thread)
{
    const struct rk_head_shape *shape = head->shape;
    const struct rk_kernels *kernels = head->kernels;
    size_t real = rk_real_size(kernels->dtype), common = n_common(shape), row0, row1;
    struct rk_softmax_task root = {.hidden = words->hidden,
                                   .batch = words->batch,
                                   .rows = rows,
                                   .n_rows = n,
                                   .log_probabilities = head->adaptive.root,
                                   .row_stride = head->softmax.n_classes * real};
    rk_softmax_run(&head->softmax, &root, team, thread);
    rk_share(n, team->n_threads, thread, &row0, &row1);
    for (size_t r = row0; r < row1; r++) {
        memcpy(plain + r * shape->vocab * real, root_row(head, r), common * real);
        for (size_t i = 0; i < shape->clusters.n; i++)
            kernels->fill(head->adaptive.shift + (i * n + r) * RK_PANEL,
                          rk_real_get(kernels->dtype, root_row(head, r), common + i),
                          kernels->lanes);
    }
    for (size_t i = 0; i < shape->clusters.n; i++) {
        const struct rk_cluster *cluster = &head->adaptive.clusters[i];
        struct rk_softmax_task within = {
            .hidden = {.base = head->adaptive.projected, .panel_stride = n * RK_PANEL},
            .batch = n,
            .rows = head->adaptive.order,
            .n_rows = n,
            .log_probabilities = plain + cluster->first_word * real,
            .row_stride = shape->vocab * real,
            .shift = head->adaptive.shift + i * n * RK_PANEL,
        };
        project(head, cluster, words, rows, n, team, thread);
        rk_team_wait(team);
        rk_softmax_run(&cluster->softmax, &within, team, thread);
    }
    rk_team_wait(team);
}

/* -------------------------------------------------------------------- scoring */

/* Whether no other value is larger and no earlier one equal. False on NaN. */
static bool is_first_largest(enum rk_dtype dtype, const char *plain, size_t n, size_t at)
{
    double value = rk_real_get(dtype, plain, at);
    for (size_t i = 0; i < n; i++) {
        double other = rk_real_get(dtype, plain, i);
        if (i != at && !(i < at ? other < value : other <= value))
            return false;
    }
    return value == value;
}

/* Whether a cluster is likelier than all common words: then its words must be looked at. */
static bool is_unclear(const struct rk_head *head, const char *root)
{
    enum rk_dtype dtype = head->kernels->dtype;
    size_t common = n_common(head->shape);
    double most = rk_real_get(dtype, root, 0);
    for (size_t i = 1; i < common; i++) {
        double other = rk_real_get(dtype, root, i);
        most = other <= most ? most : other;
    }
    for (size_t i = common; i < head->softmax.n_classes; i++)
        if (!(rk_real_get(dtype, root, i) <= most))
            return true;
    return false;
}

/* Log-likelihoods in the root, and hits: what the root alone decides, and what it leaves
 * possible. */
static void score_root(const struct rk_head *head, const struct rk_softmax_task *words,
                       struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t n_classes = head->softmax.n_classes, common = n_common(head->shape);
    for (size_t first = 0; first < words->n_rows; first += head->softmax.max_rows) {
        size_t left = words->n_rows - first, row0, row1;
        size_t n = left < head->softmax.max_rows ? left : head->softmax.max_rows;
        struct rk_softmax_task root = *words;
        root.targets = adaptive->classes;
        root.rows = words->rows + first;
        root.n_rows = n;
        root.log_probabilities = adaptive->root;
        root.row_stride = n_classes * rk_real_size(dtype);
        rk_softmax_run(&head->softmax, &root, team, thread);
        rk_share(n, team->n_threads, thread, &row0, &row1);
        for (size_t r = row0; r < row1; r++) {
            size_t row = (size_t)root.rows[r], target = (size_t)words->targets[row];
            bool unclear = is_unclear(head, root_row(head, r));
            adaptive->unclear[first + r] = unclear ? root.rows[r] : -1;
            words->hits[row] =
                target < common ? is_first_largest(dtype, root_row(head, r), common, target)
                                : unclear;
        }
        rk_team_wait(team);
    }
}

/* Looks at all words where a hit is still possible and a cluster likelier than the common
 * words: few rows, whose target is the likeliest common word or that of its cluster. */
static void find_hits(const struct rk_head *head, const struct rk_softmax_task *words,
                      struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t vocab = head->shape->vocab, row_bytes = vocab * rk_real_size(dtype);
    size_t row0, row1, r = 0;
    while (r < words->n_rows) {
        int32_t rows[UNCLEAR_CHUNK];
        size_t n = 0;
        for (; r < words->n_rows && n < UNCLEAR_CHUNK; r++)
            if (adaptive->unclear[r] >= 0 && words->hits[adaptive->unclear[r]])
                rows[n++] = adaptive->unclear[r];
        if (n == 0)
            break;
        predict_chunk(head, words, rows, n, adaptive->words, team, thread);
        rk_share(n, team->n_threads, thread, &row0, &row1);
        for (size_t i = row0; i < row1; i++)
            words->hits[rows[i]] = is_first_largest(dtype, adaptive->words + i * row_bytes,
                                                    vocab, (size_t)words->targets[rows[i]]);
        rk_team_wait(team);
    }
}

/* ------------------------------------------------------------------------ run */

static void predict(const struct rk_head *head, const struct rk_softmax_task *words,
                    struct rk_team *team, int thread)
{
    size_t row_bytes = head->shape->vocab * rk_real_size(head->kernels->dtype);
    char *plain = words->log_probabilities;
    for (size_t first = 0; first < words->n_rows; first += head->softmax.max_rows) {
        size_t left = words->n_rows - first;
        size_t n = left < head->softmax.max_rows ? left : head->softmax.max_rows;
        predict_chunk(head, words, words->rows + first, n, plain + first * row_bytes, team,
                      thread);
    }
}

static void train_root(const struct rk_head *head, const struct rk_head_task *task,
                       struct rk_team *team, int thread)
{
    struct rk_softmax_task root = task->words;
    root.targets = head->adaptive.classes;
    root.weight_gradient = task->gradients[0];
    root.bias_gradient = head->shape->bias ? task->gradients[1] : NULL;
    for (size_t i = 0; root.n_rows == 0 && i < n_root_tensors(head->shape); i++)
        rk_head_zero(head, task, i, team, thread);
    rk_softmax_run(&head->softmax, &root, team, thread);
}

static void run(const struct rk_head *head, const struct rk_head_task *task,
                struct rk_team *team, int thread)
{
    const struct rk_softmax_task *words = &task->words;
    if (words->log_probabilities) {
        predict(head, words, team, thread);
        return;
    }
    if (task->gradients)
        train_root(head, task, team, thread);
    else
        score_root(head, words, team, thread);
    for (size_t i = 0; i < head->shape->clusters.n; i++) {
        size_t first = n_root_tensors(head->shape) + 2 * i;
        if (head->adaptive.clusters[i].n_rows > 0)
            run_cluster(head, task, i, team, thread);
        else if (task->gradients)
            for (size_t k = first; k < first + 2; k++)
                rk_head_zero(head, task, k, team, thread);
    }
    if (!task->gradients)
        find_hits(head, words, team, thread);
    rk_team_wait(team);
}

const struct rk_head_methods rk_adaptive_methods = {
    .n_tensors = n_tensors,
    .tensor = tensor,
    .plan = plan,
    .scratch = scratch,
    .start = start,
    .run = run,
};
