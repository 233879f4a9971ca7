/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rnnkit: trained language models in C programs.
 *
 *   rnnkit_model *model;
 *   rnnkit_stream *stream;
 *   rnnkit_error error;
 *   int32_t best;
 *   if (rnnkit_model_load(&model, "model.rnn", &error)) ...  error.text says what is wrong
 *   rnnkit_stream_create(&stream, model, 1, &error);
 *   rnnkit_stream_feed_text(stream, "the cat", 7, &error);
 *   rnnkit_stream_top(stream, 1, &best, NULL, &error);
 *
 * A model never changes: any number of threads may use one, each with streams of its own.
 * There is no state beside models and streams, and nothing is allocated but where one is
 * made, from the system or from memory that the program hands over. Functions that can fail
 * return a status and write the reason to `error`, which may be NULL. Another NULL is
 * RNNKIT_BAD_ARGUMENT, unless it is allowed below or its number of elements is 0. Neither a
 * file nor a text, however bad, ends the process. Texts are UTF-8.
 */
#ifndef RNNKIT_H
#define RNNKIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RNNKIT_API __attribute__((visibility("default")))
#else
#define RNNKIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rnnkit_status {
    RNNKIT_OK = 0,
    RNNKIT_NO_MEMORY,
    RNNKIT_BAD_ARGUMENT, /* also a text that is no UTF-8, or an id that is none */
    RNNKIT_BAD_FILE,     /* it can be read, but is no sound model               */
    RNNKIT_CANNOT_READ   /* the system gives no such file                       */
} rnnkit_status;

typedef struct rnnkit_error {
    char text[256];
} rnnkit_error;

/* ------------------------------------------------------------------- model */

typedef struct rnnkit_model rnnkit_model;

RNNKIT_API rnnkit_status rnnkit_model_load(rnnkit_model **model, const char *path,
                                           rnnkit_error *error);
/* From a file in memory, which is not needed afterwards. */
RNNKIT_API rnnkit_status rnnkit_model_read(rnnkit_model **model, const void *data,
                                           size_t n_bytes, rnnkit_error *error);
/* After its last stream; NULL is taken. */
RNNKIT_API void rnnkit_model_free(rnnkit_model *model);

/* Where a model and its streams get all their memory; NULL: from the system. It is copied;
 * what its functions need must stay. */
typedef struct rnnkit_allocator {
    void *(*allocate)(void *context, size_t n_bytes); /* aligned as malloc; NULL: no more */
    void (*release)(void *context, void *memory);
    void *context;
} rnnkit_allocator;

RNNKIT_API rnnkit_status rnnkit_model_load_in(rnnkit_model **model, const char *path,
                                              const rnnkit_allocator *allocator,
                                              rnnkit_error *error);
RNNKIT_API rnnkit_status rnnkit_model_read_in(rnnkit_model **model, const void *data,
                                              size_t n_bytes,
                                              const rnnkit_allocator *allocator,
                                              rnnkit_error *error);

/* An allocator over memory of a fixed size: give &budget.allocator. One thread at a time
 * may make and free models and streams of one budget. */
typedef struct rnnkit_budget {
    rnnkit_allocator allocator;
    size_t n_used;    /* bytes in use                          */
    size_t most_used; /* bytes that would have been enough     */
    void *memory;     /* private, and so is what follows       */
    struct rnnkit_piece *first_free;
} rnnkit_budget;

RNNKIT_API void rnnkit_budget_init(rnnkit_budget *budget, void *memory, size_t n_bytes);

/* Tokens have the ids 0 to rnnkit_model_n_tokens - 1. */
RNNKIT_API int32_t rnnkit_model_n_tokens(const rnnkit_model *model);
RNNKIT_API int32_t rnnkit_model_end_id(const rnnkit_model *model);
RNNKIT_API int32_t rnnkit_model_unk_id(const rnnkit_model *model); /* -1: there is none */

/* Whether texts can be read and written; else (ids, or a plugin's tokenizer) only ids. */
RNNKIT_API int rnnkit_model_has_text(const rnnkit_model *model);

/* A token as the vocabulary shows it, not terminated; NULL: there is none. */
RNNKIT_API const char *rnnkit_model_token(const rnnkit_model *model, int32_t id,
                                          size_t *n_bytes);
/* Its id; -1 when no token is shown so. */
RNNKIT_API int32_t rnnkit_model_find(const rnnkit_model *model, const char *token,
                                     size_t n_bytes);

/* Text to ids, and back to a text that reads well, not terminated. Both write what fits
 * into `capacity` and set the last number to what is needed. */
RNNKIT_API rnnkit_status rnnkit_model_encode(const rnnkit_model *model, const char *text,
                                             size_t n_bytes, int32_t *ids, size_t capacity,
                                             size_t *n_ids, rnnkit_error *error);
RNNKIT_API rnnkit_status rnnkit_model_decode(const rnnkit_model *model, const int32_t *ids,
                                             size_t n_ids, char *text, size_t capacity,
                                             size_t *n_bytes, rnnkit_error *error);

/* ------------------------------------------------------------------ stream */

/* A running text: feed it, ask for what follows. One thread at a time may use one. */
typedef struct rnnkit_stream rnnkit_stream;

