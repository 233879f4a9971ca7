/* SPDX-License-Identifier: BSD-3-Clause */
#include "modelfile/modelfile.h"

#include <stdio.h>
#include <string.h>

#include "modelfile/config.h"
#include "modelfile/json.h"

enum { MAX_PARAMETER_NAME = 100 }; /* of a cell's parameter */

/* A tensor that must be there, of this type, and is then accounted for. */
static enum rk_status use(const struct rk_modelfile *file, const char *name,
                          enum rk_element element, const struct rk_stored **result,
                          struct rk_error *error)
{
    struct rk_stored *tensor = rk_container_tensor(&file->container, name);
    if (!tensor)
        return rk_fail(error, RK_FORMAT, "tensor '%s' is missing", name);
    if (tensor->element != element)
        return rk_fail(error, RK_FORMAT, "tensor '%s' has dtype %s, it must be %s", name,
                       rk_element_name(tensor->element), rk_element_name(element));
    if (tensor->is_used)
        return rk_fail(error, RK_FORMAT, "tensor '%s' would stand for two parameters",
                       name);
    tensor->is_used = true;
    *result = tensor;
    return RK_OK;
}

/* One that is a list. */
static enum rk_status use_list(const struct rk_modelfile *file, const char *name,
                               enum rk_element element, const struct rk_stored **result,
                               struct rk_error *error)
{
    enum rk_status status = use(file, name, element, result, error);
    if (status == RK_OK && (*result)->rank != 1)
        return rk_fail(error, RK_FORMAT, "tensor '%s' must have one dimension", name);
    return status;
}

/* Whether no element has all bits of its exponent set, as infinity and NaN have. */
static bool is_finite(const struct rk_stored *tensor)
{
    bool found = false;
    if (tensor->element == RK_F32) {
        const uint32_t *bits = tensor->data;
        for (size_t i = 0; i < tensor->n_bytes / sizeof *bits; i++)
            found |= (bits[i] & 0x7f800000) == 0x7f800000;
    } else {
        const uint64_t exponent = UINT64_C(0x7ff) << 52, *bits = tensor->data;
        for (size_t i = 0; i < tensor->n_bytes / sizeof *bits; i++)
            found |= (bits[i] & exponent) == exponent;
    }
    return !found;
}

/* Whether all elements are finite and have no sign. */
static bool are_scales(const struct rk_stored *tensor)
{
    bool found = false;
    const uint32_t *bits = tensor->data;
    for (size_t i = 0; i < tensor->n_bytes / sizeof *bits; i++)
        found |= bits[i] >= 0x7f800000;
    return !found;
}

/* -------------------------------------------------------------- parameters */

static enum rk_status check_shape(const struct rk_stored *tensor, size_t rows,
                                  size_t columns, struct rk_error *error)
{
    char has[64], needs[64];
    int n = 0;
    if (tensor->rank == (columns ? 2 : 1) && tensor->shape[0] == rows &&
        (!columns || tensor->shape[1] == columns))
        return RK_OK;
    for (int i = 0; i < tensor->rank; i++)
        n += snprintf(has + n, sizeof has - (size_t)n, i ? " x %zu" : "%zu",
                      tensor->shape[i]);
    snprintf(needs, sizeof needs, columns ? "%zu x %zu" : "%zu", rows, columns);
    return rk_fail(error, RK_FORMAT, "tensor '%s' has shape %s, the network needs %s",
                   tensor->name, has, needs);
}

/* A matrix of int8, and the scales of its rows, which stand under a name of their own. */
static enum rk_status add_int8(struct rk_modelfile *file, const char *name, size_t rows,
                               size_t columns, struct rk_error *error)
{
    const struct rk_stored *codes = NULL, *scales = NULL;
    char scale_name[MAX_PARAMETER_NAME + 32];
    snprintf(scale_name, sizeof scale_name, "%s.scale", name);
    enum rk_status status = use(file, name, RK_I8, &codes, error);
    if (status == RK_OK)
        status = check_shape(codes, rows, columns, error);
    if (status == RK_OK && memchr(codes->data, -128, codes->n_bytes))
        status = rk_fail(error, RK_FORMAT,
                         "tensor '%s' holds -128; allowed are -127 to 127", name);
    if (status == RK_OK)
        status = use(file, scale_name, RK_F32, &scales, error);
    if (status == RK_OK)
        status = check_shape(scales, rows, 0, error);
    if (status == RK_OK && !are_scales(scales))
        status = rk_fail(error, RK_FORMAT,
                         "tensor '%s' holds a number that is not finite, or negative",
                         scale_name);
    if (status != RK_OK)
        return status;
    file->scales[file->n_parameters] = scales;
    file->parameters[file->n_parameters++] = codes;
    return RK_OK;
}

