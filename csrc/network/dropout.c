/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What training drops of the weights, drawn once a window: word types of the embedding (Gal
 * & Ghahramani, 2016), and single elements of matrices (Merity et al., 2018). Masks are
 * functions of seed, update, tensor and place, computed whenever they are needed.
 */
#include "network/parts.h"

#include "heads/real.h"

/* A bit of the counter's word for steps that no step of a window has: tensors share no
 * counter with masks of activations. The tensor stands for the site. */
#define TENSOR 0x80000000u

static struct rk_mask mask_of(const struct rk_window *window, size_t tensor, double rate)
{
    struct rk_mask mask = window->sequences[0].mask; /* seed and update of the run */
    mask.site = (uint32_t)tensor;
    mask.rate = rate;
    return mask;
}

/* 0 or 1 / (1 - rate): words are the units of the embedding's mask. */
static double word_factor(const struct rk_window *window, const struct rk_mask *mask,
                          int32_t word)
{
    const struct rk_kernels *kernels = window->weights->kernels;
    _Alignas(RK_PANEL) char panel[RK_PANEL];
    size_t unit = (size_t)word;
    kernels->mask(panel, mask, TENSOR, 0, 1, unit / kernels->lanes, 1);
    return rk_real_get(kernels->dtype, panel, unit % kernels->lanes);
}

void rk_window_drop_words(const struct rk_window *window, struct rk_rows values,
                          size_t batch, const int32_t *ids, size_t row0, size_t row1,
                          size_t panel0, size_t panel1)
{
    const struct rk_kernels *kernels = window->weights->kernels;
    struct rk_mask mask = mask_of(window, 0, window->dropout.embedding);
    for (size_t r = row0; window->dropout.embedding > 0 && r < row1; r++) {
        double factor = word_factor(window, &mask, ids[r]);
        char *row = rk_row_at(&values, batch, r);
        for (size_t p = panel0; p < panel1; p++)
            kernels->scale(row + p * values.panel_stride, factor, kernels->lanes);
    }
}

/* out = in * mask, panels of units [first, last) of all blocks. */
static void multiply_by_mask(const struct rk_window *window, size_t index, char *out,
                             const char *in, size_t first, size_t last)
{
    enum { AT_ONCE = 32 };
    _Alignas(RK_PANEL) char values[AT_ONCE * RK_PANEL];
    const struct rk_kernels *kernels = window->weights->kernels;
    const struct rk_tensor *tensor = &window->weights->tensors[index];
    size_t panels = rk_panels(kernels->dtype, tensor->width), n;
    struct rk_mask mask = mask_of(window, index, window->dropout.weight);
    for (size_t p = first; p < last; p++)
        for (size_t k = 0; k < tensor->columns; k += n) {
            size_t at = (p * tensor->columns + k) * RK_PANEL, left = tensor->columns - k;
            n = left < AT_ONCE ? left : AT_ONCE;
            kernels->mask(values, &mask, TENSOR | (uint32_t)(p / panels), k, n, p % panels,
                          1);
            kernels->vector[RK_OP_mul](out + at, in + at, values, NULL, n * kernels->lanes);
        }
}

static void mask_share(const struct rk_window *window, size_t index, char *out,
                       const char *in, const struct rk_team *team, int thread)
{
    const struct rk_tensor *tensor = &window->weights->tensors[index];
    size_t panels = tensor->blocks * rk_panels(window->weights->dtype, tensor->width);
    size_t first, last;
    rk_share(panels, team->n_threads, thread, &first, &last);
    multiply_by_mask(window, index, out, in, first, last);
}

void rk_window_drop_weights(const struct rk_window *window, const struct rk_team *team,
                            int thread)
{
    for (size_t i = 0; i < window->weights->n_tensors; i++)
        if (window->masked[i])
            mask_share(window, i, window->masked[i], rk_weights_at(window->weights, i),
                       team, thread);
}

void rk_window_drop_gradients(const struct rk_window *window, const struct rk_team *team,
                              int thread)
{
    for (size_t i = 0; i < window->weights->n_tensors; i++)
        if (window->masked[i])
            mask_share(window, i, window->gradient[i], window->gradient[i], team, thread);
}

enum rk_status rk_dropout_check(const struct rk_weights *weights,
                                const struct rk_dropout *dropout, struct rk_error *error)
{
    const double rates[2] = {dropout->embedding, dropout->weight};
    for (int i = 0; i < 2; i++) {
        if (!(rates[i] >= 0 && rates[i] < 1))
            return rk_fail(error, RK_INVALID, "a rate of dropout is %g; allowed is [0, 1)",
                           rates[i]);
    }
    for (size_t i = 0; dropout->weight > 0 && i < weights->n_tensors; i++) {
        bool is_matrix = i >= weights->layer_tensor[0] &&
                         i < weights->layer_tensor[weights->n_layers] &&
                         !weights->tensors[i].is_vector;
        if (dropout->dropped[i] && !is_matrix)
            return rk_fail(error, RK_INVALID, "tensor %zu is no matrix of a layer", i);
    }
    return RK_OK;
}
