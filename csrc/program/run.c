/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The interpreter: a program over one window, forward and backward.
 *
 * Threads share rows where there are enough of them, and then no barrier stands in the time
 * loop. With few rows they share units (panels of every value), with a barrier before each
 * stage that reads what others wrote. Both give the same bits.
 */
#include <string.h>

#include "program/lowered.h"

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

/* Where in the window: one step (and its turn in running order), panels, rows. */
struct block {
    size_t step, turn, panel, n_panels, row, n_rows;
};

/* ------------------------------------------------------------------ operands */

static char *step_base(const struct rk_operand *operand, size_t step, size_t turn)
{
    if (operand->alternates)
        step = (turn + operand->odd) & 1;
    return operand->base + step * operand->step_stride;
}

static char *address(const struct rk_operand *operand, const struct block *block)
{
    return step_base(operand, block->step, block->turn) +
           block->panel * operand->panel_stride + block->row * operand->row_stride;
}

static struct rk_rows rows_at(const struct run *run, int view, size_t step, size_t turn)
{
    const struct rk_operand *operand = &run->operands[view];
    return (struct rk_rows){step_base(operand, step, turn), operand->step_stride,
                            operand->panel_stride};
}

/* -------------------------------------------------------------- vector programs */

static void run_mask(const struct run *run, const struct rk_instruction *instruction,
                     char *dst, const struct block *block)
{
    const struct rk_mask_spec *spec = &run->program->masks[instruction->mask];
    struct rk_mask mask = run->sequence->mask;
    mask.site += spec->site;
    mask.rate = spec->rate;
    uint32_t step = spec->per_sequence ? 0 : (uint32_t)block->step;
    run->kernels->mask(dst, &mask, step, block->row, block->n_rows, block->panel,
                       block->n_panels);
}

static void run_block(const struct run *run, const struct rk_stage *stage,
                      const struct block *block, char *temporaries)
{
    const struct rk_kernels *kernels = run->kernels;
    size_t n_units = block->n_panels * block->n_rows;
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_instruction *instruction = &stage->u.instructions[i];
        char *at[4];
        const int operands[4] = {instruction->dst, instruction->src[0], instruction->src[1],
                                 instruction->src[2]};
        for (int j = 0; j < 4; j++)
            at[j] = operands[j] < 0 ? temporaries + (size_t)~operands[j] * RK_BLOCK_BYTES
                                    : address(&run->operands[operands[j]], block);
        switch (instruction->op) {
        case RK_DO_EXPAND_UNIT:
            kernels->expand_unit(at[0], at[1], block->n_panels, block->n_rows);
            break;
        case RK_DO_EXPAND_ROW: {
            struct block first = *block; /* one a row: a single panel */
            first.panel = 0;
            kernels->expand_row(at[0], address(&run->operands[instruction->src[0]], &first),
                                block->n_panels, block->n_rows);
            break;
        }
        case RK_DO_MASK:
            run_mask(run, instruction, at[0], block);
            break;
        default:
            kernels->vector[instruction->op](at[0], at[1], at[2], at[3],
                                             n_units * kernels->lanes);
        }
        if (instruction->clears_tail && block->panel + block->n_panels == stage->panels)
            kernels->clear_tail(at[0] + (block->n_panels - 1) * block->n_rows * RK_PANEL,
                                stage->width, block->n_rows);
    }
}

/* Rows [row0, row1) and panels [panel0, panel1) of one step, in blocks that are contiguous
 * in every operand: whole panels of all rows, or some rows of one panel. */
