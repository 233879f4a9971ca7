/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The output layer: from the units of the top layer to log-probabilities of words, and in
 * training to the loss and all gradients. Three kinds, made of softmaxes (softmax.h):
 *
 *   softmax   one over all words
 *   sampled   the same; in training over a sample of the words and the targets (sampled.h)
 *   adaptive  one over common words and clusters of rarer ones, one in each cluster
 *             (adaptive.h)
 *
 * Whoever uses a head knows its tensors by number and no kind by name.
 */
#ifndef RK_HEAD_H
#define RK_HEAD_H

#include "heads/adaptive.h"
#include "heads/augmented.h"
#include "heads/sampled.h"

enum rk_head_kind { RK_SOFTMAX = 0, RK_SAMPLED, RK_ADAPTIVE, RK_N_HEADS };

enum { RK_MAX_HEAD_TENSORS = 2 + 2 * RK_MAX_CLUSTERS };

/* A head without its weights. */
struct rk_head_shape {
    enum rk_head_kind kind;
    size_t vocab, width; /* words, units of the top layer */
    bool tied;           /* the first tensor is the embedding, laid out as a weight */
    bool bias;
    bool is_int8;                /* its matrices are */
    size_t n_samples;            /* sampled: at least so many words, where there are more */
    struct rk_clusters clusters; /* adaptive */
};

/* A tensor of a head; columns 0: a vector. */
struct rk_head_tensor {
    size_t rows, columns;
    bool by_units; /* its gradient holds only some of the rows (see rk_head_places) */
};

enum rk_status rk_head_check(const struct rk_head_shape *shape, struct rk_error *error);
size_t rk_head_n_tensors(const struct rk_head_shape *shape);
struct rk_head_tensor rk_head_tensor(const struct rk_head_shape *shape, size_t index);

/* What is asked of a head. Words are those of rk_softmax_task, its gradients are not set:
 * those of the tensors are by number, laid out as these, or NULL: no training. */
struct rk_head_task {
    struct rk_softmax_task words;
    char *const *gradients;
    uint64_t seed; /* of what is drawn in training */
    uint32_t update;
};

/* A head with its weights and its memory. */
struct rk_head {
    const struct rk_head_methods *methods;
    const struct rk_kernels *kernels;
    const struct rk_head_shape *shape;
    const char *tensors[RK_MAX_HEAD_TENSORS];
    struct rk_softmax softmax; /* over all words; adaptive: over common ones and clusters */
    struct rk_augmented augmented; /* softmax: a further loss of training, at first none */
    /* Of the tensor whose gradient is by units, set by rk_head_plan: see rk_head_places,
     * and the most rows that have a place. */
    const int32_t *places;
    size_t most_placed;
    union {
        struct rk_adaptive adaptive; /* the largest stands first: zeroed as a whole */
        struct rk_sampled sampled;
    };
};

/* `tensors` by number; `shape` must outlive the head. */
struct rk_head rk_head_of(const struct rk_kernels *kernels,
                          const struct rk_head_shape *shape, const char *const *tensors);

/* Takes the memory for lists of n_rows rows. */
void rk_head_plan(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                  bool training);
/* What each thread of a training run needs beside, and each tensor's gradient. */
size_t rk_head_scratch(const struct rk_head *head);
size_t rk_head_gradient_size(const struct rk_head *head, size_t index);

/* Before a run, by one thread. */
void rk_head_start(struct rk_head *head, const struct rk_head_task *task);
/* Called by every thread of a team, inside rk_team_run; ends with a barrier. In training it
 * writes all gradients of its tensors, also without rows. */
void rk_head_run(const struct rk_head *head, const struct rk_head_task *task,
                 struct rk_team *team, int thread);

/* Of a tensor whose gradient is by units, after a run: by row of the tensor 1 + its place
 * in the gradient, which is packed like a tensor of fewer rows; 0: it has none. Else NULL.
 */
const int32_t *rk_head_places(const struct rk_head *head, size_t index);

/* --- What a kind of head is; for the files of this folder. --- */
struct rk_head_methods {
    size_t (*n_tensors)(const struct rk_head_shape *shape);
    struct rk_head_tensor (*tensor)(const struct rk_head_shape *shape, size_t index);
    void (*plan)(struct rk_head *head, struct rk_arena *arena, size_t n_rows,
                 bool training);
    size_t (*scratch)(const struct rk_head *head);
    void (*start)(struct rk_head *head, const struct rk_head_task *task);
    void (*run)(const struct rk_head *head, const struct rk_head_task *task,
                struct rk_team *team, int thread);
};
extern const struct rk_head_methods rk_sampled_methods, rk_adaptive_methods;

/* A thread's share of zeroing a tensor's gradient. */
void rk_head_zero(const struct rk_head *head, const struct rk_head_task *task, size_t index,
                  const struct rk_team *team, int thread);
/* The weight and, unless there is none, the bias of a softmax over all words. */
size_t rk_head_plain_n_tensors(const struct rk_head_shape *shape);
struct rk_head_tensor rk_head_plain_tensor(const struct rk_head_shape *shape, size_t index);

#endif
