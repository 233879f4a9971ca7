/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "kernels/update.h"
#include "solvers/parts.h"

enum {
    BLOCK_BYTES = 64 << 10,
    LONG_STEP = 64 << 20, /* bytes of weights that may take 50 ms on one thread */
};

/* ------------------------------------------------------------------ creation */

static enum rk_status check_options(const struct rk_solver_options *options,
                                    struct rk_error *error)
{
    bool is_adam = options->kind == RK_ADAM || options->kind == RK_ADAMW;
    bool is_rms = options->kind == RK_RMSPROP || options->kind == RK_ADAGRAD;
    bool has_momentum = options->kind == RK_MOMENTUM || options->kind == RK_NESTEROV;
    if ((int)options->kind < 0 || options->kind >= RK_N_SOLVERS)
        return rk_fail(error, RK_INVALID, "solver number %d is unknown",
                       (int)options->kind);
    if (is_adam && !(options->beta_1 >= 0 && options->beta_1 < 1))
        return rk_fail(error, RK_INVALID, "beta_1 is %g; it must be at least 0 and below 1",
                       options->beta_1);
    if ((is_adam || is_rms) && !(options->beta_2 >= 0 && options->beta_2 < 1))
        return rk_fail(error, RK_INVALID, "beta_2 is %g; it must be at least 0 and below 1",
                       options->beta_2);
    if ((is_adam || is_rms) && !(options->epsilon > 0 && isfinite(options->epsilon)))
        return rk_fail(error, RK_INVALID, "epsilon is %g; it must be finite and above 0",
                       options->epsilon);
    if (has_momentum && !(options->momentum >= 0 && options->momentum < 1))
        return rk_fail(error, RK_INVALID,
                       "momentum is %g; it must be at least 0 and below 1",
                       options->momentum);
    return RK_OK;
}

static enum rk_status check_tensors(const struct rk_solver_tensor *tensors,
                                    size_t n_tensors, struct rk_error *error)
{
    for (size_t i = 0; i < n_tensors; i++) {
        double alpha = tensors[i].alpha;
        if (!(alpha >= 0 && isfinite(alpha)))
            return rk_fail(error, RK_INVALID,
                           "alpha of tensor %zu is %g; it must be finite and at least 0", i,
                           alpha);
        if (!(tensors[i].low <= tensors[i].high))
            return rk_fail(
                error, RK_INVALID,
                "limits of tensor %zu are %g and %g; the first must not be above the "
                "second",
                i, tensors[i].low, tensors[i].high);
    }
    return RK_OK;
}

static size_t block_bytes(const struct rk_solver *solver,
                          const struct rk_solver_tensor *tensor)
{
    if (tensor->n_units == 0)
        return BLOCK_BYTES;
    size_t line = rk_line_bytes(solver, tensor);
    return line < BLOCK_BYTES ? BLOCK_BYTES / line * line : line;
}

static size_t blocks_of(const struct rk_solver *solver,
                        const struct rk_solver_tensor *tensor)
{
    size_t whole = block_bytes(solver, tensor);
    if (tensor->is_frozen)
        return 0;
    return tensor->n_bytes / whole + (tensor->n_bytes % whole != 0);
}

static void cut_blocks(struct rk_solver *solver)
{
    struct rk_block *block = solver->blocks;
    for (size_t i = 0; i < solver->n_tensors; i++) {
        const struct rk_solver_tensor *tensor = &solver->tensors[i];
        size_t whole = block_bytes(solver, tensor), n = blocks_of(solver, tensor);
        for (size_t done = 0; n > 0; n--, done += whole, block++) {
            size_t left = tensor->n_bytes - done;
            *block = (struct rk_block){.offset = tensor->offset + done,
                                       .n_bytes = left < whole ? left : whole,
                                       .tensor = i};
        }
    }
}

static bool alloc_arrays(struct rk_solver *solver)
{
    enum rk_solver_kind kind = solver->options.kind;
    bool needs_second = kind >= RK_ADAM;
    bool needs_first = kind >= RK_MOMENTUM && kind <= RK_ADAMW;
    solver->tensors = rk_alloc(solver->n_tensors * sizeof *solver->tensors);
    solver->blocks = rk_alloc(solver->n_blocks * sizeof *solver->blocks);
    solver->sums = rk_alloc(solver->n_blocks * sizeof *solver->sums);
    if (needs_first)
        solver->first = rk_alloc(solver->n_bytes);
    if (needs_second)
        solver->second = rk_alloc(solver->n_bytes);
    return solver->tensors && solver->blocks && solver->sums &&
           (!needs_first || solver->first) && (!needs_second || solver->second);
}

