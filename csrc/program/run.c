/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter: a program over one window, forward and backward.
 *
 * Threads share rows where there are enough of them, and then no barrier stands in the time
 * loop. With few rows they share units (panels of every value), with a barrier before each
 * stage that reads what others wrote. Both give the same bits.
 */
#include <string.h>

#include "program/run.h"

/* --------------------------------------------------------------- a stage at one step */

/* Panels of this thread: all when rows are shared. */
static void own_panels(const struct run *run, size_t panels, size_t *first, size_t *last)
{
    if (run->by_rows) {
        *first = 0;
        *last = panels;
    } else {
        rk_share(panels, run->team->n_threads, run->thread, first, last);
    }
}

static void run_stage_at_step(const struct run *run, const struct rk_stage *stage,
                              size_t step, size_t turn)
{
    size_t panel0, panel1;
    switch (stage->kind) {
    case RK_STAGE_VECTOR:
        own_panels(run, stage->panels, &panel0, &panel1);
        rk_run_vector(run, stage, step, turn, run->row0, run->row1, panel0, panel1,
                      run->sequence->batch);
        break;
    case RK_STAGE_PRODUCT:
        for (int i = 0; i < stage->n_items; i++) {
            struct extent extent = {.step = step,
                                    .turn = turn,
                                    .batch = run->sequence->batch,
                                    .row0 = run->row0,
                                    .row1 = run->row1};
            own_panels(run, stage->u.products[i].panels, &extent.panel0, &extent.panel1);
            rk_run_product(run, &stage->u.products[i], &extent);
        }
        break;
    default: /* a row reduction's single panel has one owner */
        own_panels(run, 1, &panel0, &panel1);
        for (int i = 0; i < stage->n_items && panel0 < panel1; i++)
            rk_run_row_reduction(run, &stage->u.reductions[i], step, turn, run->row0,
                                 run->row1);
    }
}

/* ------------------------------------------------------------------------ phases */

static bool any_crosses(const struct rk_stages *stages)
{
    for (int s = 0; s < stages->n; s++)
        if (stages->list[s].crosses)
            return true;
    return false;
}

static size_t product_bytes(const struct run *run, const struct rk_stages *stages)
{
    size_t n_bytes = 0;
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind != RK_STAGE_PRODUCT)
            continue;
        for (int i = 0; i < stage->n_items; i++)
            for (int f = 0; f < stage->u.products[i].n_factors; f++)
                n_bytes += stage->u.products[i].panels * stage->u.products[i].factors[f].k;
    }
    return n_bytes * rk_real_size(run->program->dtype) * run->kernels->lanes;
}

/* Rows when each thread gets at least four; else units, unless barriers would cost more
 * than the products of a step. */
static void share_loop(struct run *run, const struct rk_stages *stages)
{
    enum { ROWS_ENOUGH = 4, WEIGHTS_LARGE = 2 << 20 };
    size_t batch = run->sequence->batch;
    int n_threads = run->team->n_threads;
    run->by_rows = n_threads == 1 || batch >= (size_t)n_threads * ROWS_ENOUGH ||
                   (any_crosses(stages) && product_bytes(run, stages) < WEIGHTS_LARGE);
    run->row0 = 0;
    run->row1 = batch;
    if (run->by_rows)
        rk_share(batch, n_threads, run->thread, &run->row0, &run->row1);
}

static void run_loop(struct run *run, enum rk_phase phase, bool backward)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    size_t n_steps = run->sequence->n_steps;
    if (stages->n == 0)
        return;
    share_loop(run, stages);
    bool from_end = backward != run->sequence->reverse;
    for (size_t turn = 0; turn < n_steps; turn++) {
        size_t step = from_end ? n_steps - 1 - turn : turn;
        bool cancelled = rk_team_poll(run->team, run->thread);
        for (int s = 0; s < stages->n; s++) {
            if (!run->by_rows && stages->list[s].crosses)
                rk_team_wait(run->team);
            if (!cancelled)
                run_stage_at_step(run, &stages->list[s], step, turn);
        }
    }
    rk_team_wait(run->team);
}

/* Products of the stage that can: once for each distinct row of the input. */

static void run_stage_over_steps(struct run *run, enum rk_phase phase,
                                 const struct rk_stage *stage)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t batch = sequence->batch;
    struct run at_step = *run;
    if (stage->kind == RK_STAGE_OUTER) {
        rk_run_outer(run, stage);
        return;
    }
    if (stage->kind == RK_STAGE_COLUMN_SUM) {
        for (int i = 0; i < stage->n_items; i++)
            rk_run_column_sum(run, &stage->u.reductions[i]);
        return;
    }
    if (stage->kind == RK_STAGE_PRODUCT) {
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_product_item *item = &stage->u.products[i];
            struct extent extent = {.batch = batch, .row0 = run->row0, .row1 = run->row1};
            own_panels(run, item->panels, &extent.panel0, &extent.panel1);
            if (!sequence->repeats || item->repeats < 0)
                rk_run_product(run, item, &extent);
            else if (phase == RK_FORWARD_PRE)
                rk_spread_repeats(run, item, &extent);
        }
        return;
    }
    for (size_t row = run->row0; row < run->row1; row += at_step.row1 - at_step.row0) {
        size_t step = row / batch, end = run->row1 - step * batch;
        at_step.row0 = row - step * batch;
        at_step.row1 = end < batch ? end : batch;
        run_stage_at_step(&at_step, stage, step, 0);
    }
}

