/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writing on: what rnnkit/runtime/generation.py does, for one continuation.
 */
#include <math.h>
#include <string.h>

#include "api/stream.h"
#include "sampling/sampling.h"

/* ------------------------------------------------------------------ checks */

static enum rk_status check_numbers(const rnnkit_generation *how, struct rk_error *error)
{
    if (!(how->temperature >= 0) || !isfinite(how->temperature))
        return rk_fail(error, RK_INVALID, "temperature is %g; it must be at least 0",
                       how->temperature);
    if (!(how->top_p >= 0 && how->top_p <= 1))
        return rk_fail(error, RK_INVALID, "top_p is %g; it must be from 0 to 1",
                       how->top_p);
    if (!(how->repetition_penalty > 0) || !isfinite(how->repetition_penalty))
        return rk_fail(error, RK_INVALID, "repetition_penalty is %g; it must be above 0",
                       how->repetition_penalty);
    return RK_OK;
}

static enum rk_status check_bad_words(const rnnkit_stream *stream,
                                      const rnnkit_generation *how, struct rk_error *error)
{
    size_t begin = 0;
    if (!how->bad_words && how->n_bad_words > 0)
        return rk_fail(error, RK_INVALID, "bad_words is NULL, but n_bad_words is %zu",
                       how->n_bad_words);
    for (size_t end = 0; end < how->n_bad_words; end++) {
        if (how->bad_words[end] != -1)
            continue;
        if (end == begin)
            return rk_fail(error, RK_INVALID, "bad_words: one of them has no tokens");
        enum rk_status status =
            rk_stream_check_ids(stream, how->bad_words + begin, end - begin, error);
        if (status != RK_OK)
            return status;
        begin = end + 1;
    }
    return begin == how->n_bad_words
               ? RK_OK
               : rk_fail(error, RK_INVALID, "bad_words: the last of them has no -1 behind");
}

static enum rk_status check_stops(const rnnkit_model *model, const char *const *stops,
                                  size_t n_stops, struct rk_error *error)
{
    if (n_stops > 0 && !rnnkit_model_has_text(model))
        return rk_fail(error, RK_INVALID,
                       "this model reads ids: it writes no text to stop at");
    for (size_t i = 0; i < n_stops; i++)
        if (!stops || !stops[i] || !*stops[i])
            return rk_fail(error, RK_INVALID, "a stop is empty; it must be a text");
    return RK_OK;
}

static enum rk_status check_generation(const rnnkit_stream *stream,
                                       const rnnkit_generation *how, const int32_t *ids,
                                       struct rk_error *error)
{
    enum rk_status status = check_numbers(how, error);
    if (status == RK_OK)
        status = rk_stream_check_ids(stream, ids, how->n_prompt, error);
    if (status == RK_OK)
        status = check_bad_words(stream, how, error);
    if (status == RK_OK)
        status = check_stops(stream->model, how->stops, how->n_stops, error);
    return status;
}

/* ----------------------------------------------------------------- writing */

/* Where a stop begins in the text of these ids; SIZE_MAX: it is not there. */
static size_t place_of(const rnnkit_model *model, const int32_t *ids, size_t n,
                       const char *stop)
{
    size_t place = SIZE_MAX;
    rk_tokenizer_search(model->file.tokenizer, ids, n, (const uint8_t *)stop, strlen(stop),
                        &place, NULL);
    return place;
}

static bool has_stopped(const rnnkit_model *model, const rnnkit_generation *how,
                        const int32_t *written, size_t n)
{
    size_t i = 0;
    while (i < how->n_stops && place_of(model, written, n, how->stops[i]) == SIZE_MAX)
        i++;
    return i < how->n_stops;
}

static int32_t next_token(rnnkit_stream *stream, const rnnkit_generation *how,
                          const int32_t *ids, size_t n)
{
    const struct rk_modelfile *file = &stream->model->file;
    size_t n_tokens = rk_stream_n_tokens(stream);
    struct rk_controls controls = {file->end_id,
                                   file->unk_id,
                                   how->min_new_tokens,
                                   how->repetition_penalty,
                                   how->no_repeat_ngram_size,
                                   how->bad_words,
                                   how->n_bad_words};
    struct rk_draw_options draw = {how->temperature, how->top_k, how->top_p};
    rk_control(stream->scores, n_tokens, &controls, ids, how->n_prompt + n, n,
               stream->ranked);
    return rk_draw(stream->scores, n_tokens, &draw, rk_uniform(how->seed, how->number, n),
                   stream->ranked, stream->shares);
}

rnnkit_status rnnkit_stream_generate(rnnkit_stream *stream, const rnnkit_generation *how,
                                     int32_t *ids, size_t *n, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || !how || !ids || !n)
        return rk_report_null(error);
    int32_t *written = ids + how->n_prompt;
    *n = 0;
    enum rk_status status = check_generation(stream, how, ids, &reason);
    while (status == RK_OK && *n < how->max_new_tokens) {
        status = rk_stream_predict(stream, &reason);
        if (status != RK_OK)
            break;
        int32_t token = next_token(stream, how, ids, *n);
        if (token == stream->model->file.end_id)
            break;
        written[(*n)++] = token;
        status = rk_stream_feed(stream, &token, 1, &reason);
        if (has_stopped(stream->model, how, written, *n))
            break;
    }
    return rk_report(status, &reason, error);
}

rnnkit_status rnnkit_model_decode_until(const rnnkit_model *model, const int32_t *ids,
                                        size_t n_ids, const char *const *stops,
                                        size_t n_stops, char *text, size_t capacity,
                                        size_t *n_bytes, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!model || !n_bytes)
        return rk_report_null(error);
    *n_bytes = 0;
    enum rk_status status = check_stops(model, stops, n_stops, &reason);
    if (status != RK_OK)
        return rk_report(status, &reason, error);
    rnnkit_status decoded =
        rnnkit_model_decode(model, ids, n_ids, text, capacity, n_bytes, error);
    for (size_t i = 0; decoded == RNNKIT_OK && i < n_stops; i++) {
        size_t place = place_of(model, ids, n_ids, stops[i]);
        if (place != SIZE_MAX && place + strlen(stops[i]) <= *n_bytes)
            *n_bytes = place;
    }
    return decoded;
}
