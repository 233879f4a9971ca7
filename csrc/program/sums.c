/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over all rows of a window: gradients of weights and vectors, and of the distinct
 * rows of an input that repeats itself.
 *
 * Where weights are small, the rows go by two halves of the batch, a chain each, that are
 * added at last: so two threads sum what they have in their own caches, and do not take
 * from each other lines that will be written again in the next window. The batch and the
 * program alone say what is halved. Large weights cost more to add than rows to read.
 */
#include <string.h>

#include "program/run.h"

enum { HALVED_WEIGHTS = 4 << 20 }; /* bytes of gradients, at most */

static size_t n_halves(const struct rk_sequence *sequence)
{
    return sequence->second_halves && sequence->batch >= 2 * RK_LEAST_SHARD ? 2 : 1;
}

/* A half's rows of each step; how many goes to `batch`. */
static struct rk_rows half_of(const struct rk_sequence *sequence, int view, size_t half,
                              size_t *batch)
{
    struct rk_rows rows = rk_all_rows(sequence, view);
    size_t first = rk_shard_rows(sequence->batch, n_halves(sequence));
    rows.first_row = half * first;
    *batch = half ? sequence->batch - first : first;
    return rows;
}

static char *second_half(const struct run *run, size_t line)
{
    return run->sequence->second_halves + line * RK_PANEL;
}

/* A thread's part of `count` things, of which `passed` others come before. */
static void own_part(size_t first, size_t last, size_t passed, size_t count, size_t *begin,
                     size_t *end)
{
    *begin = first > passed ? first - passed : 0;
    *end = last > passed ? last - passed : 0;
    *begin = *begin < count ? *begin : count;
    *end = *end < count ? *end : count;
}

/* dst += a second half of n lines of 64 bytes: this thread's part. */
static void add_half(const struct run *run, char *dst, const char *half, size_t n)
{
    size_t first, last;
    rk_share(n, run->team->n_threads, run->thread, &first, &last);
    dst += first * RK_PANEL;
    run->kernels->vector[RK_OP_add](dst, dst, half + first * RK_PANEL, NULL,
                                    (last - first) * run->kernels->lanes);
}

/* -------------------------------------------------------------------- equal rows */

/* One panel of a gradient: the rows of a half in order, each added to its distinct row. */
static void sum_equal_rows(const struct run *run, const struct rk_repeated_sum *sum,
                           size_t half, size_t panel)
{
    const struct rk_sequence *sequence = run->sequence;
    const struct rk_repeats *repeats = sequence->repeats;
    size_t batch, n;
    struct rk_rows from = half_of(sequence, sum->view, half, &batch);
    char *total = rk_repeats_half(run, sum->place + (int)panel, half).base;
    memset(total, 0, repeats->n * RK_PANEL);
    for (size_t r = 0; r < sequence->n_steps * batch; r += n) {
        size_t place = r / batch * sequence->batch + from.first_row + r % batch;
        n = rk_rows_together(&from, batch, r);
        run->kernels->scatter_add(total,
                                  rk_row_at(&from, batch, r) + panel * from.panel_stride,
                                  repeats->index + place, n);
    }
}

static void add_equal_rows(const struct run *run)
{
    for (int s = 0; s < run->program->n_repeated_sums; s++) {
        const struct rk_repeated_sum *sum = &run->program->repeated_sums[s];
        add_half(run, rk_repeats_half(run, sum->place, 0).base,
                 rk_repeats_half(run, sum->place, 1).base,
                 sum->panels * run->sequence->repeats->n);
    }
}

void rk_sum_repeats(const struct run *run)
{
    const struct rk_program *program = run->program;
    size_t halves = n_halves(run->sequence), n = 0, first, last;
    for (int s = 0; s < program->n_repeated_sums; s++)
        n += program->repeated_sums[s].panels;
    rk_share(halves * n, run->team->n_threads, run->thread, &first, &last);
    n = 0;
    for (size_t half = 0; half < halves; half++)
        for (int s = 0; s < program->n_repeated_sums; s++) {
            size_t begin, end, panels = program->repeated_sums[s].panels;
            own_part(first, last, n, panels, &begin, &end);
            for (; begin < end && !rk_team_poll(run->team, run->thread); begin++)
                sum_equal_rows(run, &program->repeated_sums[s], half, begin);
            n += panels;
        }
    rk_team_wait(run->team);
    if (halves == 1)
        return;
    add_equal_rows(run);
    rk_team_wait(run->team);
}

/* ---------------------------------------------------------------- weight gradients */