static void run_over_steps(struct run *run, enum rk_phase phase)
{
    enum { ROWS_ENOUGH = 16 };
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_stages *stages = &run->program->phases[phase];
    size_t n_rows = sequence->n_steps * sequence->batch;
    int n_threads = run->team->n_threads;
    if (stages->n == 0)
        return;
    if (sequence->repeats && phase == RK_BACKWARD_POST)
        rk_sum_repeats(run);
    run->by_rows = n_threads == 1 || n_rows >= (size_t)n_threads * ROWS_ENOUGH;
    run->row0 = 0;
    run->row1 = n_rows;
    if (run->by_rows)
        rk_share(n_rows, n_threads, run->thread, &run->row0, &run->row1);
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        bool over_rows =
            stage->kind == RK_STAGE_OUTER || stage->kind == RK_STAGE_COLUMN_SUM;
        if (stage->crosses && (over_rows || !run->by_rows))
            rk_team_wait(run->team);
        if (sequence->repeats && stage->kind == RK_STAGE_PRODUCT) {
            if (!rk_team_poll(run->team, run->thread))
                rk_run_distinct_rows(run, stage);
            rk_team_wait(run->team);
        }
        if (!rk_team_poll(run->team, run->thread))
            run_stage_over_steps(run, phase, stage);
    }
    rk_team_wait(run->team);
}

/* Vectors are small: one thread. */
static void run_vectors(struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    for (int s = 0; s < stages->n && run->thread == 0; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind == RK_STAGE_VECTOR) {
            rk_run_vector(run, stage, 0, 0, 0, 1, 0, stage->panels, 1);
            continue;
        }
        for (int i = 0; i < stage->n_items; i++)
            rk_run_vector_gradient(run, &stage->u.gradients[i]);
    }
    rk_team_wait(run->team);
}

/* --------------------------------------------------------------------- the two passes */

static struct run start_run(const struct rk_sequence *sequence, struct rk_team *team,
                            int thread)
{
    return (struct run){.sequence = sequence,
                        .program = sequence->program,
                        .kernels = sequence->kernels,
                        .operands =
                            (const struct rk_operand *)(const void *)sequence->memory,
                        .team = team,
                        .thread = thread};
}

void rk_sequence_forward(const struct rk_sequence *sequence, struct rk_team *team,
                         int thread)
{
    struct run run = start_run(sequence, team, thread);
    for (size_t k = 0; thread == 0 && k < rk_program_n_states(sequence->program); k++) {
        size_t n_bytes = rk_state_bytes(sequence, k);
        char *first = rk_states_base(sequence, k) +
                      (sequence->reverse ? sequence->n_steps : 0) * n_bytes;
        memcpy(first, sequence->initial_states[k], n_bytes);
    }
    run_vectors(&run, RK_WINDOW);
    run_over_steps(&run, RK_FORWARD_PRE);
    run_loop(&run, RK_FORWARD_LOOP, false);
    run_over_steps(&run, RK_FORWARD_POST);
}

/* The caller may know where the output's gradient stands only now. */
static void prepare_backward(const struct rk_sequence *sequence)
{
    const struct rk_program *program = sequence->program;
    struct rk_operand *operands = (struct rk_operand *)(void *)sequence->memory;
    for (int v = 0; v < program->n_views; v++)
        if (program->views[v].kind == RK_VIEW_OUTPUT_GRADIENT)
            operands[v] =
                (struct rk_operand){.base = sequence->output_gradient.base,
                                    .step_stride = sequence->output_gradient.step_stride,
                                    .panel_stride = sequence->output_gradient.panel_stride,
                                    .row_stride = RK_PANEL};
    for (size_t k = 0; k < rk_program_n_states(program); k++) {
        size_t n_bytes = rk_state_bytes(sequence, k);
        char *carry = rk_carries_base(sequence, k);
        if (sequence->final_state_gradients)
            memcpy(carry, sequence->final_state_gradients[k], n_bytes);
        else
            memset(carry, 0, n_bytes);
    }
}

void rk_sequence_backward(const struct rk_sequence *sequence, struct rk_team *team,
                          int thread)
{
    struct run run = start_run(sequence, team, thread);
    if (thread == 0)
        prepare_backward(sequence);
    rk_team_wait(team);
    run_over_steps(&run, RK_BACKWARD_PRE);
    run_loop(&run, RK_BACKWARD_LOOP, true);
    run_over_steps(&run, RK_BACKWARD_POST);
    run_vectors(&run, RK_GRADIENTS);
}
