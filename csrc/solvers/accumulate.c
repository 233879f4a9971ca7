/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The mean of several gradients, for one step.
 */
#include <string.h>

#include "kernels/update.h"
#include "solvers/parts.h"

void rk_solver_free_accumulated(struct rk_solver *solver)
{
    for (size_t i = 0; solver->mean_places && i < solver->n_tensors; i++)
        rk_free(solver->mean_places[i]);
    rk_free(solver->mean_places);
    rk_free(solver->mean_values);
    rk_free(solver->mean);
    solver->mean = NULL;
    solver->mean_values = NULL;
    solver->mean_places = NULL;
}

static bool alloc_mean(struct rk_solver *solver)
{
    solver->mean = rk_alloc(solver->n_bytes);
    solver->mean_values = rk_alloc(solver->n_tensors * sizeof *solver->mean_values);
    solver->mean_places = rk_alloc(solver->n_tensors * sizeof *solver->mean_places);
    if (!solver->mean || !solver->mean_values || !solver->mean_places)
        return false;
    for (size_t i = 0; i < solver->n_tensors; i++) {
        const struct rk_solver_tensor *tensor = &solver->tensors[i];
        solver->mean_values[i] = solver->mean + tensor->offset;
        if (tensor->n_units)
            solver->mean_places[i] = rk_alloc(tensor->n_units * sizeof(int32_t));
        if (tensor->n_units && !solver->mean_places[i])
            return false;
    }
    return true;
}

struct accumulation {
    struct rk_solver *solver;
    const struct rk_gradient *gradient;
    double rate;
};

/* A gradient of NULL is zero. */
static void add_part(const struct accumulation *task, size_t at, const char *gradient,
                     size_t n_bytes)
{
    const struct rk_kernels *kernels = task->solver->kernels;
    char *mean = task->solver->mean + at;
    if (task->rate == 1 && gradient)
        memcpy(mean, gradient, n_bytes);
    else
        kernels->update->mean(task->rate, mean, gradient,
                              n_bytes / rk_real_size(kernels->dtype));
}

/* From now on the mean has a gradient for the units that this one has it for. */
static void mark_units(const struct accumulation *task, size_t tensor, size_t line)
{
    const struct rk_solver_tensor *rules = &task->solver->tensors[tensor];
    const int32_t *places = task->gradient->places[tensor];
    int32_t *mean_places = task->solver->mean_places[tensor];
    size_t units = rk_line_units(task->solver, rules), first = line * units;
    for (size_t i = first; i < first + units && i < rules->n_units; i++) {
        bool had = task->rate != 1 && mean_places[i];
        mean_places[i] = had || places[i] ? 1 + (int32_t)i : 0;
    }
}

static void add_lines(const struct accumulation *task, const struct rk_block *block)
{
    struct rk_solver *solver = task->solver;
    const struct rk_solver_tensor *rules = &solver->tensors[block->tensor];
    size_t line_size = rk_line_bytes(solver, rules), tensor = block->tensor;
    size_t line = (block->offset - rules->offset) / line_size;
    _Alignas(RK_PANEL) char piece[RK_PIECE_BYTES];
    for (size_t end = line + block->n_bytes / line_size; line < end; line++) {
        size_t offset = rules->offset + line * line_size;
        bool has = rk_line_has_gradient(solver, task->gradient, tensor, line);
        bool had = task->rate != 1 &&
                   rk_line_has_gradient(solver, &solver->accumulated, tensor, line);
        mark_units(task, tensor, line);
        if (!had)
            memset(solver->mean + offset, 0, has ? line_size : 0);
        for (size_t at = 0, n; (has || had) && at < line_size; at += n) {
            n = rk_line_piece(solver, tensor, at);
            add_part(task, offset + at,
                     has ? rk_line_gradient(solver, task->gradient, tensor, line, at, piece)
                         : NULL,
                     n);
        }
    }
}

static void accumulate_task(void *context, struct rk_team *team, int thread)
{
    const struct accumulation *task = context;
    const struct rk_solver *solver = task->solver;
    size_t first, last;
    rk_share(solver->n_blocks, team->n_threads, thread, &first, &last);
    for (size_t i = first; i < last; i++) {
        const struct rk_block *block = &solver->blocks[i];
        if (solver->tensors[block->tensor].n_units)
            add_lines(task, block);
        else
            add_part(task, block->offset, rk_block_gradient(solver, task->gradient, block),
                     block->n_bytes);
    }
}

const struct rk_gradient *rk_solver_accumulated(const struct rk_solver *solver)
{
    return solver->mean ? &solver->accumulated : NULL;
}

enum rk_status rk_solver_accumulate(struct rk_solver *solver,
                                    const struct rk_gradient *gradient, double rate,
                                    struct rk_team *team, struct rk_error *error)
{
    if (!(rate > 0 && rate <= 1))
        return rk_fail(error, RK_INVALID, "rate is %g; it must be above 0 and at most 1",
                       rate);
    if (!solver->mean && rate != 1)
        return rk_fail(error, RK_INVALID,
                       "rate is %g; the first gradient of a mean has rate 1", rate);
    if (!solver->mean && !alloc_mean(solver)) {
        rk_solver_free_accumulated(solver);
        return rk_fail(error, RK_NOMEM, "no memory for a mean of gradients");
    }
    solver->accumulated =
        (struct rk_gradient){.values = solver->mean_values,
                             .places = (const int32_t *const *)solver->mean_places};
    struct accumulation task = {.solver = solver, .gradient = gradient, .rate = rate};
    team->poll = NULL; /* half a mean would be none */
    return rk_team_run(team, accumulate_task, &task);
}
