/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Text to tokens to ids, and back: the built-in tokenizers, the same from Python and from
 * C. The rules stand in split.h.
 *
 * Cost: one pass, no allocation per token, and never more than a few dozen steps of the
 * hash table for a token, also in a text that was made to collide. Encoding allocates
 * nothing.
 */
#ifndef RK_TEXT_H
#define RK_TEXT_H

#include "base/base.h"

/* Bytes have no case: there `lowercase` means nothing. A plugin's rule is not known here:
 * its tokens can be looked up, its texts neither cut nor put together. */
enum rk_rule { RK_WHITESPACE, RK_WORD, RK_CHAR, RK_BYTE, RK_PLUGIN };

/* Texts end to end: text i is bytes[offsets[i]] up to bytes[offsets[i + 1]]. There are n +
 * 1 offsets; they ascend from 0 or more and end at n_bytes or before. Each text is UTF-8 by
 * itself (NUL included); for the rule `byte` anything is. */
struct rk_texts {
    const uint8_t *bytes;
    size_t n_bytes;
    const int64_t *offsets;
    size_t n;
};

/* The tokens of one text as they are looked up (in lower case when so asked), end to end.
 * `tokens` has room for 2 * n_bytes, `offsets` for n_bytes + 1; n_tokens are written. */
enum rk_status rk_text_split(enum rk_rule rule, bool lowercase, const uint8_t *text,
                             size_t n_bytes, uint8_t *tokens, int64_t *offsets,
                             size_t *n_tokens, struct rk_error *error);

/* ---------------------------------------------------------------- counting */

struct rk_counter;

/* How often a token occurs, and in how many documents. */
struct rk_count {
    int64_t occurrences, documents;
};

enum rk_status rk_counter_create(struct rk_counter **counter, enum rk_rule rule,
                                 bool lowercase);
void rk_counter_free(struct rk_counter *counter);

/* Counts more texts, a document each; the first goes on with the last document of the call
 * before when `continues`. */
enum rk_status rk_counter_add(struct rk_counter *counter, const struct rk_texts *texts,
                              bool continues, struct rk_error *error);

int64_t rk_counter_n_documents(const struct rk_counter *counter);
size_t rk_counter_n_tokens(const struct rk_counter *counter); /* that differ             */
size_t rk_counter_n_bytes(const struct rk_counter *counter);  /* of these, end to end    */

/* The tokens in the order of their first appearance, offsets as in rk_texts. */
void rk_counter_get(const struct rk_counter *counter, uint8_t *bytes, int64_t *offsets,
                    struct rk_count *counts);

/* --------------------------------------------------------------- tokenizing */

/* Immutable once made: any number of threads may use it. */
struct rk_tokenizer;

/* A token's id is its place in the vocabulary: texts that are not empty and all differ, one
 * of them `<eos>`, the end of a document. But for the rule `byte` one is `<unk>`, which
 * stands for what is not in the vocabulary; `byte` has 257 tokens, `<eos>` the last. What a
 * plugin calls them, the caller knows. The vocabulary is untrusted. */
enum rk_status rk_tokenizer_create(struct rk_tokenizer **tokenizer, enum rk_rule rule,
                                   bool lowercase, const struct rk_texts *vocabulary,
                                   struct rk_error *error);
void rk_tokenizer_free(struct rk_tokenizer *tokenizer);

size_t rk_tokenizer_n_tokens(const struct rk_tokenizer *tokenizer);
int32_t rk_tokenizer_end_id(const struct rk_tokenizer *tokenizer);
int32_t rk_tokenizer_unk_id(const struct rk_tokenizer *tokenizer); /* -1: none           */

/* A token as it is shown, which is not terminated; NULL when there is none of this id. */
const uint8_t *rk_tokenizer_token(const struct rk_tokenizer *tokenizer, int32_t id,
                                  size_t *n_bytes);
/* The id of a token that is shown so; -1 when there is none. */
int32_t rk_tokenizer_find(const struct rk_tokenizer *tokenizer, const uint8_t *token,
                          size_t n_bytes);

/* Ids of the texts end to end, those of text i from id_offsets[i] to id_offsets[i + 1].
 * Room for as many ids as the texts have bytes is enough, and n + 1 offsets. */
enum rk_status rk_tokenizer_encode(const struct rk_tokenizer *tokenizer,
                                   const struct rk_texts *texts, int32_t *ids,
                                   int64_t *id_offsets, struct rk_error *error);

/* Ids of one text, piece by piece: writes up to `capacity` of them for what begins at
 * *position, moves this behind it, and says how many in *n; 0 is the end. The text is
 * checked when *position is 0. */
enum rk_status rk_tokenizer_encode_next(const struct rk_tokenizer *tokenizer,
                                        const uint8_t *text, size_t n_bytes,
                                        size_t *position, int32_t *ids, size_t capacity,
                                        size_t *n, struct rk_error *error);

/* Ids to valid UTF-8 (not terminated) that reads like text; decode.c has the rules. Writes
 * what fits into `capacity` and sets n_bytes to what is needed, as snprintf does. */
enum rk_status rk_tokenizer_decode(const struct rk_tokenizer *tokenizer, const int32_t *ids,
                                   size_t n, uint8_t *text, size_t capacity,
                                   size_t *n_bytes, struct rk_error *error);

/* Where a text that is not empty first stands in what decoding gives, in bytes; SIZE_MAX:
 * nowhere. */
enum rk_status rk_tokenizer_search(const struct rk_tokenizer *tokenizer, const int32_t *ids,
                                   size_t n, const uint8_t *wanted, size_t n_bytes,
                                   size_t *position, struct rk_error *error);

/* Where the word begins that a text breaks off in; n_bytes where it is empty or ends with
 * white space. For the rules that make words. */
enum rk_status rk_tokenizer_half_word(const struct rk_tokenizer *tokenizer,
                                      const uint8_t *text, size_t n_bytes, size_t *begin,
                                      struct rk_error *error);

/* Whether a token begins with these letters, as it would look them up. */
bool rk_tokenizer_begins(const struct rk_tokenizer *tokenizer, int32_t id,
                         const uint8_t *letters, size_t n_bytes);

#endif
