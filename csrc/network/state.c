/* SPDX-License-Identifier: BSD-3-Clause */
#include "network/parts.h"

#include <string.h>

static size_t part_bytes(const struct rk_state *state, size_t part)
{
    return rk_panels(state->dtype, state->parts[part].width) * state->batch * RK_PANEL;
}

/* The list of parts, then each part's panels. */
static void plan_state(struct rk_state *state, struct rk_arena *arena,
                       const struct rk_program *const *programs)
{
    size_t n_parts = 0, row_bytes = state->batch * RK_PANEL;
    for (size_t l = 0; l < state->n_layers; l++) {
        state->layer_part[l] = n_parts;
        n_parts += rk_program_n_states(programs[l]);
    }
    state->layer_part[state->n_layers] = n_parts;
    state->parts = rk_arena_take(arena, n_parts, sizeof *state->parts);
    for (size_t l = 0, part = 0; l < state->n_layers; l++)
        for (size_t k = 0; k < rk_program_n_states(programs[l]); k++, part++) {
            size_t width = rk_program_state_width(programs[l], k);
            char *packed = rk_arena_take(arena, rk_panels(state->dtype, width), row_bytes);
            if (packed)
                state->parts[part] = (struct rk_state_part){width, packed};
        }
}

static void set_initial(struct rk_state *state, const struct rk_kernels *kernels,
                        const struct rk_program *const *programs)
{
    for (size_t l = 0, part = 0; l < state->n_layers; l++)
        for (size_t k = 0; k < rk_program_n_states(programs[l]); k++, part++) {
            size_t n_bytes = part_bytes(state, part), row_bytes = state->batch * RK_PANEL;
            char *packed = state->parts[part].packed;
            kernels->fill(packed, rk_program_state_initial(programs[l], k),
                          n_bytes / rk_real_size(state->dtype));
            kernels->clear_tail(packed + n_bytes - row_bytes, state->parts[part].width,
                                state->batch);
        }
}

enum rk_status rk_state_create(struct rk_state **result, const struct rk_weights *weights,
                               const struct rk_program *const *programs, size_t n_layers,
                               size_t batch, struct rk_error *error)
{
    *result = NULL;
    enum rk_status status = rk_weights_check_programs(weights, programs, n_layers, error);
    if (status != RK_OK)
        return status;
    if (batch < 1 || batch > INT32_MAX)
        return rk_fail(error, RK_INVALID, "batch_size is %zu; it must be from 1 to %ld",
                       batch, (long)INT32_MAX);
    struct rk_state shape = {.dtype = weights->dtype, .n_layers = n_layers, .batch = batch};
    struct rk_arena arena = {0};
    plan_state(&shape, &arena, programs);
    struct rk_state *state = rk_alloc(sizeof *state);
    char *memory = arena.overflow ? NULL : rk_alloc(arena.n_bytes);
    if (!state || !memory) {
        rk_free(state);
        rk_free(memory);
        return rk_fail(error, RK_NOMEM, "no memory for the state of a batch of %zu", batch);
    }
    *state = shape;
    state->memory = memory;
    arena = (struct rk_arena){.base = memory};
    plan_state(state, &arena, programs);
    set_initial(state, weights->kernels, programs);
    *result = state;
    return RK_OK;
}

enum rk_status rk_state_assign(struct rk_state *state, const struct rk_state *from,
                               struct rk_error *error)
{
    size_t n_parts = state->layer_part[state->n_layers];
    bool same = state->dtype == from->dtype && state->batch == from->batch &&
                state->n_layers == from->n_layers &&
                memcmp(state->layer_part, from->layer_part, sizeof state->layer_part) == 0;
    for (size_t part = 0; same && part < n_parts; part++)
        same = state->parts[part].width == from->parts[part].width;
    if (!same)
        return rk_fail(error, RK_INVALID, "the states have different shapes");
    for (size_t part = 0; part < n_parts; part++)
        memcpy(state->parts[part].packed, from->parts[part].packed,
               part_bytes(state, part));
    return RK_OK;
}

void rk_state_free(struct rk_state *state)
{
    if (!state)
        return;
    rk_free(state->memory);
    rk_free(state);
}

/* NULL, with the reason in `error`, when there is none. */
static const struct rk_state_part *find_part(const struct rk_state *state, size_t layer,
                                             size_t index, struct rk_error *error)
{
    if (layer >= state->n_layers) {
        rk_fail(error, RK_INVALID, "layer %zu does not exist; there are %zu", layer,
                state->n_layers);
        return NULL;
    }
    size_t first = state->layer_part[layer], n = state->layer_part[layer + 1] - first;
    if (index < n)
        return &state->parts[first + index];
    rk_fail(error, RK_INVALID, "state %zu of layer %zu does not exist; there are %zu",
            index, layer, n);
    return NULL;
}

enum rk_status rk_state_width(const struct rk_state *state, size_t layer, size_t index,
                              size_t *width, struct rk_error *error)
{
    const struct rk_state_part *part = find_part(state, layer, index, error);
    if (!part)
        return RK_INVALID;
    *width = part->width;
    return RK_OK;
}

enum rk_status rk_state_get(void *plain, const struct rk_state *state, size_t layer,
                            size_t index, struct rk_error *error)
{
    const struct rk_state_part *part = find_part(state, layer, index, error);
    if (!part)
        return RK_INVALID;
    rk_rows_unpack(state->dtype, plain, part->packed, state->batch * RK_PANEL, state->batch,
                   part->width);
    return RK_OK;
}

enum rk_status rk_state_set(struct rk_state *state, size_t layer, size_t index,
                            const void *plain, struct rk_error *error)
{
    const struct rk_state_part *part = find_part(state, layer, index, error);
    if (!part)
        return RK_INVALID;
    rk_rows_pack(state->dtype, part->packed, state->batch * RK_PANEL, plain, state->batch,
                 part->width);
    return RK_OK;
}
