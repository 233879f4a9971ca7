/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one file that allocates.
 */
#define _GNU_SOURCE
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32) && !defined(RNNKIT_PORTABLE)
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

/* Large pieces come from calloc as pages that the system has zeroed and that take no memory
 * before they are touched. What calloc gave stands right before the aligned address. */
void *rk_alloc(size_t n_bytes)
{
    /* The slack keeps a size of 0 valid and every pointer difference representable. */
    if (n_bytes > PTRDIFF_MAX - 2 * HUGE_PAGE)
        return NULL;
    bool huge = n_bytes >= HUGE_PAGE;
    size_t alignment = huge ? HUGE_PAGE : RK_PANEL;
    char *given = calloc(1, n_bytes + RK_PANEL + alignment);
    if (!given)
        return NULL;
    char *memory = given + alignment - (uintptr_t)given % alignment;
    memcpy(memory - sizeof given, &given, sizeof given);
#if defined(MADV_HUGEPAGE)
    /* Before the first touch; a system that refuses gives small pages, which work too. */
    if (huge)
        madvise(memory, n_bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void rk_free(void *memory)
{
    char *given;
    if (!memory)
        return;
    memcpy(&given, (char *)memory - sizeof given, sizeof given);
    free(given);
}
