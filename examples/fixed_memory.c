/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The likeliest next tokens within a fixed memory: a model and a stream live in one array of
 * MEMORY bytes, and nothing else is asked for.
 *
 *   cc -DMEMORY=1000000 fixed_memory.c $(pkg-config --cflags --libs rnnkit) -o fixed_memory
 *   ./fixed_memory model.rnn "the cat"
 *
 * Where there are no files, let the model be an array in constant memory, aligned to 8 bytes
 * (xxd -i makes one), and read it in place with rnnkit_model_read_in.
 */
#include <rnnkit.h>
#include <stdio.h>
#include <string.h>

#ifndef MEMORY
#define MEMORY 1000000
#endif
enum { N = 5 };

static unsigned char memory[MEMORY];

int main(int argc, char **argv)
{
    rnnkit_budget budget;
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {"give a model and a text"};
    int32_t ids[N];
    float log_p[N];
    size_t n_bytes;
    rnnkit_budget_init(&budget, memory, sizeof memory);
    if (argc != 3 || rnnkit_model_load_in(&model, argv[1], &budget.allocator, &error) ||
        rnnkit_stream_create(&stream, model, 1, &error) ||
        rnnkit_stream_feed_text(stream, argv[2], strlen(argv[2]), &error) ||
        rnnkit_stream_top(stream, N, ids, log_p, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (int i = 0; i < N; i++) {
        const char *token = rnnkit_model_token(model, ids[i], &n_bytes);
        printf("%.9g\t%.*s\n", log_p[i], (int)n_bytes, token);
    }
    printf("%zu bytes of %d were used\n", budget.most_used, MEMORY);
    return 0; /* nothing has to be freed: the memory is the program's own */
}
