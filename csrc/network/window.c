/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A window's life: planned, created, asked for results. Its runs are in run.c.
 */
#include "network/parts.h"

#include <math.h>
#include <string.h>

#include "heads/real.h"

/* -------------------------------------------------------------------- memory */

/* The head's number of a tensor, or the number of the head's tensors. */
static size_t number_in_head(const struct rk_weights *weights, size_t index)
{
    size_t i = 0, n = rk_head_n_tensors(&weights->head);
    while (i < n && weights->head_tensor[i] != index)
        i++;
    return i;
}

/* Places for the gradients: of what the window can read of the embedding, of all else. */
static void plan_gradients(struct rk_window *window, struct rk_arena *arena)
{
    const struct rk_weights *weights = window->weights;
    size_t n = window->max_steps * window->max_batch;
    size_t most = n < weights->vocab_size ? n : weights->vocab_size;
    size_t row_bytes = rk_panels(weights->dtype, weights->embedding_size) * RK_PANEL;
    window->gradient = rk_arena_take(arena, weights->n_tensors, sizeof *window->gradient);
    window->places = rk_arena_take(arena, weights->n_tensors, sizeof *window->places);
    if (!weights->tie_weights) {
        window->tokens = rk_arena_take(arena, most, sizeof *window->tokens);
        window->token_row =
            rk_arena_take(arena, weights->vocab_size, sizeof *window->token_row);
    }
    for (size_t i = 0; i < weights->n_tensors; i++) {
        const struct rk_tensor *tensor = &weights->tensors[i];
        size_t in_head = number_in_head(weights, i), n_bytes = tensor->n_bytes;
        bool is_heads = in_head < rk_head_n_tensors(&weights->head);
        if (tensor->is_table && !rk_mul(most, row_bytes, &n_bytes))
            arena->overflow = true;
        if (is_heads)
            n_bytes = rk_head_gradient_size(&window->head, in_head);
        char *gradient = rk_arena_take(arena, n_bytes, 1);
        if (!arena->base)
            continue;
        window->gradient[i] = gradient;
        if (tensor->is_table)
            window->places[i] = window->token_row;
        if (is_heads) {
            window->head_gradient[in_head] = gradient;
            window->places[i] = rk_head_places(&window->head, in_head);
        }
    }
}

/* Copies of the tensors that lose elements. */
static void plan_masked(struct rk_window *window, struct rk_arena *arena)
{
    const struct rk_weights *weights = window->weights;
    window->masked = rk_arena_take(arena, weights->n_tensors, sizeof *window->masked);
    for (size_t i = 0; window->dropout.weight > 0 && i < weights->n_tensors; i++) {
        size_t n_bytes = window->dropout.dropped[i] ? weights->tensors[i].n_bytes : 0;
        char *masked = n_bytes ? rk_arena_take(arena, n_bytes, 1) : NULL;
        if (arena->base)
            window->masked[i] = masked;
    }
}

static void plan_training(struct rk_window *window, struct rk_arena *arena)
{
    const struct rk_weights *weights = window->weights;
    size_t n_tensors = weights->n_tensors;
    size_t row_bytes = rk_rows_bound(window->max_batch) * RK_PANEL;
    size_t hidden_panels = rk_panels(weights->dtype, weights->hidden_size);
    window->transposed = rk_arena_take(arena, n_tensors, sizeof *window->transposed);
    plan_masked(window, arena);
    plan_gradients(window, arena);
    window->output_gradient =
        rk_arena_take(arena, window->max_steps * hidden_panels, row_bytes);
    window->step = rk_arena_take(arena, hidden_panels, row_bytes);
    size_t widest = 0, most_halves = 0;
    for (size_t l = 0; l < weights->n_layers; l++) {
        const struct rk_program *program = window->sequences[l].program;
        size_t width = rk_program_output_width(program);
        size_t halves = rk_program_second_halves(program);
        if (width > widest)
            widest = width;
        if (halves > most_halves)
            most_halves = halves;
        for (size_t i = 0; i < rk_program_n_parameters(program); i++) {
            size_t n_bytes = rk_program_parameter(program, i)->n_bytes_transposed;
            char *transposed = n_bytes ? rk_arena_take(arena, n_bytes, 1) : NULL;
            if (arena->base)
                window->transposed[weights->layer_tensor[l] + i] = transposed;
        }
    }
    /* Layer after layer uses the same. */
    char *second_halves = rk_arena_take(arena, most_halves, 1);
    for (size_t l = 0; l < weights->n_layers; l++)
        window->sequences[l].second_halves =
            rk_program_second_halves(window->sequences[l].program) ? second_halves : NULL;
    window->no_gradient =
        rk_arena_take(arena, rk_panels(weights->dtype, widest), row_bytes);
}

