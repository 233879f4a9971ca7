/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Completes what is typed: for each line, the likeliest words that its last one may become;
 * behind a blank, the likeliest next words.
 *
 *   cc autocomplete.c $(pkg-config --cflags --libs rnnkit) -o autocomplete
 *   ./autocomplete model.rnn
 */
#include <rnnkit.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 5, LINE = 4096, ENDING = 20 };

/* Where tokens are words: which of them the line may go on with, and how likely. */
static rnnkit_status print_words(rnnkit_stream *stream, const rnnkit_model *model,
                                 const char *line, size_t n_bytes)
{
    int32_t ids[WORDS];
    double p[WORDS];
    size_t n;
    rnnkit_status status =
        rnnkit_stream_complete(stream, line, n_bytes, WORDS, ids, p, &n, NULL);
    for (size_t i = 0; i < n; i++) {
        const char *word = rnnkit_model_token(model, ids[i], &n_bytes);
        printf("%.9g\t%.*s\n", p[i], (int)n_bytes, word);
    }
    return status;
}

/* Where tokens are less than words: the likeliest ones up to the end of the word. */
static rnnkit_status print_ending(rnnkit_stream *stream, const rnnkit_model *model,
                                  const char *line, size_t n_bytes, rnnkit_error *error)
{
    static const char *const ends[] = {" ", ".", ",", "\n"};
    rnnkit_generation how = RNNKIT_GENERATION;
    int32_t ids[ENDING];
    char text[16 * ENDING];
    size_t n = 0;
    how.temperature = 0;
    how.max_new_tokens = ENDING;
    how.stops = ends;
    how.n_stops = sizeof ends / sizeof *ends;
    rnnkit_status status = rnnkit_stream_feed_text(stream, line, n_bytes, error);
    if (!status)
        status = rnnkit_stream_generate(stream, &how, ids, &n, error);
    if (!status)
        status = rnnkit_model_decode_until(model, ids, n, ends, how.n_stops, text,
                                           sizeof text, &n_bytes, error);
    if (!status)
        printf("...%.*s\n", (int)n_bytes, text);
    return status;
}

int main(int argc, char **argv)
{
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {"give a model"};
    char line[LINE];
    if (argc != 2 || rnnkit_model_load(&model, argv[1], &error) ||
        rnnkit_stream_create(&stream, model, 1, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    while (fgets(line, LINE, stdin)) {
        size_t n_bytes = strcspn(line, "\n");
        rnnkit_stream_reset(stream);
        if (print_words(stream, model, line, n_bytes) &&
            print_ending(stream, model, line, n_bytes, &error))
            printf("%s\n", error.text);
        puts("");
    }
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return 0;
}
