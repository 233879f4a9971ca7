/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An adaptive softmax at work. Private to the files adaptive*.c: adaptive.c says what it is
 * made of and runs it, adaptive_cluster.c takes rows through a cluster, adaptive_score.c
 * makes predictions and finds hits.
 */
#ifndef RK_CLUSTERS_H
#define RK_CLUSTERS_H

#include "heads/head.h"

enum { RK_UNCLEAR_CHUNK = 16 }; /* rows at a time that all words are asked for */

/* Words that have a class of their own in the root. */
static inline size_t rk_adaptive_common(const struct rk_head_shape *shape)
{
    return shape->clusters.n ? shape->clusters.cutoff[0] : shape->vocab;
}

static inline size_t rk_adaptive_root_tensors(const struct rk_head_shape *shape)
{
    return shape->bias ? 2 : 1;
}

/* This thread's share of n rows of the list through the projection of a cluster, where they
 * are a list of their own. */
void rk_adaptive_project(const struct rk_head *head, const struct rk_cluster *cluster,
                         const struct rk_softmax_task *words, const int32_t *rows, size_t n,
                         const struct rk_team *team, int thread);

/* The rows of a cluster: adds to their log-likelihoods, takes back hits, and in training
 * writes its gradients and adds to those of the hidden units. Ends with a barrier. */
void rk_adaptive_cluster(const struct rk_head *head, const struct rk_head_task *task,
                         size_t index, struct rk_team *team, int thread);

/* Log-probabilities of all words. */
void rk_adaptive_predict(const struct rk_head *head, const struct rk_softmax_task *words,
                         struct rk_team *team, int thread);

/* Scoring: log-likelihoods in the root, and the hits that it leaves possible; after the
 * clusters the hits that are. Both end with a barrier. */
void rk_adaptive_score_root(const struct rk_head *head, const struct rk_softmax_task *words,
                            struct rk_team *team, int thread);
void rk_adaptive_find_hits(const struct rk_head *head, const struct rk_softmax_task *words,
                           struct rk_team *team, int thread);

#endif
