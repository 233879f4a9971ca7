/* SPDX-License-Identifier: BSD-3-Clause */
#include "text/tokenizer.h"

#include "text/unicode.h"

enum { MAX_TOKENS = 1 << 24 };

/* Puts the texts into the vocabulary, refusing what is empty or there already. */
static enum rk_status fill(struct rk_strings *vocabulary, const struct rk_texts *texts,
                           struct rk_error *error)
{
    for (size_t i = 0; i < texts->n; i++) {
        struct rk_span token = rk_texts_get(texts, i);
        size_t number;
        if (token.n_bytes == 0)
            return rk_fail(error, RK_INVALID, "token %zu of the vocabulary is empty", i);
        if (rk_strings_add(vocabulary, token, false, &number) != RK_OK)
            return rk_fail(error, RK_NOMEM, "no memory for a vocabulary of %zu tokens",
                           texts->n);
        if (number != i)
            return rk_fail(error, RK_INVALID,
                           "tokens %zu and %zu of the vocabulary are equal", number, i);
    }
    return RK_OK;
}

static int32_t id_of(const struct rk_tokenizer *tokenizer, struct rk_span token)
{
    size_t number;
    if (rk_strings_find(&tokenizer->vocabulary, token, tokenizer->lowercase, &number))
        return (int32_t)number;
    return tokenizer->unk_id;
}

static enum rk_status find_special_ids(struct rk_tokenizer *t, struct rk_error *error)
{
    bool is_byte = t->rule == RK_BYTE;
    t->unk_id = t->end_id = -1; /* what is not there */
    if (t->rule == RK_PLUGIN)
        return RK_OK;
    t->end_id = id_of(t, (struct rk_span){(const uint8_t *)RK_END, RK_SPECIAL_LENGTH});
    if (t->end_id < 0)
        return rk_fail(error, RK_INVALID, "the vocabulary has no " RK_END);
    if (is_byte && (t->vocabulary.n != RK_N_BYTES + 1 || t->end_id != RK_N_BYTES))
        return rk_fail(error, RK_INVALID, "a vocabulary of bytes is all 256 and " RK_END);
    if (!is_byte)
        t->unk_id = id_of(t, (struct rk_span){(const uint8_t *)RK_UNK, RK_SPECIAL_LENGTH});
    if (!is_byte && t->unk_id < 0)
        return rk_fail(error, RK_INVALID, "the vocabulary has no " RK_UNK);
    return RK_OK;
}

enum rk_status rk_tokenizer_create(struct rk_tokenizer **tokenizer, enum rk_rule rule,
                                   bool lowercase, const struct rk_texts *vocabulary,
                                   struct rk_error *error)
{
    *tokenizer = NULL;
    if (vocabulary->n > MAX_TOKENS)
        return rk_fail(error, RK_INVALID, "%zu tokens in the vocabulary; at most %d may be",
                       vocabulary->n, MAX_TOKENS);
    enum rk_status status = rk_texts_check(vocabulary, false, error);
    if (status != RK_OK)
        return status;
    struct rk_tokenizer *made = rk_alloc(sizeof *made);
    if (!made)
        return rk_fail(error, RK_NOMEM, "no memory for a tokenizer");
    made->rule = rule;
    made->lowercase = lowercase && rule != RK_BYTE;
    status = fill(&made->vocabulary, vocabulary, error);
    if (status == RK_OK)
        status = find_special_ids(made, error);
    if (status != RK_OK) {
        rk_tokenizer_free(made);
        return status;
    }
    for (int i = 0; i < RK_N_ASCII; i++) {
        uint8_t character = (uint8_t)i;
        made->ascii_ids[i] = id_of(made, (struct rk_span){&character, 1});
    }
    *tokenizer = made;
    return RK_OK;
}

void rk_tokenizer_free(struct rk_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    rk_strings_free(&tokenizer->vocabulary);
    rk_free(tokenizer);
}

size_t rk_tokenizer_n_tokens(const struct rk_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.n;
}

int32_t rk_tokenizer_end_id(const struct rk_tokenizer *tokenizer)
{
    return tokenizer->end_id;
}

int32_t rk_tokenizer_unk_id(const struct rk_tokenizer *tokenizer)
{
    return tokenizer->unk_id;
}

const uint8_t *rk_tokenizer_token(const struct rk_tokenizer *tokenizer, int32_t id,
                                  size_t *n_bytes)
{
    *n_bytes = 0;
    if (id < 0 || (size_t)id >= tokenizer->vocabulary.n)
        return NULL;
    struct rk_span token = rk_strings_get(&tokenizer->vocabulary, (size_t)id);
    *n_bytes = token.n_bytes;
    return token.bytes;
}

