/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What tokenizer.c and decode.c know together. Private to csrc/text.
 */
#ifndef RK_TOKENIZER_H
#define RK_TOKENIZER_H

#include "text/strings.h"

enum { RK_N_ASCII = 128, RK_N_BYTES = 256 };

struct rk_tokenizer {
    enum rk_rule rule;
    bool lowercase;
    int32_t unk_id, end_id;        /* unk_id is -1 where there is none                   */
    struct rk_strings vocabulary;  /* by id                                              */
    int32_t ascii_ids[RK_N_ASCII]; /* of tokens of one ASCII character, the commonest    */
};

/* Whether offsets and texts are as rk_texts says; UTF-8 unless `any_bytes`. */
enum rk_status rk_texts_check(const struct rk_texts *texts, bool any_bytes,
                              struct rk_error *error);

/* Of a plugin's tokens there is no more than their list. */
enum rk_status rk_tokenizer_refuse(struct rk_error *error);

static inline struct rk_span rk_texts_get(const struct rk_texts *texts, size_t i)
{
    return (struct rk_span){texts->bytes + texts->offsets[i],
                            (size_t)(texts->offsets[i + 1] - texts->offsets[i])};
}

#endif