/* The next parameter in the core's order; columns 0: a vector. */
static enum rk_status add_parameter(struct rk_modelfile *file, const char *name,
                                    size_t rows, size_t columns, struct rk_error *error)
{
    const struct rk_stored *tensor = NULL;
    enum rk_element element = file->network.dtype == RK_FLOAT32 ? RK_F32 : RK_F64;
    if (file->network.int8 && columns)
        return add_int8(file, name, rows, columns, error);
    enum rk_status status = use(file, name, element, &tensor, error);
    if (status == RK_OK)
        status = check_shape(tensor, rows, columns, error);
    if (status == RK_OK && !is_finite(tensor))
        status = rk_fail(error, RK_FORMAT, "tensor '%s' holds NaN or infinity", name);
    if (status == RK_OK)
        file->parameters[file->n_parameters++] = tensor;
    return status;
}

/* The name of the next parameter that the description of a cell lists. */
static bool next_name(struct rk_json *json, char name[MAX_PARAMETER_NAME + 1])
{
    struct rk_json object = *json;
    if (!rk_json_take(&object, "{") || !rk_json_find(&object, "name") ||
        !rk_json_take(&object, "\"") || !rk_json_skip(json))
        return false;
    size_t n = 0;
    while (object.at[n] != '"') /* there is one: the whole has been skipped */
        if (n < MAX_PARAMETER_NAME)
            name[n] = object.at[n], n++;
        else
            return false;
    name[n] = 0;
    return n > 0;
}

static enum rk_status add_layer(struct rk_modelfile *file, size_t layer,
                                struct rk_error *error)
{
    const struct rk_program *program = file->programs[layer];
    const struct rk_stored *cell = NULL;
    char tensor[MAX_PARAMETER_NAME + 16], name[MAX_PARAMETER_NAME + 1];
    snprintf(tensor, sizeof tensor, "rnn.cell_l%zu", layer);
    enum rk_status status = use_list(file, tensor, RK_U8, &cell, error);
    if (status != RK_OK)
        return status;
    const char *text = cell->data;
    struct rk_json json = {text, text + cell->n_bytes};
    size_t n = rk_program_n_parameters(program);
    bool good = rk_json_take(&json, "{") && rk_json_key(&json, "parameters") &&
                rk_json_take(&json, "[");
    for (size_t i = 0; i < n; i++) {
        const struct rk_parameter *p = rk_program_parameter(program, i);
        good = good && (i == 0 || rk_json_take(&json, ",")) && next_name(&json, name);
        if (!good)
            break;
        snprintf(tensor, sizeof tensor, "rnn.%s_l%zu", name, layer);
        status = add_parameter(file, tensor, p->blocks * p->width,
                               p->is_weight ? p->columns : 0, error);
        if (status != RK_OK)
            return status;
    }
    if (!good || !rk_json_take(&json, "]"))
        return rk_fail(error, RK_FORMAT,
                       "%s: it does not describe the %zu parameters of its graph",
                       cell->name, n);
    return RK_OK;
}

static enum rk_status add_projection(struct rk_modelfile *file, struct rk_error *error)
{
    static const char *const names[] = {"projection.weight", "projection.bias"};
    const struct rk_program *program = file->programs[file->n_cells];
    if (rk_program_n_parameters(program) != 2 || rk_program_n_states(program) != 0)
        return rk_fail(error, RK_FORMAT,
                       "prediction.graph_l%zu: a projection has two parameters, no states",
                       file->n_cells);
    enum rk_status status = RK_OK;
    for (size_t i = 0; status == RK_OK && i < 2; i++) {
        const struct rk_parameter *p = rk_program_parameter(program, i);
        status = add_parameter(file, names[i], p->blocks * p->width,
                               p->is_weight ? p->columns : 0, error);
    }
    return status;
}

