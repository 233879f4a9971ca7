/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/update.h"
#include "network/parts.h"

enum rk_status rk_network_solver_create(struct rk_solver **solver,
                                        const struct rk_weights *weights,
                                        const struct rk_solver_options *options,
                                        const double *alpha, const uint8_t *frozen,
                                        const double (*limits)[2], struct rk_error *error)
{
    *solver = NULL;
    size_t n = weights->n_tensors;
    if (rk_weights_check_training(weights, error) != RK_OK)
        return RK_INVALID;
    struct rk_solver_tensor *tensors = rk_alloc(n * sizeof *tensors);
    if (!tensors)
        return rk_fail(error, RK_NOMEM, "no memory for a solver");
    for (size_t i = 0; i < n; i++)
        tensors[i] = (struct rk_solver_tensor){
            .offset = weights->tensors[i].offset,
            .n_bytes = weights->tensors[i].n_bytes,
            .n_units = weights->tensors[i].by_units ? weights->tensors[i].width : 0,
            .is_table = weights->tensors[i].is_table,
            .alpha = alpha[i],
            .is_frozen = frozen[i] != 0,
            .low = limits[i][0],
            .high = limits[i][1],
        };
    enum rk_status status =
        rk_solver_create(solver, weights->kernels, options, tensors, n, error);
    rk_free(tensors);
    return status;
}

static enum rk_status check_moment(const struct rk_solver *solver,
                                   const struct rk_weights *weights, size_t moment,
                                   size_t index, struct rk_error *error)
{
    if (moment >= rk_solver_n_moments(solver))
        return rk_fail(error, RK_INVALID, "moment %zu does not exist; there are %zu",
                       moment, rk_solver_n_moments(solver));
    return rk_weights_check_index(weights, index, error);
}

enum rk_status rk_network_solver_get(void *plain, const struct rk_solver *solver,
                                     const struct rk_weights *weights, size_t moment,
                                     size_t index, struct rk_error *error)
{
    enum rk_status status = check_moment(solver, weights, moment, index, error);
    if (status == RK_OK)
        rk_tensor_unpack(&weights->tensors[index], weights->dtype, plain,
                         rk_solver_moment(solver, moment) + weights->tensors[index].offset);
    return status;
}

enum rk_status rk_network_solver_set(struct rk_solver *solver,
                                     const struct rk_weights *weights, size_t moment,
                                     size_t index, const void *plain,
                                     struct rk_error *error)
{
    enum rk_status status = check_moment(solver, weights, moment, index, error);
    if (status == RK_OK)
        rk_tensor_pack(&weights->tensors[index], weights->dtype,
                       rk_solver_moment(solver, moment) + weights->tensors[index].offset,
                       plain);
    return status;
}

/* Limits that leave out zero have moved the lanes that stand for no element. */
static void restore_padding(struct rk_weights *weights, const struct rk_solver *solver)
{
    size_t n;
    const struct rk_solver_tensor *rules = rk_solver_tensors(solver, &n);
    for (size_t i = 0; i < n; i++)
        if (rules[i].low > 0 || rules[i].high < 0)
            rk_tensor_clear_padding(&weights->tensors[i], weights->kernels,
                                    weights->arena + weights->tensors[i].offset);
}

static enum rk_status check_belonging(const struct rk_weights *weights,
                                      const struct rk_solver *solver,
                                      const struct rk_window *window,
                                      struct rk_error *error)
{
    size_t n;
    rk_solver_tensors(solver, &n);
    if ((!window || window->weights == weights) && n == weights->n_tensors)
        return RK_OK;
    return rk_fail(error, RK_INVALID,
                   "weights, solver and window do not belong to each other");
}

static struct rk_gradient gradient_of(const struct rk_window *window)
{
    return (struct rk_gradient){
        .values = (const char *const *)window->gradient,
        .places = window->places,
    };
}

static struct rk_team team_of(const struct rk_run *run)
{
    struct rk_team team;
    rk_team_init(&team, run->n_threads);
    team.poll = run->poll;
    team.poll_context = run->poll_context;
    return team;
}

