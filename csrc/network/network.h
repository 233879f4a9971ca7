/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A language model over windows of token ids: embedding, layers of cells, head.
 * Three calls make a training step: rk_window_forward (outputs and loss),
 * rk_window_backward (gradients by layers), rk_solver_step (clip and update).
 *
 * This is the level at which the core is used, so everything that comes in is checked
 * here; what stands below trusts its callers. Plain arrays are row-major and contiguous in
 * the model's element type; ids are int32. Functions that can fail return a status and
 * write the reason to `error` (which may be NULL).
 *
 * Weights are not written by a forward or backward run and a window holds all scratch
 * memory of a run, so threads may predict at once from the same weights, each with a
 * window and a state of its own. A window that is already running refuses a second caller.
 */
#ifndef RK_NETWORK_H
#define RK_NETWORK_H

#include "heads/head.h"
#include "program/program.h"
#include "solvers/solver.h"

enum { RK_MAX_LAYERS = 65, RK_MAX_THREADS = 512 }; /* 64 cells and a projection */

/* ----------------------------------------------------------------- weights */

struct rk_network {
    enum rk_dtype dtype;
    size_t vocab_size, embedding_size;
    bool tie_weights; /* the head's weight is the embedding: needs equal widths */
    bool int8;        /* so are all matrices; of float32 networks that do not train */
    bool output_bias;
    enum rk_head_kind head;
    size_t n_samples;  /* sampled */
    size_t n_clusters; /* adaptive: the first word and the width of each */
    const int32_t *cutoffs, *cluster_widths;
    size_t n_layers;
    const struct rk_program *const *programs; /* one a layer; only read during the call */
};

/* Whether its numbers are in their ranges and its layers fit each other; and its head, when
 * there is a top layer. */
enum rk_status rk_network_check(const struct rk_network *network, struct rk_error *error);
struct rk_head_shape rk_network_head(const struct rk_network *network);

/* All parameters of a network in one packed arena. Tensors by index: embedding, each
 * layer's parameters in its program's order, the head's (heads/head.h; its first one is
 * absent when tied). Zero at first. */
struct rk_weights;

enum rk_status rk_weights_create(struct rk_weights **weights,
                                 const struct rk_network *network, struct rk_error *error);
/* Takes over all values of weights of the same shape. */
enum rk_status rk_weights_assign(struct rk_weights *weights, const struct rk_weights *from,
                                 struct rk_error *error);
void rk_weights_free(struct rk_weights *weights);

size_t rk_weights_n_tensors(const struct rk_weights *weights);
/* Of the top layer's output. */
size_t rk_weights_hidden_size(const struct rk_weights *weights);
/* The plain shape of a tensor; columns == 0: a vector of n rows. */
enum rk_status rk_weights_shape(const struct rk_weights *weights, size_t index,
                                size_t *rows, size_t *columns, struct rk_error *error);
/* Between the arena and a plain array of that shape. */
enum rk_status rk_weights_get(void *plain, const struct rk_weights *weights, size_t index,
                              struct rk_error *error);
enum rk_status rk_weights_set(struct rk_weights *weights, size_t index, const void *plain,
                              struct rk_error *error);
/* Some rows of that array, which must be there, as the tensor must. */
void rk_weights_set_rows(struct rk_weights *weights, size_t index, size_t row,
                         size_t n_rows, const void *plain);
/* The same of a matrix of int8: codes from -127 to 127 of that shape, a scale a row. */
bool rk_weights_is_int8(const struct rk_weights *weights, size_t index);
enum rk_status rk_weights_get_int8(int8_t *codes, float *scales,
                                   const struct rk_weights *weights, size_t index,
                                   struct rk_error *error);
enum rk_status rk_weights_set_int8(struct rk_weights *weights, size_t index,
                                   const int8_t *codes, const float *scales,
                                   struct rk_error *error);

/* ------------------------------------------------------------------- state */

/* What a batch of sequences carries from one window to the next: every state of every
 * layer, at first at the cells' initial values. */
