/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one file that allocates.
 */
#define _GNU_SOURCE
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

static void *aligned_get(size_t alignment, size_t n_bytes)
{
#if defined(_WIN32)
    return _aligned_malloc(n_bytes, alignment);
#else
    void *memory = NULL;
    return posix_memalign(&memory, alignment, n_bytes) == 0 ? memory : NULL;
#endif
}

void *rk_alloc(size_t n_bytes)
{
    /* The slack keeps a size of 0 valid and every pointer difference representable. */
    if (n_bytes > PTRDIFF_MAX - HUGE_PAGE)
        return NULL;
    bool huge = n_bytes >= HUGE_PAGE;
    void *memory = aligned_get(huge ? HUGE_PAGE : RK_PANEL, n_bytes + RK_PANEL);
    if (!memory)
        return NULL;
#if defined(MADV_HUGEPAGE)
    /* Before the first touch; a system that refuses gives small pages, which work too. */
    if (huge)
        madvise(memory, n_bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, n_bytes);
    return memory;
}

void rk_free(void *memory)
{
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}
