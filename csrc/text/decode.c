/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ids to text that reads like text. The end token becomes a line break.
 *
 * whitespace  a blank between two tokens.
 * word        a blank between two tokens, but none behind an opening sign, none before a
 *             closing one (spacing in unicode.h), and none between a sign and its like.
 *             Straight quotes open and close in turn, up to the end token. A sign that is
 *             not ASCII, next to East Asian text, is part of it. What the rule `word` cut
 *             stays cut: the text of ids has these ids again.
 * char        nothing between; an unknown character is U+FFFD.
 * byte        nothing between; what is no UTF-8 is U+FFFD, as Python replaces errors.
 */
#include "text/tokenizer.h"

#include "text/unicode.h"

/* Where the text goes; what finds no room is only counted. */
struct sink {
    uint8_t *text;
    size_t capacity, n_bytes;
};

static void sink_add(struct sink *sink, struct rk_span piece)
{
    if (sink->n_bytes <= sink->capacity && piece.n_bytes <= sink->capacity - sink->n_bytes)
        memcpy(sink->text + sink->n_bytes, piece.bytes, piece.n_bytes);
    sink->n_bytes += piece.n_bytes;
}

static const struct rk_span LINE_BREAK = {(const uint8_t *)"\n", 1};
static const struct rk_span BLANK = {(const uint8_t *)" ", 1};
static const struct rk_span REPLACEMENT = {(const uint8_t *)"\xef\xbf\xbd", 3}; /* U+FFFD */

static void decode_bytes(const int32_t *ids, size_t n, struct sink *sink)
{
    for (size_t i = 0; i < n;) {
        uint8_t window[4];
        size_t known = 0;
        while (known < 4 && i + known < n && ids[i + known] < RK_N_BYTES) {
            window[known] = (uint8_t)ids[i + known];
            known++;
        }
        if (known == 0) {
            sink_add(sink, LINE_BREAK);
            i++;
            continue;
        }
        bool is_valid;
        size_t length = rk_utf8_step(window, known, &is_valid);
        sink_add(sink, is_valid ? (struct rk_span){window, length} : REPLACEMENT);
        i += length;
    }
}

static void decode_characters(const struct rk_tokenizer *t, const int32_t *ids, size_t n,
                              struct sink *sink)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == t->end_id)
            sink_add(sink, LINE_BREAK);
        else if (ids[i] == t->unk_id)
            sink_add(sink, REPLACEMENT);
        else
            sink_add(sink, rk_strings_get(&t->vocabulary, (size_t)ids[i]));
    }
}

/* What a line holds up to here. */
struct line {
    bool is_empty;
    bool single_open, double_open; /* a ' or a " waits for its twin                       */
    enum rk_spacing before;        /* of the last token                                   */
};

static const struct line NEW_LINE = {.is_empty = true};

/* Straight quotes become opening and closing ones in turn. */
static enum rk_spacing resolve_quote(struct line *line, uint8_t quote)
{
    bool *is_open = quote == '"' ? &line->double_open : &line->single_open;
    *is_open = !*is_open;
    return *is_open ? RK_OPENING : RK_CLOSING;
}

/* Whether a blank stands before the token, which then joins the line; `repeats` says that
 * it is the same as the one before it. */
static bool takes_blank(struct line *line, struct rk_span token, bool repeats)
{
    uint32_t c;
    rk_utf8_decode(token.bytes, &c);
    const struct rk_character *first = rk_character_get(c);
    enum rk_spacing before = line->before, here = (enum rk_spacing)first->spacing;
    bool is_empty = line->is_empty;
    bool is_sign = first->kind != RK_LETTER && first->kind != RK_DIGIT;
    if (here == RK_QUOTE)
        here = resolve_quote(line, token.bytes[0]);
    line->before = here;
    line->is_empty = false;
    if (is_empty)
        return false;
    if (first->kind == RK_MARK) /* it would go with the token before it */
        return true;
    if (before == RK_TIGHT && is_sign && c >= RK_N_ASCII) /* a dash in Chinese text, say */
        line->before = RK_TIGHT;
    if (repeats && is_sign)
        return false;
    return before != RK_OPENING && here != RK_CLOSING && before != RK_TIGHT &&
           here != RK_TIGHT;
}

static void decode_words(const struct rk_tokenizer *t, const int32_t *ids, size_t n,
                         struct sink *sink)
{
    struct line line = NEW_LINE;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == t->end_id) {
            sink_add(sink, LINE_BREAK);
            line = NEW_LINE;
            continue;
        }
        struct rk_span token = rk_strings_get(&t->vocabulary, (size_t)ids[i]);
        bool repeats = i > 0 && ids[i] == ids[i - 1] && ids[i] != t->unk_id;
        bool blank =
            t->rule == RK_WORD ? takes_blank(&line, token, repeats) : !line.is_empty;
        line.is_empty = false;
        if (blank)
            sink_add(sink, BLANK);
        sink_add(sink, token);
    }
}

enum rk_status rk_tokenizer_decode(const struct rk_tokenizer *tokenizer, const int32_t *ids,
                                   size_t n, uint8_t *text, size_t capacity,
                                   size_t *n_bytes, struct rk_error *error)
{
    size_t n_tokens = tokenizer->vocabulary.n;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= n_tokens)
            return rk_fail(error, RK_INVALID, "id %d at position %zu; allowed are 0 to %zu",
                           (int)ids[i], i, n_tokens - 1);
    struct sink sink = {text, capacity, 0};
    switch (tokenizer->rule) {
    case RK_PLUGIN:
        return rk_tokenizer_refuse(error);
    case RK_BYTE:
        decode_bytes(ids, n, &sink);
        break;
    case RK_CHAR:
        decode_characters(tokenizer, ids, n, &sink);
        break;
    case RK_WHITESPACE:
    case RK_WORD:
        decode_words(tokenizer, ids, n, &sink);
        break;
    }
    *n_bytes = sink.n_bytes;
    return RK_OK;
}
