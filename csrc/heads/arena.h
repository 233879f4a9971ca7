/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory plans. A plan is a function that takes its arrays one after the other from an
 * arena; run over an arena without memory it measures, run over one with memory it places.
 * So the sizes and the places stand in one list.
 */
#ifndef RK_ARENA_H
#define RK_ARENA_H

#include "base/base.h"

struct rk_arena {
    char *base;     /* 64-byte aligned; NULL: only measure */
    size_t n_bytes; /* taken so far */
    bool overflow;  /* the plan does not fit into size_t */
};

/* count * size bytes, 64-byte aligned; NULL while measuring. */
static inline void *rk_arena_take(struct rk_arena *arena, size_t count, size_t size)
{
    size_t n_bytes, end;
    if (!rk_mul(count, size, &n_bytes) || !rk_add(n_bytes, RK_PANEL - 1, &n_bytes) ||
        !rk_add(arena->n_bytes, n_bytes / RK_PANEL * RK_PANEL, &end)) {
        arena->overflow = true;
        return NULL;
    }
    void *taken = arena->base ? arena->base + arena->n_bytes : NULL;
    arena->n_bytes = end;
    return taken;
}

#endif