enum rk_status rk_solver_create(struct rk_solver **result, const struct rk_kernels *kernels,
                                const struct rk_solver_options *options,
                                const struct rk_solver_tensor *tensors, size_t n_tensors,
                                struct rk_error *error)
{
    *result = NULL;
    enum rk_status status = check_options(options, error);
    if (status == RK_OK)
        status = check_tensors(tensors, n_tensors, error);
    if (status != RK_OK)
        return status;
    struct rk_solver *solver = rk_alloc(sizeof *solver);
    if (!solver)
        return rk_fail(error, RK_NOMEM, "no memory for a solver");
    solver->kernels = kernels;
    solver->options = *options;
    solver->n_tensors = n_tensors;
    solver->n_bytes = tensors[n_tensors - 1].offset + tensors[n_tensors - 1].n_bytes;
    for (size_t i = 0; i < n_tensors; i++)
        solver->n_blocks += blocks_of(solver, &tensors[i]);
    if (!alloc_arrays(solver)) {
        rk_fail(error, RK_NOMEM, "no memory for a solver of %zu bytes of weights",
                solver->n_bytes);
        rk_solver_free(solver);
        return RK_NOMEM;
    }
    memcpy(solver->tensors, tensors, n_tensors * sizeof *tensors);
    cut_blocks(solver);
    *result = solver;
    return RK_OK;
}

void rk_solver_free(struct rk_solver *solver)
{
    if (!solver)
        return;
    rk_free(solver->tensors);
    rk_free(solver->blocks);
    rk_free(solver->sums);
    rk_free(solver->first);
    rk_free(solver->second);
    rk_solver_free_accumulated(solver);
    rk_free(solver);
}

const struct rk_solver_tensor *rk_solver_tensors(const struct rk_solver *solver, size_t *n)
{
    *n = solver->n_tensors;
    return solver->tensors;
}

uint64_t rk_solver_n_steps(const struct rk_solver *solver)
{
    return solver->n_steps;
}

void rk_solver_set_n_steps(struct rk_solver *solver, uint64_t n_steps)
{
    solver->n_steps = n_steps;
}

size_t rk_solver_n_moments(const struct rk_solver *solver)
{
    return (solver->first != NULL) + (solver->second != NULL);
}

char *rk_solver_moment(const struct rk_solver *solver, size_t moment)
{
    return moment == 0 && solver->first ? solver->first : solver->second;
}

/* ---------------------------------------------------------------------- step */

struct step {
    struct rk_solver *solver;
    char *weights;
    const struct rk_gradient *gradient;
    double learning_rate, max_norm;
    double norm; /* written by thread 0, as is `stopped` */
    bool stopped;
};

static rk_update_fn update_of(const struct rk_solver *solver)
{
    const struct rk_update_kernels *kernels = solver->kernels->update;
    switch (solver->options.kind) {
    case RK_SGD:
        return kernels->sgd;
    case RK_MOMENTUM:
        return kernels->momentum;
    case RK_NESTEROV:
        return kernels->nesterov;
    case RK_RMSPROP:
    case RK_ADAGRAD:
        return kernels->rms;
    default:
        return kernels->adam;
    }
}

/* What is the same for all tensors. */
static struct rk_update start_update(const struct step *step, double norm)
{
    const struct rk_solver_options *options = &step->solver->options;
    struct rk_update update = {
        .scale = 1,
        .shrink = 1,
        .rate = step->learning_rate,
        .momentum = options->momentum,
        .beta_1 = options->beta_1,
        .beta_2 = options->beta_2,
        .epsilon = options->epsilon,
        .keep = options->kind == RK_RMSPROP ? options->beta_2 : 1,
        .take = options->kind == RK_RMSPROP ? 1 - options->beta_2 : 1,
    };
    double clip = step->max_norm / (norm + 1e-6);
    if (step->max_norm > 0 && clip < 1)
        update.scale = clip;
    if (options->kind == RK_ADAM || options->kind == RK_ADAMW) {
        double t = (double)(step->solver->n_steps + 1);
        update.rate /= 1 - pow(options->beta_1, t);
        update.root = 1 / sqrt(1 - pow(options->beta_2, t));
    }
    return update;
}

/* ------------------------------------------------------------------- blocks */

static double sum_lines(const struct step *step, const struct rk_block *block)
{
    const struct rk_kernels *kernels = step->solver->kernels;
    const struct rk_solver_tensor *tensor = &step->solver->tensors[block->tensor];
    size_t line_size = rk_line_bytes(step->solver, tensor);
    size_t line = (block->offset - tensor->offset) / line_size;
    _Alignas(RK_PANEL) char piece[RK_PIECE_BYTES];
    double sum = 0;
    for (size_t left = block->n_bytes / line_size; left > 0; left--, line++) {
        if (!rk_line_has_gradient(step->solver, step->gradient, block->tensor, line))
            continue;
        for (size_t at = 0, n; at < line_size; at += n) {
            n = rk_line_piece(step->solver, block->tensor, at);
            sum += kernels->sum_squares(rk_line_gradient(step->solver, step->gradient,
                                                         block->tensor, line, at, piece),
                                        n / rk_real_size(kernels->dtype));
        }
    }
    return sum;
}

