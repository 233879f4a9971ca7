/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When: each value gets its phase.
 *
 * Forward and backward follow one rule. A value is *carried* when it depends on what comes
 * from the neighbouring step (a state; the gradient of a new state) and *needed* when what
 * goes to the next one depends on it. Products, reductions and sinks are *heavy*. Then
 *   before the loop:  not carried, and ends in something heavy;
 *   after the loop:   heavy but not needed, and all that follows from it;
 *   in the loop:      the rest.
 * A linear in the loop whose first terms are not carried is split: these are summed before
 * the loop, and the loop goes on from there (one chain, the same bits).
 */
#include <string.h>

#include "program/lower.h"

static void mark_carried(struct rk_lowering *l, struct rk_range *r)
{
    for (int i = r->first; i < r->last; i++) {
        const struct rk_node *node = &l->values[i].node;
        r->marks[i].carried = node->op == r->carried_leaf;
        for (int a = 0; a < node->n_args; a++)
            r->marks[i].carried |= r->marks[node->args[a]].carried;
    }
}

static void mark_needed(struct rk_lowering *l, struct rk_range *r)
{
    for (int i = r->last - 1; i >= r->first; i--)
        if (r->marks[i].needed)
            for (int a = 0; a < l->values[i].node.n_args; a++)
                r->marks[l->values[i].node.args[a]].needed = true;
}

static int n_leading_terms(const struct rk_lowering *l, const struct rk_range *r, int i)
{
    const struct rk_node *node = &l->values[i].node;
    if (node->op != RK_OP_linear && node->op != RK_OP_linear_transposed)
        return 0;
    int n = 0;
    while (n < node->n_args && !r->marks[node->args[n]].carried)
        n++;
    return n;
}

static void mark_before(struct rk_lowering *l, struct rk_range *r)
{
    for (int i = r->last - 1; i >= r->first; i--) {
        const struct rk_value *value = &l->values[i];
        struct rk_mark *mark = &r->marks[i];
        int n_pulled = 0; /* arguments that have to be there before the loop */
        if (!mark->carried && (mark->before || rk_value_is_heavy(value))) {
            mark->before = true;
            n_pulled = value->node.n_args;
        } else if (mark->needed) {
            n_pulled = n_leading_terms(l, r, i);
        }
        for (int a = 0; a < n_pulled; a++)
            r->marks[value->node.args[a]].before = true;
    }
}

static void mark_after(struct rk_lowering *l, struct rk_range *r)
{
    for (int i = r->first; i < r->last; i++) {
        const struct rk_value *value = &l->values[i];
        struct rk_mark *mark = &r->marks[i];
        if (mark->before || mark->needed)
            continue;
        mark->after = rk_value_is_heavy(value);
        for (int a = 0; a < value->node.n_args; a++)
            mark->after |= r->marks[value->node.args[a]].after;
    }
    /* What is not carried and read only after the loop is computed there. */
    for (int i = r->last - 1; i >= r->first; i--) {
        struct rk_mark *mark = &r->marks[i];
        if (!mark->before && !mark->carried && mark->read_after && !mark->read_in_loop)
            mark->after = true;
        for (int a = 0; a < l->values[i].node.n_args; a++) {
            struct rk_mark *arg = &r->marks[l->values[i].node.args[a]];
            if (mark->after)
                arg->read_after = true;
            else
                arg->read_in_loop = true;
        }
    }
}

/* `targets`: the values that go to the next step (-1: none). Leaves the marks in `r`. */
enum rk_status rk_classify(struct rk_lowering *l, struct rk_range *r, const int *targets,
                           int n_targets)
{
    r->marks = rk_program_alloc(l->program, (size_t)l->n, sizeof *r->marks);
    if (!r->marks)
        return RK_NOMEM;
    for (int t = 0; t < n_targets; t++)
        if (targets[t] >= 0)
            r->marks[targets[t]].needed = true;
    mark_carried(l, r);
    mark_needed(l, r);
    mark_before(l, r);
    mark_after(l, r);
    for (int i = r->first; i < r->last; i++) {
        struct rk_value *value = &l->values[i];
        const struct rk_mark *mark = &r->marks[i];
        bool over_rows = rk_node_is_wide(&value->node) ||
                         value->node.op == RK_OP_column_sum ||
                         value->node.op == RK_OP_weight_grad;
        if (over_rows && !rk_node_is_leaf(&value->node))
            value->phase = mark->before ? r->pre : mark->after ? r->pre + 2 : r->pre + 1;
    }
    return RK_OK;
}

