/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/clusters.h"

#include <string.h>

#include "heads/real.h"

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
    size_t real = rk_real_size(kernels->dtype), common = rk_adaptive_common(shape), row0,
           row1;
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
        rk_adaptive_project(head, cluster, words, rows, n, team, thread);
        rk_team_wait(team);
        rk_softmax_run(&cluster->softmax, &within, team, thread);
    }
    rk_team_wait(team);
}

void rk_adaptive_predict(const struct rk_head *head, const struct rk_softmax_task *words,
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
    size_t common = rk_adaptive_common(head->shape);
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
void rk_adaptive_score_root(const struct rk_head *head, const struct rk_softmax_task *words,
                            struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t n_classes = head->softmax.n_classes, common = rk_adaptive_common(head->shape);
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
void rk_adaptive_find_hits(const struct rk_head *head, const struct rk_softmax_task *words,
                           struct rk_team *team, int thread)
{
    const struct rk_adaptive *adaptive = &head->adaptive;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t vocab = head->shape->vocab, row_bytes = vocab * rk_real_size(dtype);
    size_t row0, row1, r = 0;
    while (r < words->n_rows) {
        int32_t rows[RK_UNCLEAR_CHUNK];
        size_t n = 0;
        for (; r < words->n_rows && n < RK_UNCLEAR_CHUNK; r++)
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