/* The name that a tensor of the head has in the file. */
static void head_name(char name[64], const struct rk_network *network, size_t index)
{
    static const char *const plain[] = {"output.weight", "output.bias"};
    static const char *const root[] = {"output.head.weight", "output.head.bias"};
    if (index < 2)
        strcpy(name, network->head == RK_ADAPTIVE ? root[index] : plain[index]);
    else
        snprintf(name, 64, "output.tail.%zu.%zu.weight", index / 2 - 1, index % 2);
}

/* A cluster is as wide as the first of its tensors. */
static enum rk_status read_cluster_widths(struct rk_modelfile *file, struct rk_error *error)
{
    char name[64];
    for (size_t i = 0; i < file->network.n_clusters; i++) {
        head_name(name, &file->network, 2 + 2 * i);
        const struct rk_stored *tensor = rk_container_tensor(&file->container, name);
        if (!tensor)
            return rk_fail(error, RK_FORMAT, "tensor '%s' is missing", name);
        file->cluster_widths[i] = (int32_t)tensor->shape[0];
    }
    return RK_OK;
}

static enum rk_status add_parameters(struct rk_modelfile *file, struct rk_error *error)
{
    const struct rk_network *network = &file->network;
    size_t n_bytes = (file->container.n_tensors + 1) * sizeof *file->parameters;
    file->parameters = rk_alloc(n_bytes);
    file->scales = rk_alloc(n_bytes);
    if (!file->parameters || !file->scales)
        return rk_fail(error, RK_NOMEM, "no memory for the list of parameters");
    enum rk_status status = add_parameter(file, "embedding.weight", network->vocab_size,
                                          network->embedding_size, error);
    for (size_t l = 0; status == RK_OK && l < file->n_cells; l++)
        status = add_layer(file, l, error);
    if (status == RK_OK && file->n_cells < network->n_layers)
        status = add_projection(file, error);
    struct rk_head_shape head = rk_network_head(network);
    for (size_t i = network->tie_weights; i < rk_head_n_tensors(&head); i++) {
        struct rk_head_tensor tensor = rk_head_tensor(&head, i);
        char name[64];
        head_name(name, network, i);
        if (status == RK_OK)
            status = add_parameter(file, name, tensor.rows, tensor.columns, error);
    }
    return status;
}

/* ---------------------------------------------------------- graphs, tokens */

/* A cell's own graph is for training where another one predicts: it is accounted for. */
static enum rk_status use_graph(const struct rk_modelfile *file, size_t layer,
                                char name[64], const struct rk_stored **words,
                                struct rk_error *error)
{
    bool is_cell = layer < file->n_cells;
    enum rk_status status = RK_OK;
    snprintf(name, 64, "rnn.graph_l%zu", layer);
    if (is_cell)
        status = use_list(file, name, RK_I32, words, error);
    if (status != RK_OK || (is_cell && !file->has_zoneout))
        return status;
    snprintf(name, 64, "prediction.graph_l%zu", layer);
    return use_list(file, name, RK_I32, words, error);
}

static enum rk_status read_graph(struct rk_modelfile *file, size_t layer,
                                 struct rk_error *error)
{
    char name[64];
    const struct rk_stored *words = NULL;
    struct rk_error reason = {0};
    enum rk_status status = use_graph(file, layer, name, &words, error);
    if (status != RK_OK)
        return status;
    struct rk_program **program = &file->programs[layer];
    status = rk_program_create(program, words->data, words->shape[0], file->network.dtype,
                               &reason);
    if (status != RK_OK)
        return rk_fail(error, status, "%s: %.200s", name, reason.text);
    if (rk_program_can_train(*program) || rk_program_reads_flags(*program) ||
        rk_program_is_masked(*program))
        return rk_fail(error, RK_FORMAT,
                       "%s: a stored graph has no backward part, no masks and no flags",
                       name);
    return RK_OK;
}

static enum rk_status read_graphs(struct rk_modelfile *file, struct rk_error *error)
{
    struct rk_network *network = &file->network;
    for (size_t l = 0; l < network->n_layers; l++) {
        enum rk_status status = read_graph(file, l, error);
        if (status != RK_OK)
            return status;
    }
    network->programs = (const struct rk_program *const *)file->programs;
    enum rk_status status = read_cluster_widths(file, error);
    if (status == RK_OK && rk_network_check(network, error) != RK_OK)
        status = RK_FORMAT;
    return status;
}

