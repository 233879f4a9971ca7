/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What comes into a window.
 */
#include "network/parts.h"

#include <math.h>

/* A row of the list as "[step, row]" in messages. */
#define AT(i, batch) (i) / (batch), (i) % (batch)

static enum rk_status check_tokens(const struct rk_window *window,
                                   const struct rk_window_input *input,
                                   struct rk_error *error)
{
    size_t vocab = window->weights->vocab_size, batch = input->batch;
    for (size_t i = 0; i < input->n_steps * batch; i++)
        if (input->ids[i] < 0 || (size_t)input->ids[i] >= vocab)
            return rk_fail(error, RK_INVALID,
                           "ids[%zu, %zu] is %ld; it must be from 0 to %zu", AT(i, batch),
                           (long)input->ids[i], vocab - 1);
    return RK_OK;
}

static enum rk_status check_targets(const struct rk_window *window,
                                    const struct rk_window_input *input,
                                    struct rk_error *error)
{
    size_t vocab = window->weights->vocab_size, batch = input->batch;
    if (input->log_probabilities && (input->targets || window->training))
        return rk_fail(error, RK_INVALID,
                       "log-probabilities are asked for together with targets, or of a "
                       "window that is training");
    if (!input->targets)
        return input->target_weights
                   ? rk_fail(error, RK_INVALID, "target_weights are given without targets")
                   : RK_OK;
    for (size_t i = 0; i < input->n_steps * batch; i++) {
        float weight = input->target_weights ? input->target_weights[i] : 1;
        if (!(weight >= 0 && isfinite(weight)))
            return rk_fail(
                error, RK_INVALID,
                "target_weights[%zu, %zu] is %g; it must be finite and at least 0",
                AT(i, batch), (double)weight);
        if (weight > 0 && (input->targets[i] < 0 || (size_t)input->targets[i] >= vocab))
            return rk_fail(
                error, RK_INVALID,
                "targets[%zu, %zu] is %ld; it must be from 0 to %zu where its weight "
                "is not 0",
                AT(i, batch), (long)input->targets[i], vocab - 1);
    }
    return RK_OK;
}

static enum rk_status check_state(const struct rk_window *window,
                                  const struct rk_state *state, size_t batch,
                                  struct rk_error *error)
{
    const struct rk_weights *weights = window->weights;
    if (state->batch != batch)
        return rk_fail(error, RK_INVALID, "the state is of %zu rows, the input of %zu",
                       state->batch, batch);
    bool same = state->dtype == weights->dtype && state->n_layers == weights->n_layers;
    for (size_t l = 0; same && l < weights->n_layers; l++) {
        const struct rk_program *program = window->sequences[l].program;
        size_t first = state->layer_part[l];
        same = state->layer_part[l + 1] - first == rk_program_n_states(program);
        for (size_t k = 0; same && k < rk_program_n_states(program); k++)
            same = state->parts[first + k].width == rk_program_state_width(program, k);
    }
    if (same)
        return RK_OK;
    return rk_fail(error, RK_INVALID,
                   "the state belongs to another network than the window");
}

enum rk_status rk_window_check_input(const struct rk_window *window,
                                     const struct rk_state *state,
                                     const struct rk_window_input *input,
                                     struct rk_error *error)
{
    if (input->n_steps < 1 || input->n_steps > window->max_steps)
        return rk_fail(error, RK_INVALID,
                       "the input has %zu steps; the window takes 1 to %zu", input->n_steps,
                       window->max_steps);
    if (input->batch < 1 || input->batch > window->max_batch)
        return rk_fail(error, RK_INVALID,
                       "the input has %zu rows; the window takes 1 to %zu", input->batch,
                       window->max_batch);
    if ((input->resets || input->active) && !window->reads_flags)
        return rk_fail(
            error, RK_INVALID,
            "resets or active are given, but no program of the window reads them");
    enum rk_status status = check_state(window, state, input->batch, error);
    if (status == RK_OK)
        status = check_tokens(window, input, error);
    if (status == RK_OK)
        status = check_targets(window, input, error);
    return status;
}