static void run_vector(const struct run *run, const struct rk_stage *stage, size_t step,
                       size_t turn, size_t row0, size_t row1, size_t panel0, size_t panel1,
                       size_t batch)
{
    enum { TARGET = RK_BLOCK / 2 }; /* 1 KB an operand: a dozen of them fit the L1 cache */
    _Alignas(RK_PANEL) char temporaries[RK_MAX_TEMPORARIES * RK_BLOCK_BYTES];
    struct block block = {.step = step, .turn = turn};
    size_t n_rows = row1 - row0;
    if (n_rows == 0)
        return;
    bool whole = n_rows == batch && n_rows <= TARGET;
    size_t panels_a_block = whole ? TARGET / n_rows : 1;
    size_t n_chunks = (n_rows + TARGET - 1) / TARGET;
    for (size_t panel = panel0; panel < panel1; panel += block.n_panels) {
        block.panel = panel;
        block.n_panels = panel1 - panel < panels_a_block ? panel1 - panel : panels_a_block;
        for (size_t chunk = 0; chunk < n_chunks; chunk++) {
            block.row = row0 + n_rows * chunk / n_chunks;
            block.n_rows = row0 + n_rows * (chunk + 1) / n_chunks - block.row;
            run_block(run, stage, &block, temporaries);
        }
    }
}

/* -------------------------------------------------------------------- products */

/* Where a product runs: the rows of one step, of all steps as one list (step 0), or the
 * distinct rows of the input. */
struct extent {
    size_t step, turn, batch, row0, row1, panel0, panel1;
    bool of_repeats;
};

/* Of the repeats' memory, [panel][distinct row]. */
static struct rk_rows repeats_at(const struct run *run, int place)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t panel_stride = repeats->n * RK_PANEL;
    return (struct rk_rows){repeats->memory + (size_t)place * panel_stride, 0,
                            panel_stride};
}

static struct rk_rows factor_rows(const struct run *run, const struct rk_factor *factor,
                                  const struct extent *extent)
{
    if (!extent->of_repeats)
        return rows_at(run, factor->operand, extent->step, extent->turn);
    return factor->repeats >= 0 ? repeats_at(run, factor->repeats)
                                : run->sequence->repeats->rows;
}

static void run_product(const struct run *run, const struct rk_product_item *item,
                        const struct extent *extent)
{
    enum { AT_ONCE = 16 };
    const struct rk_sequence *sequence = run->sequence;
    struct rk_rows dst = extent->of_repeats
                             ? repeats_at(run, item->repeats)
                             : rows_at(run, item->dst, extent->step, extent->turn);
    const char *start = item->start < 0 ? NULL : run->operands[item->start].base;
    struct rk_term terms[AT_ONCE];
    int n = 0;
    for (int f = 0; f < item->n_factors; f++) {
        const struct rk_factor *factor = &item->factors[f];
        const struct rk_parameter *p = &run->program->graph.parameters[factor->parameter];
        size_t block = (size_t)factor->block;
        struct rk_term *term = &terms[n++];
        term->a = factor_rows(run, factor, extent);
        term->k = factor->k;
        if (factor->transposed) {
            term->weight_stride = p->blocks * p->width * RK_PANEL;
            term->weight =
                sequence->transposed[factor->parameter] + block * p->width * RK_PANEL;
        } else {
            term->weight_stride = p->columns * RK_PANEL;
            term->weight =
                sequence->parameters[factor->parameter] +
                block * rk_panels(run->program->dtype, p->width) * p->columns * RK_PANEL;
        }
        if (n < AT_ONCE && f + 1 < item->n_factors)
            continue;
        bool first = f < AT_ONCE;
        rk_product(run->kernels, dst, extent->batch, extent->row0, extent->row1,
                   extent->panel0, extent->panel1, first ? start : NULL,
                   !first || item->accumulates, terms, (size_t)n);
        n = 0;
    }
}

/* ------------------------------------------------------------------- reductions */

static void run_row_reduction(const struct run *run, const struct rk_reduction_item *item,
                              size_t step, size_t turn, size_t row0, size_t row1)
{
    if (row0 == row1)
        return;
    struct rk_rows dst = rows_at(run, item->dst, step, turn);
    struct rk_rows src = rows_at(run, item->src, step, turn);
    void (*reduce)(void *, const void *, size_t, size_t, size_t) =
        item->op == RK_OP_row_sum ? run->kernels->row_sum : run->kernels->row_max;
    reduce(dst.base + row0 * RK_PANEL, src.base + row0 * RK_PANEL, src.panel_stride,
           item->width, row1 - row0);
}

