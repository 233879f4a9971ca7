/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory, threads, the mode of denormals, random numbers, the choice of instruction set.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpu.h"
#include "check.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

/* ------------------------------------------------------------------------- statuses */

static void failures_are_said_in_words_and_cut_to_fit(void)
{
    struct rk_error error;
    check(rk_fail(&error, RK_INVALID, "width %d", 7) == RK_INVALID, "status");
    check(strcmp(error.text, "width 7") == 0, "text: %s", error.text);
    char long_text[1000];
    memset(long_text, 'x', 999), long_text[999] = 0;
    rk_fail(&error, RK_FORMAT, "%s", long_text);
    check(strlen(error.text) == sizeof error.text - 1, "cut to %zu", strlen(error.text));
    check(rk_fail(NULL, RK_NOMEM, "nothing to write to") == RK_NOMEM, "no error wanted");
}

/* --------------------------------------------------------------------------- memory */

static void memory_is_zeroed_and_aligned(void)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000, (2 << 20) - 1, 2 << 20, 5000000};
    for (size_t i = 0; i < 9; i++) {
        for (int again = 0; again < 2; again++) { /* a second time it is used memory */
            unsigned char *memory = rk_alloc(sizes[i]);
            check(memory != NULL, "%zu bytes", sizes[i]);
            if (!memory) continue;
            size_t alignment = sizes[i] >= 2 << 20 ? 2 << 20 : 64, wrong = 0;
            check((uintptr_t)memory % alignment == 0, "%zu bytes aligned", sizes[i]);
            for (size_t b = 0; b < sizes[i]; b++)
                wrong += memory[b] != 0;
            check(wrong == 0, "%zu bytes zeroed", sizes[i]);
            memset(memory, 0xff, sizes[i]);
            rk_free(memory);
        }
    }
    volatile size_t impossible[] = {SIZE_MAX, SIZE_MAX - 64, SIZE_MAX / 2, (size_t)1 << 62};
    for (size_t i = 0; i < 4; i++)
        check(rk_alloc(impossible[i]) == NULL, "%zu bytes cannot be", impossible[i]);
    rk_free(NULL);
}

static void sizes_are_checked(void)
{
    size_t result;
    check(rk_mul(1u << 31, 2, &result) && result == (size_t)1 << 32, "product");
    check(!rk_mul(SIZE_MAX / 2 + 1, 2, &result), "product that does not fit");
    check(rk_add(SIZE_MAX - 1, 1, &result) && result == SIZE_MAX, "sum");
    check(!rk_add(SIZE_MAX, 1, &result), "sum that does not fit");
    check(rk_panels(RK_FLOAT32, 17) == 2 && rk_panels(RK_FLOAT64, 17) == 3, "panels");
}

/* -------------------------------------------------------------------------- threads */

enum { MOST_THREADS = 16, ROUNDS = 200 };

struct record {
    int n_threads;
    bool came[MOST_THREADS];
    volatile int round[MOST_THREADS];
    int out_of_step;
    double denormal[MOST_THREADS];
};

static void meet(void *context, struct rk_team *team, int thread)
{
    struct record *record = context;
    if (thread == 0) record->n_threads = team->n_threads;
    record->came[thread] = true;
    volatile double tiny = 1e-310;
    record->denormal[thread] = tiny * 0.5;
    for (int round = 1; round <= ROUNDS; round++) {
        record->round[thread] = round;
        rk_team_wait(team);
        for (int other = 0; other < team->n_threads; other++)
            if (record->round[other] != round)
                __atomic_add_fetch(&record->out_of_step, 1, __ATOMIC_RELAXED);
        rk_team_wait(team);
    }
}

static void all_threads_come_to_each_barrier(void)
{
    static const int counts[] = {1, 2, 3, 8};
    for (size_t i = 0; i < 4; i++) {
        struct record record = {0};
        struct rk_team team;
        rk_team_init(&team, counts[i]);
        check(team.n_threads == counts[i], "team of %d", counts[i]);
        check(rk_team_run(&team, meet, &record) == RK_OK, "run");
        int came = 0;
        for (int t = 0; t < MOST_THREADS; t++)
            came += record.came[t];
#if defined(_OPENMP)
        check(came == counts[i], "%d of %d threads worked", came, counts[i]);
#else
        check(came == 1, "%d threads without OpenMP", came);
#endif
        check(record.n_threads == came, "the team knows %d threads", record.n_threads);
        check(record.out_of_step == 0, "%d threads out of step", record.out_of_step);
        check(team.n_threads == counts[i], "the team is as it was");
        for (int t = 0; t < came; t++)
            check(record.denormal[t] == 0, "thread %d does not flush denormals", t);
        volatile double tiny = 1e-310;
        check(tiny * 0.5 != 0, "the caller's mode is not restored");
    }
}

