/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The C library within memory of the caller's: too little of it is said, none is lost, and
 * none is asked for once a stream is made. Arguments: a model file, and the step from one
 * budget to the next. With -DUNCOUNTED the system's memory is left to valgrind.
 */
#include <pthread.h>
#include <rnnkit.h>

#include "check.h"

enum { K = 3, MOST = 1 << 26 };

/* ------------------------------------------------ the system's memory, counted */

static size_t n_system;

#if defined(__GLIBC__) && !defined(UNCOUNTED)
void *__libc_malloc(size_t n_bytes);
void *__libc_calloc(size_t n, size_t n_bytes);
void *__libc_realloc(void *memory, size_t n_bytes);

void *malloc(size_t n_bytes)
{
    n_system++;
    return __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t n_bytes)
{
    n_system++;
    return __libc_calloc(n, n_bytes);
}

void *realloc(void *memory, size_t n_bytes)
{
    n_system++;
    return __libc_realloc(memory, n_bytes);
}
#endif

/* ------------------------------------- an allocator that counts, and fails once */

struct counter {
    size_t n_given, n_live, fails_at;
};

static void *count_given(void *context, size_t n_bytes)
{
    struct counter *counter = context;
    if (counter->n_given++ == counter->fails_at)
        return NULL;
    counter->n_live++;
    char *memory = malloc(n_bytes);
    if (memory)
        memset(memory, 0xa5, n_bytes); /* what is given need not be zero */
    return memory;
}

static void count_released(void *context, void *memory)
{
    ((struct counter *)context)->n_live--;
    free(memory);
}

/* ------------------------------------------------------------- what is done */

/* All that a stream can be asked; the last likelihood shows whether it went well. */
static double ask(rnnkit_stream *stream, const rnnkit_model *model)
{
    static const char text[] = "the cat sat on the mat and the dog";
    static const char *const stops[] = {"zebra", "?!"};
    const int32_t bad_words[] = {1, -1, 0, 1, -1};
    int has_text = rnnkit_model_has_text(model);
    int32_t ids[64] = {0};
    double p[K], total = 0;
    const float *log_p;
    size_t n = 0;
    rnnkit_generation how = RNNKIT_GENERATION;
    how.repetition_penalty = 1.2;
    how.no_repeat_ngram_size = 3;
    how.min_new_tokens = 9;
    how.bad_words = bad_words;
    how.n_bad_words = 5;
    how.stops = stops;
    how.n_stops = has_text ? 2 : 0;
    rnnkit_status status = rnnkit_stream_feed(stream, ids, 40, NULL);
    status |= rnnkit_stream_predict(stream, &log_p, NULL);
    status |= rnnkit_stream_top(stream, K, ids, NULL, NULL);
    status |= rnnkit_stream_generate(stream, &how, ids, &n, NULL);
    status |= rnnkit_stream_score(stream, ids, n, &total, NULL);
    if (has_text) {
        rnnkit_stream_complete(stream, text, sizeof text - 1, K, ids, p, &n, NULL);
        status |= rnnkit_stream_score_text(stream, text, sizeof text - 1, &total, &n, NULL);
    }
    check(status == RNNKIT_OK, "a stream answers");
    return total;
}

/* Whether there was memory enough; asks the stream, and frees all. */
static bool try_within(const rnnkit_allocator *allocator, const char *path, double *total)
{
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {{0}};
    rnnkit_status status = rnnkit_model_load_in(&model, path, allocator, &error);
    if (status == RNNKIT_OK)
        status = rnnkit_stream_create(&stream, model, 1, &error);
    if (status == RNNKIT_OK)
        *total = ask(stream, model);
    else
        check(status == RNNKIT_NO_MEMORY && strstr(error.text, " bytes are not to be had"),
              "status %d, %s", (int)status, error.text);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return status == RNNKIT_OK;
}

/* ------------------------------------------------------------------- checks */

