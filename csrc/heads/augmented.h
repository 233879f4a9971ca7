/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The augmented loss of a softmax (Inan, Khosravi & Socher, 2017), in training beside the
 * cross-entropy of each row:
 *
 *   alpha * KL(y || softmax(logits / tau)),   y = softmax(W w / tau),
 *
 * w being the target's row of the weight W: words like the target have a share in y. This
 * y counts as a constant, no gradient goes into it; so that of the logits is
 *
 *   alpha / tau * (softmax(logits / tau) - y),
 *
 * and the divergence itself is not needed: what training reports is the cross-entropy.
 * A y is a function of its word alone, and made once for the rows of a chunk that share it.
 */
#ifndef RK_AUGMENTED_H
#define RK_AUGMENTED_H

#include "heads/softmax.h"

struct rk_augmented {
    double alpha, temperature; /* alpha 0: there is no such loss; else it and tau are > 0 */
    /* The rest is set by rk_augmented_plan. */
    struct rk_softmax soft; /* its rows are the distinct targets of a chunk */
    char *exps;             /* of logits / tau, laid out as the logits */
    char *group_sum;        /* theirs; [group], one a row */
    char *more, *less;      /* one a row: what exps and those of y count in the gradient */
    int32_t *words;         /* distinct targets; a chunk's begin at its first row */
    int32_t *index;         /* by row of the task: of its target among the chunk's */
    int32_t *place;         /* by word, zero between runs: 1 + its index */
    size_t *n_words;        /* by chunk */
};

/* Takes the memory for tasks of n_rows rows; the softmax has been planned for them. */
void rk_augmented_plan(struct rk_augmented *augmented, const struct rk_softmax *softmax,
                       struct rk_arena *arena, size_t n_rows);

/* Before a run, by one thread: finds the distinct targets of each chunk. */
void rk_augmented_start(const struct rk_augmented *augmented,
                        const struct rk_softmax_task *task);

#endif
