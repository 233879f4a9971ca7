/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The ground of the core: statuses, memory, the thread team, random numbers, the choice of
 * instruction set. Nothing here knows a matrix. This folder holds the only file that
 * allocates (memory.c), the only one that knows OpenMP (threads.c) and the only one that
 * reads the environment (cpu.c).
 */
#ifndef RK_BASE_H
#define RK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --------------------------------------------------------------- compilers */

/* RNNKIT_PORTABLE: plain C11 and its library alone, for compilers without GNU C's
 * extensions. There is one instruction set then, and a team is its caller. */
#if !defined(__GNUC__) && !defined(RNNKIT_PORTABLE)
#define RNNKIT_PORTABLE
#endif

#if defined(RNNKIT_PORTABLE)
#define RK_INLINE static inline
#define RK_PRINTF(text, first)
#else
#define RK_INLINE              static inline __attribute__((always_inline, unused))
#define RK_PRINTF(text, first) __attribute__((format(printf, text, first)))
#if defined(__x86_64__)
#define RK_HAS_X86
#elif defined(__aarch64__)
#define RK_HAS_ARM
#endif
#endif

/* ---------------------------------------------------------------- statuses */

enum rk_status {
    RK_OK = 0,
    RK_NOMEM,     /* the system gave no memory                                        */
    RK_INVALID,   /* an argument is out of its range                                  */
    RK_FORMAT,    /* a graph (untrusted data) is malformed                            */
    RK_NONFINITE, /* a loss or a gradient norm is NaN or infinite; nothing was written */
    RK_CANCELLED, /* the caller's poll asked to stop                                  */
};

/* What went wrong, in words. Always terminated; empty when nothing did. */
struct rk_error {
    char text[256];
};

/* Writes the message (printf's format) and returns `status`. `error` may be NULL. */
enum rk_status rk_fail(struct rk_error *error, enum rk_status status, const char *format,
                       ...) RK_PRINTF(3, 4);

enum rk_dtype { RK_FLOAT32 = 0, RK_FLOAT64 = 1 };

/* A panel is 64 bytes on every machine: 16 floats or 8 doubles (its lanes). */
enum { RK_PANEL = 64 };

static inline size_t rk_real_size(enum rk_dtype dtype)
{
    return dtype == RK_FLOAT32 ? 4 : 8;
}
static inline size_t rk_lanes(enum rk_dtype dtype)
{
    return RK_PANEL / rk_real_size(dtype);
}
static inline size_t rk_panels(enum rk_dtype dtype, size_t width)
{
    size_t lanes = rk_lanes(dtype);
    return (width + lanes - 1) / lanes;
}

/* ------------------------------------------------------------------ memory */

/* Zeroed, 64-byte aligned (2 MB aligned and huge pages advised from 2 MB on); NULL when
 * there is none, also for sizes that cannot be. rk_free takes NULL. */
void *rk_alloc(size_t n_bytes);
void rk_free(void *memory);

/* Checked arithmetic on sizes: false when the result does not fit. */
static inline bool rk_mul(size_t a, size_t b, size_t *product)
{
    *product = a * b;
    return a == 0 || *product / a == b;
}
static inline bool rk_add(size_t a, size_t b, size_t *sum)
{
    *sum = a + b;
    return *sum >= a;
}

/* ----------------------------------------------------------------- threads */

/* A team runs one task on all its threads at once; thread 0 is the caller's own. */
struct rk_team {
    int n_threads;
    /* Called by thread 0 only, at least every 50 ms by whoever runs long work, through
     * rk_team_poll. Non-zero asks to stop. May be NULL. */
    int (*poll)(void *context);
    void *poll_context;
    /* Private to threads.c: barrier, cancellation, time of the last poll (ms). */
    int arrived, phase, cancelled;
    long long polled;
};

typedef void (*rk_task)(void *context, struct rk_team *team, int thread);

/* n_threads < 1 means rk_threads_default(). Without OpenMP it is 1. */
void rk_team_init(struct rk_team *team, int n_threads);

/* Runs task(context, team, thread) for every thread and returns when all have ended.
 * Inside, denormals are flushed to zero (but for RNNKIT_PORTABLE); the caller's mode is
 * restored on the way out.
 * Returns RK_CANCELLED when the poll asked to stop, else RK_OK. */
enum rk_status rk_team_run(struct rk_team *team, rk_task task, void *context);

/* Whether this thread has ended a run so short a time ago that the threads of its team,
 * had it more than one, still wait for the next run without sleeping. */
bool rk_team_is_awake(void);

/* Barrier: every thread of the team must come. Spins a bounded time, then yields. Orders
 * memory. Costs nothing when the team has one thread. */
void rk_team_wait(struct rk_team *team);

/* Cheap enough for every time step; on thread 0 it asks the poll (at most every ~20 ms).
 * True once the run is cancelled: skip the work, but still come to every barrier. */
bool rk_team_poll(struct rk_team *team, int thread);

/* How many threads a team gets by default: the processors this process may run on, the
 * cgroup quota, OMP_NUM_THREADS and the OpenMP limit at the time of the call. */
int rk_threads_default(void);

/* Name and version of the OpenMP runtime, or "none". */
const char *rk_threads_runtime(void);

/* Takes what one caller at a time may have, without waiting; false: another one has it. */
bool rk_take(bool *taken);
void rk_give_back(bool *taken);

/* [first, last) of `count` things for one thread: contiguous, in order, balanced. */
static inline void rk_share(size_t count, int n_threads, int thread, size_t *first,
                            size_t *last)
{
    *first = count * (size_t)thread / (size_t)n_threads;
    *last = count * ((size_t)thread + 1) / (size_t)n_threads;
}

/* ---------------------------------------------------------- random numbers */

/* Philox 4x32-10 (Salmon et al., 2011): four words from a counter and a key. */
void rk_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* --------------------------------------------------------- instruction set */

enum rk_isa { RK_BASELINE = 0, RK_AVX2, RK_AVX512, RK_NEON, RK_N_ISA };

/* The best one that this machine has, capped by RNNKIT_ISA (baseline | avx2 | avx512 |
 * neon). A name that is unknown or that the machine lacks is an error, never ignored. */
enum rk_status rk_isa_choose(enum rk_isa *isa, struct rk_error *error);
bool rk_isa_supported(enum rk_isa isa);
const char *rk_isa_name(enum rk_isa isa);
/* Whether there is AVX-512's VNNI beside it, which multiplies and adds bytes. */
bool rk_cpu_has_vnni(void);

#endif