static enum rk_status read_vocabulary(struct rk_modelfile *file, struct rk_error *error)
{
    const struct rk_stored *bytes = NULL, *offsets = NULL;
    struct rk_tokenizer_config config;
    struct rk_error reason = {0};
    size_t n = file->network.vocab_size;
    enum rk_status status = rk_config_tokenizer(file, &config, error);
    if (status != RK_OK || !config.is_text)
        return status;
    status = use_list(file, "vocabulary", RK_U8, &bytes, error);
    if (status == RK_OK)
        status = use_list(file, "vocabulary.offsets", RK_I64, &offsets, error);
    if (status != RK_OK)
        return status;
    const int64_t *at = offsets->data;
    if (offsets->shape[0] != n + 1 || at[0] != 0 || at[n] != (int64_t)bytes->n_bytes)
        return rk_fail(error, RK_FORMAT,
                       "the vocabulary does not hold %zu tokens, as the network needs", n);
    struct rk_texts texts = {bytes->data, bytes->n_bytes, at, n};
    status = rk_tokenizer_create(&file->tokenizer, config.rule, config.lowercase, &texts,
                                 &reason);
    if (status != RK_OK)
        return rk_fail(error, status == RK_NOMEM ? status : RK_FORMAT, "vocabulary: %.200s",
                       reason.text);
    if (config.rule != RK_PLUGIN && (file->end_id != rk_tokenizer_end_id(file->tokenizer) ||
                                     file->unk_id != rk_tokenizer_unk_id(file->tokenizer)))
        return rk_fail(error, RK_FORMAT,
                       "tokenizer: 'end_id' and 'unk_id' are not those of its vocabulary");
    return RK_OK;
}

/* What is left are the curves of training. */
static enum rk_status check_others(const struct rk_modelfile *file, struct rk_error *error)
{
    for (size_t i = 0; i < file->container.n_tensors; i++) {
        const struct rk_stored *tensor = &file->container.tensors[i];
        if (tensor->is_used)
            continue;
        if (strncmp(tensor->name, "history.", strlen("history.")) != 0)
            return rk_fail(error, RK_FORMAT, "tensor '%s' belongs to no part of the model",
                           tensor->name);
        if (tensor->element != RK_F64 || tensor->rank != 1 || !is_finite(tensor))
            return rk_fail(error, RK_FORMAT,
                           "tensor '%s' must be a list of finite numbers of F64",
                           tensor->name);
    }
    return RK_OK;
}

/* -------------------------------------------------------------------- file */

void rk_modelfile_close(struct rk_modelfile *file)
{
    for (size_t l = 0; l < RK_MAX_LAYERS; l++)
        rk_program_free(file->programs[l]);
    rk_tokenizer_free(file->tokenizer);
    rk_free(file->parameters);
    rk_free(file->scales);
    rk_container_close(&file->container);
    memset(file, 0, sizeof *file);
}

enum rk_status rk_modelfile_open(struct rk_modelfile *file, const void *data,
                                 size_t n_bytes, struct rk_error *error)
{
    memset(file, 0, sizeof *file);
    enum rk_status status = rk_container_open(&file->container, data, n_bytes, error);
    if (status == RK_OK)
        status = rk_config_network(file, error);
    if (status == RK_OK)
        status = read_graphs(file, error);
    if (status == RK_OK)
        status = add_parameters(file, error);
    if (status == RK_OK)
        status = read_vocabulary(file, error);
    if (status == RK_OK)
        status = check_others(file, error);
    if (status != RK_OK)
        rk_modelfile_close(file);
    return status;
}

enum rk_status rk_modelfile_weights(const struct rk_modelfile *file,
                                    struct rk_weights **result, struct rk_error *error)
{
    enum rk_status status = rk_weights_create(result, &file->network, error);
    for (size_t i = 0; status == RK_OK && i < file->n_parameters; i++)
        status = file->scales[i]
                     ? rk_weights_set_int8(*result, i, file->parameters[i]->data,
                                           file->scales[i]->data, error)
                     : rk_weights_set(*result, i, file->parameters[i]->data, error);
    if (status != RK_OK) {
        rk_weights_free(*result);
        *result = NULL;
    }
    return status;
}