struct rk_state;

enum rk_status rk_state_create(struct rk_state **state, const struct rk_weights *weights,
                               const struct rk_program *const *programs, size_t n_layers,
                               size_t batch, struct rk_error *error);
/* Takes over all values of a state of the same shape. */
enum rk_status rk_state_assign(struct rk_state *state, const struct rk_state *from,
                               struct rk_error *error);
void rk_state_free(struct rk_state *state);
enum rk_status rk_state_width(const struct rk_state *state, size_t layer, size_t index,
                              size_t *width, struct rk_error *error);
/* Plain arrays are (batch, width). */
enum rk_status rk_state_get(void *plain, const struct rk_state *state, size_t layer,
                            size_t index, struct rk_error *error);
enum rk_status rk_state_set(struct rk_state *state, size_t layer, size_t index,
                            const void *plain, struct rk_error *error);

/* ------------------------------------------------------------------ window */

/* What training drops of the weights, anew in each run; what it drops of activations is a
 * matter of the programs. Rates are in [0, 1). */
struct rk_dropout {
    double embedding; /* of word types: their rows, where the first layer reads them */
    double weight;    /* of the elements of some matrices of the layers              */
    const uint8_t *dropped; /* by tensor: not 0 for these; only read during the call */
};

/* How a window trains. The augmented loss (heads/augmented.h), 0: none, is for RK_SOFTMAX
 * alone; it goes into the gradients, not into the loss that is reported. */
struct rk_training {
    double augmented_loss, augmented_temperature;
    struct rk_dropout dropout;
};

/* The memory of one window of at most n_steps x batch, used again by every call. `programs`
 * are those of `weights` or variants of them with the same parameters (masks, resets,
 * backward parts). Weights and programs must outlive the window. `training` NULL: no. */
struct rk_window;

enum rk_status rk_window_create(struct rk_window **window, const struct rk_weights *weights,
                                const struct rk_program *const *programs, size_t n_layers,
                                size_t n_steps, size_t batch,
                                const struct rk_training *training, struct rk_error *error);
void rk_window_free(struct rk_window *window);

/* How to run: at most RK_MAX_THREADS threads (< 1: the default), and a poll as in rk_team,
 * which may be NULL. */
struct rk_run {
    int n_threads;
    int (*poll)(void *context);
    void *poll_context;
};
enum rk_status rk_run_check(const struct rk_run *run, struct rk_error *error);

/* All arrays are (n_steps, batch). */
struct rk_window_input {
    size_t n_steps, batch;
    const int32_t *ids;
    const int32_t *targets;      /* NULL: no loss, the head does not run */
    const float *target_weights; /* >= 0; 0: not scored, the target is then ignored;
                                    NULL: all 1 */
    const uint8_t *resets;       /* not 0: the row starts anew before this step; NULL */
    const uint8_t *active;       /* 0: the row has ended, its state stands still; NULL */
    uint64_t seed;               /* of all that is dropped, and of a head that samples */
    uint32_t update;             /* number of the window within the fit */
    void *log_probabilities;     /* (batch, vocab) after the last step (OUT); NULL. In place
                                    of targets, and not from a window that is training */
};

struct rk_window_loss {
    double loss; /* sum of weight * -log-likelihood over weight_sum; 0 if that is 0 */
    double weight_sum;
};

/* Runs embedding, layers and, with targets, head and loss; a training window's head leaves
 * its gradients at once. `state` goes in and comes out as after the last step. When
 * cancelled the state is as it was. */
enum rk_status rk_window_forward(struct rk_window *window, struct rk_state *state,
                                 const struct rk_window_input *input,
                                 const struct rk_run *run, struct rk_window_loss *loss,
                                 struct rk_error *error);

/* Of the last forward, (n_steps, batch): log-likelihood of the targets (0 where not scored)
 * and whether the target was the likeliest word (the first one among equals). In training
 * a sampled head knows the words of its sample alone, and an adaptive one says whether the
 * target is the likeliest of its cluster and this the likeliest of the root's classes. */
