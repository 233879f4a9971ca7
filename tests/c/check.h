/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the C tests share: counted checks, arrays of either element type, random numbers.
 */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

static int check_passed, check_failed;

/* Counts a check; the first failures are printed. */
__attribute__((format(printf, 2, 3))) static inline bool check(bool ok, const char *format, ...)
{
    if (ok) {
        check_passed++;
    } else if (check_failed++ < 20) {
        va_list arguments;
        va_start(arguments, format);
        fputs("FAILED: ", stdout);
        vprintf(format, arguments);
        putchar('\n');
        va_end(arguments);
    }
    return ok;
}

/* The last line of each test; its value is main's. */
static inline int check_report(const char *what)
{
    printf("%s: %d passed, %d failed\n", what, check_passed, check_failed);
    return check_failed > 0 || check_passed == 0;
}

/* The instruction set under test: RNNKIT_ISA's, or the machine's best. */
static inline enum rk_isa check_isa(void)
{
    struct rk_error error = {{0}};
    enum rk_isa isa = RK_BASELINE;
    if (rk_isa_choose(&isa, &error) != RK_OK) {
        printf("%s\n", error.text);
        exit(77); /* a test that cannot run here */
    }
    return isa;
}

static inline const char *dtype_name(enum rk_dtype dtype)
{
    return dtype == RK_FLOAT32 ? "float32" : "float64";
}

static inline double real_get(enum rk_dtype dtype, const void *array, size_t i)
{
    return dtype == RK_FLOAT32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static inline void real_set(enum rk_dtype dtype, void *array, size_t i, double value)
{
    if (dtype == RK_FLOAT32) {
        ((float *)array)[i] = (float)value;
    } else {
        ((double *)array)[i] = value;
    }
}

static inline bool same_bits(const void *a, const void *b, size_t n_bytes)
{
    return memcmp(a, b, n_bytes) == 0;
}

/* Numbers in (-1, 1), by a seed that the message of a failure can name. */
static inline double random_real(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*state >> 32) / 2147483648.0;
}

static inline void random_fill(enum rk_dtype dtype, void *array, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        real_set(dtype, array, i, random_real(&seed));
}

static inline void *must_alloc(size_t n_bytes)
{
    void *memory = rk_alloc(n_bytes);
    if (!memory) exit(2);
    return memory;
}

/* Denormals are flushed in the core's threads; a few checks want that mode. */
static inline void run_task(rk_task task, void *context, int n_threads)
{
    struct rk_team team;
    rk_team_init(&team, n_threads);
    rk_team_run(&team, task, context);
}

#endif
