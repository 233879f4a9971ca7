/* SPDX-License-Identifier: BSD-3-Clause */
#include "network/parts.h"

enum rk_status rk_network_solver_create(struct rk_solver **solver,
                                        const struct rk_weights *weights,
                                        const struct rk_solver_options *options,
                                        const uint8_t *decay, const uint8_t *frozen,
                                        const double (*limits)[2], struct rk_error *error)
{
    *solver = NULL;
    size_t n = weights->n_tensors;
    struct rk_solver_tensor *tensors = rk_alloc(n * sizeof *tensors);
    if (!tensors)
        return rk_fail(error, RK_NOMEM, "no memory for a solver");
    for (size_t i = 0; i < n; i++)
        tensors[i] = (struct rk_solver_tensor){
            .offset = weights->tensors[i].offset,
            .n_bytes = weights->tensors[i].n_bytes,
            .n_units = weights->tensors[i].by_units ? weights->tensors[i].width : 0,
            .is_table = weights->tensors[i].is_table,
            .decay = decay[i] != 0,
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

enum rk_status rk_network_update(struct rk_weights *weights, struct rk_solver *solver,
                                 struct rk_window *window, double learning_rate,
                                 double max_grad_norm, const struct rk_run *run,
                                 double *norm, struct rk_error *error)
{
    size_t n;
    rk_solver_tensors(solver, &n);
    if (window->weights != weights || n != weights->n_tensors)
        return rk_fail(error, RK_INVALID,
                       "weights, solver and window do not belong to each other");
    enum rk_status status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    status = rk_window_check_gradients(window, error);
    const struct rk_gradient gradient = {
        .values = (const char *const *)window->gradient,
        .places = window->places,
    };
    struct rk_team team;
    rk_team_init(&team, run->n_threads);
    team.poll = run->poll;
    team.poll_context = run->poll_context;
    if (status == RK_OK)
        status = rk_solver_step(solver, weights->arena, &gradient, learning_rate,
                                max_grad_norm, &team, norm, error);
    if (status == RK_OK)
        restore_padding(weights, solver);
    rk_window_leave(window);
    return status;
}