static void run_column_sum(const struct run *run, const struct rk_reduction_item *item)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t panel0, panel1;
    rk_share(item->panels, run->team->n_threads, run->thread, &panel0, &panel1);
    char *dst = run->operands[item->dst].base;
    memset(dst + panel0 * RK_PANEL, 0, (panel1 - panel0) * RK_PANEL);
    run->kernels->column_sum(dst, rows_at(run, item->src, 0, 0), sequence->batch, 0,
                             sequence->n_steps * sequence->batch, panel0, panel1);
}

/* ---------------------------------------------------------------- weight gradients */

static void outer(const struct run *run, const struct rk_gradient_item *item, size_t panel0,
                  size_t panel1, size_t k0, size_t k1)
{
    if (panel0 >= panel1 || k0 >= k1)
        return;
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_repeats *repeats = sequence->repeats;
    size_t stride = item->columns * RK_PANEL;
    char *dw =
        sequence->gradients[item->parameter] + (size_t)item->block * item->panels * stride;
    if (repeats && item->repeats >= 0) {
        rk_outer(run->kernels, dw, stride, repeats_at(run, item->repeats), repeats->rows,
                 repeats->n, 0, repeats->n, panel0, panel1, k0, k1);
        return;
    }
    rk_outer(run->kernels, dw, stride, rows_at(run, item->delta, 0, 0),
             rows_at(run, item->operand, 0, 0), sequence->batch, 0,
             sequence->n_steps * sequence->batch, panel0, panel1, k0, k1);
}

/* Elements of all gradients of the stage, panel by panel, column by column, are shared out
 * evenly; a share begins and ends at a multiple of 16 columns. */
static void run_outer(const struct run *run, const struct rk_stage *stage)
{
    size_t total = 0, passed = 0, first, last;
    for (int i = 0; i < stage->n_items; i++)
        total += stage->u.gradients[i].panels * stage->u.gradients[i].columns;
    rk_share(total, run->team->n_threads, run->thread, &first, &last);
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_gradient_item *item = &stage->u.gradients[i];
        size_t columns = item->columns, size = item->panels * columns;
        size_t begin = first > passed ? first - passed : 0;
        size_t end = last > passed ? last - passed : 0;
        if (begin > size)
            begin = size;
        if (end > size)
            end = size;
        passed += size;
        size_t panel0 = begin / columns, k0 = begin % columns / 16 * 16;
        size_t panel1 = end / columns, k1 = end % columns / 16 * 16;
        if (panel0 == panel1) {
            outer(run, item, panel0, panel0 + 1, k0, k1);
            continue;
        }
        if (k0 > 0)
            outer(run, item, panel0, panel0 + 1, k0, columns);
        outer(run, item, panel0 + (k0 > 0), panel1, 0, columns);
        outer(run, item, panel1, panel1 + 1, 0, k1);
    }
}

