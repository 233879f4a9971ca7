/* SPDX-License-Identifier: BSD-3-Clause */
#include "network/parts.h"

#include <string.h>

/* ----------------------------------------------------------------- tensors */

/* Bytes from one row of a table to the next. */
static size_t table_row(const struct rk_tensor *tensor, enum rk_dtype dtype)
{
    return rk_panels(dtype, tensor->columns) * RK_PANEL;
}

void rk_tensor_pack(const struct rk_tensor *tensor, enum rk_dtype dtype, char *packed,
                    const void *plain)
{
    if (!tensor->is_table) {
        rk_pack(dtype, packed, plain, tensor->blocks, tensor->width, tensor->columns);
        return;
    }
    size_t plain_row = tensor->columns * rk_real_size(dtype);
    for (size_t row = 0; row < tensor->width; row++)
        rk_rows_pack(dtype, packed + row * table_row(tensor, dtype), RK_PANEL,
                     (const char *)plain + row * plain_row, 1, tensor->columns);
}

void rk_tensor_unpack(const struct rk_tensor *tensor, enum rk_dtype dtype, void *plain,
                      const char *packed)
{
    if (!tensor->is_table) {
        rk_unpack(dtype, plain, packed, tensor->blocks, tensor->width, tensor->columns);
        return;
    }
    size_t plain_row = tensor->columns * rk_real_size(dtype);
    for (size_t row = 0; row < tensor->width; row++)
        rk_rows_unpack(dtype, (char *)plain + row * plain_row,
                       packed + row * table_row(tensor, dtype), RK_PANEL, 1,
                       tensor->columns);
}

void rk_tensor_clear_padding(const struct rk_tensor *tensor,
                             const struct rk_kernels *kernels, char *packed)
{
    enum rk_dtype dtype = kernels->dtype;
    if (tensor->is_table) {
        size_t row_bytes = table_row(tensor, dtype);
        for (size_t row = 0; row < tensor->width; row++)
            kernels->clear_tail(packed + (row + 1) * row_bytes - RK_PANEL, tensor->columns,
                                1);
        return;
    }
    size_t panel_bytes = tensor->columns * RK_PANEL;
    size_t block_bytes = rk_panels(dtype, tensor->width) * panel_bytes;
    for (size_t block = 0; block < tensor->blocks; block++)
        kernels->clear_tail(packed + (block + 1) * block_bytes - panel_bytes, tensor->width,
                            tensor->columns);
}

/* ------------------------------------------------------------------ creation */

/* Appends a tensor; false when sizes overflow. */
static bool add_tensor(struct rk_weights *weights, struct rk_tensor tensor)
{
    enum rk_dtype dtype = weights->dtype;
    tensor.is_int8 = weights->int8 && !tensor.is_vector;
    tensor.is_table = tensor.is_table && !tensor.is_int8;
    size_t units = tensor.is_table ? tensor.columns : tensor.width;
    size_t others = tensor.is_table ? tensor.width : tensor.columns;
    size_t n_bytes;
    if (tensor.is_int8 && others < SIZE_MAX - RK_PANEL)
        others = rk_int8_panel(others) / RK_PANEL;
    if (units > SIZE_MAX - RK_PANEL ||
        !rk_mul(rk_panels(dtype, units), tensor.blocks, &n_bytes) ||
        !rk_mul(n_bytes, others, &n_bytes) || !rk_mul(n_bytes, RK_PANEL, &n_bytes))
        return false;
    tensor.offset = weights->n_bytes;
    tensor.n_bytes = n_bytes;
    weights->tensors[weights->n_tensors++] = tensor;
    return rk_add(weights->n_bytes, n_bytes, &weights->n_bytes);
}

static bool add_head(struct rk_weights *weights)
{
    bool fits = true;
    for (size_t i = 0; i < rk_head_n_tensors(&weights->head); i++) {
        struct rk_head_tensor tensor = rk_head_tensor(&weights->head, i);
        weights->head_tensor[i] = i == 0 && weights->tie_weights ? 0 : weights->n_tensors;
        if (i == 0 && weights->tie_weights)
            continue;
        fits = add_tensor(
                   weights,
                   (struct rk_tensor){.is_vector = tensor.columns == 0,
                                      .by_units = tensor.by_units,
                                      .blocks = 1,
                                      .width = tensor.rows,
                                      .columns = tensor.columns ? tensor.columns : 1}) &&
               fits;
    }
    return fits;
}

