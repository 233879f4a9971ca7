/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream's life, and what it reads, predicts and scores.
 */
#include "api/stream.h"

#include <string.h>

#include "sampling/sampling.h"

enum { STEPS = 32 };

/* A place of a saved state; reals follow. */
struct saved {
    uint64_t checksum;
    int32_t last, is_read;
};

static enum rk_dtype dtype_of(const rnnkit_stream *stream)
{
    return stream->model->file.network.dtype;
}

static double log_probability(const rnnkit_stream *stream, int32_t id)
{
    return dtype_of(stream) == RK_FLOAT32 ? (double)stream->floats[id]
                                          : ((const double *)stream->log_probabilities)[id];
}

/* ------------------------------------------------------------------ making */

static enum rk_status alloc_stream(rnnkit_stream *stream, struct rk_error *error)
{
    const struct rk_network *network = &stream->model->file.network;
    const struct rk_weights *weights = stream->model->weights;
    const struct rk_program *const *programs = network->programs;
    size_t n_layers = network->n_layers, n = network->vocab_size;
    bool is_float = network->dtype == RK_FLOAT32;
    stream->log_probabilities = rk_alloc(n * rk_real_size(network->dtype));
    stream->floats = is_float ? stream->log_probabilities : rk_alloc(n * sizeof(float));
    stream->scores = rk_alloc(n * sizeof *stream->scores);
    stream->shares = rk_alloc(n * sizeof *stream->shares);
    stream->ranked = rk_alloc(n * sizeof *stream->ranked);
    if (!stream->log_probabilities || !stream->floats || !stream->scores ||
        !stream->shares || !stream->ranked)
        return rk_fail(error, RK_NOMEM, "no memory for a stream over %zu tokens", n);
    enum rk_status status =
        rk_state_create(&stream->state, weights, programs, n_layers, 1, error);
    if (status == RK_OK)
        status = rk_state_create(&stream->start, weights, programs, n_layers, 1, error);
    if (status == RK_OK)
        status = rk_window_create(&stream->token, weights, programs, n_layers, 1, 1, NULL,
                                  error);
    if (status == RK_OK)
        status = rk_window_create(&stream->text, weights, programs, n_layers, STEPS, 1,
                                  NULL, error);
    return status;
}

void rnnkit_stream_reset(rnnkit_stream *stream)
{
    if (!stream)
        return;
    rk_state_assign(stream->state, stream->start, NULL);
    stream->last = stream->model->file.end_id;
    stream->is_read = false;
}

static enum rk_status make_stream(rnnkit_stream **result, const rnnkit_model *model,
                                  int n_threads, struct rk_error *error)
{
    enum rk_status status = rk_run_check(&(struct rk_run){.n_threads = n_threads}, error);
    if (status != RK_OK)
        return status;
    rnnkit_stream *stream = rk_alloc(sizeof *stream);
    if (!stream)
        return rk_fail(error, RK_NOMEM, "no memory for a stream");
    stream->model = model;
    stream->n_threads = n_threads;
    status = alloc_stream(stream, error);
    if (status == RK_OK) {
        rnnkit_stream_reset(stream);
        *result = stream;
    } else
        rnnkit_stream_free(stream);
    return status;
}

rnnkit_status rnnkit_stream_create(rnnkit_stream **result, const rnnkit_model *model,
                                   int n_threads, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (result)
        *result = NULL;
    if (!result || !model)
        return rk_report_null(error);
    struct rk_memory memory = model->memory, *before = rk_memory_use(&memory);
    enum rk_status status = make_stream(result, model, n_threads, &reason);
    rk_memory_use(before);
    return rk_report_memory(rk_report(status, &reason, error), &memory, error);
}

void rnnkit_stream_free(rnnkit_stream *stream)
{
    if (!stream)
        return;
    if ((void *)stream->floats != stream->log_probabilities)
        rk_free(stream->floats);
    rk_free(stream->log_probabilities);
    rk_free(stream->scores);
    rk_free(stream->shares);
    rk_free(stream->ranked);
    rk_window_free(stream->token);
    rk_window_free(stream->text);
    rk_state_free(stream->state);
    rk_state_free(stream->start);
    rk_free(stream);
}

/* ----------------------------------------------------------------- reading */

