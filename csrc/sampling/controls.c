/* SPDX-License-Identifier: BSD-3-Clause */
#include "sampling/sampling.h"

#include <math.h>
#include <string.h>

/* The score of each token that occurred, once; the end of a document is no repetition. */
static void penalise(double *scores, size_t n_tokens, const struct rk_controls *how,
                     const int32_t *ids, size_t n_ids, int32_t *scratch)
{
    memset(scratch, 0, n_tokens * sizeof *scratch);
    scratch[how->end_id] = 1;
    for (size_t i = 0; i < n_ids; i++)
        if (!scratch[ids[i]]) {
            scratch[ids[i]] = 1;
            scores[ids[i]] *= how->repetition_penalty;
        }
}

/* Bars what has followed the last n - 1 ids wherever they stood before. */
static void bar_repeated(double *scores, size_t n, const int32_t *ids, size_t n_ids)
{
    for (size_t i = n - 1; i < n_ids; i++)
        if (memcmp(ids + i - (n - 1), ids + n_ids - (n - 1), (n - 1) * sizeof *ids) == 0)
            scores[ids[i]] = -INFINITY;
}

/* Bars the last token of each sequence that the ids end with the others of. */
static void bar_words(double *scores, const struct rk_controls *how, const int32_t *ids,
                      size_t n_ids)
{
    size_t begin = 0;
    for (size_t end = 0; end < how->n_bad_words; end++) {
        if (how->bad_words[end] >= 0)
            continue;
        const int32_t *word = how->bad_words + begin;
        size_t before = end - begin - 1; /* tokens but the last */
        if (before <= n_ids &&
            memcmp(word, ids + n_ids - before, before * sizeof *ids) == 0)
            scores[word[before]] = -INFINITY;
        begin = end + 1;
    }
}

static bool all_are_barred(const double *scores, size_t n_tokens)
{
    size_t i = 0;
    while (i < n_tokens && scores[i] == -INFINITY)
        i++;
    return i == n_tokens;
}

void rk_control(double *scores, size_t n_tokens, const struct rk_controls *how,
                const int32_t *ids, size_t n_ids, size_t n_new, int32_t *scratch)
{
    if (how->unk_id >= 0)
        scores[how->unk_id] = -INFINITY;
    if (how->repetition_penalty != 1)
        penalise(scores, n_tokens, how, ids, n_ids, scratch);
    if (how->no_repeat_ngram_size > 0)
        bar_repeated(scores, how->no_repeat_ngram_size, ids, n_ids);
    bar_words(scores, how, ids, n_ids);
    if (n_new < how->min_new_tokens)
        scores[how->end_id] = -INFINITY;
    if (all_are_barred(scores, n_tokens))
        scores[how->end_id] = 0;
}