static bool add_tensors(struct rk_weights *weights, const struct rk_network *network)
{
    size_t vocab = network->vocab_size;
    bool fits = add_tensor(weights, (struct rk_tensor){.is_table = !network->tie_weights,
                                                       .by_units = !network->tie_weights,
                                                       .blocks = 1,
                                                       .width = vocab,
                                                       .columns = network->embedding_size});
    for (size_t l = 0; l < network->n_layers; l++) {
        weights->layer_tensor[l] = weights->n_tensors;
        for (size_t i = 0; i < rk_program_n_parameters(network->programs[l]); i++) {
            const struct rk_parameter *p = rk_program_parameter(network->programs[l], i);
            fits = add_tensor(weights, (struct rk_tensor){.is_vector = !p->is_weight,
                                                          .blocks = p->blocks,
                                                          .width = p->width,
                                                          .columns = p->columns}) &&
                   fits;
        }
    }
    weights->layer_tensor[network->n_layers] = weights->n_tensors;
    return add_head(weights) && fits;
}

struct rk_head_shape rk_network_head(const struct rk_network *network)
{
    struct rk_head_shape shape = {
        .kind = network->head,
        .vocab = network->vocab_size,
        .width = rk_program_output_width(network->programs[network->n_layers - 1]),
        .tied = network->tie_weights,
        .bias = network->output_bias,
        .is_int8 = network->int8,
        .n_samples = network->n_samples,
        .clusters = {.n = network->n_clusters},
    };
    for (size_t i = 0; i < network->n_clusters && i < RK_MAX_CLUSTERS; i++) {
        int32_t cutoff = network->cutoffs[i], width = network->cluster_widths[i];
        shape.clusters.cutoff[i] = cutoff < 0 ? 0 : (size_t)cutoff;
        shape.clusters.width[i] = width < 0 ? 0 : (size_t)width;
    }
    return shape;
}

enum rk_status rk_network_check(const struct rk_network *network, struct rk_error *error)
{
    if (network->vocab_size < 1 || network->vocab_size > INT32_MAX)
        return rk_fail(error, RK_INVALID, "vocab_size is %zu; it must be from 1 to %ld",
                       network->vocab_size, (long)INT32_MAX);
    if (network->int8 && network->dtype != RK_FLOAT32)
        return rk_fail(error, RK_INVALID, "int8 weights need a network of float32");
    if (network->embedding_size < 1)
        return rk_fail(error, RK_INVALID, "embedding_size is 0; it must be at least 1");
    if (network->n_layers < 1 || network->n_layers > RK_MAX_LAYERS)
        return rk_fail(error, RK_INVALID, "there are %zu layers; there must be 1 to %d",
                       network->n_layers, RK_MAX_LAYERS);
    size_t width = network->embedding_size;
    for (size_t l = 0; l < network->n_layers; l++) {
        const struct rk_program *program = network->programs[l];
        if (rk_program_dtype(program) != network->dtype)
            return rk_fail(error, RK_INVALID,
                           "the program of layer %zu and the weights differ in dtype", l);
        if (rk_program_input_width(program) != width)
            return rk_fail(
                error, RK_INVALID,
                "the program of layer %zu takes %zu units, the layer below it has %zu", l,
                rk_program_input_width(program), width);
        width = rk_program_output_width(program);
    }
    if (network->tie_weights && width != network->embedding_size)
        return rk_fail(error, RK_INVALID,
                       "tie_weights needs outputs as wide as the embedding: %zu and %zu",
                       width, network->embedding_size);
    struct rk_head_shape head = rk_network_head(network);
    return rk_head_check(&head, error);
}

