/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a checked graph to a program: the passes in their order, and the memory they take.
 */
#include "program/lower.h"

void *rk_program_alloc(struct rk_program *program, size_t count, size_t size)
{
    size_t n_bytes;
    if (!rk_mul(count, size, &n_bytes) || !rk_add(n_bytes, RK_PANEL, &n_bytes))
        return NULL;
    struct rk_pool_block *block = rk_alloc(n_bytes);
    if (!block)
        return NULL;
    block->next = program->pool;
    program->pool = block;
    return (char *)block + RK_PANEL;
}

enum rk_status rk_lower(struct rk_program *program, struct rk_error *error)
{
    struct rk_lowering l = {.program = program, .graph = &program->graph, .error = error};
    enum rk_status status = rk_lower_parts(&l);
    if (status == RK_OK)
        status = rk_lower_fuse(&l);
    if (status == RK_OK)
        status = rk_lower_schedule(&l);
    if (status == RK_OK)
        status = rk_lower_places(&l);
    if (status == RK_OK)
        status = rk_lower_emit(&l);
    rk_free(l.values);
    return status;
}
