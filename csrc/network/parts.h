/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What weights, windows and solvers know of each other. Private to csrc/network.
 */
#ifndef RK_NETWORK_PARTS_H
#define RK_NETWORK_PARTS_H

#include "heads/embedding.h"
#include "heads/head.h"
#include "network/network.h"

/* ----------------------------------------------------------------- weights */

/* A parameter in the arena: a table, whose rows are whole panels, or packed as in linalg.h
 * (a vector as a weight of one column). */
struct rk_tensor {
    bool is_table, is_vector, is_int8;
    bool by_units; /* its gradient holds only some of the rows, as that of a table does */
    size_t blocks, width, columns;
    size_t offset, n_bytes;
};

struct rk_weights {
    const struct rk_kernels *kernels;
    enum rk_dtype dtype;
    size_t vocab_size, embedding_size, hidden_size, n_layers;
    bool tie_weights, int8;
    struct rk_head_shape head;
    size_t n_tensors;
    size_t layer_tensor[RK_MAX_LAYERS + 1]; /* the first one of a layer */
    size_t head_tensor[RK_MAX_HEAD_TENSORS];
    struct rk_tensor *tensors;
    size_t n_bytes;
    char *arena;
};

static inline const char *rk_weights_at(const struct rk_weights *weights, size_t index)
{
    return weights->arena + weights->tensors[index].offset;
}

/* Between plain (blocks * width, columns) and packed, the tensor's own place. */
void rk_tensor_pack(const struct rk_tensor *tensor, enum rk_dtype dtype, char *packed,
                    const void *plain);
void rk_tensor_unpack(const struct rk_tensor *tensor, enum rk_dtype dtype, void *plain,
                      const char *packed);
/* Zeroes the lanes that stand for no element. */
void rk_tensor_clear_padding(const struct rk_tensor *tensor,
                             const struct rk_kernels *kernels, char *packed);

/* Whether they can train: those of int8 do not. */
enum rk_status rk_weights_check_training(const struct rk_weights *weights,
                                         struct rk_error *error);
/* Whether two have the same dtype and tensors. */
enum rk_status rk_weights_check_shapes(const struct rk_weights *weights,
                                       const struct rk_weights *other,
                                       struct rk_error *error);
enum rk_status rk_weights_check_index(const struct rk_weights *weights, size_t index,
                                      struct rk_error *error);
/* Whether programs are those of the weights, or variants with the same parameters. */
enum rk_status rk_weights_check_programs(const struct rk_weights *weights,
                                         const struct rk_program *const *programs,
                                         size_t n_layers, struct rk_error *error);

/* ------------------------------------------------------------------- state */

struct rk_state {
    enum rk_dtype dtype;
    size_t n_layers, batch;
    size_t layer_part[RK_MAX_LAYERS + 1]; /* the first one of a layer */
    struct rk_state_part {
        size_t width;
        char *packed; /* [panel][batch][64 bytes] */
    } *parts;
    char *memory; /* parts and all that they point to */
};

/* ------------------------------------------------------------------ window */

/* How far the last call got: what may be asked of the window now. */
enum rk_window_phase { RK_WINDOW_EMPTY = 0, RK_WINDOW_FORWARD, RK_WINDOW_BACKWARD };

struct rk_window {
    const struct rk_weights *weights;
    bool training, reads_flags;
    struct rk_dropout dropout; /* without the list of tensors, which is in `masked` */
    size_t max_steps, max_batch;
    size_t n_steps, batch, n_shards; /* of the last forward */
    enum rk_window_phase phase;
    bool running; /* a call is under way: rk_take */
    struct rk_embedding embedding;
    struct rk_head head;
    struct rk_sequence sequences[RK_MAX_LAYERS];

    /* The plan (see window.c). A "list" has one entry for each step and row. */
    int32_t *ids;          /* list, kept for backward */
    int32_t *scored;       /* indices into the list of the rows whose target has a weight */
    char *log_likelihood;  /* list of reals */
    uint8_t *hits;         /* list */
    char *input;           /* [shard][step][panel][row]: embeddings */
    char *resets, *active; /* [shard][step][row], where programs read them */
    const char **parameters;     /* by tensor: it, or its masked copy */
    const char **initial_states; /* by state, layer after layer */
    /* Training: */
    char **masked;     /* by tensor: its copy with elements dropped, NULL where none is */
    char **transposed; /* by tensor: packed transpose, NULL where none is read */
    char **gradient;   /* by tensor, laid out as it; of a table the rows of `tokens` */
    char *head_gradient[RK_MAX_HEAD_TENSORS]; /* the head's among them */
    const int32_t **places;                   /* by tensor, as rk_gradient has them */
    int32_t *tokens;    /* the window's distinct tokens, where there is a table */
    int32_t *token_row; /* by token: 1 + its row in gradient[0], or 0 */
    size_t n_tokens;
    char *output_gradient; /* [shard][step][panel][row] of the top layer */
    char *no_gradient;     /* one step of zeros: from a layer that ignores its input */
    char *step;            /* one step of the top layer's width, scratch */
    /* Where the first layer uses repeats: tokens that stand in several places. */
    struct rk_repeats repeats;
    int32_t *distinct; /* the tokens, by their first places */
    int32_t *place;    /* by token: 1 + its index in `distinct`, or 0 */
    int32_t *index;    /* as in struct rk_repeats */
    char *memory;

    char *thread_scratch; /* of the head in training; grows with the number of threads */
    int scratch_threads;
};

/* Finds the tokens that repeat (repeats.c); NULL when too few do for it to pay. */
const struct rk_repeats *rk_window_find_repeats(struct rk_window *window);
void rk_window_plan_repeats(struct rk_window *window, struct rk_arena *arena);

/* What is dropped of the weights (dropout.c). Word types: rows of values over the list,
 * embeddings or their gradients, times 0 or 1 / (1 - rate). Elements: a thread's share of
 * the masked copies, and of the gradients of what they are copies of. */
void rk_window_drop_words(const struct rk_window *window, struct rk_rows values,
                          size_t batch, const int32_t *ids, size_t row0, size_t row1,
                          size_t panel0, size_t panel1);
void rk_window_drop_weights(const struct rk_window *window, const struct rk_team *team,
                            int thread);
void rk_window_drop_gradients(const struct rk_window *window, const struct rk_team *team,
                              int thread);
enum rk_status rk_dropout_check(const struct rk_weights *weights,
                                const struct rk_dropout *dropout, struct rk_error *error);

/* What comes into forward, checked as a whole before anything runs. */
enum rk_status rk_window_check_input(const struct rk_window *window,
                                     const struct rk_state *state,
                                     const struct rk_window_input *input,
                                     struct rk_error *error);
/* Takes the window for one call; RK_INVALID when another has it or `run` is bad. */
enum rk_status rk_window_enter(struct rk_window *window, const struct rk_run *run,
                               struct rk_error *error);
void rk_window_leave(struct rk_window *window);
/* A window that is training and has been through backward. */
enum rk_status rk_window_check_gradients(const struct rk_window *window,
                                         struct rk_error *error);

#endif