#if defined(_OPENMP)
static void a_team_smaller_than_asked_is_correct(void)
{
    struct record record = {0};
    struct rk_team team;
    omp_set_dynamic(1); /* OpenMP may give fewer: as many as there are processors */
    rk_team_init(&team, 15);
    rk_team_run(&team, meet, &record);
    omp_set_dynamic(0);
    int came = 0;
    for (int t = 0; t < MOST_THREADS; t++)
        came += record.came[t];
    check(came >= 1 && came == record.n_threads && record.out_of_step == 0,
          "%d came, the team knows %d, %d out of step", came, record.n_threads,
          record.out_of_step);
}

static void inside_a_parallel_region_a_team_is_its_caller(void)
{
    int threads[2] = {0}, defaults[2] = {0};
#pragma omp parallel num_threads(2)
    {
        struct record record = {0};
        struct rk_team team;
        rk_team_init(&team, 2);
        rk_team_run(&team, meet, &record);
        threads[omp_get_thread_num()] = record.n_threads;
        defaults[omp_get_thread_num()] = rk_threads_default();
    }
    check(threads[0] == 1 && threads[1] == 1, "nested teams of %d and %d", threads[0],
          threads[1]);
    check(defaults[0] == 1 && defaults[1] == 1, "nested default is %d", defaults[0]);
}

static void the_default_follows_affinity_and_openmp(void)
{
    cpu_set_t all, one;
    int normal = rk_threads_default();
    check(normal >= 1 && normal <= omp_get_max_threads(), "default %d", normal);
    int limit = omp_get_max_threads();
    omp_set_num_threads(1);
    check(rk_threads_default() == 1, "omp_set_num_threads(1) gives %d", rk_threads_default());
    omp_set_num_threads(limit);
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    check(rk_threads_default() == 1, "one processor gives %d", rk_threads_default());
    sched_setaffinity(0, sizeof all, &all);
    check(rk_threads_default() == normal, "back to %d", normal);
}

/* A child of fork makes a team of its own; without the fork handler it waits for ever. */
static void a_forked_child_has_threads(void)
{
    for (int i = 0; i < 5; i++) {
        struct record record = {0};
        run_task(meet, &record, 3);
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            struct record own = {0};
            run_task(meet, &own, 3);
            _exit(own.n_threads == 3 && own.came[2] && own.out_of_step == 0 ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d ends with %d", i, status);
    }
}
#endif

static int asks_to_stop(void *context)
{
    (*(int *)context)++;
    return 1;
}

/* Counts the threads that hear of the cancellation. */
static void work_until_cancelled(void *context, struct rk_team *team, int thread)
{
    int *heard = context;
    for (long step = 0; step < 2000000000; step++)
        if (rk_team_poll(team, thread)) {
            __atomic_add_fetch(heard, 1, __ATOMIC_RELAXED);
            return;
        }
}

static void the_poll_cancels_a_run(void)
{
    int polled = 0, heard = 0;
    struct rk_team team;
    rk_team_init(&team, 3);
    team.poll = asks_to_stop;
    team.poll_context = &polled;
    check(rk_team_run(&team, work_until_cancelled, &heard) == RK_CANCELLED, "not cancelled");
    struct record record = {0};
    team.poll = NULL;
    check(rk_team_run(&team, meet, &record) == RK_OK, "a cancelled team can run again");
    check(polled == 1 && heard == record.n_threads, "polled %d times, %d threads stopped",
          polled, heard);
}

static void shares_are_contiguous_and_balanced(void)
{
    for (size_t count = 0; count < 20; count++)
        for (int n = 1; n < 7; n++) {
            size_t at = 0, first, last;
            for (int t = 0; t < n; t++) {
                rk_share(count, n, t, &first, &last);
                check(first == at && last - first <= count / (size_t)n + 1, "share of %zu", count);
                at = last;
            }
            check(at == count, "shares of %zu among %d end at %zu", count, n, at);
        }
}

/* ------------------------------------------------------------------------- the machine */

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file) exit(2);
    fputs(text, file);
    fclose(file);
}