static enum rk_status run(rnnkit_stream *stream, struct rk_window *window,
                          const struct rk_window_input *input, struct rk_error *error)
{
    struct rk_run how = {.n_threads = stream->n_threads};
    struct rk_window_loss loss;
    return rk_window_forward(window, stream->state, input, &how, &loss, error);
}

/* Moves the state on over ids. */
static enum rk_status advance(rnnkit_stream *stream, const int32_t *ids, size_t n,
                              struct rk_error *error)
{
    enum rk_status status = RK_OK;
    while (status == RK_OK && n > 0) {
        size_t n_steps = n < STEPS ? n : STEPS;
        struct rk_window_input input = {.n_steps = n_steps, .batch = 1, .ids = ids};
        status = run(stream, n_steps == 1 ? stream->token : stream->text, &input, error);
        ids += n_steps, n -= n_steps;
    }
    return status;
}

enum rk_status rk_stream_check_ids(const rnnkit_stream *stream, const int32_t *ids,
                                   size_t n, struct rk_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= rk_stream_n_tokens(stream))
            return rk_fail(error, RK_INVALID, "id %d at position %zu; allowed are 0 to %zu",
                           (int)ids[i], i, rk_stream_n_tokens(stream) - 1);
    return RK_OK;
}

enum rk_status rk_stream_feed(rnnkit_stream *stream, const int32_t *ids, size_t n,
                              struct rk_error *error)
{
    enum rk_status status = rk_stream_check_ids(stream, ids, n, error);
    if (status != RK_OK || n == 0)
        return status;
    if (!stream->is_read)
        status = advance(stream, &stream->last, 1, error);
    if (status == RK_OK)
        status = advance(stream, ids, n - 1, error);
    stream->last = ids[n - 1];
    stream->is_read = false;
    return status;
}

rnnkit_status rnnkit_stream_feed(rnnkit_stream *stream, const int32_t *ids, size_t n,
                                 rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || (!ids && n > 0))
        return rk_report_null(error);
    return rk_report(rk_stream_feed(stream, ids, n, &reason), &reason, error);
}

/* What is done with the ids of a piece of text. */
typedef enum rk_status (*use_ids)(rnnkit_stream *stream, const int32_t *ids, size_t n,
                                  double *sum, struct rk_error *error);

static enum rk_status feed_piece(rnnkit_stream *stream, const int32_t *ids, size_t n,
                                 double *sum, struct rk_error *error)
{
    (void)sum;
    return rk_stream_feed(stream, ids, n, error);
}

/* Cuts a text into tokens, a few at a time. */
static enum rk_status each_piece(rnnkit_stream *stream, const char *text, size_t n_bytes,
                                 use_ids use, double *sum, size_t *n_ids,
                                 struct rk_error *error)
{
    const struct rk_tokenizer *tokenizer = stream->model->file.tokenizer;
    int32_t ids[STEPS];
    size_t position = 0, n;
    *n_ids = 0;
    if (!tokenizer)
        return rk_fail(error, RK_INVALID, "this model reads ids: it has no texts");
    do {
        enum rk_status status = rk_tokenizer_encode_next(
            tokenizer, (const uint8_t *)text, n_bytes, &position, ids, STEPS, &n, error);
        if (status == RK_OK)
            status = use(stream, ids, n, sum, error);
        if (status != RK_OK)
            return status;
        *n_ids += n;
    } while (n > 0);
    return RK_OK;
}

enum rk_status rk_stream_feed_text(rnnkit_stream *stream, const char *text, size_t n_bytes,
                                   struct rk_error *error)
{
    size_t n;
    return each_piece(stream, text, n_bytes, feed_piece, NULL, &n, error);
}

rnnkit_status rnnkit_stream_feed_text(rnnkit_stream *stream, const char *text,
                                      size_t n_bytes, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || (!text && n_bytes > 0))
        return rk_report_null(error);
    return rk_report(rk_stream_feed_text(stream, text, n_bytes, &reason), &reason, error);
}

/* -------------------------------------------------------------- prediction */

/* What is read as floats, of a model of doubles. */
static void set_floats(rnnkit_stream *stream)
{
    if (dtype_of(stream) != RK_FLOAT32)
        for (size_t i = 0; i < rk_stream_n_tokens(stream); i++)
            stream->floats[i] = (float)log_probability(stream, (int32_t)i);
}

