/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tokens of a window that stand in several places: text repeats itself, and what the
 * first layer does with an embedded token before its time loop needs doing once.
 */
#include "network/parts.h"

void rk_window_plan_repeats(struct rk_window *window, struct rk_arena *arena)
{
    const struct rk_weights *weights = window->weights;
    const struct rk_program *program = window->sequences[0].program;
    size_t n = window->max_steps * window->max_batch, n_bytes = 0;
    if (n == 1 || !rk_program_uses_repeats(program))
        return;
    size_t most = n < weights->vocab_size ? n : weights->vocab_size;
    if (!rk_program_repeats_memory(program, most, &n_bytes))
        arena->overflow = true;
    window->distinct = rk_arena_take(arena, most, sizeof *window->distinct);
    window->place = rk_arena_take(arena, weights->vocab_size, sizeof *window->place);
    window->index = rk_arena_take(arena, n, sizeof *window->index);
    window->repeats.rows.base = rk_arena_take(
        arena, most, rk_panels(weights->dtype, weights->embedding_size) * RK_PANEL);
    window->repeats.memory = rk_arena_take(arena, n_bytes, 1);
}

/* Numbers the tokens by their first places. */
static size_t number_tokens(struct rk_window *window, size_t n_rows)
{
    size_t n = 0;
    for (size_t r = 0; r < n_rows; r++) {
        int32_t *place = &window->place[window->ids[r]];
        if (*place == 0) {
            window->distinct[n++] = window->ids[r];
            *place = (int32_t)n;
        }
        window->index[r] = *place - 1;
    }
    for (size_t u = 0; u < n; u++)
        window->place[window->distinct[u]] = 0;
    return n;
}

const struct rk_repeats *rk_window_find_repeats(struct rk_window *window)
{
    size_t n_rows = window->n_steps * window->batch;
    if (!window->distinct)
        return NULL;
    size_t n = number_tokens(window, n_rows);
    if (4 * n > 3 * n_rows) /* gathering and spreading would cost what is saved */
        return NULL;
    window->repeats.n = n;
    window->repeats.rows.panel_stride = n * RK_PANEL;
    window->repeats.index = window->index;
    return &window->repeats;
}
