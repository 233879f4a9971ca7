/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Models: from files, and what they know of tokens.
 */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

enum { PIECE = 64 };

rnnkit_status rk_report(enum rk_status status, const struct rk_error *reason,
                        rnnkit_error *error)
{
    if (error)
        memcpy(error->text, status == RK_OK ? "" : reason->text,
               status == RK_OK ? 1 : sizeof reason->text);
    switch (status) {
    case RK_OK:
        return RNNKIT_OK;
    case RK_NOMEM:
        return RNNKIT_NO_MEMORY;
    case RK_FORMAT:
        return RNNKIT_BAD_FILE;
    case RK_INVALID:
    case RK_NONFINITE:
    case RK_CANCELLED:
        break;
    }
    return RNNKIT_BAD_ARGUMENT;
}

/* ----------------------------------------------------------------- loading */

/* `data` is aligned. The model keeps nothing of it. */
static enum rk_status read_aligned(rnnkit_model *model, const void *data, size_t n_bytes,
                                   struct rk_error *error)
{
    enum rk_status status = rk_modelfile_open(&model->file, data, n_bytes, error);
    if (status == RK_OK)
        status = rk_modelfile_weights(&model->file, &model->weights, error);
    model->checksum = model->file.container.checksum;
    rk_container_close(&model->file.container);
    return status;
}

static enum rk_status read_model(rnnkit_model **result, const void *data, size_t n_bytes,
                                 struct rk_error *error)
{
    void *copy = NULL;
    *result = NULL;
    rnnkit_model *model = rk_alloc(sizeof *model);
    if (!model)
        return rk_fail(error, RK_NOMEM, "no memory for a model");
    if ((uintptr_t)data % 8 != 0 && !(copy = rk_alloc(n_bytes))) {
        rk_free(model);
        return rk_fail(error, RK_NOMEM, "no memory for a file of %zu bytes", n_bytes);
    }
    if (copy)
        memcpy(copy, data, n_bytes);
    enum rk_status status = read_aligned(model, copy ? copy : data, n_bytes, error);
    rk_free(copy);
    if (status == RK_OK)
        *result = model;
    else
        rnnkit_model_free(model);
    return status;
}

rnnkit_status rnnkit_model_read(rnnkit_model **model, const void *data, size_t n_bytes,
                                rnnkit_error *error)
{
    struct rk_error reason = {0};
    return rk_report(read_model(model, data, n_bytes, &reason), &reason, error);
}

/* The whole of a file, in memory of its own; NULL with the reason. */
static void *read_file(FILE *file, size_t *n_bytes, rnnkit_status *status,
                       struct rk_error *reason)
{
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    *status = RNNKIT_CANNOT_READ;
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0) {
        rk_fail(reason, RK_INVALID, "the file cannot be read");
        return NULL;
    }
    *n_bytes = (size_t)size;
    void *data = rk_alloc(*n_bytes);
    if (!data) {
        *status = RNNKIT_NO_MEMORY;
        rk_fail(reason, RK_NOMEM, "no memory for a file of %ld bytes", size);
    } else if (fread(data, 1, *n_bytes, file) != *n_bytes) {
        rk_fail(reason, RK_INVALID, "the file cannot be read");
        rk_free(data);
        data = NULL;
    }
    return data;
}

rnnkit_status rnnkit_model_load(rnnkit_model **model, const char *path, rnnkit_error *error)
{
    struct rk_error reason = {0};
    size_t n_bytes = 0;
    rnnkit_status status = RNNKIT_CANNOT_READ;
    *model = NULL;
    FILE *file = fopen(path, "rb");
    void *data = file ? read_file(file, &n_bytes, &status, &reason) : NULL;
    if (file)
        fclose(file);
    else
        rk_fail(&reason, RK_INVALID, "there is no file %.200s that can be read", path);
    if (!data) {
        rk_report(RK_INVALID, &reason, error);
        return status;
    }
    status = rnnkit_model_read(model, data, n_bytes, error);
    rk_free(data);
    return status;
}

void rnnkit_model_free(rnnkit_model *model)
{
    if (!model)
        return;
    rk_weights_free(model->weights);
    rk_modelfile_close(&model->file);
    rk_free(model);
}

/* ------------------------------------------------------------------ tokens */

int32_t rnnkit_model_n_tokens(const rnnkit_model *model)
{
    return (int32_t)model->file.network.vocab_size;
}

int32_t rnnkit_model_end_id(const rnnkit_model *model)
{
    return model->file.end_id;
}

int32_t rnnkit_model_unk_id(const rnnkit_model *model)
{
    return model->file.unk_id;
}

static enum rk_status no_text(const rnnkit_model *model, struct rk_error *error)
{
    return model->file.tokenizer
               ? RK_OK
               : rk_fail(error, RK_INVALID, "this model reads ids: it has no texts");
}

int rnnkit_model_has_text(const rnnkit_model *model)
{
    size_t position = 0, n;
    return model->file.tokenizer &&
           rk_tokenizer_encode_next(model->file.tokenizer, (const uint8_t *)"", 0,
                                    &position, NULL, 0, &n, NULL) == RK_OK;
}

const char *rnnkit_model_token(const rnnkit_model *model, int32_t id, size_t *n_bytes)
{
    *n_bytes = 0;
    if (!model->file.tokenizer)
        return NULL;
    return (const char *)rk_tokenizer_token(model->file.tokenizer, id, n_bytes);
}

int32_t rnnkit_model_find(const rnnkit_model *model, const char *token, size_t n_bytes)
{
    if (!model->file.tokenizer)
        return -1;
    return rk_tokenizer_find(model->file.tokenizer, (const uint8_t *)token, n_bytes);
}

rnnkit_status rnnkit_model_encode(const rnnkit_model *model, const char *text,
                                  size_t n_bytes, int32_t *ids, size_t capacity,
                                  size_t *n_ids, rnnkit_error *error)
{
    struct rk_error reason = {0};
    int32_t piece[PIECE];
    size_t position = 0, n = 0;
    *n_ids = 0;
    enum rk_status status = no_text(model, &reason);
    do {
        if (status == RK_OK)
            status =
                rk_tokenizer_encode_next(model->file.tokenizer, (const uint8_t *)text,
                                         n_bytes, &position, piece, PIECE, &n, &reason);
        if (status != RK_OK)
            return rk_report(status, &reason, error);
        for (size_t i = 0; i < n && *n_ids + i < capacity; i++)
            ids[*n_ids + i] = piece[i];
        *n_ids += n;
    } while (n > 0 && position > 0);
    return RNNKIT_OK;
}

rnnkit_status rnnkit_model_decode(const rnnkit_model *model, const int32_t *ids,
                                  size_t n_ids, char *text, size_t capacity,
                                  size_t *n_bytes, rnnkit_error *error)
{
    struct rk_error reason = {0};
    *n_bytes = 0;
    enum rk_status status = no_text(model, &reason);
    if (status == RK_OK)
        status = rk_tokenizer_decode(model->file.tokenizer, ids, n_ids, (uint8_t *)text,
                                     capacity, n_bytes, &reason);
    return rk_report(status, &reason, error);
}