static void run_vector_gradient(const struct run *run, const struct rk_gradient_item *item)
{
    char *dst = run->sequence->gradients[item->parameter] +
                (size_t)item->block * item->panels * RK_PANEL;
    run->kernels->vector[RK_OP_add](dst, dst, run->operands[item->delta].base, NULL,
                                    item->panels * run->kernels->lanes);
}

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
        run_vector(run, stage, step, turn, run->row0, run->row1, panel0, panel1,
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
            run_product(run, &stage->u.products[i], &extent);
        }
        break;
    default: /* a row reduction's single panel has one owner */
        own_panels(run, 1, &panel0, &panel1);
        for (int i = 0; i < stage->n_items && panel0 < panel1; i++)
            run_row_reduction(run, &stage->u.reductions[i], step, turn, run->row0,
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
static void run_distinct_rows(const struct run *run, const struct rk_stage *stage)
{
    size_t n = run->sequence->repeats->n;
    struct extent extent = {.batch = n, .of_repeats = true};
    rk_share(n, run->team->n_threads, run->thread, &extent.row0, &extent.row1);
    for (int i = 0; i < stage->n_items; i++) {
        extent.panel1 = stage->u.products[i].panels;
        if (stage->u.products[i].repeats >= 0)
            run_product(run, &stage->u.products[i], &extent);
    }
}

/* The results for distinct rows go to all places where these stand. */
static void spread_repeats(const struct run *run, const struct rk_product_item *item,
                           const struct extent *extent)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    struct rk_rows from = repeats_at(run, item->repeats);
    struct rk_rows to = rows_at(run, item->dst, 0, 0);
    for (size_t r = extent->row0; r < extent->row1; r++) {
        char *row =
            to.base + r / extent->batch * to.step_stride + r % extent->batch * RK_PANEL;
        const char *distinct = from.base + (size_t)repeats->index[r] * RK_PANEL;
        for (size_t p = extent->panel0; p < extent->panel1; p++)
            memcpy(row + p * to.panel_stride, distinct + p * from.panel_stride, RK_PANEL);
    }
}

/* One gradient, summed over the places of distinct rows [u0, u1), in order. */
static void sum_equal_rows(const struct run *run, const struct rk_repeated_sum *sum,
                           size_t u0, size_t u1)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t batch = run->sequence->batch, lanes = run->kernels->lanes;
    rk_vector_fn add = run->kernels->vector[RK_OP_add];
    struct rk_rows from = rows_at(run, sum->view, 0, 0), to = repeats_at(run, sum->place);
    for (size_t u = u0; u < u1; u++)
        for (int32_t i = repeats->first[u]; i < repeats->first[u + 1]; i++) {
            size_t r = (size_t)repeats->order[i];
            const char *row =
                from.base + r / batch * from.step_stride + r % batch * RK_PANEL;
            char *total = to.base + u * RK_PANEL;
            for (size_t p = 0; p < sum->panels; p++) {
                char *panel = total + p * to.panel_stride;
                if (i == repeats->first[u])
                    memcpy(panel, row + p * from.panel_stride, RK_PANEL);
                else
                    add(panel, panel, row + p * from.panel_stride, NULL, lanes);
            }
        }
}

/* Threads share distinct rows so that each sums about as many places. */
static void sum_repeats(const struct run *run)
{
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t first, last, bounds[2], n_rows = run->sequence->n_steps * run->sequence->batch;
    rk_share(n_rows, run->team->n_threads, run->thread, &first, &last);
    for (int end = 0; end < 2; end++) {
        size_t u = 0;
        while (u < repeats->n && (size_t)repeats->first[u] < (end ? last : first))
            u++;
        bounds[end] = u;
    }
    if (!rk_team_poll(run->team, run->thread))
        for (int s = 0; s < run->program->n_repeated_sums; s++)
            sum_equal_rows(run, &run->program->repeated_sums[s], bounds[0], bounds[1]);
    rk_team_wait(run->team);
}

/* A stage over all steps. Products see one long list of rows. */
static void run_stage_over_steps(struct run *run, enum rk_phase phase,
                                 const struct rk_stage *stage)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t batch = sequence->batch;
    struct run at_step = *run;
    if (stage->kind == RK_STAGE_OUTER) {
        run_outer(run, stage);
        return;
    }
    if (stage->kind == RK_STAGE_COLUMN_SUM) {
        for (int i = 0; i < stage->n_items; i++)
            run_column_sum(run, &stage->u.reductions[i]);
        return;
    }
    if (stage->kind == RK_STAGE_PRODUCT) {
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_product_item *item = &stage->u.products[i];
            struct extent extent = {.batch = batch, .row0 = run->row0, .row1 = run->row1};
            own_panels(run, item->panels, &extent.panel0, &extent.panel1);
            if (!sequence->repeats || item->repeats < 0)
                run_product(run, item, &extent);
            else if (phase == RK_FORWARD_PRE)
                spread_repeats(run, item, &extent);
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
        sum_repeats(run);
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
                run_distinct_rows(run, stage);
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
            run_vector(run, stage, 0, 0, 0, 1, 0, stage->panels, 1);
            continue;
        }
        for (int i = 0; i < stage->n_items; i++)
            run_vector_gradient(run, &stage->u.gradients[i]);
    }
    rk_team_wait(run->team);
}

