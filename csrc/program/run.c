/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter: a program over one window, forward and backward.
 *
 * Where rows are in shards, each thread runs its own from one end of the window to the
 * other, and waits for nobody; only sums over all rows (gradients of parameters) need all
 * threads. Where there is one shard for several threads, they share the rows of all steps
 * around the loop; in it units (panels of every value), with a barrier before each stage
 * that reads what others wrote. All give the same bits.
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
                      rk_sequence_shard_rows(run->sequence));
        break;
    case RK_STAGE_PRODUCT:
        for (int i = 0; i < stage->n_items; i++) {
            struct extent extent = {.step = step,
                                    .turn = turn,
                                    .batch = run->n_rows,
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

static bool has_own_shards(const struct run *run)
{
    return run->sequence->n_shards > 1 || run->team->n_threads == 1;
}

/* The shards that a thread runs: its own ones, or the one that all share. */
static void shards_of(const struct run *run, size_t *first, size_t *last)
{
    *first = 0;
    *last = 1;
    if (has_own_shards(run))
        rk_share(run->sequence->n_shards, run->team->n_threads, run->thread, first, last);
}

static void enter_shard(struct run *run, size_t shard)
{
    size_t most = rk_sequence_shard_rows(run->sequence), before = shard * most;
    size_t left = run->sequence->batch > before ? run->sequence->batch - before : 0;
    run->shard = shard;
    run->n_rows = left < most ? left : most;
}

/* What a thread leaves in its own shards nobody else reads in the next phase. */
static void end_phase(const struct run *run)
{
    if (!has_own_shards(run))
        rk_team_wait(run->team);
}

/* A shard of many threads is shared by units, unless barriers would cost more than the
 * products of a step. */
static void share_loop(struct run *run, const struct rk_stages *stages)
{
    enum { WEIGHTS_LARGE = 128 << 10 };
    run->row0 = 0;
    run->row1 = run->n_rows;
    run->by_rows = has_own_shards(run);
    if (run->by_rows)
        return;
    run->by_rows = any_crosses(stages) && product_bytes(run, stages) < WEIGHTS_LARGE;
    if (run->by_rows)
        rk_share(run->n_rows, run->team->n_threads, run->thread, &run->row0, &run->row1);
}

static void run_steps(struct run *run, const struct rk_stages *stages, bool from_end)
{
    size_t n_steps = run->sequence->n_steps;
    share_loop(run, stages);
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
}

static void run_loop(struct run *run, enum rk_phase phase, bool backward)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    size_t shard, last;
    if (stages->n == 0)
        return;
    for (shards_of(run, &shard, &last); shard < last; shard++) {
        enter_shard(run, shard);
        run_steps(run, stages, backward != run->sequence->reverse);
    }
    end_phase(run);
}

/* Around the loop, a shard of many threads is shared by rows of all steps where there are
 * many, else by units. */
static void share_steps(struct run *run)
{
    enum { ROWS_ENOUGH = 16 };
    int n_threads = run->team->n_threads;
    size_t n = run->sequence->n_steps * run->n_rows;
    bool own = has_own_shards(run);
    run->by_rows = own || n >= (size_t)n_threads * ROWS_ENOUGH;
    run->row0 = 0;
    run->row1 = n;
    if (run->by_rows && !own)
        rk_share(n, n_threads, run->thread, &run->row0, &run->row1);
}

/* A stage of rows or units over all steps of the shard at hand. Products see one list. */
static void run_stage_over_steps(struct run *run, enum rk_phase phase,
                                 const struct rk_stage *stage)
{
    const struct rk_sequence *sequence = run->sequence;
    share_steps(run);
    if (stage->kind == RK_STAGE_PRODUCT) {
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_product_item *item = &stage->u.products[i];
            struct extent extent = {
                .batch = run->n_rows, .row0 = run->row0, .row1 = run->row1};
            own_panels(run, item->panels, &extent.panel0, &extent.panel1);
            if (!sequence->repeats || item->repeats < 0)
                rk_run_product(run, item, &extent);
            else if (phase == RK_FORWARD_PRE)
                rk_spread_repeats(run, item, &extent);
        }
        return;
    }
    struct run at_step = *run;
    for (size_t row = run->row0; row < run->row1; row += at_step.row1 - at_step.row0) {
        size_t step = row / run->n_rows, end = run->row1 - step * run->n_rows;
        at_step.row0 = row - step * run->n_rows;
        at_step.row1 = end < run->n_rows ? end : run->n_rows;
        run_stage_at_step(&at_step, stage, step, 0);
    }
}

/* Products of the stage that can run once for each distinct row of the input. */
static void run_distinct_rows(struct run *run, const struct rk_stage *stage)
{
    if (!run->sequence->repeats || stage->kind != RK_STAGE_PRODUCT)
        return;
    if (!rk_team_poll(run->team, run->thread))
        rk_run_distinct_rows(run, stage);
    rk_team_wait(run->team);
}