static enum rk_status predict(rnnkit_stream *stream, struct rk_error *error)
{
    if (stream->is_read)
        return RK_OK;
    struct rk_window_input input = {.n_steps = 1,
                                    .batch = 1,
                                    .ids = &stream->last,
                                    .log_probabilities = stream->log_probabilities};
    enum rk_status status = run(stream, stream->token, &input, error);
    if (status != RK_OK)
        return status;
    stream->is_read = true;
    set_floats(stream);
    return RK_OK;
}

rnnkit_status rnnkit_stream_predict(rnnkit_stream *stream, const float **log_probabilities,
                                    rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || !log_probabilities)
        return rk_report_null(error);
    *log_probabilities = stream->floats;
    return rk_report(predict(stream, &reason), &reason, error);
}

enum rk_status rk_stream_predict(rnnkit_stream *stream, struct rk_error *error)
{
    enum rk_status status = predict(stream, error);
    for (size_t i = 0; status == RK_OK && i < rk_stream_n_tokens(stream); i++)
        stream->scores[i] = log_probability(stream, (int32_t)i);
    return status;
}

rnnkit_status rnnkit_stream_top(rnnkit_stream *stream, size_t k, int32_t *ids,
                                float *log_probabilities, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream)
        return rk_report_null(error);
    enum rk_status status = rk_stream_predict(stream, &reason);
    if (status == RK_OK && (k < 1 || k > rk_stream_n_tokens(stream)))
        status = rk_fail(&reason, RK_INVALID, "k is %zu; it must be from 1 to %zu", k,
                         rk_stream_n_tokens(stream));
    if (status == RK_OK)
        rk_likeliest(stream->scores, rk_stream_n_tokens(stream), k, stream->ranked);
    for (size_t i = 0; status == RK_OK && i < k; i++) {
        if (ids)
            ids[i] = stream->ranked[i];
        if (log_probabilities)
            log_probabilities[i] = stream->floats[stream->ranked[i]];
    }
    return rk_report(status, &reason, error);
}

/* ----------------------------------------------------------------- scoring */

/* Up to STEPS ids. */
static enum rk_status score_piece(rnnkit_stream *stream, const int32_t *ids, size_t n,
                                  double *sum, struct rk_error *error)
{
    int32_t read[STEPS];
    union {
        float floats[STEPS];
        double doubles[STEPS];
    } values;
    if (n > 0 && stream->is_read) {
        *sum += log_probability(stream, ids[0]);
        stream->last = ids[0];
        stream->is_read = false;
        ids++, n--;
    }
    if (n == 0)
        return RK_OK;
    read[0] = stream->last;
    memcpy(read + 1, ids, (n - 1) * sizeof *read);
    struct rk_window_input input = {.n_steps = n, .batch = 1, .ids = read, .targets = ids};
    enum rk_status status = run(stream, stream->text, &input, error);
    if (status == RK_OK)
        status = rk_window_get_log_likelihood(&values, stream->text, error);
    for (size_t i = 0; status == RK_OK && i < n; i++)
        *sum +=
            dtype_of(stream) == RK_FLOAT32 ? (double)values.floats[i] : values.doubles[i];
    stream->last = ids[n - 1];
    return status;
}

rnnkit_status rnnkit_stream_score(rnnkit_stream *stream, const int32_t *ids, size_t n,
                                  double *log_likelihood, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || (!ids && n > 0) || !log_likelihood)
        return rk_report_null(error);
    enum rk_status status = rk_stream_check_ids(stream, ids, n, &reason);
    while (status == RK_OK && n > 0) {
        size_t n_now = n < STEPS ? n : STEPS;
        status = score_piece(stream, ids, n_now, log_likelihood, &reason);
        ids += n_now, n -= n_now;
    }
    return rk_report(status, &reason, error);
}

rnnkit_status rnnkit_stream_score_text(rnnkit_stream *stream, const char *text,
                                       size_t n_bytes, double *log_likelihood,
                                       size_t *n_ids, rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || (!text && n_bytes > 0) || !log_likelihood || !n_ids)
        return rk_report_null(error);
    *log_likelihood = 0;
    rnnkit_stream_reset(stream);
    enum rk_status status =
        each_piece(stream, text, n_bytes, score_piece, log_likelihood, n_ids, &reason);
    if (status == RK_OK) {
        status =
            score_piece(stream, &stream->model->file.end_id, 1, log_likelihood, &reason);
        ++*n_ids;
    }
    return rk_report(status, &reason, error);
}

/* -------------------------------------------------------- copies and bytes */