/* Everything a window owns, in one piece of memory. What grows with it: input, flags and
 * each layer's program with steps x batch; the head with one chunk of rows x vocabulary;
 * transposes, gradients and masked copies (training) with the weights. */
static void plan_window(struct rk_window *window, struct rk_arena *arena)
{
    const struct rk_weights *weights = window->weights;
    enum rk_dtype dtype = weights->dtype;
    size_t n = window->max_steps * window->max_batch, n_states = 0;
    size_t places = window->max_steps * rk_rows_bound(window->max_batch);
    window->ids = rk_arena_take(arena, n, sizeof *window->ids);
    window->scored = rk_arena_take(arena, n, sizeof *window->scored);
    window->log_likelihood = rk_arena_take(arena, n, rk_real_size(dtype));
    window->hits = rk_arena_take(arena, n, sizeof *window->hits);
    window->input =
        rk_arena_take(arena, places, rk_panels(dtype, weights->embedding_size) * RK_PANEL);
    window->resets = window->reads_flags ? rk_arena_take(arena, places, RK_PANEL) : NULL;
    window->active = window->reads_flags ? rk_arena_take(arena, places, RK_PANEL) : NULL;
    window->parameters =
        rk_arena_take(arena, weights->n_tensors, sizeof *window->parameters);
    for (size_t l = 0; l < weights->n_layers; l++) {
        const struct rk_program *program = window->sequences[l].program;
        size_t n_bytes = 0;
        if (!rk_program_memory(program, window->max_steps, window->max_batch, &n_bytes))
            arena->overflow = true;
        window->sequences[l].memory = rk_arena_take(arena, n_bytes, 1);
        n_states += rk_program_n_states(program);
    }
    window->initial_states = rk_arena_take(arena, n_states, sizeof *window->initial_states);
    rk_head_plan(&window->head, arena, n, window->training);
    rk_window_plan_repeats(window, arena);
    if (window->training)
        plan_training(window, arena);
}

/* Where parameters, gradients and initial states of each layer stand. */
static void connect(struct rk_window *window)
{
    const struct rk_weights *weights = window->weights;
    for (size_t i = 0; i < weights->n_tensors; i++)
        window->parameters[i] = window->training && window->masked[i]
                                    ? window->masked[i]
                                    : rk_weights_at(weights, i);
    for (size_t l = 0, state = 0; l < weights->n_layers; l++) {
        struct rk_sequence *sequence = &window->sequences[l];
        size_t first = weights->layer_tensor[l];
        sequence->kernels = weights->kernels;
        sequence->is_int8 = weights->int8;
        sequence->parameters = window->parameters + first;
        sequence->initial_states = window->initial_states + state;
        state += rk_program_n_states(sequence->program);
        if (!window->training)
            continue;
        sequence->transposed = (const char *const *)(window->transposed + first);
        sequence->gradients = window->gradient + first;
        sequence->needs_input_gradient = true;
    }
}

/* ------------------------------------------------------------------ creation */

static enum rk_status check_window_size(const struct rk_program *const *programs,
                                        size_t n_layers, size_t n_steps, size_t batch,
                                        bool training, struct rk_error *error)
{
    size_t n;
    if (n_steps < 1 || batch < 1 || !rk_mul(n_steps, batch, &n) || n > INT32_MAX)
        return rk_fail(
            error, RK_INVALID,
            "a window of %zu steps x %zu rows; both must be at least 1 and their "
            "product at most %ld",
            n_steps, batch, (long)INT32_MAX);
    for (size_t l = 0; training && l < n_layers; l++)
        if (!rk_program_can_train(programs[l]))
            return rk_fail(error, RK_INVALID,
                           "the program of layer %zu has no backward part: it cannot train",
                           l);
    return RK_OK;
}

static enum rk_status check_training(const struct rk_weights *weights,
                                     const struct rk_training *training,
                                     struct rk_error *error)
{
    double alpha = training->augmented_loss, tau = training->augmented_temperature;
    if (rk_weights_check_training(weights, error) != RK_OK)
        return RK_INVALID;
    if (!(alpha >= 0 && isfinite(alpha)))
        return rk_fail(error, RK_INVALID,
                       "augmented_loss is %g; it must be finite and at least 0", alpha);
    if (!(tau > 0 && isfinite(tau)))
        return rk_fail(error, RK_INVALID,
                       "augmented_temperature is %g; it must be finite and above 0", tau);
    if (alpha > 0 && weights->head.kind != RK_SOFTMAX)
        return rk_fail(error, RK_INVALID,
                       "an augmented loss needs a softmax over all words as head");
    return RK_OK;
}

