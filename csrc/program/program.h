/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a cell's graph to a program, and its run over a window. No cell is known here.
 *
 * A graph is a list of 32-bit words (rnnkit.compiler.graph writes it, docs in graph.c),
 * untrusted: everything is checked before anything is allocated. Lowering sorts its nodes
 * into phases (before, in and after the time loop, forward and backward; once a window),
 * these into stages (products, vector programs, reductions, moves of units), and gives
 * every value that outlives its stage a place in the window's memory.
 */
#ifndef RK_PROGRAM_H
#define RK_PROGRAM_H

#include "linalg/linalg.h"

struct rk_program;

/* A parameter: blocks x width x columns; a vector has columns == 1 and is packed as
 * [block][panel][64 bytes], a weight as in linalg.h. */
struct rk_parameter {
    bool is_weight;
    size_t blocks, width, columns;
    size_t n_bytes;            /* packed                                                  */
    size_t n_bytes_transposed; /* packed transpose that `backward` reads; 0: not needed   */
};

/* With a backward part in the words, the program can train. */
enum rk_status rk_program_create(struct rk_program **program, const int32_t *words,
                                 size_t n_words, enum rk_dtype dtype,
                                 struct rk_error *error);
void rk_program_free(struct rk_program *program);

enum rk_dtype rk_program_dtype(const struct rk_program *program);
size_t rk_program_n_parameters(const struct rk_program *program);
const struct rk_parameter *rk_program_parameter(const struct rk_program *program,
                                                size_t index);
size_t rk_program_n_states(const struct rk_program *program);
size_t rk_program_state_width(const struct rk_program *program, size_t state);
double rk_program_state_initial(const struct rk_program *program, size_t state);
size_t rk_program_input_width(const struct rk_program *program);
size_t rk_program_output_width(const struct rk_program *program);
bool rk_program_can_train(const struct rk_program *program);
bool rk_program_reads_flags(const struct rk_program *program);
bool rk_program_is_masked(const struct rk_program *program);
/* Whether a step multiplies its state by a matrix (else the loop has no barrier). */
bool rk_program_has_loop_product(const struct rk_program *program);

/* The program in readable lines; returns the length needed, as snprintf does. */
size_t rk_program_print(const struct rk_program *program, char *text, size_t capacity);

/* How the rows of a batch are dealt to threads. Where each thread gets a few rows, each has
 * a shard of its own: the values of its rows stand apart from all others in memory. A core
 * fetches ahead of what it reads; if that were another core's rows, each would take the
 * other's lines away again and again (elementwise work on two cores: 3 times slower where
 * they share a cache, 13 times where they do not). */
size_t rk_shards(size_t batch, int n_threads);
/* Rows of each shard but the last ones; however many shards there are, they have places for
 * rk_rows_bound rows at most. */
static inline size_t rk_shard_rows(size_t batch, size_t n_shards)
{
    return (batch + n_shards - 1) / n_shards;
}
enum { RK_LEAST_SHARD = 4 };
static inline size_t rk_rows_bound(size_t batch)
{
    return batch + batch / RK_LEAST_SHARD;
}

/* Memory of one window of n_steps x batch, dealt to any number of shards: false when it
 * does not fit into size_t. */
bool rk_program_memory(const struct rk_program *program, size_t n_steps, size_t batch,
                       size_t *n_bytes);

/* Memory for sums over the second half of a batch's rows, where they are made in halves
 * (sums.c); 0 where they are not. */
size_t rk_program_second_halves(const struct rk_program *program);

/* Rows of the input that are equal, as a token's embedding is wherever the token stands in
 * a window. Products of the input are then made once for each distinct row; its gradients
 * are first summed over each row's places (in order), so that their last bits differ from
 * those of a run without repeats, and from nothing else. */
struct rk_repeats {
    size_t n;             /* distinct rows                                                */
    struct rk_rows rows;  /* they themselves: one step of n rows                          */
    const int32_t *index; /* by row of the list (n_steps x batch): which one it equals    */
    char *memory;         /* rk_program_repeats_memory bytes, 64-byte aligned             */
};

/* Whether a program can make use of repeats, and what memory n distinct rows take then. */
bool rk_program_uses_repeats(const struct rk_program *program);
bool rk_program_repeats_memory(const struct rk_program *program, size_t n, size_t *n_bytes);
/* Whether, given repeats, it reads the rows of `input` all the same. */
bool rk_program_reads_input(const struct rk_program *program);

/* One run over one window. The caller fills it in; fields marked (OUT) are set by
 * rk_sequence_init. All arrays are in panels; initial states are [panel][batch][64 bytes].
 * What has rows and steps is in shards, input and flags too: [shard][step][panel][row of
 * the shard][64 bytes], flags with all lanes 0 or 1. */
struct rk_sequence {
    const struct rk_program *program;
    const struct rk_kernels *kernels;
    size_t n_steps, batch, n_shards;
    bool reverse; /* runs from the last step to the first                    */
    char *memory; /* rk_program_memory bytes, 64-byte aligned                */
    const char *const *parameters; /* packed, by index                                   */
    bool is_int8;                  /* weights among them are                             */
    const char *const
        *transposed;        /* packed transposes, where n_bytes_transposed; or NULL */
    char *const *gradients; /* packed like parameters; added to; or NULL          */
    char *second_halves;    /* rk_program_second_halves bytes, 64-byte aligned; or NULL */
    struct rk_rows input;   /* n_steps x batch x input width                      */
    const struct rk_repeats *repeats; /* of the input, or NULL                            */
    const char *resets, *active; /* flags, or NULL when the program reads none         */
    struct rk_mask mask;         /* seed, update; site is the first site's number      */
    const char *const *initial_states; /* by state                                       */
    struct rk_rows output; /* (OUT) where `forward` leaves the outputs           */
    /* Backward: */
    struct rk_rows output_gradient; /* n_steps x batch x output width                     */
    const char *const *final_state_gradients; /* by state; NULL: zero                     */
    bool needs_input_gradient;
    struct rk_rows input_gradient;  /* (OUT) where `backward` leaves it, if needed        */
    bool input_gradient_of_repeats; /* (OUT) it has one row for each distinct row         */
};

/* Checks the arguments and sets the (OUT) fields. */
enum rk_status rk_sequence_init(struct rk_sequence *sequence, struct rk_error *error);

/* A value of `panels` panels over the window, in shards that follow each other. */
struct rk_rows rk_sequence_rows(const struct rk_sequence *sequence, char *base,
                                size_t panels);

/* Each is called by every thread of a team, inside rk_team_run. A barrier stands at the
 * end: what it leaves may be read by all threads. */
void rk_sequence_forward(const struct rk_sequence *sequence, struct rk_team *team,
                         int thread);
void rk_sequence_backward(const struct rk_sequence *sequence, struct rk_team *team,
                          int thread);

/* After forward: state `state` after the last step. One step. */
struct rk_rows rk_sequence_final_state(const struct rk_sequence *sequence, size_t state);
/* After backward: the gradient of the initial state. One step. */
struct rk_rows rk_sequence_initial_state_gradient(const struct rk_sequence *sequence,
                                                  size_t state);

#endif
