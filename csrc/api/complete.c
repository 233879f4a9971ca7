/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Half a word made whole, where tokens are words: `complete` of rnnkit/runtime/words.py.
 */
#include <math.h>

#include "api/stream.h"
#include "sampling/sampling.h"

/* Keeps the scores of words that begin so; returns what is to be divided by. */
static double keep_words(rnnkit_stream *stream, const uint8_t *letters, size_t n_bytes)
{
    const struct rk_modelfile *file = &stream->model->file;
    double sum = 0;
    for (int32_t id = 0; (size_t)id < rk_stream_n_tokens(stream); id++) {
        bool is_word = id != file->end_id && id != file->unk_id;
        if (is_word && rk_tokenizer_begins(file->tokenizer, id, letters, n_bytes))
            sum += exp(stream->scores[id]);
        else
            stream->scores[id] = -INFINITY;
    }
    return n_bytes > 0 ? sum : 1;
}

/* The likeliest k, as far as they can be; returns how many. */
static size_t rank_words(rnnkit_stream *stream, size_t k, double sum, int32_t *ids,
                         double *probabilities)
{
    size_t n_tokens = rk_stream_n_tokens(stream), n = 0;
    k = k < n_tokens ? k : n_tokens;
    rk_likeliest(stream->scores, n_tokens, k, stream->ranked);
    for (; n < k; n++) {
        double p = exp(stream->scores[stream->ranked[n]]);
        if (!(p > 0))
            break;
        if (ids)
            ids[n] = stream->ranked[n];
        if (probabilities)
            probabilities[n] = p / sum;
    }
    return n;
}

rnnkit_status rnnkit_stream_complete(rnnkit_stream *stream, const char *text,
                                     size_t n_bytes, size_t k, int32_t *ids,
                                     double *probabilities, size_t *n, rnnkit_error *error)
{
    if (!stream || (!text && n_bytes > 0) || !n)
        return rk_report_null(error);
    const struct rk_tokenizer *tokenizer = stream->model->file.tokenizer;
    const uint8_t *bytes = (const uint8_t *)text;
    struct rk_error reason = {0};
    enum rk_status status = RK_OK;
    size_t begin = 0;
    *n = 0;
    if (!tokenizer)
        status = rk_fail(&reason, RK_INVALID, "this model reads ids: it has no texts");
    if (status == RK_OK)
        status = rk_tokenizer_half_word(tokenizer, bytes, n_bytes, &begin, &reason);
    if (status == RK_OK)
        status = rk_stream_feed_text(stream, text, begin, &reason);
    if (status == RK_OK)
        status = rk_stream_predict(stream, &reason);
    if (status == RK_OK) {
        double sum = keep_words(stream, bytes + begin, n_bytes - begin);
        *n = rank_words(stream, k, sum, ids, probabilities);
    }
    return rk_report(status, &reason, error);
}
