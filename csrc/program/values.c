/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values: nodes under lowering.
 */
#include <string.h>

#include "program/lower.h"

int rk_value_add(struct rk_lowering *l, struct rk_node node, const int32_t *args, int phase)
{
    int32_t *copy = rk_program_alloc(l->program, (size_t)node.n_args + 1, sizeof *copy);
    if (!copy)
        return -1;
    if (l->n == l->capacity) {
        int capacity = 2 * l->capacity + 64;
        struct rk_value *grown = rk_alloc((size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        if (l->n)
            memcpy(grown, l->values, (size_t)l->n * sizeof *grown);
        rk_free(l->values);
        l->values = grown;
        l->capacity = capacity;
    }
    if (node.n_args > 0 && args)
        memcpy(copy, args, (size_t)node.n_args * sizeof *copy);
    node.args = copy;
    l->values[l->n] = (struct rk_value){.node = node,
                                        .phase = phase,
                                        .base = -1,
                                        .start = -1,
                                        .state = -1,
                                        .carry = -1,
                                        .last = -1,
                                        .view = -1};
    return l->n++;
}

bool rk_node_is_heavy(const struct rk_node *node)
{
    return (node->op >= RK_OP_linear && node->op <= RK_OP_vector_grad) ||
           node->op == RK_OP_part || node->op == RK_OP_join;
}

bool rk_value_is_heavy(const struct rk_value *value)
{
    return rk_node_is_heavy(&value->node);
}

bool rk_value_is_loop(const struct rk_value *value)
{
    return value->phase == RK_FORWARD_LOOP || value->phase == RK_BACKWARD_LOOP;
}

bool rk_node_is_leaf(const struct rk_node *node)
{
    return (node->op <= RK_OP_grad_state && node->op != RK_OP_mask) ||
           node->op == RK_OP_share;
}

bool rk_node_is_wide(const struct rk_node *node) /* has rows */
{
    return node->kind == RK_FULL || node->kind == RK_ROW;
}

/* A copy of a value, or its expansion to rows x units; in the loop, or after it where the
 * value itself comes after it. */
int rk_value_add_copy(struct rk_lowering *l, int value, int width, int loop)
{
    const struct rk_node *node = &l->values[value].node;
    bool full = node->kind == RK_FULL;
    int phase = l->values[value].phase == loop + 1 ? loop + 1 : loop;
    int32_t arg = value;
    return rk_value_add(l,
                        (struct rk_node){.op = full ? RK_OP_stop_gradient : RK_OP_expand,
                                         .kind = RK_FULL,
                                         .width = width,
                                         .n_args = 1},
                        &arg, phase);
}