/* A weight that is used twice has a gradient of two items, which one thread adds up. */
static bool same_weight(const struct rk_gradient_item *a, const struct rk_gradient_item *b)
{
    return a->parameter == b->parameter && a->block == b->block;
}

static bool is_first(const struct rk_stage *stage, int i)
{
    for (int j = 0; j < i; j++)
        if (same_weight(&stage->u.gradients[j], &stage->u.gradients[i]))
            return false;
    return true;
}

static bool is_of_repeats(const struct run *run, const struct rk_gradient_item *item)
{
    return run->sequence->repeats && item->repeats >= 0;
}

/* Rows that a half of a weight's gradient sums; distinct rows are in the first. */
static size_t n_rows_of(const struct run *run, const struct rk_stage *stage, int i,
                        size_t half)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t n = 0, batch;
    for (int j = i; j < stage->n_items; j++) {
        const struct rk_gradient_item *item = &stage->u.gradients[j];
        if (!same_weight(item, &stage->u.gradients[i]))
            continue;
        half_of(sequence, item->delta, half, &batch);
        if (!is_of_repeats(run, item))
            n += sequence->n_steps * batch;
        else if (half == 0)
            n += sequence->repeats->n;
    }
    return n;
}

static size_t lines_of(const struct rk_gradient_item *item)
{
    return item->panels * item->columns;
}

static char *item_gradient(const struct run *run, const struct rk_gradient_item *item)
{
    return run->sequence->gradients[item->parameter] +
           (size_t)item->block * lines_of(item) * RK_PANEL;
}

/* Where a half of weight i is summed up. */
struct sum {
    const struct run *run;
    const struct rk_stage *stage;
    int i;
    size_t half;
    char *dw;
};

static void outer_item(const struct sum *sum, const struct rk_gradient_item *item,
                       size_t panel0, size_t panel1, size_t k0, size_t k1)
{
    const struct run *run = sum->run;
    const struct rk_repeats *repeats = run->sequence->repeats;
    size_t stride = item->columns * RK_PANEL, batch;
    if (is_of_repeats(run, item)) {
        if (sum->half == 0)
            rk_outer(run->kernels, sum->dw, stride, rk_repeats_at(run, item->repeats),
                     repeats->rows, repeats->n, 0, repeats->n, panel0, panel1, k0, k1);
        return;
    }
    struct rk_rows delta = half_of(run->sequence, item->delta, sum->half, &batch);
    struct rk_rows operand = half_of(run->sequence, item->operand, sum->half, &batch);
    rk_outer(run->kernels, sum->dw, stride, delta, operand, batch, 0,
             run->sequence->n_steps * batch, panel0, panel1, k0, k1);
}

static void outer(const struct sum *sum, size_t panel0, size_t panel1, size_t k0, size_t k1)
{
    const struct rk_gradient_item *first = &sum->stage->u.gradients[sum->i];
    if (panel0 >= panel1 || k0 >= k1)
        return;
    for (size_t p = panel0; sum->half > 0 && p < panel1; p++)
        memset(sum->dw + (p * first->columns + k0) * RK_PANEL, 0, (k1 - k0) * RK_PANEL);
    for (int j = sum->i; j < sum->stage->n_items; j++)
        if (same_weight(&sum->stage->u.gradients[j], first))
            outer_item(sum, &sum->stage->u.gradients[j], panel0, panel1, k0, k1);
}

/* Lines [begin, end) of a gradient, panel by panel, column by column; they begin and end at
 * a multiple of 16 columns. */
static void outer_lines(const struct sum *sum, size_t begin, size_t end)
{
    size_t columns = sum->stage->u.gradients[sum->i].columns;
    size_t panel0 = begin / columns, k0 = begin % columns / 16 * 16;
    size_t panel1 = end / columns, k1 = end % columns / 16 * 16;
    if (panel0 == panel1) {
        outer(sum, panel0, panel0 + 1, k0, k1);
        return;
    }
    if (k0 > 0)
        outer(sum, panel0, panel0 + 1, k0, columns);
    outer(sum, panel0 + (k0 > 0), panel1, 0, columns);
    outer(sum, panel1, panel1 + 1, 0, k1);
}

/* All multiplications of the stage are shared out evenly. `place`: the line where its
 * second halves begin; the line behind them is returned. */
