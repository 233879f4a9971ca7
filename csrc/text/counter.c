/* SPDX-License-Identifier: BSD-3-Clause */
#include "text/tokenizer.h"

struct tally {
    struct rk_count count;
    int64_t last_document; /* that had the token, counted from 1                          */
};

struct rk_counter {
    enum rk_rule rule;
    bool lowercase;
    struct rk_strings tokens;
    struct tally *tallies; /* by the token's number                                       */
    size_t room;
    int64_t n_documents;
};

enum rk_status rk_counter_create(struct rk_counter **counter, enum rk_rule rule,
                                 bool lowercase)
{
    struct rk_counter *made = rk_alloc(sizeof *made);
    *counter = made;
    if (!made)
        return RK_NOMEM;
    made->rule = rule;
    made->lowercase = lowercase && rule != RK_BYTE;
    return RK_OK;
}

void rk_counter_free(struct rk_counter *counter)
{
    if (!counter)
        return;
    rk_strings_free(&counter->tokens);
    rk_free(counter->tallies);
    rk_free(counter);
}

static enum rk_status count(struct rk_counter *counter, struct rk_span token)
{
    struct tally *tallies =
        rk_grow(counter->tallies, sizeof *tallies, counter->tokens.n, 1, &counter->room);
    if (!tallies)
        return RK_NOMEM;
    counter->tallies = tallies;
    size_t number;
    enum rk_status status =
        rk_strings_add(&counter->tokens, token, counter->lowercase, &number);
    if (status != RK_OK)
        return status;
    struct tally *tally = &tallies[number];
    tally->count.occurrences++;
    tally->count.documents += tally->last_document != counter->n_documents;
    tally->last_document = counter->n_documents;
    return RK_OK;
}

enum rk_status rk_counter_add(struct rk_counter *counter, const struct rk_texts *texts,
                              bool continues, struct rk_error *error)
{
    enum rk_status status = rk_texts_check(texts, counter->rule == RK_BYTE, error);
    for (size_t i = 0; status == RK_OK && i < texts->n; i++) {
        struct rk_span token, text = rk_texts_get(texts, i);
        size_t at = 0;
        counter->n_documents += i > 0 || !continues;
        while (status == RK_OK && rk_token_next(counter->rule, text, &at, &token))
            status = count(counter, token);
    }
    if (status == RK_NOMEM)
        rk_fail(error, status, "no memory to count more tokens");
    return status;
}

int64_t rk_counter_n_documents(const struct rk_counter *counter)
{
    return counter->n_documents;
}

size_t rk_counter_n_tokens(const struct rk_counter *counter)
{
    return counter->tokens.n;
}

size_t rk_counter_n_bytes(const struct rk_counter *counter)
{
    return rk_strings_n_bytes(&counter->tokens);
}

void rk_counter_get(const struct rk_counter *counter, uint8_t *bytes, int64_t *offsets,
                    struct rk_count *counts)
{
    size_t n_bytes = rk_counter_n_bytes(counter);
    if (n_bytes > 0)
        memcpy(bytes, counter->tokens.bytes, n_bytes);
    offsets[0] = 0;
    for (size_t i = 0; i < counter->tokens.n; i++) {
        offsets[i + 1] = (int64_t)counter->tokens.items[i].end;
        counts[i] = counter->tallies[i].count;
    }
}
