/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Models: from files, and what they know of tokens.
 */
#include "api/api.h"

#include <limits.h>
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

rnnkit_status rk_report_null(rnnkit_error *error)
{
    struct rk_error reason;
    return rk_report(rk_fail(&reason, RK_INVALID, "an argument is NULL that must not be"),
                     &reason, error);
}

/* ----------------------------------------------------------------- loading */

static enum rk_status read_parts(rnnkit_model *model, const struct rk_source *source,
                                 struct rk_error *error)
{
    enum rk_status status = rk_modelfile_open(&model->file, source, error);
    if (status == RK_OK)
        status = rk_modelfile_weights(&model->file, &model->weights, error);
    model->checksum = model->file.container.checksum;
    rk_container_close(&model->file.container);
    return status;
}

/* The model keeps nothing of the source. */
static enum rk_status read_model(rnnkit_model **result, const struct rk_source *source,
                                 struct rk_error *error)
{
    *result = NULL;
    rnnkit_model *model = rk_alloc(sizeof *model);
    if (!model)
        return rk_fail(error, RK_NOMEM, "no memory for a model");
    enum rk_status status = read_parts(model, source, error);
    if (status == RK_OK)
        *result = model;
    else
        rnnkit_model_free(model);
    return status;
}

static bool read_memory(void *context, void *to, size_t at, size_t n_bytes)
{
    memcpy(to, (const char *)context + at, n_bytes);
    return true;
}

rnnkit_status rnnkit_model_read(rnnkit_model **model, const void *data, size_t n_bytes,
                                rnnkit_error *error)
{
    struct rk_error reason = {0};
    bool is_aligned = (uintptr_t)data % 8 == 0;
    struct rk_source source = {n_bytes, is_aligned ? data : NULL, read_memory,
                               (void *)data};
    if (model)
        *model = NULL;
    if (!model || (!data && n_bytes > 0))
        return rk_report_null(error);
    return rk_report(read_model(model, &source, &reason), &reason, error);
}

struct opened {
    FILE *file;
    bool has_failed;
};

static bool read_file(void *context, void *to, size_t at, size_t n_bytes)
{
    struct opened *opened = context;
    bool good = at <= LONG_MAX && fseek(opened->file, (long)at, SEEK_SET) == 0 &&
                fread(to, 1, n_bytes, opened->file) == n_bytes;
    opened->has_failed |= !good;
    return good;
}

rnnkit_status rnnkit_model_load(rnnkit_model **model, const char *path, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (model)
        *model = NULL;
    if (!model || !path)
        return rk_report_null(error);
    struct opened opened = {fopen(path, "rb"), false};
    if (!opened.file) {
        rk_fail(&reason, RK_INVALID, "there is no file %.200s that can be read", path);
        rk_report(RK_INVALID, &reason, error);
        return RNNKIT_CANNOT_READ;
    }
    setvbuf(opened.file, NULL, _IONBF, 0); /* what is read goes straight to its place */
    long size = fseek(opened.file, 0, SEEK_END) == 0 ? ftell(opened.file) : -1;
    struct rk_source source = {size < 0 ? 0 : (size_t)size, NULL, read_file, &opened};
    rnnkit_status status = rk_report(read_model(model, &source, &reason), &reason, error);
    fclose(opened.file);
    return opened.has_failed ? RNNKIT_CANNOT_READ : status;
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
    return model ? (int32_t)model->file.network.vocab_size : 0;
}

int32_t rnnkit_model_end_id(const rnnkit_model *model)
{
    return model ? model->file.end_id : -1;
}

int32_t rnnkit_model_unk_id(const rnnkit_model *model)
{
    return model ? model->file.unk_id : -1;
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
    return model && model->file.tokenizer &&
           rk_tokenizer_encode_next(model->file.tokenizer, (const uint8_t *)"", 0,
                                    &position, NULL, 0, &n, NULL) == RK_OK;
}

const char *rnnkit_model_token(const rnnkit_model *model, int32_t id, size_t *n_bytes)
{
    if (n_bytes)
        *n_bytes = 0;
    if (!model || !n_bytes || !model->file.tokenizer)
        return NULL;
    return (const char *)rk_tokenizer_token(model->file.tokenizer, id, n_bytes);
}

int32_t rnnkit_model_find(const rnnkit_model *model, const char *token, size_t n_bytes)
{
    if (!model || !model->file.tokenizer || (!token && n_bytes > 0))
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
    if (!model || (!text && n_bytes > 0) || (!ids && capacity > 0) || !n_ids)
        return rk_report_null(error);
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
    } while (n > 0);
    return rk_report(RK_OK, &reason, error);
}

rnnkit_status rnnkit_model_decode(const rnnkit_model *model, const int32_t *ids,
                                  size_t n_ids, char *text, size_t capacity,
                                  size_t *n_bytes, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!model || (!ids && n_ids > 0) || (!text && capacity > 0) || !n_bytes)
        return rk_report_null(error);
    *n_bytes = 0;
    enum rk_status status = no_text(model, &reason);
    if (status == RK_OK)
        status = rk_tokenizer_decode(model->file.tokenizer, ids, n_ids, (uint8_t *)text,
                                     capacity, n_bytes, &reason);
    return rk_report(status, &reason, error);
}
