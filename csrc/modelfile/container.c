/* SPDX-License-Identifier: BSD-3-Clause */
#include "modelfile/container.h"

#include <stdlib.h>
#include <string.h>

#include "modelfile/checksum.h"
#include "modelfile/json.h"

enum { MAX_ENTRIES = 64, MAX_NAME = 128, LEAST_TENSOR = 48, MAX_DIMENSION = INT32_MAX };
enum { N_DIGITS = 16 }; /* of the checksum */

static const struct {
    const char *name;
    size_t size;
} elements[RK_N_ELEMENTS] = {
    [RK_F32] = {"F32", 4}, [RK_F64] = {"F64", 8}, [RK_I32] = {"I32", 4},
    [RK_I64] = {"I64", 8}, [RK_I8] = {"I8", 1},   [RK_U8] = {"U8", 1},
};

size_t rk_element_size(enum rk_element element)
{
    return elements[element].size;
}

const char *rk_element_name(enum rk_element element)
{
    return elements[element].name;
}

struct parser {
    struct rk_container *container;
    const char *header; /* its first byte */
    struct rk_json json;
    char *text; /* where names and strings go: together shorter than the header */
    const char *digits;
    struct rk_error *error;
};

#define REFUSE(...) rk_fail(parser->error, RK_FORMAT, __VA_ARGS__)

static enum rk_status not_canonical(const struct parser *parser)
{
    return REFUSE("the header is not in the canonical form at its byte %zu",
                  (size_t)(parser->json.at - parser->header));
}

/* A name that is new and comes behind `last`, the one before it, if there is one. */
static enum rk_status read_name(struct parser *parser, const char *last, const char **name)
{
    char *text = parser->text;
    if (!rk_json_string(&parser->json, &parser->text))
        return not_canonical(parser);
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_.-");
    if (length != (size_t)(parser->text - text) - 1 || length > MAX_NAME ||
        !(text[0] >= 'a' && text[0] <= 'z'))
        return REFUSE("the name '%.80s' is not allowed: up to %d of a-z A-Z 0-9 _ . -, "
                      "and the first of them a-z",
                      text, MAX_NAME);
    int order = last ? strcmp(last, text) : -1;
    if (order == 0)
        return REFUSE("the header holds the name '%.80s' twice", text);
    if (order > 0)
        return REFUSE("the header's names are not in order: '%.80s' behind '%.80s'", text,
                      last);
    *name = text;
    return rk_json_take(&parser->json, ":") ? RK_OK : not_canonical(parser);
}

/* ---------------------------------------------------------------- metadata */

static enum rk_status read_entry(struct parser *parser, const char *last,
                                 struct rk_entry *entry)
{
    enum rk_status status = read_name(parser, last, &entry->name);
    if (status != RK_OK)
        return status;
    if (strcmp(entry->name, "checksum") == 0)
        parser->digits = parser->json.at + 1;
    entry->value = parser->text;
    if (!rk_json_string(&parser->json, &parser->text))
        return parser->json.at < parser->json.end && *parser->json.at == '"'
                   ? not_canonical(parser)
                   : REFUSE("metadata '%.80s' is not a string", entry->name);
    entry->n_bytes = (size_t)(parser->text - entry->value) - 1;
    return RK_OK;
}

static enum rk_status read_metadata(struct parser *parser)
{
    struct rk_container *container = parser->container;
    const char *last = NULL;
    if (!rk_json_take(&parser->json, "{"))
        return REFUSE("no model file: the header does not begin with '{'");
    if (!rk_json_take(&parser->json, "\"__metadata__\":{"))
        return REFUSE("the header does not begin with its '__metadata__' object");
    do {
        if (container->n_entries == MAX_ENTRIES)
            return REFUSE("more than %d metadata", MAX_ENTRIES);
        struct rk_entry *entry = &container->entries[container->n_entries];
        enum rk_status status = read_entry(parser, last, entry);
        if (status != RK_OK)
            return status;
        last = entry->name;
        container->n_entries++;
    } while (rk_json_take(&parser->json, ","));
    return rk_json_take(&parser->json, "}") ? RK_OK : not_canonical(parser);
}

