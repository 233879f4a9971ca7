/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread team. The one file that knows OpenMP; without OpenMP a team is its caller.
 */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/cpu.h"

#include <time.h>

#if defined(_OPENMP) && !defined(RNNKIT_PORTABLE)
#define HAS_THREADS
#include <omp.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#include <sched.h>
#endif
#endif
#if defined(RK_HAS_X86)
#include <xmmintrin.h>
#endif

enum { SPINS = 1000, POLL_MS = 20 };
/* libgomp's threads spin for a few milliseconds before they sleep. */
enum { AWAKE_NS = 1000000 };

/* ------------------------------------------------- mode of the floating-point unit */

#if defined(RK_HAS_X86)
/* Round to nearest, no traps, results and operands that are denormal become zero. */
enum { MODE_FLUSH = 0x1f80 | 0x8040 };
typedef unsigned rk_mode;
static rk_mode mode_get(void)
{
    return _mm_getcsr();
}
static void mode_set(rk_mode mode)
{
    _mm_setcsr(mode);
}
#elif defined(RK_HAS_ARM)
enum { MODE_FLUSH = 1 << 24 };
typedef uint64_t rk_mode;
static rk_mode mode_get(void)
{
    rk_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static void mode_set(rk_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
enum { MODE_FLUSH = 0 };
typedef int rk_mode;
static rk_mode mode_get(void)
{
    return 0;
}
static void mode_set(rk_mode mode)
{
    (void)mode;
}
#endif

/* ------------------------------------------------------------------------------ fork */

/* A child of fork has none of the threads of OpenMP's team, and would wait for them for
 * ever. So the team is let go before each fork, and made again by whoever needs it; not
 * from within a parallel region, where OpenMP forbids it. */
#if defined(HAS_THREADS) && !defined(_WIN32)
static void release_team(void)
{
    if (!omp_in_parallel())
        omp_pause_resource_all(omp_pause_hard);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(release_team, NULL, NULL);
}
#endif

/* --------------------------------------------------------- what threads tell each other */

#if defined(RNNKIT_PORTABLE) /* there is one thread */
bool rk_take(bool *taken)
{
    bool was = *taken;
    *taken = true;
    return !was;
}

void rk_give_back(bool *taken)
{
    *taken = false;
}

static void cancel(struct rk_team *team)
{
    team->cancelled = 1;
}

static bool is_cancelled(const struct rk_team *team)
{
    return team->cancelled;
}
#else
bool rk_take(bool *taken)
{
    return !__atomic_exchange_n(taken, true, __ATOMIC_ACQUIRE);
}

void rk_give_back(bool *taken)
{
    __atomic_store_n(taken, false, __ATOMIC_RELEASE);
}

static void cancel(struct rk_team *team)
{
    __atomic_store_n(&team->cancelled, 1, __ATOMIC_RELAXED);
}

static bool is_cancelled(const struct rk_team *team)
{
    return __atomic_load_n(&team->cancelled, __ATOMIC_RELAXED);
}
#endif

/* ---------------------------------------------------------------------------- barrier */

#if defined(HAS_THREADS)
static void relax(void)
{
#if defined(RK_HAS_X86)
    __builtin_ia32_pause();
#elif defined(RK_HAS_ARM)
    __asm__ volatile("yield");
#endif
}

static void give_way(void)
{
#if defined(_WIN32)
    SwitchToThread();
#else
    sched_yield();
#endif
}

void rk_team_wait(struct rk_team *team)
{
    if (team->n_threads == 1)
        return;
    int phase = __atomic_load_n(&team->phase, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) == team->n_threads) {
        __atomic_store_n(&team->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&team->phase, phase ^ 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spin = 0; __atomic_load_n(&team->phase, __ATOMIC_ACQUIRE) == phase; spin++) {
        if (spin < SPINS) {
            relax();
        } else {
            give_way();
        }
    }
}
#else
void rk_team_wait(struct rk_team *team)
{
    (void)team;
}
#endif

/* ------------------------------------------------------------------------------- poll */

static long long nanoseconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool rk_team_poll(struct rk_team *team, int thread)
{
    if (thread == 0 && team->poll && !team->cancelled) {
        long long now = nanoseconds() / 1000000;
        /* A clock that was set back must not silence the poll. */
        if (now - team->polled >= POLL_MS || now < team->polled) {
            team->polled = now;
            if (team->poll(team->poll_context))
                cancel(team);
        }
    }
    return is_cancelled(team);
}

/* ------------------------------------------------------------------------------- team */

void rk_team_init(struct rk_team *team, int n_threads)
{
    *team = (struct rk_team){.n_threads = n_threads < 1 ? rk_threads_default() : n_threads};
}

static void run_flushed(rk_task task, void *context, struct rk_team *team, int thread)
{
    rk_mode before = mode_get();
    mode_set(MODE_FLUSH);
    task(context, team, thread);
    mode_set(before);
}

static void run_alone(struct rk_team *team, rk_task task, void *context)
{
    const int asked = team->n_threads;
    team->n_threads = 1;
    run_flushed(task, context, team, 0);
    team->n_threads = asked;
}

#if defined(HAS_THREADS)
static void run_parallel(struct rk_team *team, rk_task task, void *context)
{
    const int asked = team->n_threads;
#pragma omp parallel num_threads(asked)
    {
        /* OpenMP may give fewer threads; then all of them see that here. */
        if (omp_get_num_threads() != asked) {
            if (omp_get_thread_num() == 0)
                team->n_threads = omp_get_num_threads();
#pragma omp barrier
        }
        run_flushed(task, context, team, omp_get_thread_num());
    }
    team->n_threads = asked;
}

/* When this thread's last run ended. */
static _Thread_local long long last_end;

static void run_task(struct rk_team *team, rk_task task, void *context)
{
    if (team->n_threads > 1 && !omp_in_parallel()) {
        run_parallel(team, task, context);
    } else {
        run_alone(team, task, context);
    }
    last_end = nanoseconds();
}

bool rk_team_is_awake(void)
{
    long long since = nanoseconds() - last_end;
    return since >= 0 && since < AWAKE_NS;
}
#else
static void run_task(struct rk_team *team, rk_task task, void *context)
{
    run_alone(team, task, context);
}

bool rk_team_is_awake(void)
{
    return false;
}
#endif

enum rk_status rk_team_run(struct rk_team *team, rk_task task, void *context)
{
    team->arrived = team->phase = team->cancelled = 0;
    team->polled = nanoseconds() / 1000000;
    run_task(team, task, context);
    return team->cancelled ? RK_CANCELLED : RK_OK;
}

/* --------------------------------------------------------------------- what is there */

int rk_threads_default(void)
{
#if defined(HAS_THREADS)
    if (omp_in_parallel())
        return 1;
    int least = rk_cpu_affinity();
    int quota = rk_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0 && quota < least)
        least = quota;
    if (omp_get_max_threads() < least)
        least = omp_get_max_threads();
    if (omp_get_thread_limit() < least)
        least = omp_get_thread_limit();
    return least > 1 ? least : 1;
#else
    return 1;
#endif
}

#define RK_TEXT_(x) #x
#define RK_TEXT(x)  RK_TEXT_(x)
const char *rk_threads_runtime(void)
{
#if defined(HAS_THREADS) && defined(__clang__)
    return "libomp, OpenMP " RK_TEXT(_OPENMP);
#elif defined(HAS_THREADS)
    return "libgomp, OpenMP " RK_TEXT(_OPENMP);
#else
    return "none";
#endif
}