static struct rk_window shape_of(const struct rk_weights *weights,
                                 const struct rk_program *const *programs, size_t n_steps,
                                 size_t batch, const struct rk_training *training)
{
    const char *tensors[RK_MAX_HEAD_TENSORS];
    for (size_t i = 0; i < rk_head_n_tensors(&weights->head); i++)
        tensors[i] = rk_weights_at(weights, weights->head_tensor[i]);
    struct rk_window window = {
        .weights = weights,
        .training = training != NULL,
        .max_steps = n_steps,
        .max_batch = batch,
        .embedding = {.kernels = weights->kernels,
                      .tied = weights->tie_weights,
                      .is_int8 = weights->int8,
                      .width = weights->embedding_size,
                      .table = rk_weights_at(weights, 0)},
        .head = rk_head_of(weights->kernels, &weights->head, tensors),
    };
    if (training) {
        window.head.augmented.alpha = training->augmented_loss;
        window.head.augmented.temperature = training->augmented_temperature;
        window.dropout = training->dropout;
    }
    for (size_t l = 0; l < weights->n_layers; l++) {
        window.sequences[l].program = programs[l];
        window.reads_flags = window.reads_flags || rk_program_reads_flags(programs[l]);
    }
    return window;
}

enum rk_status rk_window_create(struct rk_window **result, const struct rk_weights *weights,
                                const struct rk_program *const *programs, size_t n_layers,
                                size_t n_steps, size_t batch,
                                const struct rk_training *training, struct rk_error *error)
{
    *result = NULL;
    enum rk_status status = rk_weights_check_programs(weights, programs, n_layers, error);
    if (status == RK_OK)
        status =
            check_window_size(programs, n_layers, n_steps, batch, training != NULL, error);
    if (status == RK_OK && training)
        status = check_training(weights, training, error);
    if (status == RK_OK && training)
        status = rk_dropout_check(weights, &training->dropout, error);
    if (status != RK_OK)
        return status;
    struct rk_window shape = shape_of(weights, programs, n_steps, batch, training);
    struct rk_arena arena = {0};
    plan_window(&shape, &arena);
    struct rk_window *window = rk_alloc(sizeof *window);
    char *memory = arena.overflow ? NULL : rk_alloc(arena.n_bytes);
    if (!window || !memory) {
        rk_free(window);
        rk_free(memory);
        return rk_fail(error, RK_NOMEM, "no memory for a window of %zu steps x %zu rows",
                       n_steps, batch);
    }
    *window = shape;
    window->memory = memory;
    arena = (struct rk_arena){.base = memory};
    plan_window(window, &arena);
    window->dropout.dropped = NULL; /* the caller's */
    connect(window);
    *result = window;
    return RK_OK;
}

void rk_window_free(struct rk_window *window)
{
    if (!window)
        return;
    rk_free(window->thread_scratch);
    rk_free(window->memory);
    rk_free(window);
}

enum rk_status rk_run_check(const struct rk_run *run, struct rk_error *error)
{
    if (run->n_threads <= RK_MAX_THREADS)
        return RK_OK;
    return rk_fail(error, RK_INVALID, "n_threads is %d; it must be at most %d",
                   run->n_threads, RK_MAX_THREADS);
}

enum rk_status rk_window_enter(struct rk_window *window, const struct rk_run *run,
                               struct rk_error *error)
{
    enum rk_status status = rk_run_check(run, error);
    if (status != RK_OK)
        return status;
    if (!rk_take(&window->running))
        return rk_fail(error, RK_INVALID,
                       "the window is in use by another call; each thread needs its own");
    return RK_OK;
}

void rk_window_leave(struct rk_window *window)
{
    rk_give_back(&window->running);
}

/* ------------------------------------------------------------------- results */

void rk_window_shape(const struct rk_window *window, size_t *n_steps, size_t *batch)
{
    *n_steps = window->n_steps;
    *batch = window->batch;
}

static enum rk_status check_forward(const struct rk_window *window, struct rk_error *error)
{
    if (window->phase != RK_WINDOW_EMPTY)
        return RK_OK;
    return rk_fail(error, RK_INVALID, "the window has no results: forward comes first");
}

enum rk_status rk_window_check_gradients(const struct rk_window *window,
                                         struct rk_error *error)
{
    if (window->phase == RK_WINDOW_BACKWARD)
        return RK_OK;
    return rk_fail(error, RK_INVALID, "the window has no gradients: backward comes first");
}