/* Vectors: once a window, or after the sums over all rows that they depend on. */
enum rk_status rk_classify_vectors(struct rk_lowering *l)
{
    for (int i = 0; i < l->n; i++) {
        struct rk_value *value = &l->values[i];
        bool sums = false;
        for (int a = 0; a < value->node.n_args; a++) {
            const struct rk_value *arg = &l->values[value->node.args[a]];
            sums |= arg->node.op == RK_OP_column_sum || arg->phase == RK_GRADIENTS;
        }
        if (value->node.op == RK_OP_vector_grad)
            value->phase = RK_GRADIENTS;
        else if (value->node.kind == RK_UNIT && !rk_node_is_leaf(&value->node) &&
                 value->node.op != RK_OP_column_sum)
            value->phase = sums ? RK_GRADIENTS : RK_WINDOW;
        else if (sums)
            return rk_fail(l->error, RK_FORMAT,
                           "graph: a rows x units value depends on a sum over all rows");
    }
    return RK_OK;
}

/* -------------------------------------------------- linears: biases, and the split */

static int add_bias_sum(struct rk_lowering *l, const struct rk_node *linear)
{
    int sum = -1;
    for (int b = 0; b < linear->attrs[0]; b++) {
        struct rk_node leaf = {.op = RK_OP_vector,
                               .kind = RK_UNIT,
                               .width = linear->width,
                               .n_attrs = 2,
                               .attrs = linear->attrs + 1 + 2 * b};
        int bias = rk_value_add(l, leaf, NULL, -1);
        if (bias < 0)
            return -2;
        if (sum < 0) {
            sum = bias;
            continue;
        }
        int32_t args[2] = {sum, bias};
        struct rk_node add = {
            .op = RK_OP_add, .kind = RK_UNIT, .width = linear->width, .n_args = 2};
        sum = rk_value_add(l, add, args, RK_WINDOW);
        if (sum < 0)
            return -2;
    }
    return sum;
}

/* (parameter, block) pairs of a product's terms. */
static const int32_t *term_attrs(const struct rk_node *node)
{
    return node->op == RK_OP_linear ? node->attrs + 1 + 2 * node->attrs[0] : node->attrs;
}

static enum rk_status split_linear(struct rk_lowering *l, const struct rk_range *r, int i)
{
    struct rk_node node = l->values[i].node;
    int n_leading = n_leading_terms(l, r, i);
    if (n_leading == 0 || n_leading == node.n_args)
        return RK_OK;
    /* Both halves read their terms' parameters as a transposed product's attributes do:
     * plain pairs; what kind of product it is stays in `op`. */
    int32_t *attrs = rk_program_alloc(l->program, (size_t)node.n_attrs + 2, sizeof *attrs);
    if (!attrs)
        return RK_NOMEM;
    int n_before = 2 * n_leading, n_after = 2 * (node.n_args - n_leading);
    const int32_t *pairs = term_attrs(&node);
    bool linear = node.op == RK_OP_linear; /* a linear's attributes begin with n_biases */
    attrs[0] = 0;
    memcpy(attrs + 1, pairs, (size_t)n_before * sizeof *attrs);
    struct rk_node head = node, tail = node;
    head.n_args = n_leading;
    head.n_attrs = n_before + linear;
    head.attrs = attrs + !linear;
    int32_t *rest = rk_program_alloc(l->program, (size_t)n_after + 1, sizeof *rest);
    if (!rest)
        return RK_NOMEM;
    memcpy(rest + 1, pairs + n_before, (size_t)n_after * sizeof *rest);
    tail.n_args = node.n_args - n_leading;
    tail.n_attrs = n_after + linear;
    tail.attrs = rest + !linear;
    tail.args = node.args + n_leading;
    int base = rk_value_add(l, head, node.args, r->pre);
    if (base < 0)
        return RK_NOMEM;
    l->values[base].start = l->values[i].start;
    l->values[i].start = -1;
    l->values[i].base = base;
    l->values[i].node = tail;
    return RK_OK;
}

enum rk_status rk_complete_linears(struct rk_lowering *l, const struct rk_range *r)
{
    for (int i = r->first; i < r->last; i++) {
        int op = l->values[i].node.op;
        if (op != RK_OP_linear && op != RK_OP_linear_transposed)
            continue;
        if (op == RK_OP_linear) {
            struct rk_node node = l->values[i].node;
            int start = add_bias_sum(l, &node);
            if (start < -1)
                return RK_NOMEM;
            l->values[i].start = start;
        }
        if (l->values[i].phase == r->pre + 1) {
            enum rk_status status = split_linear(l, r, i);
            if (status != RK_OK)
                return status;
        }
    }
    return RK_OK;
}