/* --------------------------------------------------------------------- the two passes */

static size_t state_bytes(const struct rk_sequence *sequence, size_t state)
{
    const struct rk_program *program = sequence->program;
    return rk_panels(program->dtype, rk_program_state_width(program, state)) *
           sequence->batch * RK_PANEL;
}

static char *states_base(const struct rk_sequence *sequence, size_t state)
{
    struct rk_memory_plan plan;
    rk_memory_plan(sequence->program, sequence->n_steps, sequence->batch, &plan);
    char *base = sequence->memory + plan.states;
    for (size_t k = 0; k < state; k++)
        base += state_bytes(sequence, k) * (sequence->n_steps + 1);
    return base;
}

static char *carries_base(const struct rk_sequence *sequence, size_t state)
{
    struct rk_memory_plan plan;
    rk_memory_plan(sequence->program, sequence->n_steps, sequence->batch, &plan);
    char *base = sequence->memory + plan.carries;
    for (size_t k = 0; k < state; k++)
        base += state_bytes(sequence, k) * 2;
    return base;
}

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
        size_t n_bytes = state_bytes(sequence, k);
        char *first = states_base(sequence, k) +
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
        size_t n_bytes = state_bytes(sequence, k);
        char *carry = carries_base(sequence, k);
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

/* ------------------------------------------------------------- around the two passes */

static struct rk_operand resolve(const struct rk_sequence *sequence,
                                 const struct rk_memory_plan *plan,
                                 const struct rk_view *view)
{
    const struct rk_program *program = sequence->program;
    size_t row_bytes = sequence->batch * RK_PANEL, index = (size_t)view->index;
    struct rk_operand operand = {.panel_stride = row_bytes, .row_stride = RK_PANEL};
    switch (view->kind) {
    case RK_VIEW_INPUT:
        operand.base = sequence->input.base;
        operand.step_stride = sequence->input.step_stride;
        break;
    case RK_VIEW_OUTPUT_GRADIENT: /* at the start of the backward pass */
        break;
    case RK_VIEW_FLAG: {
        const char *flags =
            view->index == RK_FLAG_RESET ? sequence->resets : sequence->active;
        operand.base = (char *)(uintptr_t)flags;
        operand.step_stride = row_bytes;
        break;
    }
    case RK_VIEW_STATE:
        operand.step_stride = state_bytes(sequence, index);
        operand.base = states_base(sequence, index) +
                       ((view->shift != 0) != sequence->reverse ? operand.step_stride : 0);
        break;
    case RK_VIEW_CARRY:
        operand.base = carries_base(sequence, index);
        operand.step_stride = state_bytes(sequence, index);
        operand.alternates = true;
        operand.odd = view->shift != 0;
        break;
    case RK_VIEW_SLOT:
        operand.base = sequence->memory + plan->slots;
        for (size_t s = 0; s < index; s++)
            operand.base += program->slots[s].panels * row_bytes *
                            (program->slots[s].has_steps ? sequence->n_steps : 1);
        if (program->slots[index].has_steps)
            operand.step_stride = program->slots[index].panels * row_bytes;
        break;
    case RK_VIEW_UNIT:
        operand = (struct rk_operand){.base = sequence->memory + plan->units,
                                      .panel_stride = RK_PANEL};
        for (size_t u = 0; u < index; u++)
            operand.base += program->unit_panels[u] * RK_PANEL;
        break;
    case RK_VIEW_PARAMETER: {
        size_t panels = rk_panels(program->dtype, program->graph.parameters[index].width);
        const char *vector =
            sequence->parameters[index] + (size_t)view->shift * panels * RK_PANEL;
        operand = (struct rk_operand){.base = (char *)(uintptr_t)vector,
                                      .panel_stride = RK_PANEL};
        break;
    }
    case RK_VIEW_CONSTANT:
        operand = (struct rk_operand){.base = sequence->memory + plan->constants +
                                              index * RK_BLOCK_BYTES};
        break;
    }
    return operand;
}