enum rk_status rk_window_get_log_likelihood(void *plain, const struct rk_window *window,
                                            struct rk_error *error)
{
    enum rk_status status = check_forward(window, error);
    size_t n = window->n_steps * window->batch;
    if (status == RK_OK)
        memcpy(plain, window->log_likelihood, n * rk_real_size(window->weights->dtype));
    return status;
}

enum rk_status rk_window_get_hits(uint8_t *plain, const struct rk_window *window,
                                  struct rk_error *error)
{
    enum rk_status status = check_forward(window, error);
    if (status == RK_OK)
        memcpy(plain, window->hits, window->n_steps * window->batch);
    return status;
}

/* Rows of n_steps steps, in the order of the list. */
static void unpack_list(const struct rk_window *window, char *plain,
                        const struct rk_rows *rows, size_t n_steps, size_t width)
{
    size_t batch = window->batch, n = n_steps * batch, together;
    size_t row_size = width * rk_real_size(window->weights->dtype);
    for (size_t row = 0; row < n; row += together) {
        together = rk_rows_together(rows, batch, row);
        rk_rows_unpack(window->weights->dtype, plain + row * row_size,
                       rk_row_at(rows, batch, row), rows->panel_stride, together, width);
    }
}

enum rk_status rk_window_get_outputs(void *plain, const struct rk_window *window,
                                     struct rk_error *error)
{
    if (window->phase != RK_WINDOW_FORWARD)
        return rk_fail(error, RK_INVALID,
                       "the window has no outputs: they stand from forward to backward");
    const struct rk_weights *weights = window->weights;
    unpack_list(window, plain, &window->sequences[weights->n_layers - 1].output,
                window->n_steps, weights->hidden_size);
    return RK_OK;
}

/* A gradient by units in full: zero but for the rows that have a place. */
static void unpack_units(const struct rk_window *window, size_t index, char *plain)
{
    enum rk_dtype dtype = window->weights->dtype;
    const struct rk_tensor *tensor = &window->weights->tensors[index];
    const int32_t *places = window->places[index];
    const char *gradient = window->gradient[index];
    size_t width = tensor->columns, row_bytes = rk_panels(dtype, width) * RK_PANEL;
    size_t lanes = rk_lanes(dtype);
    memset(plain, 0, tensor->width * width * rk_real_size(dtype));
    for (size_t unit = 0; unit < tensor->width; unit++) {
        size_t place = (size_t)places[unit] - 1;
        char *row = plain + unit * width * rk_real_size(dtype);
        if (places[unit] == 0)
            continue;
        if (tensor->is_table)
            rk_rows_unpack(dtype, row, gradient + place * row_bytes, RK_PANEL, 1, width);
        else
            for (size_t k = 0; k < width; k++)
                rk_real_set(dtype, row, k,
                            rk_real_get(dtype, gradient + place / lanes * width * RK_PANEL,
                                        k * lanes + place % lanes));
    }
}

enum rk_status rk_window_get_gradient(void *plain, const struct rk_window *window,
                                      size_t index, struct rk_error *error)
{
    enum rk_status status = rk_window_check_gradients(window, error);
    if (status == RK_OK)
        status = rk_weights_check_index(window->weights, index, error);
    if (status != RK_OK)
        return status;
    if (window->places[index])
        unpack_units(window, index, plain);
    else
        rk_tensor_unpack(&window->weights->tensors[index], window->weights->dtype, plain,
                         window->gradient[index]);
    return RK_OK;
}

enum rk_status rk_window_state_width(const struct rk_window *window, size_t layer,
                                     size_t index, size_t *width, struct rk_error *error)
{
    if (layer >= window->weights->n_layers)
        return rk_fail(error, RK_INVALID, "layer %zu does not exist; there are %zu", layer,
                       window->weights->n_layers);
    const struct rk_program *program = window->sequences[layer].program;
    if (index >= rk_program_n_states(program))
        return rk_fail(error, RK_INVALID,
                       "state %zu of layer %zu does not exist; there are %zu", index, layer,
                       rk_program_n_states(program));
    *width = rk_program_state_width(program, index);
    return RK_OK;
}

enum rk_status rk_window_get_initial_state_gradient(void *plain,
                                                    const struct rk_window *window,
                                                    size_t layer, size_t index,
                                                    struct rk_error *error)
{
    size_t width = 0;
    enum rk_status status = rk_window_check_gradients(window, error);
    if (status == RK_OK)
        status = rk_window_state_width(window, layer, index, &width, error);
    if (status != RK_OK)
        return status;
    struct rk_rows rows =
        rk_sequence_initial_state_gradient(&window->sequences[layer], index);
    unpack_list(window, plain, &rows, 1, width);
    return RK_OK;
}
