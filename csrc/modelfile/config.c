/* SPDX-License-Identifier: BSD-3-Clause
 *
 * This is where a new field of the configuration is read: members stand in the order of
 * their names, those that may be missing are asked for with rk_json_key. A member that
 * nobody asks for is refused: a model may depend on it.
 */
#include "modelfile/config.h"

#include <string.h>

#include "modelfile/json.h"

enum { MAX_VOCABULARY = 1 << 24, MAX_EMBEDDING = 1 << 22 };

static enum rk_status get(const struct rk_modelfile *file, const char *name,
                          struct rk_json *json, struct rk_error *error)
{
    const struct rk_entry *entry = rk_container_entry(&file->container, name);
    if (!entry)
        return rk_fail(error, RK_FORMAT, "the metadata have no '%s'", name);
    *json = (struct rk_json){entry->value, entry->value + entry->n_bytes};
    if (!rk_json_take(json, "{"))
        return rk_fail(error, RK_FORMAT, "metadata '%s' is not a JSON object", name);
    return RK_OK;
}

/* ----------------------------------------------------------------- network */

/* A member that is a whole number from 1 to `most`. */
static enum rk_status read_count(struct rk_json *json, const char *name, uint64_t most,
                                 size_t *value, struct rk_error *error)
{
    uint64_t number;
    if (!rk_json_key(json, name) || !rk_json_integer(json, &number) || number < 1 ||
        number > most)
        return rk_fail(error, RK_FORMAT,
                       "network: '%s' must be a whole number from 1 to %llu", name,
                       (unsigned long long)most);
    *value = (size_t)number;
    return RK_OK;
}

static enum rk_status read_dtype(struct rk_json *json, struct rk_network *network,
                                 struct rk_error *error)
{
    bool found = rk_json_key(json, "dtype");
    if (found && rk_json_take(json, "\"float32\""))
        network->dtype = RK_FLOAT32;
    else if (found && rk_json_take(json, "\"float64\""))
        network->dtype = RK_FLOAT64;
    else
        return rk_fail(error, RK_FORMAT,
                       "network: 'dtype' must be float32 or float64, nothing else");
    return RK_OK;
}

static bool read_cutoffs(struct rk_json *json, struct rk_modelfile *file)
{
    struct rk_network *network = &file->network;
    uint64_t cutoff;
    if (!rk_json_key(json, "cutoffs") || !rk_json_take(json, "["))
        return false;
    if (rk_json_take(json, "]"))
        return true;
    do {
        if (network->n_clusters == RK_MAX_CLUSTERS || !rk_json_integer(json, &cutoff) ||
            cutoff >= MAX_VOCABULARY)
            return false;
        file->cutoffs[network->n_clusters++] = (int32_t)cutoff;
    } while (rk_json_take(json, ","));
    return rk_json_take(json, "]");
}

static enum rk_status read_sampled(struct rk_json *json, struct rk_modelfile *file,
                                   struct rk_error *error)
{
    uint64_t n_samples;
    if (!rk_json_key(json, "kind") || !rk_json_skip(json) ||
        !rk_json_key(json, "n_samples") || !rk_json_integer(json, &n_samples) ||
        n_samples < 1 || n_samples > MAX_VOCABULARY)
        return rk_fail(error, RK_FORMAT,
                       "network: 'head': 'n_samples' must be a whole number from 1 to %d",
                       MAX_VOCABULARY);
    file->network.head = RK_SAMPLED;
    file->network.n_samples = (size_t)n_samples;
    return RK_OK;
}

/* The widths of its clusters are those of its tensors: div_value is for Python. */
static enum rk_status read_adaptive(struct rk_json *json, struct rk_modelfile *file,
                                    struct rk_error *error)
{
    if (!read_cutoffs(json, file))
        return rk_fail(error, RK_FORMAT,
                       "network: 'head': 'cutoffs' must be a list of up to %d whole "
                       "numbers below the vocabulary's size",
                       RK_MAX_CLUSTERS);
    if (!rk_json_key(json, "div_value") || !rk_json_skip(json) ||
        !rk_json_key(json, "kind") || !rk_json_skip(json))
        return rk_fail(error, RK_FORMAT, "network: 'head' is of no known form");
    file->network.head = RK_ADAPTIVE;
    file->network.cutoffs = file->cutoffs;
    file->network.cluster_widths = file->cluster_widths;
    return RK_OK;
}

/* A head that is no plain softmax. */
static enum rk_status read_head(struct rk_json *json, struct rk_modelfile *file,
                                struct rk_error *error)
{
    struct rk_json kind = *json;
    enum rk_status status = RK_FORMAT;
    bool known =
        rk_json_take(json, "{") && rk_json_take(&kind, "{") && rk_json_find(&kind, "kind");
    if (known && rk_json_take(&kind, "\"sampled\""))
        status = read_sampled(json, file, error);
    else if (known && rk_json_take(&kind, "\"adaptive\""))
        status = read_adaptive(json, file, error);
    else
        known = false;
    if (!known || (status == RK_OK && !rk_json_take(json, "}")))
        return rk_fail(error, RK_FORMAT, "network: 'head' is of no known form");
    return status;
}

/* Whether all matrices are int8. */
static enum rk_status read_int8(struct rk_json *json, struct rk_network *network,
                                struct rk_error *error)
{
    if (!rk_json_key(json, "int8"))
        return RK_OK;
    if (!(rk_json_bool(json, &network->int8) && network->int8))
        return rk_fail(error, RK_FORMAT, "network: 'int8' must be true, or not be there");
    if (network->dtype != RK_FLOAT32)
        return rk_fail(error, RK_FORMAT, "network: 'int8' needs 'dtype' float32");
    return RK_OK;
}