/* Gradients of parameters: each thread has its part of them, and reads all rows. */
static void run_sums(const struct run *run, const struct rk_stage *stage)
{
    rk_team_wait(run->team);
    if (rk_team_poll(run->team, run->thread))
        return;
    if (stage->kind == RK_STAGE_OUTER)
        rk_run_outer(run, stage);
    else
        rk_run_column_sums(run, stage);
}

static void run_over_steps(struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    bool has_sums = false;
    size_t first, last;
    if (stages->n == 0)
        return;
    if (run->sequence->repeats && phase == RK_BACKWARD_POST) {
        rk_team_wait(run->team);
        rk_sum_repeats(run);
    }
    shards_of(run, &first, &last);
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind == RK_STAGE_OUTER || stage->kind == RK_STAGE_COLUMN_SUM) {
            has_sums = true;
            run_sums(run, stage);
            continue;
        }
        if (stage->crosses && !has_own_shards(run))
            rk_team_wait(run->team);
        run_distinct_rows(run, stage);
        for (size_t shard = first; shard < last; shard++) {
            enter_shard(run, shard);
            if (!rk_team_poll(run->team, run->thread))
                run_stage_over_steps(run, phase, stage);
        }
    }
    if (has_sums || !has_own_shards(run))
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
    struct run run = {.sequence = sequence,
                      .program = sequence->program,
                      .kernels = sequence->kernels,
                      .operands = rk_operands(sequence),
                      .team = team,
                      .thread = thread};
    enter_shard(&run, 0);
    return run;
}

/* Whether this thread fills its shards' states: of a shared one thread 0 does. */
static bool fills_shards(const struct run *run)
{
    return has_own_shards(run) || run->thread == 0;
}

/* A packed state, [panel][batch][64 bytes], goes to the rows of the shard at hand; NULL:
 * zero. */
static void fill_state(const struct run *run, struct rk_rows to, const char *packed,
                       size_t width)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t panels = rk_panels(run->program->dtype, width), n_bytes = run->n_rows * RK_PANEL;
    char *rows = to.base + run->shard * to.shard_stride;
    size_t before = run->shard * rk_sequence_shard_rows(sequence) * RK_PANEL;
    for (size_t p = 0; p < panels; p++) {
        char *panel = rows + p * to.panel_stride;
        if (packed)
            memcpy(panel, packed + p * sequence->batch * RK_PANEL + before, n_bytes);
        else
            memset(panel, 0, n_bytes);
    }
}

static void start_forward(struct run *run)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t shard, last, first_step = sequence->reverse ? sequence->n_steps : 0;
    for (shards_of(run, &shard, &last); fills_shards(run) && shard < last; shard++) {
        enter_shard(run, shard);
        for (size_t k = 0; k < rk_program_n_states(run->program); k++)
            fill_state(run, rk_states_at(sequence, k, first_step),
                       sequence->initial_states[k],
                       rk_program_state_width(run->program, k));
    }
}

void rk_sequence_forward(const struct rk_sequence *sequence, struct rk_team *team,
                         int thread)
{
    struct run run = start_run(sequence, team, thread);
    start_forward(&run);
    run_vectors(&run, RK_WINDOW);
    run_over_steps(&run, RK_FORWARD_PRE);
    run_loop(&run, RK_FORWARD_LOOP, false);
    run_over_steps(&run, RK_FORWARD_POST);
    rk_team_wait(team);
}

/* The caller may know where the output's gradient stands only now. */
static void start_backward(struct run *run)
{
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_program *program = run->program;
    size_t shard, last;
    for (int v = 0; run->thread == 0 && v < program->n_views; v++)
        if (program->views[v].kind == RK_VIEW_OUTPUT_GRADIENT)
            rk_operands(sequence)[v] = rk_operand_of(&sequence->output_gradient);
    for (shards_of(run, &shard, &last); fills_shards(run) && shard < last; shard++) {
        enter_shard(run, shard);
        for (size_t k = 0; k < rk_program_n_states(program); k++)
            fill_state(
                run, rk_carries_at(sequence, k, false),
                sequence->final_state_gradients ? sequence->final_state_gradients[k] : NULL,
                rk_program_state_width(program, k));
    }
    rk_team_wait(run->team);
}

void rk_sequence_backward(const struct rk_sequence *sequence, struct rk_team *team,
                          int thread)
{
    struct run run = start_run(sequence, team, thread);
    start_backward(&run);
    run_over_steps(&run, RK_BACKWARD_PRE);
    run_loop(&run, RK_BACKWARD_LOOP, true);
    run_over_steps(&run, RK_BACKWARD_POST);
    rk_team_wait(team);
    run_vectors(&run, RK_GRADIENTS);
}