int32_t rk_tokenizer_find(const struct rk_tokenizer *tokenizer, const uint8_t *token,
                          size_t n_bytes)
{
    size_t number;
    struct rk_span key = {token, n_bytes};
    return rk_strings_find(&tokenizer->vocabulary, key, false, &number) ? (int32_t)number
                                                                        : -1;
}

enum rk_status rk_tokenizer_refuse(struct rk_error *error)
{
    return rk_fail(error, RK_INVALID,
                   "the tokenizer comes from a plugin, which this library cannot run: give "
                   "and take ids");
}

/* Writes up to `capacity` ids of what begins at *at; returns how many. */
static size_t encode(const struct rk_tokenizer *tokenizer, struct rk_span text, size_t *at,
                     int32_t *ids, size_t capacity)
{
    struct rk_span token;
    size_t n = 0;
    if (tokenizer->rule == RK_BYTE) {
        for (; n < capacity && *at < text.n_bytes; n++)
            ids[n] = text.bytes[(*at)++];
        return n;
    }
    while (n < capacity && rk_token_next(tokenizer->rule, text, at, &token)) {
        bool is_ascii = token.n_bytes == 1 && token.bytes[0] < RK_N_ASCII;
        ids[n++] =
            is_ascii ? tokenizer->ascii_ids[token.bytes[0]] : id_of(tokenizer, token);
    }
    return n;
}

enum rk_status rk_tokenizer_encode_next(const struct rk_tokenizer *tokenizer,
                                        const uint8_t *text, size_t n_bytes,
                                        size_t *position, int32_t *ids, size_t capacity,
                                        size_t *n, struct rk_error *error)
{
    int64_t bounds[2] = {0, (int64_t)n_bytes};
    struct rk_texts texts = {text, n_bytes, bounds, 1};
    *n = 0;
    if (tokenizer->rule == RK_PLUGIN)
        return rk_tokenizer_refuse(error);
    enum rk_status status = RK_OK;
    if (*position == 0)
        status = rk_texts_check(&texts, tokenizer->rule == RK_BYTE, error);
    if (status == RK_OK)
        *n = encode(tokenizer, (struct rk_span){text, n_bytes}, position, ids, capacity);
    return status;
}

enum rk_status rk_tokenizer_encode(const struct rk_tokenizer *tokenizer,
                                   const struct rk_texts *texts, int32_t *ids,
                                   int64_t *id_offsets, struct rk_error *error)
{
    if (tokenizer->rule == RK_PLUGIN)
        return rk_tokenizer_refuse(error);
    enum rk_status status = rk_texts_check(texts, tokenizer->rule == RK_BYTE, error);
    if (status != RK_OK)
        return status;
    size_t n = 0;
    id_offsets[0] = 0;
    for (size_t i = 0; i < texts->n; i++) {
        size_t at = 0;
        n += encode(tokenizer, rk_texts_get(texts, i), &at, ids + n, SIZE_MAX);
        id_offsets[i + 1] = (int64_t)n;
    }
    return RK_OK;
}

/* -------------------------------------------------------------- half a word */

enum rk_status rk_tokenizer_half_word(const struct rk_tokenizer *tokenizer,
                                      const uint8_t *text, size_t n_bytes, size_t *begin,
                                      struct rk_error *error)
{
    int64_t bounds[2] = {0, (int64_t)n_bytes};
    struct rk_texts texts = {text, n_bytes, bounds, 1};
    struct rk_span token = {text, 0}, whole = {text, n_bytes};
    size_t at = 0;
    if (tokenizer->rule != RK_WORD && tokenizer->rule != RK_WHITESPACE)
        return rk_fail(error, RK_INVALID, "the tokens of this model are no words");
    enum rk_status status = rk_texts_check(&texts, false, error);
    if (status != RK_OK)
        return status;
    while (rk_token_next(tokenizer->rule, whole, &at, &token))
        continue;
    *begin = at < n_bytes ? n_bytes : at - token.n_bytes;
    return RK_OK;
}

bool rk_tokenizer_begins(const struct rk_tokenizer *tokenizer, int32_t id,
                         const uint8_t *letters, size_t n_bytes)
{
    struct rk_span token = rk_strings_get(&tokenizer->vocabulary, (size_t)id);
    uint8_t lower[4];
    for (size_t at = 0, in = 0; in < n_bytes;) {
        uint32_t c;
        const uint8_t *letter = letters + in;
        size_t length = rk_utf8_decode(letter, &c);
        in += length;
        if (tokenizer->lowercase) {
            length = rk_utf8_lower(lower, c);
            letter = lower;
        }
        if (token.n_bytes - at < length || memcmp(token.bytes + at, letter, length) != 0)
            return false;
        at += length;
    }
    return true;
}
