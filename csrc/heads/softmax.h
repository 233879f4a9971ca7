/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A softmax over classes and its loss as one operation: logits = W h + b, log-sum-exp,
 * log-likelihood of the target, and in training d loss / d logits, at once turned into the
 * gradients of W, b and h. It runs over chunks of rows, so that the logits of a window are
 * never stored whole: memory is RK_SOFTMAX_CHUNK rows times the classes. Heads (head.h) are
 * made of it.
 *
 * Bits do not depend on the number of threads. Sums over the classes (of exponentials, and
 * of W^T dlogits) go by groups of panels that n_classes alone sets: one chain a group,
 * groups added in order. Sums over rows (dW, db) are one chain, rows ascending. A row's
 * results do not depend on which rows are with it.
 */
#ifndef RK_SOFTMAX_H
#define RK_SOFTMAX_H

#include "heads/arena.h"
#include "linalg/linalg.h"

enum { RK_SOFTMAX_CHUNK = 256 };

/* A softmax with its scratch memory. */
struct rk_softmax {
    const struct rk_kernels *kernels;
    size_t n_classes, width;
    /* From here on a class is there only for the rows whose target it is; n_classes: none.
     */
    size_t n_shared;
    const char *weight; /* packed (n_classes, width) */
    bool is_int8;       /* it is: then there is no training */
    const char *bias;   /* packed vector (n_classes), or NULL */
    /* Scratch, set by rk_softmax_plan. "One a row" arrays are [row][64 bytes]. */
    size_t max_rows; /* of a chunk */
    char *hidden;    /* [panel of width][row]; in training later times `factor` */
    char *logits;    /* [panel of classes][row]; in training later unscaled gradients */
    char *group_max, *group_sum; /* [group], one a row */
    char *max, *sum, *log_sum;   /* one a row */
    char *target_logit, *factor; /* one a row; factor: weight / weight_sum / sum */
    char *partial;               /* [group][panel of width][row]: dh by groups */
};

struct rk_augmented;

/* What to do with which rows of a list (see rk_rows). */
struct rk_softmax_task {
    struct rk_rows hidden;
    size_t batch;        /* rows of a step */
    const int32_t *rows; /* indices into the list, ascending where gradients are wanted */
    size_t n_rows;
    /* Scoring, or targets NULL; the arrays are by index into the list. */
    const int32_t *targets; /* classes */
    const float *weights;   /* > 0 for every row of `rows`; NULL: 1 */
    double weight_sum;
    char *log_likelihood; /* reals (OUT) */
    uint8_t *hits;        /* the target is the first of the likeliest (OUT) */
    /* Training, or weight_gradient NULL: gradients to be written (OUT), those of the hidden
     * units for the rows of `rows` alone. Without rows nothing is. */
    char *weight_gradient, *bias_gradient; /* bias_gradient NULL: none */
    struct rk_rows hidden_gradient;
    char *thread_scratch;                 /* rk_softmax_scratch bytes a thread */
    const struct rk_augmented *augmented; /* a further loss (augmented.h), or NULL */
    /* Prediction, or NULL: plain rows of reals in the order of `rows`, `row_stride` apart
     * (OUT). To each row its `shift` is added, one a row in that order; NULL: none. */
    void *log_probabilities;
    size_t row_stride; /* bytes */
    const char *shift;
};

/* Takes the scratch for chunks of min(n_rows, RK_SOFTMAX_CHUNK) rows of at most the classes
 * that there are now. */
void rk_softmax_plan(struct rk_softmax *softmax, struct rk_arena *arena, size_t n_rows,
                     bool training);

/* What each thread of a training run needs beside. */
size_t rk_softmax_scratch(const struct rk_softmax *softmax);

/* Called by every thread of a team, inside rk_team_run; ends with a barrier. */
void rk_softmax_run(const struct rk_softmax *softmax, const struct rk_softmax_task *task,
                    struct rk_team *team, int thread);

#endif
