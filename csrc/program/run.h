/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter's parts and what they share. Private to csrc/program.
 */
#ifndef RK_RUN_H
#define RK_RUN_H

#include "program/lowered.h"

/* One thread's view of a pass: its shards, one after the other; or, where there is one
 * shard and several threads, a share of it. */
struct run {
    const struct rk_sequence *sequence;
    const struct rk_program *program;
    const struct rk_kernels *kernels;
    const struct rk_operand *operands;
    struct rk_team *team;
    int thread;
    size_t shard, n_rows; /* the one at hand, and its rows                               */
    bool from_end;        /* turn 0 is the last step                                     */
    size_t turn0, turn1;  /* steps at hand, in running order                             */
    bool by_rows;         /* how the phase at hand is shared: rows, else units           */
    size_t row0, row1;    /* this thread's: of a step in the loop, else of all at hand   */
    bool waited;          /* nothing has been done since the last barrier                */
};

/* Where a view stands at a step, in the shard at hand. */
static inline char *rk_step_base(const struct run *run, int view, size_t step, size_t turn)
{
    const struct rk_operand *operand = &run->operands[view];
    if (operand->alternates)
        step = (turn + operand->odd) & 1;
    return operand->base + run->shard * operand->shard_stride + step * operand->step_stride;
}

/* The shard's rows of a view from a step on. */
static inline struct rk_rows rk_rows_at(const struct run *run, int view, size_t step,
                                        size_t turn)
{
    const struct rk_operand *operand = &run->operands[view];
    return (struct rk_rows){.base = rk_step_base(run, view, step, turn),
                            .step_stride = operand->step_stride,
                            .panel_stride = operand->panel_stride};
}

/* Where a product runs: rows of one step, of the list that begins there, or of the distinct
 * rows of the input. */
struct extent {
    size_t step, turn, batch, row0, row1, panel0, panel1;
    bool of_repeats;
};

/* vector.c: rows [row0, row1) and panels [panel0, panel1) of one step, whose panels are
 * `places` rows apart. */
void rk_run_vector(const struct run *run, const struct rk_stage *stage, size_t step,
                   size_t turn, size_t row0, size_t row1, size_t panel0, size_t panel1,
                   size_t places);

/* heavy.c: products, reductions and moves of rows at hand; gradients of vectors. */
void rk_run_product(const struct run *run, const struct rk_product_item *item,
                    const struct extent *extent);
void rk_run_row_reduction(const struct run *run, const struct rk_reduction_item *item,
                          size_t step, size_t turn, size_t row0, size_t row1);
void rk_run_move(const struct run *run, const struct rk_move_item *item,
                 const struct extent *extent);
void rk_run_vector_gradient(const struct run *run, const struct rk_gradient_item *item);

/* repeats.c: this thread's share of what runs on distinct rows of the input. */
struct rk_rows rk_repeats_at(const struct run *run, int place);
struct rk_rows rk_repeats_half(const struct run *run, int place, size_t half);
void rk_run_distinct_rows(const struct run *run, const struct rk_stage *stage);
void rk_spread_repeats(const struct run *run, const struct rk_product_item *item,
                       const struct extent *extent);

/* sums.c, with all threads: gradients of distinct rows; those of parameters in a phase. */
void rk_sum_repeats(const struct run *run);
void rk_run_sums(const struct run *run, const struct rk_stages *stages);

/* sequence.c: the window's memory. Views by index; a state at a step, or a carried gradient
 * at its turns, as one step; a view in all shards. */
size_t rk_sequence_shard_rows(const struct rk_sequence *sequence);
struct rk_operand *rk_operands(const struct rk_sequence *sequence);
struct rk_operand rk_operand_of(const struct rk_rows *rows);
struct rk_rows rk_states_at(const struct rk_sequence *sequence, size_t state, size_t step);
struct rk_rows rk_carries_at(const struct rk_sequence *sequence, size_t state, bool odd);
struct rk_rows rk_all_rows(const struct rk_sequence *sequence, int view);

#endif