enum rk_status rk_window_get_log_likelihood(void *plain, const struct rk_window *window,
                                            struct rk_error *error);
enum rk_status rk_window_get_hits(uint8_t *plain, const struct rk_window *window,
                                  struct rk_error *error);
void rk_window_shape(const struct rk_window *window, size_t *n_steps, size_t *batch);
/* Outputs of the top layer, (n_steps, batch, hidden). Until the next backward. */
enum rk_status rk_window_get_outputs(void *plain, const struct rk_window *window,
                                     struct rk_error *error);
/* Log-probabilities of all words at given rows t * batch + b: (n_rows, vocab). Until the
 * next backward. */
enum rk_status rk_window_log_probabilities(void *plain, struct rk_window *window,
                                           const int32_t *rows, size_t n_rows,
                                           const struct rk_run *run,
                                           struct rk_error *error);

/* Once after each forward of a training window. outputs_gradient: (n_steps, batch, hidden),
 * added to the head's, or NULL. When cancelled there are no gradients. */
enum rk_status rk_window_backward(struct rk_window *window, const void *outputs_gradient,
                                  const struct rk_run *run, struct rk_error *error);
/* After backward: the gradient of a tensor, shaped like it. */
enum rk_status rk_window_get_gradient(void *plain, const struct rk_window *window,
                                      size_t index, struct rk_error *error);
/* After backward: the gradient of a layer's initial state, (batch, width). */
enum rk_status rk_window_get_initial_state_gradient(void *plain,
                                                    const struct rk_window *window,
                                                    size_t layer, size_t index,
                                                    struct rk_error *error);
enum rk_status rk_window_state_width(const struct rk_window *window, size_t layer,
                                     size_t index, size_t *width, struct rk_error *error);

/* ------------------------------------------------------------------ update */

/* A solver for weights of this shape. By tensor: its weight decay, whether it keeps its
 * values (not 0), and limits kept after each update (low, high; -inf, inf: none). */
enum rk_status rk_network_solver_create(struct rk_solver **solver,
                                        const struct rk_weights *weights,
                                        const struct rk_solver_options *options,
                                        const double *alpha, const uint8_t *frozen,
                                        const double (*limits)[2], struct rk_error *error);

/* A moment of a tensor (see rk_solver_n_moments), shaped like it. */
enum rk_status rk_network_solver_get(void *plain, const struct rk_solver *solver,
                                     const struct rk_weights *weights, size_t moment,
                                     size_t index, struct rk_error *error);
enum rk_status rk_network_solver_set(struct rk_solver *solver,
                                     const struct rk_weights *weights, size_t moment,
                                     size_t index, const void *plain,
                                     struct rk_error *error);

/* Takes the window's gradient into the mean for the next update: mean += rate * (gradient -
 * mean). Rate 1 begins a new mean; weight_sum / (that of all windows so far) gives the
 * gradient of the mean loss over all their targets. */
enum rk_status rk_network_accumulate(const struct rk_weights *weights,
                                     struct rk_solver *solver, struct rk_window *window,
                                     double rate, const struct rk_run *run,
                                     struct rk_error *error);

/* Clips the window's gradient, or what was accumulated where window is NULL, to
 * max_grad_norm (0: no clipping) and updates the weights. *norm is the gradient's norm
 * before clipping; when it is not finite nothing is touched and the status is RK_NONFINITE.
 * Nothing is touched either when cancelled. */
enum rk_status rk_network_update(struct rk_weights *weights, struct rk_solver *solver,
                                 struct rk_window *window, double learning_rate,
                                 double max_grad_norm, const struct rk_run *run,
                                 double *norm, struct rk_error *error);

/* A running mean of weights: mean += rate * (weights - mean); rate 1 takes them over. Is
 * never cancelled. */
enum rk_status rk_weights_average(struct rk_weights *mean, const struct rk_weights *weights,
                                  double rate, const struct rk_run *run,
                                  struct rk_error *error);

#endif