static enum rk_status alloc_tensors(struct rk_weights *weights,
                                    const struct rk_network *network,
                                    struct rk_error *error)
{
    size_t n_tensors = 1 + rk_head_n_tensors(&weights->head);
    for (size_t l = 0; l < network->n_layers; l++)
        n_tensors += rk_program_n_parameters(network->programs[l]);
    weights->tensors = rk_alloc(n_tensors * sizeof *weights->tensors);
    if (!weights->tensors)
        return rk_fail(error, RK_NOMEM, "no memory for the weights");
    if (!add_tensors(weights, network))
        return rk_fail(error, RK_NOMEM, "the weights are larger than any memory");
    weights->arena = rk_alloc(weights->n_bytes);
    if (!weights->arena)
        return rk_fail(error, RK_NOMEM, "no memory for weights of %zu bytes",
                       weights->n_bytes);
    return RK_OK;
}

enum rk_status rk_weights_create(struct rk_weights **result,
                                 const struct rk_network *network, struct rk_error *error)
{
    *result = NULL;
    enum rk_isa isa;
    enum rk_status status = rk_network_check(network, error);
    if (status == RK_OK)
        status = rk_isa_choose(&isa, error);
    if (status != RK_OK)
        return status;
    struct rk_weights *weights = rk_alloc(sizeof *weights);
    if (!weights)
        return rk_fail(error, RK_NOMEM, "no memory for the weights");
    *weights = (struct rk_weights){
        .kernels = rk_kernels(isa, network->dtype),
        .dtype = network->dtype,
        .vocab_size = network->vocab_size,
        .embedding_size = network->embedding_size,
        .hidden_size = rk_program_output_width(network->programs[network->n_layers - 1]),
        .n_layers = network->n_layers,
        .tie_weights = network->tie_weights,
        .int8 = network->int8,
        .head = rk_network_head(network),
    };
    status = alloc_tensors(weights, network, error);
    if (status == RK_OK)
        *result = weights;
    else
        rk_weights_free(weights);
    return status;
}

enum rk_status rk_weights_check_shapes(const struct rk_weights *weights,
                                       const struct rk_weights *other,
                                       struct rk_error *error)
{
    bool same = weights->dtype == other->dtype && weights->int8 == other->int8 &&
                weights->n_tensors == other->n_tensors;
    for (size_t i = 0; same && i < weights->n_tensors; i++) {
        const struct rk_tensor *a = &weights->tensors[i], *b = &other->tensors[i];
        same = a->is_table == b->is_table && a->blocks == b->blocks &&
               a->width == b->width && a->columns == b->columns;
    }
    if (same)
        return RK_OK;
    return rk_fail(error, RK_INVALID, "the weights have different shapes");
}

enum rk_status rk_weights_assign(struct rk_weights *weights, const struct rk_weights *from,
                                 struct rk_error *error)
{
    enum rk_status status = rk_weights_check_shapes(weights, from, error);
    if (status == RK_OK)
        memcpy(weights->arena, from->arena, weights->n_bytes);
    return status;
}

void rk_weights_free(struct rk_weights *weights)
{
    if (!weights)
        return;
    rk_free(weights->tensors);
    rk_free(weights->arena);
    rk_free(weights);
}

/* -------------------------------------------------------------------- access */

size_t rk_weights_n_tensors(const struct rk_weights *weights)
{
    return weights->n_tensors;
}

size_t rk_weights_hidden_size(const struct rk_weights *weights)
{
    return weights->hidden_size;
}

enum rk_status rk_weights_check_index(const struct rk_weights *weights, size_t index,
                                      struct rk_error *error)
{
    if (index < weights->n_tensors)
        return RK_OK;
    return rk_fail(error, RK_INVALID, "tensor %zu does not exist; there are %zu", index,
                   weights->n_tensors);
}

enum rk_status rk_weights_shape(const struct rk_weights *weights, size_t index,
                                size_t *rows, size_t *columns, struct rk_error *error)
{
    enum rk_status status = rk_weights_check_index(weights, index, error);
    if (status != RK_OK)
        return status;
    const struct rk_tensor *tensor = &weights->tensors[index];
    *rows = tensor->blocks * tensor->width;
    *columns = tensor->is_vector ? 0 : tensor->columns;
    return RK_OK;
}

bool rk_weights_is_int8(const struct rk_weights *weights, size_t index)
{
    return index < weights->n_tensors && weights->tensors[index].is_int8;
}