/* Before anything else is looked at, which a newer version may write in another way. */
static enum rk_status check_version(const struct parser *parser)
{
    const struct rk_entry *format = rk_container_entry(parser->container, "format");
    const struct rk_entry *version =
        rk_container_entry(parser->container, "format_version");
    if (!format || strcmp(format->value, "rnnkit") != 0)
        return REFUSE("a safetensors file, but not one that rnnkit has written");
    const char *digits = version ? version->value : "";
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 6 || digits[n] || digits[0] == '0')
        return REFUSE("the format version '%.20s' is no positive number", digits);
    int number = atoi(digits);
    if (number > RK_FORMAT_VERSION)
        return REFUSE("the file has format version %d, this rnnkit reads version %d: "
                      "install a newer rnnkit to load it",
                      number, RK_FORMAT_VERSION);
    if (number < RK_FORMAT_VERSION)
        return REFUSE("the file has format version %d, from before the first release; "
                      "this rnnkit reads version %d: train and save the model again",
                      number, RK_FORMAT_VERSION);
    return RK_OK;
}

static enum rk_status check_sum(struct parser *parser, const char *data, size_t n_bytes)
{
    const struct rk_entry *entry = rk_container_entry(parser->container, "checksum");
    if (!entry || entry->n_bytes != N_DIGITS ||
        strspn(entry->value, "0123456789abcdef") != N_DIGITS)
        return REFUSE("the metadata have no checksum of %d hexadecimal digits", N_DIGITS);
    const char *behind = parser->digits + N_DIGITS;
    uint64_t sum = rk_checksum(data, n_bytes, 0);
    sum = rk_checksum(parser->header, (size_t)(parser->digits - parser->header), sum);
    sum = rk_checksum(behind, (size_t)(parser->json.end - behind), sum);
    if (strtoull(entry->value, NULL, 16) != sum)
        return REFUSE("the checksum is %s, the content gives %016llx: the file was "
                      "damaged after it was saved",
                      entry->value, (unsigned long long)sum);
    parser->container->checksum = sum;
    return RK_OK;
}

/* ----------------------------------------------------------------- tensors */

static enum rk_status read_offsets(struct parser *parser, struct rk_stored *tensor)
{
    uint64_t begin, end;
    if (!rk_json_take(&parser->json, "[") || !rk_json_integer(&parser->json, &begin) ||
        !rk_json_take(&parser->json, ",") || !rk_json_integer(&parser->json, &end) ||
        !rk_json_take(&parser->json, "]") || end < begin)
        return REFUSE("tensor '%s': data_offsets must be two positions", tensor->name);
    tensor->begin = (size_t)begin;
    tensor->n_bytes = (size_t)(end - begin);
    return RK_OK;
}

static enum rk_status read_element(struct parser *parser, struct rk_stored *tensor)
{
    char quoted[8] = "\"";
    for (int i = 0; i < RK_N_ELEMENTS; i++) {
        strcpy(quoted + 1, elements[i].name);
        strcat(quoted, "\"");
        if (rk_json_take(&parser->json, quoted)) {
            tensor->element = (enum rk_element)i;
            return RK_OK;
        }
    }
    int n = (int)(parser->json.end - parser->json.at);
    return REFUSE("tensor '%s' has dtype %.*s; allowed: F32, F64, I32, I64, I8, U8",
                  tensor->name, n < 12 ? n : 12, parser->json.at);
}

static enum rk_status read_shape(struct parser *parser, struct rk_stored *tensor)
{
    uint64_t size = 0;
    bool good = rk_json_take(&parser->json, "[");
    for (tensor->rank = 0; good; tensor->rank++) {
        good = tensor->rank < RK_MAX_RANK && rk_json_integer(&parser->json, &size) &&
               size >= 1 && size <= MAX_DIMENSION;
        if (!good)
            break;
        tensor->shape[tensor->rank] = (size_t)size;
        if (!rk_json_take(&parser->json, ","))
            break;
    }
    tensor->rank++;
    if (!good || !rk_json_take(&parser->json, "]"))
        return REFUSE("tensor '%s': the shape must be 1 to %d positive numbers up to %d",
                      tensor->name, RK_MAX_RANK, MAX_DIMENSION);
    return RK_OK;
}

