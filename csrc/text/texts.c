/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Texts as they come in: checked once, and cut into tokens to be looked at.
 */
#include "text/tokenizer.h"

#include "text/unicode.h"

enum rk_status rk_texts_check(const struct rk_texts *texts, bool any_bytes,
                              struct rk_error *error)
{
    int64_t begin = texts->offsets[0], limit = (int64_t)texts->n_bytes;
    if (begin < 0 || begin > limit)
        return rk_fail(error, RK_INVALID, "offset 0 is outside the texts");
    for (size_t i = 0; i < texts->n; i++) {
        int64_t end = texts->offsets[i + 1];
        size_t position;
        if (end < begin || end > limit)
            return rk_fail(error, RK_INVALID, "offset %zu does not ascend within the texts",
                           i + 1);
        if (!any_bytes &&
            !rk_utf8_check(texts->bytes + begin, (size_t)(end - begin), &position))
            return rk_fail(error, RK_INVALID, "text %zu is not UTF-8 at its byte %zu", i,
                           position);
        begin = end;
    }
    return RK_OK;
}

enum rk_status rk_text_split(enum rk_rule rule, bool lowercase, const uint8_t *text,
                             size_t n_bytes, uint8_t *tokens, int64_t *offsets,
                             size_t *n_tokens, struct rk_error *error)
{
    int64_t bounds[2] = {0, (int64_t)n_bytes};
    struct rk_texts texts = {text, n_bytes, bounds, 1};
    enum rk_status status = rk_texts_check(&texts, rule == RK_BYTE, error);
    if (status != RK_OK)
        return status;
    struct rk_span token, whole = {text, n_bytes};
    size_t n = 0, used = 0;
    offsets[0] = 0;
    for (size_t at = 0; rk_token_next(rule, whole, &at, &token);) {
        if (lowercase && rule != RK_BYTE) {
            used += rk_span_lower(tokens + used, token);
        } else {
            memcpy(tokens + used, token.bytes, token.n_bytes);
            used += token.n_bytes;
        }
        offsets[++n] = (int64_t)used;
    }
    *n_tokens = n;
    return RK_OK;
}