static void the_quota_is_the_strictest_of_the_groups(void)
{
    static const struct { const char *outer, *inner; int expected; } cases[] = {
        {"max 100000\n", "max 100000\n", 0}, {"max 100000\n", "150000 100000\n", 2},
        {"100000 100000\n", "400000 100000\n", 1}, {"300000 100000\n", "1000 100000\n", 1},
        {"", "nonsense\n", 0}, {"-5 0\n", "200000 100000\n", 2},
        {"9223372036854775807 1\n", "max 1\n", 0}};
    char root[] = "/tmp/rnnkit-XXXXXX", outer[100], inner[100], groups[120];
    if (!mkdtemp(root)) exit(2);
    snprintf(outer, sizeof outer, "%s/a", root), mkdir(outer, 0700);
    snprintf(inner, sizeof inner, "%s/a/b", root), mkdir(inner, 0700);
    snprintf(groups, sizeof groups, "%s/groups", root);
    write_text(root, "groups", "1:cpu:/old\n0::/a/b\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(outer, "cpu.max", cases[i].outer);
        write_text(inner, "cpu.max", cases[i].inner);
        int quota = rk_cpu_quota(groups, root);
        check(quota == cases[i].expected, "case %zu: quota %d", i, quota);
    }
    check(rk_cpu_quota("/nonexistent", root) == 0, "no file, no quota");
    write_text(root, "groups", "0::/\n");
    check(rk_cpu_quota(groups, root) == 0, "the root group has none");
    check(rk_cpu_affinity() >= 1, "processors");
    char command[160];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    check(system(command) == 0, "clean up");
}

static void the_instruction_set_is_capped_by_name(void)
{
    enum rk_isa isa, best = RK_BASELINE;
    struct rk_error error = {{0}};
    unsetenv("RNNKIT_ISA");
    for (int i = 0; i < RK_N_ISA; i++)
        if (rk_isa_supported((enum rk_isa)i)) best = (enum rk_isa)i;
    check(rk_isa_choose(&isa, &error) == RK_OK && isa == best, "the best is chosen");
    for (int i = 0; i < RK_N_ISA; i++) {
        bool there = rk_isa_supported((enum rk_isa)i);
        setenv("RNNKIT_ISA", rk_isa_name((enum rk_isa)i), 1);
        enum rk_status status = rk_isa_choose(&isa, &error);
        check(there ? status == RK_OK && (int)isa == i
                    : status == RK_INVALID && strstr(error.text, rk_isa_name((enum rk_isa)i)),
              "cap %s", rk_isa_name((enum rk_isa)i));
    }
    setenv("RNNKIT_ISA", "sse9", 1);
    check(rk_isa_choose(&isa, &error) == RK_INVALID && strstr(error.text, "baseline"),
          "an unknown name lists the known ones: %s", error.text);
    check(rk_isa_supported(RK_BASELINE), "baseline is everywhere");
}

/* Vectors published with Random123, kat_vectors. */
static void philox_gives_the_published_words(void)
{
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
         0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
         0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        rk_philox(out, known[i], known[i] + 4);
        check(same_bits(out, known[i] + 6, sizeof out), "known answer %zu", i);
    }
}

int main(void)
{
    failures_are_said_in_words_and_cut_to_fit();
    memory_is_zeroed_and_aligned();
    sizes_are_checked();
    all_threads_come_to_each_barrier();
#if defined(_OPENMP)
    a_team_smaller_than_asked_is_correct();
    inside_a_parallel_region_a_team_is_its_caller();
    the_default_follows_affinity_and_openmp();
    a_forked_child_has_threads();
#endif
    the_poll_cancels_a_run();
    shares_are_contiguous_and_balanced();
    the_quota_is_the_strictest_of_the_groups();
    philox_gives_the_published_words();
    the_instruction_set_is_capped_by_name();
    return check_report(rk_threads_runtime());
}