static enum rk_status check_tensor_size(const struct parser *parser,
                                        const struct rk_stored *tensor)
{
    size_t n_bytes = rk_element_size(tensor->element);
    for (int i = 0; i < tensor->rank; i++)
        if (!rk_mul(n_bytes, tensor->shape[i], &n_bytes))
            return REFUSE("tensor '%s' takes more bytes than there are, its offsets leave "
                          "it %zu",
                          tensor->name, tensor->n_bytes);
    if (n_bytes != tensor->n_bytes)
        return REFUSE("tensor '%s' takes %zu bytes, its offsets leave it %zu", tensor->name,
                      n_bytes, tensor->n_bytes);
    return RK_OK;
}

static enum rk_status read_tensor(struct parser *parser, const char *last,
                                  struct rk_stored *tensor)
{
    enum rk_status status = read_name(parser, last, &tensor->name);
    if (status != RK_OK)
        return status;
    bool good =
        rk_json_take(&parser->json, "{") && rk_json_key(&parser->json, "data_offsets");
    if (good && (status = read_offsets(parser, tensor)) != RK_OK)
        return status;
    good = good && rk_json_key(&parser->json, "dtype");
    if (good && (status = read_element(parser, tensor)) != RK_OK)
        return status;
    good = good && rk_json_key(&parser->json, "shape");
    if (good && (status = read_shape(parser, tensor)) != RK_OK)
        return status;
    if (!good || !rk_json_take(&parser->json, "}"))
        return REFUSE(
            "tensor '%s' must have just data_offsets, dtype and shape, in this order",
            tensor->name);
    return check_tensor_size(parser, tensor);
}

static enum rk_status read_tensors(struct parser *parser, size_t room)
{
    struct rk_container *container = parser->container;
    const char *last = NULL;
    while (rk_json_take(&parser->json, ",")) {
        if (container->n_tensors == room)
            return room == RK_MAX_STORED ? REFUSE("more than %d tensors", RK_MAX_STORED)
                                         : not_canonical(parser);
        struct rk_stored *tensor = &container->tensors[container->n_tensors];
        enum rk_status status = read_tensor(parser, last, tensor);
        if (status != RK_OK)
            return status;
        last = tensor->name;
        container->n_tensors++;
    }
    if (!rk_json_take(&parser->json, "}"))
        return not_canonical(parser);
    for (int i = 0; i < 7; i++) /* fill up to a multiple of 8 */
        rk_json_take(&parser->json, " ");
    return parser->json.at == parser->json.end ? RK_OK : not_canonical(parser);
}

/* ------------------------------------------------------------------ layout */

/* A tensor that does not begin where the one before it ends. */
static enum rk_status misplaced(const struct parser *parser, const struct rk_stored *tensor,
                                size_t expected)
{
    const struct rk_container *container = parser->container;
    for (size_t i = 0; i < container->n_tensors; i++)
        if (container->tensors[i].begin == expected)
            return REFUSE("the tensors do not lie in the canonical order: '%s' where '%s' "
                          "should be",
                          container->tensors[i].name, tensor->name);
    return REFUSE("tensor '%s' begins at byte %zu, not at %zu: it %s", tensor->name,
                  tensor->begin, expected,
                  tensor->begin < expected ? "overlaps the one before it"
                                           : "leaves a hole");
}

/* Gives each tensor its data, having found that together they are all of it. */
static enum rk_status lay_out(struct parser *parser, const char *data, size_t n_bytes)
{
    struct rk_container *container = parser->container;
    size_t expected = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (size_t i = 0; i < container->n_tensors; i++) {
            struct rk_stored *tensor = &container->tensors[i];
            if (rk_element_size(tensor->element) != size)
                continue;
            if (tensor->begin != expected)
                return misplaced(parser, tensor, expected);
            if (!rk_add(expected, tensor->n_bytes, &expected) || expected > n_bytes)
                return REFUSE("tensor '%s' ends behind the file, which holds %zu bytes of "
                              "tensors: it was cut off",
                              tensor->name, n_bytes);
            tensor->data = data + tensor->begin;
        }
    if (expected < n_bytes)
        return REFUSE("%zu bytes follow the last tensor", n_bytes - expected);
    return RK_OK;
}