static size_t run_outer(const struct run *run, const struct rk_stage *stage, size_t place)
{
    size_t halves = n_halves(run->sequence), total = 0, passed = 0, first, last;
    for (size_t half = 0; half < halves; half++)
        for (int i = 0; i < stage->n_items; i++)
            if (is_first(stage, i))
                total += lines_of(&stage->u.gradients[i]) * n_rows_of(run, stage, i, half);
    rk_share(total, run->team->n_threads, run->thread, &first, &last);
    size_t line = place;
    for (size_t half = 0; half < halves; half++) {
        line = place;
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_gradient_item *item = &stage->u.gradients[i];
            size_t begin, end, n_rows = n_rows_of(run, stage, i, half);
            if (!is_first(stage, i))
                continue;
            struct sum sum = {run, stage, i, half,
                              half ? second_half(run, line) : item_gradient(run, item)};
            own_part(first, last, passed, lines_of(item) * n_rows, &begin, &end);
            if (n_rows > 0 && !rk_team_poll(run->team, run->thread))
                outer_lines(&sum, begin / n_rows, end / n_rows);
            passed += lines_of(item) * n_rows;
            line += lines_of(item);
        }
    }
    return line;
}

static size_t add_outer(const struct run *run, const struct rk_stage *stage, size_t place)
{
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_gradient_item *item = &stage->u.gradients[i];
        if (!is_first(stage, i))
            continue;
        if (n_rows_of(run, stage, i, 1) > 0)
            add_half(run, item_gradient(run, item), second_half(run, place),
                     lines_of(item));
        place += lines_of(item);
    }
    return place;
}

/* -------------------------------------------------------------------- column sums */

static size_t run_column_sums(const struct run *run, const struct rk_stage *stage,
                              size_t place)
{
    const struct rk_sequence *sequence = run->sequence;
    size_t halves = n_halves(sequence), n = 0, first, last, begin, end, batch;
    for (int i = 0; i < stage->n_items; i++)
        n += stage->u.reductions[i].panels;
    rk_share(halves * n, run->team->n_threads, run->thread, &first, &last);
    n = 0;
    size_t line = place;
    for (size_t half = 0; half < halves; half++) {
        line = place;
        for (int i = 0; i < stage->n_items; i++) {
            const struct rk_reduction_item *item = &stage->u.reductions[i];
            char *dst = half ? second_half(run, line) : run->operands[item->dst].base;
            struct rk_rows rows = half_of(sequence, item->src, half, &batch);
            own_part(first, last, n, item->panels, &begin, &end);
            memset(dst + begin * RK_PANEL, 0, (end - begin) * RK_PANEL);
            run->kernels->column_sum(dst, rows, batch, 0, sequence->n_steps * batch, begin,
                                     end);
            n += item->panels;
            line += item->panels;
        }
    }
    return line;
}

static size_t add_column_sums(const struct run *run, const struct rk_stage *stage,
                              size_t place)
{
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_reduction_item *item = &stage->u.reductions[i];
        add_half(run, run->operands[item->dst].base, second_half(run, place), item->panels);
        place += item->panels;
    }
    return place;
}

/* ------------------------------------------------------------------ all of a phase */

size_t rk_program_second_halves(const struct rk_program *program)
{
    size_t n_lines = 0;
    for (int phase = 0; phase < RK_N_PHASES; phase++)
        for (int s = 0; s < program->phases[phase].n; s++) {
            const struct rk_stage *stage = &program->phases[phase].list[s];
            for (int i = 0; i < stage->n_items; i++) {
                if (stage->kind == RK_STAGE_OUTER && is_first(stage, i))
                    n_lines += lines_of(&stage->u.gradients[i]);
                else if (stage->kind == RK_STAGE_COLUMN_SUM)
                    n_lines += stage->u.reductions[i].panels;
            }
        }
    return n_lines * RK_PANEL <= HALVED_WEIGHTS ? n_lines * RK_PANEL : 0;
}

void rk_run_sums(const struct run *run, const struct rk_stages *stages)
{
    size_t place = 0;
    rk_team_wait(run->team);
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind == RK_STAGE_OUTER)
            place = run_outer(run, stage, place);
        else if (stage->kind == RK_STAGE_COLUMN_SUM)
            place = run_column_sums(run, stage, place);
    }
    rk_team_wait(run->team);
    if (n_halves(run->sequence) == 1)
        return;
    place = 0;
    for (int s = 0; s < stages->n; s++) {
        const struct rk_stage *stage = &stages->list[s];
        if (stage->kind == RK_STAGE_OUTER)
            place = add_outer(run, stage, place);
        else if (stage->kind == RK_STAGE_COLUMN_SUM)
            place = add_column_sums(run, stage, place);
    }
    rk_team_wait(run->team);
}