rnnkit_status rnnkit_stream_copy(rnnkit_stream *stream, const rnnkit_stream *from,
                                 rnnkit_error *error)
{
    struct rk_error reason = {0};
    if (!stream || !from)
        return rk_report_null(error);
    size_t n = rk_stream_n_tokens(from);
    if (stream->model != from->model)
        return rk_report(
            rk_fail(&reason, RK_INVALID, "the streams are of different models"), &reason,
            error);
    if (stream == from)
        return rk_report(RK_OK, &reason, error);
    rk_state_assign(stream->state, from->state, NULL);
    stream->last = from->last;
    stream->is_read = from->is_read;
    memcpy(stream->log_probabilities, from->log_probabilities,
           n * rk_real_size(dtype_of(from)));
    memcpy(stream->floats, from->floats, n * sizeof *stream->floats);
    return rk_report(RK_OK, &reason, error);
}

size_t rnnkit_stream_state_size(const rnnkit_stream *stream)
{
    if (!stream)
        return 0;
    const struct rk_network *network = &stream->model->file.network;
    size_t n_reals = rk_stream_n_tokens(stream);
    for (size_t l = 0; l < network->n_layers; l++)
        for (size_t k = 0; k < rk_program_n_states(network->programs[l]); k++)
            n_reals += rk_program_state_width(network->programs[l], k);
    return sizeof(struct saved) + n_reals * rk_real_size(network->dtype);
}

static enum rk_status check_size(const rnnkit_stream *stream, size_t n_bytes,
                                 struct rk_error *error)
{
    size_t needed = rnnkit_stream_state_size(stream);
    return n_bytes == needed
               ? RK_OK
               : rk_fail(error, RK_INVALID,
                         "a state of this model takes %zu bytes, not %zu", needed, n_bytes);
}

rnnkit_status rnnkit_stream_save_state(const rnnkit_stream *stream, void *data,
                                       size_t n_bytes, rnnkit_error *error)
{
    if (!stream || !data)
        return rk_report_null(error);
    const struct rk_network *network = &stream->model->file.network;
    struct rk_error reason = {0};
    struct saved saved = {stream->model->checksum, stream->last, stream->is_read};
    size_t real = rk_real_size(network->dtype);
    char *at = data;
    enum rk_status status = check_size(stream, n_bytes, &reason);
    if (status != RK_OK)
        return rk_report(status, &reason, error);
    memcpy(at, &saved, sizeof saved);
    at += sizeof saved;
    memcpy(at, stream->log_probabilities, rk_stream_n_tokens(stream) * real);
    at += rk_stream_n_tokens(stream) * real;
    for (size_t l = 0; l < network->n_layers; l++)
        for (size_t k = 0; k < rk_program_n_states(network->programs[l]); k++) {
            rk_state_get(at, stream->state, l, k, NULL);
            at += rk_program_state_width(network->programs[l], k) * real;
        }
    return rk_report(RK_OK, &reason, error);
}

rnnkit_status rnnkit_stream_load_state(rnnkit_stream *stream, const void *data,
                                       size_t n_bytes, rnnkit_error *error)
{
    if (!stream || !data)
        return rk_report_null(error);
    const struct rk_network *network = &stream->model->file.network;
    struct rk_error reason = {0};
    struct saved saved;
    size_t real = rk_real_size(network->dtype);
    const char *at = data;
    enum rk_status status = check_size(stream, n_bytes, &reason);
    if (status == RK_OK) {
        memcpy(&saved, at, sizeof saved);
        if (saved.checksum != stream->model->checksum)
            status = rk_fail(&reason, RK_INVALID, "the state belongs to another model");
        else
            status = rk_stream_check_ids(stream, &saved.last, 1, &reason);
    }
    if (status != RK_OK)
        return rk_report(status, &reason, error);
    at += sizeof saved;
    memcpy(stream->log_probabilities, at, rk_stream_n_tokens(stream) * real);
    at += rk_stream_n_tokens(stream) * real;
    for (size_t l = 0; l < network->n_layers; l++)
        for (size_t k = 0; k < rk_program_n_states(network->programs[l]); k++) {
            rk_state_set(stream->state, l, k, at, NULL);
            at += rk_program_state_width(network->programs[l], k) * real;
        }
    stream->last = saved.last;
    stream->is_read = saved.is_read != 0;
    set_floats(stream);
    return rk_report(RK_OK, &reason, error);
}
