/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter's parts and what they share. Private to csrc/program.
 */
#ifndef RK_RUN_H
#define RK_RUN_H

#include "program/lowered.h"

/* One thread's view of a pass. */
struct run {
    const struct rk_sequence *sequence;
    const struct rk_program *program;
    const struct rk_kernels *kernels;
    const struct rk_operand *operands;
    struct rk_team *team;
    int thread;
    bool by_rows;      /* how the phase at hand is shared                               */
    size_t row0, row1; /* this thread's rows: of a step in the loop, else of all steps  */
};

/* Where a view stands at a step, or rows of it. */
static inline char *rk_step_base(const struct rk_operand *operand, size_t step, size_t turn)
{
    if (operand->alternates)
        step = (turn + operand->odd) & 1;
    return operand->base + step * operand->step_stride;
}

static inline struct rk_rows rk_rows_at(const struct run *run, int view, size_t step,
                                        size_t turn)
{
    const struct rk_operand *operand = &run->operands[view];
    return (struct rk_rows){rk_step_base(operand, step, turn), operand->step_stride,
                            operand->panel_stride};
}

/* Where a product runs: the rows of one step, of all steps as one list (step 0), or the
 * distinct rows of the input. */
struct extent {
    size_t step, turn, batch, row0, row1, panel0, panel1;
    bool of_repeats;
};

/* vector.c: rows [row0, row1) and panels [panel0, panel1) of one step. */
void rk_run_vector(const struct run *run, const struct rk_stage *stage, size_t step,
                   size_t turn, size_t row0, size_t row1, size_t panel0, size_t panel1,
                   size_t batch);

/* heavy.c: products, reductions, gradients of parameters. The last three are this thread's
 * share over all rows and steps. */
void rk_run_product(const struct run *run, const struct rk_product_item *item,
                    const struct extent *extent);
void rk_run_row_reduction(const struct run *run, const struct rk_reduction_item *item,
                          size_t step, size_t turn, size_t row0, size_t row1);
void rk_run_column_sum(const struct run *run, const struct rk_reduction_item *item);
void rk_run_outer(const struct run *run, const struct rk_stage *stage);
void rk_run_vector_gradient(const struct run *run, const struct rk_gradient_item *item);

/* repeats.c: this thread's share of what runs on distinct rows of the input. */
struct rk_rows rk_repeats_at(const struct run *run, int place);
void rk_run_distinct_rows(const struct run *run, const struct rk_stage *stage);
void rk_spread_repeats(const struct run *run, const struct rk_product_item *item,
                       const struct extent *extent);
void rk_sum_repeats(const struct run *run);

/* sequence.c: states and carried gradients in the window's memory. */
size_t rk_state_bytes(const struct rk_sequence *sequence, size_t state);
char *rk_states_base(const struct rk_sequence *sequence, size_t state);
char *rk_carries_base(const struct rk_sequence *sequence, size_t state);

#endif
