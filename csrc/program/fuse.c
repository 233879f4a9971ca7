/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One instruction for two: a product that only one sum reads becomes part of it. Each of
 * the two operations is still rounded, so not a bit changes; a pass over the block is
 * saved.
 */
#include "program/lower.h"

static void count_readers(const struct rk_lowering *l, int *n_readers)
{
    for (int i = 0; i < l->n; i++) {
        const struct rk_value *value = &l->values[i];
        if (value->phase < 0)
            continue;
        for (int a = 0; a < value->node.n_args; a++)
            n_readers[value->node.args[a]]++;
        if (value->start >= 0)
            n_readers[value->start]++;
    }
}

static bool can_join(const struct rk_value *mul, const struct rk_value *add)
{
    return mul->node.op == RK_OP_mul && mul->phase == add->phase &&
           mul->node.kind == add->node.kind && !mul->pinned && mul->state < 0 &&
           mul->carry < 0;
}

static enum rk_status join(struct rk_lowering *l, struct rk_value *add, int nth)
{
    int mul = add->node.args[nth];
    int32_t *args = rk_program_alloc(l->program, 3, sizeof *args);
    if (!args)
        return RK_NOMEM;
    args[0] = l->values[mul].node.args[0];
    args[1] = l->values[mul].node.args[1];
    args[2] = add->node.args[1 - nth];
    add->node.op = RK_OP_muladd;
    add->node.n_args = 3;
    add->node.args = args;
    l->values[mul].phase = -1;
    return RK_OK;
}

enum rk_status rk_lower_fuse(struct rk_lowering *l)
{
    int *n_readers = rk_program_alloc(l->program, (size_t)l->n, sizeof *n_readers);
    if (!n_readers)
        return RK_NOMEM;
    count_readers(l, n_readers);
    for (int i = 0; i < l->n; i++) {
        struct rk_value *add = &l->values[i];
        if (add->node.op != RK_OP_add || add->phase < 0)
            continue;
        for (int nth = 0; nth < 2; nth++) {
            int mul = add->node.args[nth];
            if (n_readers[mul] != 1 || !can_join(&l->values[mul], add))
                continue;
            enum rk_status status = join(l, add, nth);
            if (status != RK_OK)
                return status;
            break;
        }
    }
    return RK_OK;
}
