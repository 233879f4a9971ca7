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

/* Stands right before each piece. */
struct origin {
    void *given;
    void (*release)(void *context, void *memory); /* NULL: free */
    void *context;
};

static _Thread_local struct rk_memory *current;

struct rk_memory *rk_memory_use(struct rk_memory *memory)
{
    struct rk_memory *before = current;
    current = memory;
    return before;
}

/* Large pieces of the system come from calloc as pages that it has zeroed and that take no
 * memory before they are touched. */
static char *allocate(size_t n_bytes, size_t alignment)
{
    struct origin origin = {0};
    size_t n_given = n_bytes + sizeof origin + alignment;
    bool is_own = current && current->allocate;
    origin.given =
        is_own ? current->allocate(current->context, n_given) : calloc(1, n_given);
    if (!origin.given)
        return NULL;
    char *memory = (char *)origin.given + sizeof origin;
    memory += alignment - (uintptr_t)memory % alignment;
    if (is_own) {
        origin.release = current->release;
        origin.context = current->context;
        memset(memory, 0, n_bytes);
    }
    memcpy(memory - sizeof origin, &origin, sizeof origin);
    return memory;
}

void *rk_alloc(size_t n_bytes)
{
    bool huge = n_bytes >= HUGE_PAGE && !(current && current->allocate);
    /* The slack keeps a size of 0 valid and every pointer difference representable. */
    char *memory = n_bytes > PTRDIFF_MAX - 2 * HUGE_PAGE
                       ? NULL
                       : allocate(n_bytes, huge ? HUGE_PAGE : RK_PANEL);
    if (!memory && current)
        current->refused = n_bytes;
#if defined(MADV_HUGEPAGE)
    /* Before the first touch; a system that refuses gives small pages, which work too. */
    if (memory && huge)
        madvise(memory, n_bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void rk_free(void *memory)
{
    struct origin origin;
    if (!memory)
        return;
    memcpy(&origin, (char *)memory - sizeof origin, sizeof origin);
    if (origin.release)
        origin.release(origin.context, origin.given);
    else
        free(origin.given);
}