static double test_system(const char *path)
{
    rnnkit_model *model = NULL;
    rnnkit_stream *stream = NULL;
    rnnkit_error error = {{0}};
    if (rnnkit_model_load(&model, path, &error) ||
        rnnkit_stream_create(&stream, model, 1, &error)) {
        check(false, "%s", error.text);
        return 0;
    }
    double first = ask(stream, model);
    size_t before = n_system;
    rnnkit_stream_reset(stream);
    double second = ask(stream, model);
    check(n_system == before, "%zu pieces asked for after the first call",
          n_system - before);
    check(first == second, "a reset stream says what it said: %g, %g", first, second);
    rnnkit_stream_free(stream);
    rnnkit_model_free(model);
    return first;
}

/* Every budget, by steps, until one is enough. */
static void test_budgets(const char *path, double expected, size_t shift, size_t step)
{
    double total = 0;
    bool enough = false;
    size_t n_bytes = 0;
    for (; !enough && n_bytes < MOST; n_bytes += step) {
        rnnkit_budget budget;
        char *memory = malloc(n_bytes + shift + 1); /* so that valgrind knows its end */
        memset(memory, 0x5a, n_bytes + shift);
        rnnkit_budget_init(&budget, memory + shift, n_bytes);
        enough = try_within(&budget.allocator, path, &total);
        check(budget.n_used == 0, "%zu bytes of %zu are lost", budget.n_used, n_bytes);
        check(budget.most_used <= n_bytes, "%zu of %zu used", budget.most_used, n_bytes);
        size_t whole = n_bytes < 64 ? 0 : (n_bytes - 47) / 16 * 16;
        void *all = budget.allocator.allocate(&budget, whole);
        check(all || n_bytes < 64, "a budget of %zu is one piece again", n_bytes);
        free(memory);
    }
    check(enough && total == expected, "%g within a budget, %g without", total, expected);
    printf("%zu bytes are enough\n", n_bytes - step);
}

/* Each piece in turn is the one that there is no memory for. */
static void test_failures(const char *path, double expected)
{
    double total = 0;
    bool enough = false;
    size_t n = 0;
    for (; !enough; n++) {
        struct counter counter = {0, 0, n};
        rnnkit_allocator allocator = {count_given, count_released, &counter};
        enough = try_within(&allocator, path, &total);
        check(counter.n_live == 0, "%zu of %zu pieces are lost", counter.n_live, n);
    }
    check(total == expected && n > 10, "%g within %zu pieces", total, n);
}

/* Threads that load side by side, each from a source of its own. */
struct worker {
    const char *path;
    bool has_budget;
    double total;
    size_t n_lost;
};

static void *work(void *context)
{
    struct worker *worker = context;
    rnnkit_budget budget;
    size_t n_bytes = 4 << 20;
    char *memory = malloc(n_bytes);
    rnnkit_budget_init(&budget, memory, n_bytes);
    for (int i = 0; i < 10; i++) {
        try_within(worker->has_budget ? &budget.allocator : NULL, worker->path,
                   &worker->total);
        worker->n_lost += budget.n_used;
    }
    free(memory);
    return NULL;
}

static void test_threads(const char *path, double expected)
{
    enum { N = 3 };
    pthread_t threads[N];
    struct worker workers[N];
    for (int i = 0; i < N; i++) {
        workers[i] = (struct worker){path, i > 0, 0, 0};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            exit(2);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        check(workers[i].total == expected && workers[i].n_lost == 0,
              "thread %d: %g, %zu bytes lost", i, workers[i].total, workers[i].n_lost);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    size_t step = (size_t)strtoul(argv[2], NULL, 10);
    double expected = test_system(argv[1]);
    test_budgets(argv[1], expected, 0, step);
    test_budgets(argv[1], expected, 1, step);
    test_failures(argv[1], expected);
    test_threads(argv[1], expected);
    return check_report("memory");
}
