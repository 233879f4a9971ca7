/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The adaptive softmax (Grave et al., 2017), with the tensors of PyTorch's
 * AdaptiveLogSoftmaxWithLoss. Words go by falling frequency. The first ones have a class
 * each in the root, each cluster of the others has one for all its words:
 *
 *   log p(word) = log p(word | root),                                 before the first
 * cutoff = log p(cluster | root) + log p(word | cluster)       from there on
 *
 * Within a cluster a softmax reads the hidden units through a projection to fewer. In
 * training and scoring a cluster runs over the rows alone whose target it holds.
 *
 * Tensors: the root's weight (cutoff + clusters, width), its bias unless there is none,
 * then of each cluster the projection (its width, width) and the weight (its words, its
 * width).
 */
#ifndef RK_ADAPTIVE_H
#define RK_ADAPTIVE_H

#include "heads/softmax.h"

enum { RK_MAX_CLUSTERS = 16 };

struct rk_clusters {
    size_t n;
    size_t cutoff[RK_MAX_CLUSTERS]; /* the first word of each: ascending */
    size_t width[RK_MAX_CLUSTERS];  /* of the projection */
};

enum rk_status rk_clusters_check(const struct rk_clusters *clusters, size_t vocab,
                                 struct rk_error *error);

/* A cluster with the rows of this window, which are a list of their own. */
struct rk_cluster {
    size_t first_word;
    struct rk_softmax softmax;
    const char *projection; /* packed (softmax.width, hidden width) */
    size_t first_row, n_rows;
};

struct rk_adaptive {
    struct rk_cluster clusters[RK_MAX_CLUSTERS];
    int32_t *classes; /* by index into the list: class in the root */
    /* The clusters' rows, one cluster's after the other's. */
    int32_t *rows;    /* indices into the list */
    int32_t *targets; /* words, counted from the cluster's first */
    float *weights;
    char *log_likelihood;
    uint8_t *hits;
    int32_t *order; /* 0, 1, 2 ... n_order - 1 */
    size_t n_order;
    /* Of the cluster that runs, [panel][row]: */
    char *hidden; /* of its rows; in training later their gradient */
    char *projected, *projected_gradient;
    char *transposed; /* the projection, packed; in training */
    /* Prediction and scoring: */
    char *root;  /* plain log-probabilities of the root's classes for a chunk of rows */
    char *shift; /* [cluster], one a row: log p(cluster | root) */
    int32_t *unclear; /* scoring: rows whose likeliest class in the root is a cluster */
    char *words;      /* scoring: plain log-probabilities of all words for a few rows */
};

#endif