/* A last layer that is no cell. */
static enum rk_status read_projection(struct rk_json *json, struct rk_modelfile *file,
                                      struct rk_error *error)
{
    bool projection = false;
    if (rk_json_key(json, "projection") && !(rk_json_bool(json, &projection) && projection))
        return rk_fail(error, RK_FORMAT,
                       "network: 'projection' must be true, or not be there");
    file->n_cells = file->network.n_layers;
    file->network.n_layers += projection;
    return RK_OK;
}

/* Its rates are for Python: the graphs that predict have them. */
static enum rk_status read_zoneout(struct rk_json *json, struct rk_modelfile *file,
                                   struct rk_error *error)
{
    file->has_zoneout = rk_json_key(json, "zoneout");
    struct rk_json rates = *json;
    if (file->has_zoneout && !(rk_json_take(&rates, "{\"") && rk_json_skip(json)))
        return rk_fail(error, RK_FORMAT, "network: 'zoneout' must be numbers by name");
    return RK_OK;
}

enum rk_status rk_config_network(struct rk_modelfile *file, struct rk_error *error)
{
    struct rk_network *network = &file->network;
    struct rk_json json;
    *network = (struct rk_network){.head = RK_SOFTMAX, .output_bias = true};
    enum rk_status status = get(file, "network", &json, error);
    if (status == RK_OK)
        status = read_dtype(&json, network, error);
    if (status == RK_OK)
        status = read_count(&json, "embedding_size", MAX_EMBEDDING,
                            &network->embedding_size, error);
    if (status == RK_OK && rk_json_key(&json, "head"))
        status = read_head(&json, file, error);
    if (status == RK_OK)
        status = read_int8(&json, network, error);
    if (status == RK_OK)
        status =
            read_count(&json, "num_layers", RK_MAX_LAYERS - 1, &network->n_layers, error);
    if (status == RK_OK)
        status = read_projection(&json, file, error);
    if (status == RK_OK &&
        !(rk_json_key(&json, "tie_weights") && rk_json_bool(&json, &network->tie_weights)))
        status = rk_fail(error, RK_FORMAT, "network: 'tie_weights' must be true or false");
    if (status == RK_OK)
        status =
            read_count(&json, "vocab_size", MAX_VOCABULARY, &network->vocab_size, error);
    if (status == RK_OK)
        status = read_zoneout(&json, file, error);
    if (status == RK_OK && !(rk_json_take(&json, "}") && json.at == json.end))
        status = rk_fail(error, RK_FORMAT,
                         "network: there is more than this rnnkit knows: %.60s", json.at);
    return status;
}

/* --------------------------------------------------------------- tokenizer */

static enum rk_rule rule_of(struct rk_json name)
{
    static const char *const names[] = {
        [RK_WHITESPACE] = "\"whitespace\"",
        [RK_WORD] = "\"word\"",
        [RK_CHAR] = "\"char\"",
        [RK_BYTE] = "\"byte\"",
    };
    for (int rule = 0; rule < RK_PLUGIN; rule++)
        if (rk_json_take(&name, names[rule]))
            return (enum rk_rule)rule;
    return RK_PLUGIN;
}

/* An id of the vocabulary, or null where that is allowed: -1. */
static bool read_id(struct rk_json object, const char *name, bool or_null, size_t n,
                    int32_t *id)
{
    uint64_t number;
    *id = -1;
    if (!rk_json_find(&object, name))
        return false;
    if (or_null && rk_json_take(&object, "null"))
        return true;
    if (!rk_json_integer(&object, &number) || number >= n)
        return false;
    *id = (int32_t)number;
    return true;
}

/* Of a built-in tokenizer: parameters.lowercase in the tensor that holds its state. */
static bool read_lowercase(const struct rk_stored *state)
{
    const char *text = state->data;
    struct rk_json json = {text, text + state->n_bytes};
    bool lowercase = false;
    return rk_json_take(&json, "{") && rk_json_find(&json, "parameters") &&
           rk_json_take(&json, "{") && rk_json_find(&json, "lowercase") &&
           rk_json_bool(&json, &lowercase) && lowercase;
}

enum rk_status rk_config_tokenizer(struct rk_modelfile *file,
                                   struct rk_tokenizer_config *config,
                                   struct rk_error *error)
{
    struct rk_json json;
    size_t n = file->network.vocab_size;
    enum rk_status status = get(file, "tokenizer", &json, error);
    if (status != RK_OK)
        return status;
    *config = (struct rk_tokenizer_config){.is_text = !rk_json_take(&json, "}")};
    file->end_id = (int32_t)n - 1;
    file->unk_id = -1;
    if (!config->is_text)
        return RK_OK;
    struct rk_json name = json;
    if (!rk_json_find(&name, "name"))
        return rk_fail(error, RK_FORMAT, "tokenizer: 'name' is missing");
    config->rule = rule_of(name);
    if (!read_id(json, "end_id", false, n, &file->end_id) ||
        !read_id(json, "unk_id", true, n, &file->unk_id))
        return rk_fail(error, RK_FORMAT,
                       "tokenizer: 'end_id' and 'unk_id' must be ids below %zu, the latter "
                       "may be null",
                       n);
    struct rk_stored *state = rk_container_tensor(&file->container, "tokenizer.state");
    if (!state || state->element != RK_U8 || state->rank != 1)
        return rk_fail(
            error, RK_FORMAT,
            "tokenizer: its state, the tensor 'tokenizer.state' of U8, is missing");
    state->is_used = true;
    config->lowercase = read_lowercase(state);
    return RK_OK;
}