/* ------------------------------------------------------------------ averages */

struct averaging {
    struct rk_weights *mean;
    const struct rk_weights *weights;
    double rate;
};

static void average_task(void *context, struct rk_team *team, int thread)
{
    const struct averaging *task = context;
    const struct rk_kernels *kernels = task->mean->kernels;
    size_t first, last;
    rk_share(task->mean->n_bytes / RK_PANEL, team->n_threads, thread, &first, &last);
    kernels->update->mean(task->rate, task->mean->arena + first * RK_PANEL,
                          task->weights->arena + first * RK_PANEL,
                          (last - first) * kernels->lanes);
}

enum rk_status rk_weights_average(struct rk_weights *mean, const struct rk_weights *weights,
                                  double rate, const struct rk_run *run,
                                  struct rk_error *error)
{
    if (!(rate > 0 && rate <= 1))
        return rk_fail(error, RK_INVALID, "rate is %g; it must be above 0 and at most 1",
                       rate);
    if (rate == 1)
        return rk_weights_assign(mean, weights, error);
    enum rk_status status = rk_weights_check_shapes(mean, weights, error);
    if (status == RK_OK)
        status = rk_weights_check_training(mean, error);
    if (status == RK_OK)
        status = rk_run_check(run, error);
    if (status != RK_OK)
        return status;
    struct averaging task = {.mean = mean, .weights = weights, .rate = rate};
    struct rk_team team = team_of(run);
    team.poll = NULL; /* half a mean would be none */
    return rk_team_run(&team, average_task, &task);
}

/* --------------------------------------------------------------------- steps */

enum rk_status rk_network_accumulate(const struct rk_weights *weights,
                                     struct rk_solver *solver, struct rk_window *window,
                                     double rate, const struct rk_run *run,
                                     struct rk_error *error)
{
    enum rk_status status = check_belonging(weights, solver, window, error);
    if (status == RK_OK)
        status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    const struct rk_gradient gradient = gradient_of(window);
    struct rk_team team = team_of(run);
    status = rk_window_check_gradients(window, error);
    if (status == RK_OK)
        status = rk_solver_accumulate(solver, &gradient, rate, &team, error);
    rk_window_leave(window);
    return status;
}

static enum rk_status step(struct rk_weights *weights, struct rk_solver *solver,
                           const struct rk_gradient *gradient, double learning_rate,
                           double max_grad_norm, const struct rk_run *run, double *norm,
                           struct rk_error *error)
{
    struct rk_team team = team_of(run);
    enum rk_status status = rk_solver_step(solver, weights->arena, gradient, learning_rate,
                                           max_grad_norm, &team, norm, error);
    if (status == RK_OK)
        restore_padding(weights, solver);
    return status;
}

static enum rk_status step_accumulated(struct rk_weights *weights, struct rk_solver *solver,
                                       double learning_rate, double max_grad_norm,
                                       const struct rk_run *run, double *norm,
                                       struct rk_error *error)
{
    const struct rk_gradient *gradient = rk_solver_accumulated(solver);
    enum rk_status status = rk_run_check(run, error);
    if (status != RK_OK)
        return status;
    if (!gradient)
        return rk_fail(error, RK_INVALID, "no gradient was accumulated");
    return step(weights, solver, gradient, learning_rate, max_grad_norm, run, norm, error);
}

enum rk_status rk_network_update(struct rk_weights *weights, struct rk_solver *solver,
                                 struct rk_window *window, double learning_rate,
                                 double max_grad_norm, const struct rk_run *run,
                                 double *norm, struct rk_error *error)
{
    enum rk_status status = check_belonging(weights, solver, window, error);
    if (status != RK_OK)
        return status;
    if (!window)
        return step_accumulated(weights, solver, learning_rate, max_grad_norm, run, norm,
                                error);
    status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    const struct rk_gradient gradient = gradient_of(window);
    status = rk_window_check_gradients(window, error);
    if (status == RK_OK)
        status = step(weights, solver, &gradient, learning_rate, max_grad_norm, run, norm,
                      error);
    rk_window_leave(window);
    return status;
}