/* Where the gradient of the distinct rows will stand. */
static struct rk_rows repeats_gradient(const struct rk_sequence *sequence)
{
    const struct rk_stages *stages = &sequence->program->phases[RK_BACKWARD_POST];
    struct run run = {.sequence = sequence};
    for (int s = 0; s < stages->n; s++)
        for (int i = 0;
             stages->list[s].kind == RK_STAGE_PRODUCT && i < stages->list[s].n_items; i++)
            if (stages->list[s].u.products[i].repeats >= 0)
                return repeats_at(&run, stages->list[s].u.products[i].repeats);
    return (struct rk_rows){0};
}

static struct rk_rows rows_of(const struct rk_operand *operand)
{
    return (struct rk_rows){operand->base, operand->step_stride, operand->panel_stride};
}

enum rk_status rk_sequence_init(struct rk_sequence *sequence, struct rk_error *error)
{
    const struct rk_program *program = sequence->program;
    struct rk_memory_plan plan;
    if (sequence->n_steps < 1 || sequence->batch < 1)
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is empty",
                       sequence->n_steps, sequence->batch);
    if (!rk_memory_plan(program, sequence->n_steps, sequence->batch, &plan))
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is too large",
                       sequence->n_steps, sequence->batch);
    if (program->reads_flags && (!sequence->resets || !sequence->active))
        return rk_fail(error, RK_INVALID, "this program reads flags, and none are given");
    if (sequence->kernels->dtype != program->dtype)
        return rk_fail(error, RK_INVALID, "kernels and program differ in element type");
    if (sequence->input.panel_stride != sequence->batch * RK_PANEL)
        return rk_fail(error, RK_INVALID, "the panels of the input are not contiguous");

    struct rk_operand *operands = (struct rk_operand *)(void *)sequence->memory;
    for (int v = 0; v < program->n_views; v++)
        operands[v] = resolve(sequence, &plan, &program->views[v]);
    for (int c = 0; c < program->n_constants; c++)
        sequence->kernels->fill(sequence->memory + plan.constants +
                                    (size_t)c * RK_BLOCK_BYTES,
                                program->constants[c], RK_BLOCK * sequence->kernels->lanes);
    sequence->output = rows_of(&operands[program->output]);
    sequence->input_gradient = (struct rk_rows){0};
    if (program->input_gradient >= 0)
        sequence->input_gradient = rows_of(&operands[program->input_gradient]);
    sequence->input_gradient_of_repeats =
        sequence->repeats && program->input_gradient_of_repeats;
    if (sequence->input_gradient_of_repeats)
        sequence->input_gradient = repeats_gradient(sequence);
    return RK_OK;
}

struct rk_rows rk_sequence_states(const struct rk_sequence *sequence, size_t state)
{
    size_t n_bytes = state_bytes(sequence, state);
    return (struct rk_rows){states_base(sequence, state) +
                                (sequence->reverse ? n_bytes : 0),
                            n_bytes, sequence->batch * RK_PANEL};
}

const char *rk_sequence_final_state(const struct rk_sequence *sequence, size_t state)
{
    size_t last = sequence->reverse ? 0 : sequence->n_steps;
    return states_base(sequence, state) + last * state_bytes(sequence, state);
}

const char *rk_sequence_initial_state_gradient(const struct rk_sequence *sequence,
                                               size_t state)
{
    return carries_base(sequence, state) +
           (sequence->n_steps & 1) * state_bytes(sequence, state);
}
