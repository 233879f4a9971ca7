/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Streams from within: what the files that ask them know together.
 *
 * The last token waits until somebody asks what follows it: one run then reads it and
 * predicts.
 */
#ifndef RK_API_STREAM_H
#define RK_API_STREAM_H

#include "api/api.h"

struct rnnkit_stream {
    const rnnkit_model *model;
    int n_threads;
    struct rk_state *state, *start;
    struct rk_window *token, *text; /* of one step, of several */
    int32_t last;
    bool is_read;            /* the last token has been read, what follows is known */
    void *log_probabilities; /* in the model's type */
    float *floats;           /* the same */
    double *scores;          /* scratch: of all tokens */
    double *shares;
    int32_t *ranked;
};

static inline size_t rk_stream_n_tokens(const rnnkit_stream *stream)
{
    return stream->model->file.network.vocab_size;
}

enum rk_status rk_stream_check_ids(const rnnkit_stream *stream, const int32_t *ids,
                                   size_t n, struct rk_error *error);

enum rk_status rk_stream_feed(rnnkit_stream *stream, const int32_t *ids, size_t n,
                              struct rk_error *error);
enum rk_status rk_stream_feed_text(rnnkit_stream *stream, const char *text, size_t n_bytes,
                                   struct rk_error *error);

/* Fills `scores` with the log-probabilities of the next token. */
enum rk_status rk_stream_predict(rnnkit_stream *stream, struct rk_error *error);

#endif
