/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the machine offers: instruction sets, processors, quota. The one file that reads the
 * environment.
 */
#define _GNU_SOURCE
#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#if defined(RNNKIT_PORTABLE)
#elif defined(_WIN32)
#include <windows.h>
#else
#include <sched.h>
#include <unistd.h>
#endif

static const char *const isa_names[RK_N_ISA] = {
    [RK_BASELINE] = "baseline",
    [RK_AVX2] = "avx2",
    [RK_AVX512] = "avx512",
    [RK_NEON] = "neon",
};

const char *rk_isa_name(enum rk_isa isa)
{
    return (unsigned)isa < RK_N_ISA ? isa_names[isa] : "unknown";
}

/* The builtin asks the operating system too: registers it does not save do not count. */
bool rk_isa_supported(enum rk_isa isa)
{
#if defined(RK_HAS_X86)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == RK_AVX2)
        return avx2;
    if (isa == RK_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
#elif defined(RK_HAS_ARM)
    if (isa == RK_NEON)
        return true;
#endif
    return isa == RK_BASELINE;
}

bool rk_cpu_has_vnni(void)
{
#if defined(RK_HAS_X86)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

enum rk_status rk_isa_choose(enum rk_isa *isa, struct rk_error *error)
{
    const char *name = getenv("RNNKIT_ISA");
    *isa = RK_BASELINE;
    if (!name || !name[0]) {
        for (int i = 0; i < RK_N_ISA; i++)
            if (rk_isa_supported((enum rk_isa)i))
                *isa = (enum rk_isa)i;
        return RK_OK;
    }
    for (int i = 0; i < RK_N_ISA; i++) {
        if (strcmp(name, isa_names[i]) != 0)
            continue;
        if (!rk_isa_supported((enum rk_isa)i))
            return rk_fail(error, RK_INVALID,
                           "RNNKIT_ISA=%s: this machine does not have it", name);
        *isa = (enum rk_isa)i;
        return RK_OK;
    }
    return rk_fail(error, RK_INVALID,
                   "RNNKIT_ISA=%.40s is unknown; allowed: baseline, avx2, avx512, neon",
                   name);
}

int rk_cpu_affinity(void)
{
#if defined(RNNKIT_PORTABLE)
    return 1;
#elif defined(_WIN32)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (int)info.dwNumberOfProcessors;
#else
#if defined(__linux__) && defined(CPU_COUNT) /* not where headers came before _GNU_SOURCE  \
                                              */
    /* A set of CPU_SETSIZE processors is too small for the largest machines: then the
     * number that is online stands. */
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
#endif
}

/* The quota of one group in processors, rounded up; 0: none. */
static int group_quota(const char *folder)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    long long quota, period; /* "max 100000" where there is no quota */
    bool limited =
        fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    fclose(file);
    if (!limited)
        return 0;
    long long processors = (quota - 1) / period + 1;
    return processors < 1 << 20 ? (int)processors : 0;
}

/* The group's path: the line "0::/path". */
static bool group_path(char *path, size_t capacity, const char *groups)
{
    FILE *file = fopen(groups, "r");
    if (!file)
        return false;
    bool found = false;
    char line[384];
    while (!found && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = 0;
            found = snprintf(path, capacity, "%s", line + 3) < (int)capacity;
        }
    fclose(file);
    return found;
}

int rk_cpu_quota(const char *groups, const char *root)
{
    char path[384], folder[448];
    if (!group_path(path, sizeof path, groups))
        return 0;
    int least = 0;
    for (;;) {
        if (snprintf(folder, sizeof folder, "%s%s", root, path) >= (int)sizeof folder)
            break;
        int quota = group_quota(folder);
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return least;
}
