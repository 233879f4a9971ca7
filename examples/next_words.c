/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The five likeliest tokens after a text, and how likely the text is.
 *
 *   cc next_words.c $(pkg-config --cflags --libs rnnkit) -o next_words
 *   ./next_words model.rnn "the cat"
 */
#include <math.h>
#include <rnnkit.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {"give a model and a text"};
    int32_t ids[5];
    float log_p[5];
    double total;
    size_t n_tokens, n_bytes;
    if (argc != 3 || rnnkit_model_load(&model, argv[1], &error) ||
        rnnkit_stream_create(&stream, model, 1, &error) ||
        rnnkit_stream_feed_text(stream, argv[2], strlen(argv[2]), &error) ||
        rnnkit_stream_top(stream, 5, ids, log_p, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (int i = 0; i < 5; i++) {
        const char *token = rnnkit_model_token(model, ids[i], &n_bytes);
        printf("%.9g\t%.*s\n", log_p[i], (int)n_bytes, token);
    }
    if (!rnnkit_stream_score_text(stream, argv[2], strlen(argv[2]), &total, &n_tokens, NULL))
        printf("%.9g\tfor the text, of %zu tokens\n", total, n_tokens);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return 0;
}
