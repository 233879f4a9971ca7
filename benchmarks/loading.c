/* SPDX-License-Identifier: BSD-3-Clause
 *
 * loading MODEL N: N times the seconds of reading the file into fresh memory, and of loading
 * the model, in turn. loading MODEL: load it, predict what follows nothing.
 */
#define _GNU_SOURCE
#include <rnnkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds, and in `n_bytes` the file's size. */
static double reading(const char *path, size_t *n_bytes)
{
    double begin = now();
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        exit(1);
    size_t size = (size_t)ftell(file);
    char *data = malloc(size);
    rewind(file);
    setvbuf(file, NULL, _IONBF, 0);
    if (!data || fread(data, 1, size, file) != size)
        exit(1);
    double seconds = now() - begin;
    fclose(file);
    free(data);
    *n_bytes = size;
    return seconds;
}

static rnnkit_model *load(const char *path)
{
    rnnkit_model *model;
    rnnkit_error error;
    if (rnnkit_model_load(&model, path, &error)) {
        puts(error.text);
        exit(1);
    }
    return model;
}

static void predict(const char *path)
{
    rnnkit_model *model = load(path);
    rnnkit_stream *stream;
    int32_t best;
    if (rnnkit_stream_create(&stream, model, 1, NULL) ||
        rnnkit_stream_top(stream, 1, &best, NULL, NULL))
        exit(1);
    printf("%d\n", (int)best);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
}

int main(int argc, char **argv)
{
    size_t n_bytes;
    if (argc == 2)
        predict(argv[1]);
    for (int i = 0; argc == 3 && i < atoi(argv[2]); i++) {
        double read = reading(argv[1], &n_bytes), begin = now();
        rnnkit_model *model = load(argv[1]);
        double loaded = now() - begin;
        rnnkit_model_free(model);
        printf("%.9f %.9f\n", read, loaded);
    }
    return 0;
}
