/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter: a program over one window, forward and backward.
 *
 * Where rows are in shards, each thread runs its own from one end of the window to the
 * other, a few steps at a time through all phases, and waits for nobody; only sums over all
 * rows (gradients of parameters) need all threads. Where there is one shard for several
 * threads, they share the rows of all steps around the loop; in it units (panels of every
 * value), with a barrier before each stage that reads what others wrote. All give the same
 * bits.
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
    struct extent extent = {.step = step,
                            .turn = turn,
                            .batch = run->n_rows,
                            .row0 = run->row0,
                            .row1 = run->row1};
    switch (stage->kind) {
    case RK_STAGE_VECTOR:
        own_panels(run, stage->panels, &panel0, &panel1);
        rk_run_vector(run, stage, step, turn, run->row0, run->row1, panel0, panel1,
                      rk_sequence_shard_rows(run->sequence));
        break;
    case RK_STAGE_PRODUCT:
        for (int i = 0; i < stage->n_items; i++) {
            own_panels(run, stage->u.products[i].panels, &extent.panel0, &extent.panel1);
            rk_run_product(run, &stage->u.products[i], &extent);
        }
        break;
    case RK_STAGE_MOVE:
        for (int i = 0; i < stage->n_items; i++) {
            own_panels(run, stage->u.moves[i].panels, &extent.panel0, &extent.panel1);
            rk_run_move(run, &stage->u.moves[i], &extent);
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

/* Of a shared shard: all threads do, or do not do, something between two barriers. */
static void wait_for_all(struct run *run)
{
    if (!run->waited)
        rk_team_wait(run->team);
    run->waited = true;
}

static bool any_crosses(const struct rk_stages *stages)
{
    for (int s = 0; s < stages->n; s++)
        if (stages->list[s].crosses)
            return true;
    return false;
}

static size_t product_bytes(const struct run *run, const struct rk_stages *stages)
{
    size_t n_bytes = 0, size = rk_real_size(run->program->dtype);
    if (run->sequence->is_int8)
        size = 1;
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind != RK_STAGE_PRODUCT)
            continue;
        for (int i = 0; i < stage->n_items; i++)
            for (int f = 0; f < stage->u.products[i].n_factors; f++)
                n_bytes += stage->u.products[i].panels * stage->u.products[i].factors[f].k;
    }
    return n_bytes * size * run->kernels->lanes;
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

static void run_loop(struct run *run, const struct rk_stages *stages)
{
    share_loop(run, stages);
    for (size_t turn = run->turn0; turn < run->turn1; turn++) {
        size_t step = run->from_end ? run->sequence->n_steps - 1 - turn : turn;
        bool cancelled = rk_team_poll(run->team, run->thread);
        for (int s = 0; s < stages->n; s++) {
            if (!run->by_rows && stages->list[s].crosses)
                wait_for_all(run);
            run->waited = false;
            if (!cancelled)
                run_stage_at_step(run, &stages->list[s], step, turn);
        }
    }
}

/* Around the loop, a shard of many threads is shared by rows of all steps where there are
 * many, else by units. */
static void share_steps(struct run *run)
{
    enum { ROWS_ENOUGH = 16 };
    int n_threads = run->team->n_threads;
    size_t n = (run->turn1 - run->turn0) * run->n_rows;
    bool own = has_own_shards(run);
    run->by_rows = own || n >= (size_t)n_threads * ROWS_ENOUGH;
    run->row0 = 0;
    run->row1 = n;
    if (run->by_rows && !own)
        rk_share(n, n_threads, run->thread, &run->row0, &run->row1);
}

static bool is_sum(const struct rk_stage *stage)
{
    return stage->kind == RK_STAGE_OUTER || stage->kind == RK_STAGE_COLUMN_SUM;
}

/* A stage of rows or units over the steps at hand. Products see one list. */
static void run_stage_around_loop(struct run *run, enum rk_phase phase,
                                  const struct rk_stage *stage)
{
    size_t first_step = run->from_end ? run->sequence->n_steps - run->turn1 : run->turn0;
    if (stage->kind == RK_STAGE_PRODUCT) {
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_product_item *item = &stage->u.products[i];
            struct extent extent = {.step = first_step,
                                    .batch = run->n_rows,
                                    .row0 = run->row0,
                                    .row1 = run->row1};
            own_panels(run, item->panels, &extent.panel0, &extent.panel1);
            if (!run->sequence->repeats || item->repeats < 0)
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
        run_stage_at_step(&at_step, stage, first_step + step, 0);
    }
}

static void run_around_loop(struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    share_steps(run);
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (is_sum(stage))
            continue;
        if (stage->crosses && !has_own_shards(run))
            wait_for_all(run);
        run->waited = false;
        if (!rk_team_poll(run->team, run->thread))
            run_stage_around_loop(run, phase, stage);
    }
}