static enum rk_status read_all(struct parser *parser, size_t room, const char *data,
                               size_t n_bytes)
{
    enum rk_status status = read_metadata(parser);
    if (status == RK_OK)
        status = check_version(parser);
    if (status == RK_OK)
        status = read_tensors(parser, room);
    if (status == RK_OK)
        status = lay_out(parser, data, n_bytes);
    if (status == RK_OK)
        status = check_sum(parser, data, n_bytes);
    return status;
}

/* ------------------------------------------------------------------ access */

static int compare_tensor(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct rk_stored *)tensor)->name);
}

static int compare_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const struct rk_entry *)entry)->name);
}

struct rk_stored *rk_container_tensor(const struct rk_container *container,
                                      const char *name)
{
    return bsearch(name, container->tensors, container->n_tensors,
                   sizeof *container->tensors, compare_tensor);
}

const struct rk_entry *rk_container_entry(const struct rk_container *container,
                                          const char *name)
{
    return bsearch(name, container->entries, container->n_entries,
                   sizeof *container->entries, compare_entry);
}

void rk_container_close(struct rk_container *container)
{
    rk_free(container->memory);
    *container = (struct rk_container){0};
}

/* The header's length, once there is as much. */
static enum rk_status header_length(const unsigned char *data, size_t n_bytes,
                                    size_t *length, struct rk_error *error)
{
    uint64_t claimed;
    if (n_bytes < sizeof claimed)
        return rk_fail(error, RK_FORMAT, "%zu bytes are too few for a model file", n_bytes);
    memcpy(&claimed, data, sizeof claimed);
    if (claimed < 2 || claimed > RK_MAX_HEADER)
        return rk_fail(error, RK_FORMAT,
                       "no model file: the header's length would be %llu, allowed are 2 to "
                       "%d bytes",
                       (unsigned long long)claimed, RK_MAX_HEADER);
    if (claimed > n_bytes - sizeof claimed)
        return rk_fail(error, RK_FORMAT,
                       "the header should take %llu bytes, the file ends after %zu: it was "
                       "cut off",
                       (unsigned long long)claimed, n_bytes - sizeof claimed);
    if (claimed % 8 != 0)
        return rk_fail(error, RK_FORMAT,
                       "the header's length is %llu; it must be a multiple of 8",
                       (unsigned long long)claimed);
    *length = (size_t)claimed;
    return RK_OK;
}

enum rk_status rk_container_open(struct rk_container *container, const void *data,
                                 size_t n_bytes, struct rk_error *error)
{
    *container = (struct rk_container){0};
    size_t length = 0;
    if ((uintptr_t)data % 8 != 0)
        return rk_fail(error, RK_INVALID, "the file is not aligned to 8 bytes in memory");
    enum rk_status status = header_length(data, n_bytes, &length, error);
    if (status != RK_OK)
        return status;
    size_t room =
        length / LEAST_TENSOR < RK_MAX_STORED ? length / LEAST_TENSOR : RK_MAX_STORED;
    size_t entries = room * sizeof *container->tensors;
    size_t text = entries + MAX_ENTRIES * sizeof *container->entries;
    container->memory = rk_alloc(text + length);
    if (!container->memory)
        return rk_fail(error, RK_NOMEM, "no memory for a header of %zu bytes", length);
    container->tensors = (struct rk_stored *)container->memory;
    container->entries = (struct rk_entry *)(container->memory + entries);
    const char *header = (const char *)data + 8, *end = header + length;
    struct parser parser = {container, header, {header, end}, container->memory + text,
                            NULL,      error};
    status = read_all(&parser, room, end, n_bytes - 8 - length);
    if (status != RK_OK)
        rk_container_close(container);
    return status;
}