static double sum_block(const struct step *step, const struct rk_block *block)
{
    const struct rk_kernels *kernels = step->solver->kernels;
    if (step->solver->tensors[block->tensor].n_units)
        return sum_lines(step, block);
    return kernels->sum_squares(rk_block_gradient(step->solver, step->gradient, block),
                                block->n_bytes / rk_real_size(kernels->dtype));
}

static void update_part(const struct step *step, const struct rk_update *update, size_t at,
                        const char *gradient, size_t n_bytes)
{
    const struct rk_solver *solver = step->solver;
    update_of(solver)(update, step->weights + at, gradient,
                      solver->first ? solver->first + at : NULL,
                      solver->second ? solver->second + at : NULL,
                      n_bytes / rk_real_size(solver->kernels->dtype));
}

/* Line by line where there is a gradient. Lines without one are a part together, or left
 * alone where they would not move. */
static void update_lines(const struct step *step, const struct rk_update *update,
                         const struct rk_block *block)
{
    const struct rk_solver_tensor *tensor = &step->solver->tensors[block->tensor];
    bool moves = step->solver->first || update->keep != 1 || update->decay != 0 ||
                 update->shrink != 1 || isfinite(update->low) || isfinite(update->high);
    size_t line_size = rk_line_bytes(step->solver, tensor), next;
    size_t line = (block->offset - tensor->offset) / line_size;
    _Alignas(RK_PANEL) char piece[RK_PIECE_BYTES];
    for (size_t end = line + block->n_bytes / line_size; line < end; line = next) {
        size_t offset = tensor->offset + line * line_size;
        next = line + 1;
        if (rk_line_has_gradient(step->solver, step->gradient, block->tensor, line)) {
            for (size_t at = 0, n; at < line_size; at += n) {
                n = rk_line_piece(step->solver, block->tensor, at);
                update_part(step, update, offset + at,
                            rk_line_gradient(step->solver, step->gradient, block->tensor,
                                             line, at, piece),
                            n);
            }
            continue;
        }
        while (next < end &&
               !rk_line_has_gradient(step->solver, step->gradient, block->tensor, next))
            next++;
        if (moves)
            update_part(step, update, offset, NULL, (next - line) * line_size);
    }
}

static void update_block(const struct step *step, const struct rk_block *block,
                         struct rk_update update)
{
    const struct rk_solver *solver = step->solver;
    const struct rk_solver_tensor *tensor = &solver->tensors[block->tensor];
    if (solver->options.kind == RK_ADAMW)
        update.shrink = 1 - step->learning_rate * tensor->alpha;
    else
        update.decay = tensor->alpha;
    update.low = tensor->low;
    update.high = tensor->high;
    if (tensor->n_units)
        update_lines(step, &update, block);
    else
        update_part(step, &update, block->offset,
                    rk_block_gradient(step->solver, step->gradient, block), block->n_bytes);
}

static void step_task(void *context, struct rk_team *team, int thread)
{
    struct step *step = context;
    const struct rk_solver *solver = step->solver;
    size_t first, last;
    rk_share(solver->n_blocks, team->n_threads, thread, &first, &last);
    for (size_t i = first; i < last && !rk_team_poll(team, thread); i++)
        solver->sums[i] = sum_block(step, &solver->blocks[i]);
    if (thread == 0)
        step->stopped = rk_team_poll(team, thread); /* for the last time */
    rk_team_wait(team);
    double norm = 0;
    for (size_t i = 0; i < solver->n_blocks; i++)
        norm += solver->sums[i];
    norm = sqrt(norm);
    if (thread == 0)
        step->norm = norm;
    if (step->stopped || !isfinite(norm))
        return;
    struct rk_update update = start_update(step, norm);
    for (size_t i = first; i < last; i++)
        update_block(step, &solver->blocks[i], update);
}

enum rk_status rk_solver_step(struct rk_solver *solver, char *weights,
                              const struct rk_gradient *gradient, double learning_rate,
                              double max_norm, struct rk_team *team, double *norm,
                              struct rk_error *error)
{
    if (!(learning_rate >= 0 && isfinite(learning_rate)))
        return rk_fail(error, RK_INVALID,
                       "learning_rate is %g; it must be finite and at least 0",
                       learning_rate);
    if (!(max_norm >= 0 && isfinite(max_norm)))
        return rk_fail(
            error, RK_INVALID,
            "max_grad_norm is %g; it must be finite and at least 0 (0: no clipping)",
            max_norm);
    struct step step = {.solver = solver,
                        .weights = weights,
                        .gradient = gradient,
                        .learning_rate = learning_rate,
                        .max_norm = max_norm};
    if (solver->n_bytes < LONG_STEP)
        team->poll = NULL;
    if (rk_team_run(team, step_task, &step) != RK_OK)
        return rk_fail(error, RK_CANCELLED, "cancelled");
    *norm = step.norm;
    if (!isfinite(step.norm))
        return rk_fail(error, RK_NONFINITE,
                       "the norm of the gradient is %g; nothing was updated", step.norm);
    solver->n_steps++;
    return RK_OK;
}