/* A phase, but for its sums, over the steps at hand. */
static void run_phase(struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    if (stages->n == 0)
        return;
    if (phase == RK_FORWARD_LOOP || phase == RK_BACKWARD_LOOP)
        run_loop(run, stages);
    else
        run_around_loop(run, phase);
    if (!has_own_shards(run))
        wait_for_all(run);
}

/* Phases [first, last] of this thread's shards, or with all threads of the one shard. In
 * its own a thread takes so many steps through all phases as make a block of rows for a
 * product: what one phase leaves is in the cache for the next. */
static void run_phases(struct run *run, int first, int last)
{
    enum { ROWS_AT_ONCE = 112 };
    size_t n_steps = run->sequence->n_steps, shard, end, at_once = n_steps;
    for (shards_of(run, &shard, &end); shard < end; shard++) {
        enter_shard(run, shard);
        if (run->n_rows == 0)
            break;
        if (has_own_shards(run))
            at_once = run->n_rows < ROWS_AT_ONCE ? ROWS_AT_ONCE / run->n_rows : 1;
        for (size_t turn = 0; turn < n_steps; turn += at_once) {
            run->turn0 = turn;
            run->turn1 = n_steps - turn < at_once ? n_steps : turn + at_once;
            for (int phase = first; phase <= last; phase++)
                run_phase(run, (enum rk_phase)phase);
        }
    }
}

/* Products of a phase that can run once for each distinct row of the input. */
static void run_distinct_rows(struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    if (!run->sequence->repeats)
        return;
    for (int s = 0; s < stages->n; s++)
        if (stages->list[s].kind == RK_STAGE_PRODUCT &&
            !rk_team_poll(run->team, run->thread))
            rk_run_distinct_rows(run, &stages->list[s]);
    rk_team_wait(run->team);
}

static bool has_sums(const struct run *run, enum rk_phase phase)
{
    const struct rk_stages *stages = &run->program->phases[phase];
    for (int s = 0; s < stages->n; s++)
        if (is_sum(&stages->list[s]))
            return true;
    return false;
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
    run->waited = false;
    wait_for_all(run);
}

/* --------------------------------------------------------------------- the two passes */

static struct run start_run(const struct rk_sequence *sequence, struct rk_team *team,
                            int thread, bool backward)
{
    struct run run = {.sequence = sequence,
                      .program = sequence->program,
                      .kernels = sequence->kernels,
                      .operands = rk_operands(sequence),
                      .team = team,
                      .thread = thread,
                      .from_end = backward != sequence->reverse};
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
    struct run run = start_run(sequence, team, thread, false);
    start_forward(&run);
    run_vectors(&run, RK_WINDOW);
    run_distinct_rows(&run, RK_FORWARD_PRE);
    run_phases(&run, RK_FORWARD_PRE, RK_FORWARD_POST);
    run.waited &= !has_own_shards(&run); /* a thread without one has done nothing */
    wait_for_all(&run);
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
            fill_state(run, rk_carries_at(sequence, k, false),
                       sequence->final_state_gradients ? sequence->final_state_gradients[k]
                                                       : NULL,
                       rk_program_state_width(program, k));
    }
    rk_team_wait(run->team);
}

void rk_sequence_backward(const struct rk_sequence *sequence, struct rk_team *team,
                          int thread)
{
    struct run run = start_run(sequence, team, thread, true);
    int first = RK_BACKWARD_PRE;
    start_backward(&run);
    if (has_sums(&run, RK_BACKWARD_PRE)) { /* the loop may overwrite what they read */
        run_phases(&run, RK_BACKWARD_PRE, RK_BACKWARD_PRE);
        rk_run_sums(&run, &run.program->phases[RK_BACKWARD_PRE]);
        first = RK_BACKWARD_LOOP;
    }
    run_phases(&run, first, RK_BACKWARD_POST);
    if (sequence->repeats) {
        rk_team_wait(team);
        rk_sum_repeats(&run);
        run_distinct_rows(&run, RK_BACKWARD_POST);
    }
    rk_run_sums(&run, &run.program->phases[RK_BACKWARD_POST]);
    run_vectors(&run, RK_GRADIENTS);
}