/* At the start of a document. n_threads < 1: as many as the machine has. */
RNNKIT_API rnnkit_status rnnkit_stream_create(rnnkit_stream **stream,
                                              const rnnkit_model *model, int n_threads,
                                              rnnkit_error *error);
RNNKIT_API void rnnkit_stream_free(rnnkit_stream *stream);
RNNKIT_API void rnnkit_stream_reset(rnnkit_stream *stream);

/* Moves `stream` to where `from`, of the same model, stands. */
RNNKIT_API rnnkit_status rnnkit_stream_copy(rnnkit_stream *stream,
                                            const rnnkit_stream *from, rnnkit_error *error);

/* Where a stream stands, as bytes that may be kept and loaded with the same model. */
RNNKIT_API size_t rnnkit_stream_state_size(const rnnkit_stream *stream);
RNNKIT_API rnnkit_status rnnkit_stream_save_state(const rnnkit_stream *stream, void *data,
                                                  size_t n_bytes, rnnkit_error *error);
RNNKIT_API rnnkit_status rnnkit_stream_load_state(rnnkit_stream *stream, const void *data,
                                                  size_t n_bytes, rnnkit_error *error);

/* Reads more of the document. A text is cut by itself: end it where a token ends. */
RNNKIT_API rnnkit_status rnnkit_stream_feed(rnnkit_stream *stream, const int32_t *ids,
                                            size_t n, rnnkit_error *error);
RNNKIT_API rnnkit_status rnnkit_stream_feed_text(rnnkit_stream *stream, const char *text,
                                                 size_t n_bytes, rnnkit_error *error);

/* The log-probabilities of all tokens as the next one; the stream's, until it moves on. */
RNNKIT_API rnnkit_status rnnkit_stream_predict(rnnkit_stream *stream,
                                               const float **log_probabilities,
                                               rnnkit_error *error);
/* The k likeliest, best first, of equals the lower id; k up to the number of tokens. Either
 * array may be NULL. */
RNNKIT_API rnnkit_status rnnkit_stream_top(rnnkit_stream *stream, size_t k, int32_t *ids,
                                           float *log_probabilities, rnnkit_error *error);

/* Reads on, and adds how likely each token was to *log_likelihood. */
RNNKIT_API rnnkit_status rnnkit_stream_score(rnnkit_stream *stream, const int32_t *ids,
                                             size_t n, double *log_likelihood,
                                             rnnkit_error *error);
/* Scores a whole document from the start, its end too; leaves the stream behind it. */
RNNKIT_API rnnkit_status rnnkit_stream_score_text(rnnkit_stream *stream, const char *text,
                                                  size_t n_bytes, double *log_likelihood,
                                                  size_t *n_tokens, rnnkit_error *error);

/* How to write on; the options of Python's `generate`. Start from RNNKIT_GENERATION: later
 * versions may have more fields. */
typedef struct rnnkit_generation {
    size_t max_new_tokens;
    double temperature;          /* 0: always the likeliest token                         */
    size_t top_k;                /* 0: all tokens                                         */
    double top_p;                /* 1: all tokens                                         */
    uint64_t seed;               /* Python's random_state                                 */
    uint64_t number;             /* of the prompt among those of a call, and 2^32 times   */
                                 /* that of the continuation                              */
    size_t min_new_tokens;       /* the document does not end before                      */
    size_t n_prompt;             /* tokens that stand in `ids` already, for what follows  */
    double repetition_penalty;   /* multiplies the log-probability of what occurred       */
    size_t no_repeat_ngram_size; /* no so many tokens occur twice; 0: they may            */
    const int32_t *bad_words;    /* sequences that are not written, behind each a -1      */
    size_t n_bad_words;          /* numbers in it, the -1 counted                         */
    const char *const *stops;    /* the text ends where it comes to one of these          */
    size_t n_stops;
} rnnkit_generation;
#define RNNKIT_GENERATION {50, 1.0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, NULL, 0, NULL, 0}

/* Draws tokens until the document ends, a stop is come to or there are max_new_tokens, and
 * feeds each. They are written behind the n_prompt tokens in `ids`, which the stream has
 * read. *n counts the new ones. The unknown token is never drawn. */
RNNKIT_API rnnkit_status rnnkit_stream_generate(rnnkit_stream *stream,
                                                const rnnkit_generation *options,
                                                int32_t *ids, size_t *n,
                                                rnnkit_error *error);

/* What was written, as rnnkit_model_decode gives it, but cut before the stops. */
RNNKIT_API rnnkit_status rnnkit_model_decode_until(const rnnkit_model *model,
                                                   const int32_t *ids, size_t n_ids,
                                                   const char *const *stops, size_t n_stops,
                                                   char *text, size_t capacity,
                                                   size_t *n_bytes, rnnkit_error *error);

/* Reads on over a text whose last word may be half typed, but for this word, and gives the
 * tokens that it may become, up to k, likeliest first, and how likely each is among all
 * that begin so. Behind white space, and in an empty text, any word may follow. For models
 * whose tokens are words (the tokenizers word and whitespace). Either array may be NULL. */
RNNKIT_API rnnkit_status rnnkit_stream_complete(rnnkit_stream *stream, const char *text,
                                                size_t n_bytes, size_t k, int32_t *ids,
                                                double *probabilities, size_t *n,
                                                rnnkit_error *error);

#ifdef __cplusplus
}
#endif
#endif