static enum rk_status check_kind(const struct rk_weights *weights, size_t index,
                                 bool is_int8, struct rk_error *error)
{
    enum rk_status status = rk_weights_check_index(weights, index, error);
    if (status != RK_OK || weights->tensors[index].is_int8 == is_int8)
        return status;
    return rk_fail(error, RK_INVALID, "tensor %zu is %s of int8", index,
                   is_int8 ? "not" : "a matrix");
}

enum rk_status rk_weights_get_int8(int8_t *codes, float *scales,
                                   const struct rk_weights *weights, size_t index,
                                   struct rk_error *error)
{
    enum rk_status status = check_kind(weights, index, true, error);
    if (status != RK_OK)
        return status;
    const struct rk_tensor *tensor = &weights->tensors[index];
    rk_int8_unpack(codes, scales, rk_weights_at(weights, index), tensor->blocks,
                   tensor->width, tensor->columns);
    return RK_OK;
}

enum rk_status rk_weights_set_int8(struct rk_weights *weights, size_t index,
                                   const int8_t *codes, const float *scales,
                                   struct rk_error *error)
{
    enum rk_status status = check_kind(weights, index, true, error);
    if (status != RK_OK)
        return status;
    const struct rk_tensor *tensor = &weights->tensors[index];
    size_t n = tensor->blocks * tensor->width * tensor->columns;
    if (memchr(codes, -128, n))
        return rk_fail(error, RK_INVALID,
                       "tensor %zu: a code is -128; allowed are -127 "
                       "to 127",
                       index);
    rk_int8_pack(weights->arena + tensor->offset, codes, scales, tensor->blocks,
                 tensor->width, tensor->columns);
    return RK_OK;
}

enum rk_status rk_weights_get(void *plain, const struct rk_weights *weights, size_t index,
                              struct rk_error *error)
{
    enum rk_status status = check_kind(weights, index, false, error);
    if (status == RK_OK)
        rk_tensor_unpack(&weights->tensors[index], weights->dtype, plain,
                         rk_weights_at(weights, index));
    return status;
}

enum rk_status rk_weights_set(struct rk_weights *weights, size_t index, const void *plain,
                              struct rk_error *error)
{
    enum rk_status status = check_kind(weights, index, false, error);
    if (status == RK_OK)
        rk_tensor_pack(&weights->tensors[index], weights->dtype,
                       weights->arena + weights->tensors[index].offset, plain);
    return status;
}

enum rk_status rk_weights_check_training(const struct rk_weights *weights,
                                         struct rk_error *error)
{
    return weights->int8 ? rk_fail(error, RK_INVALID, "weights of int8 do not train")
                         : RK_OK;
}

enum rk_status rk_weights_check_programs(const struct rk_weights *weights,
                                         const struct rk_program *const *programs,
                                         size_t n_layers, struct rk_error *error)
{
    if (n_layers != weights->n_layers)
        return rk_fail(error, RK_INVALID,
                       "there are %zu programs, the weights have %zu layers", n_layers,
                       weights->n_layers);
    for (size_t l = 0; l < n_layers; l++) {
        const struct rk_program *program = programs[l];
        size_t first = weights->layer_tensor[l], n = weights->layer_tensor[l + 1] - first;
        size_t output = l + 1 < n_layers ? rk_program_input_width(programs[l + 1])
                                         : weights->hidden_size;
        bool same = rk_program_dtype(program) == weights->dtype &&
                    rk_program_n_parameters(program) == n &&
                    rk_program_output_width(program) == output &&
                    (l > 0 || rk_program_input_width(program) == weights->embedding_size);
        for (size_t i = 0; same && i < n; i++) {
            const struct rk_parameter *p = rk_program_parameter(program, i);
            const struct rk_tensor *tensor = &weights->tensors[first + i];
            same = p->is_weight == !tensor->is_vector && p->blocks == tensor->blocks &&
                   p->width == tensor->width && p->columns == tensor->columns;
        }
        if (!same)
            return rk_fail(
                error, RK_INVALID,
                "the program of layer %zu has other parameters or widths than the "
                "weights were made for",
                l);
    }
    return RK_OK;
}
