/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The graph's two parts become values: the forward nodes with what writes the states, then
 * the backward nodes with what has to be computed again, and what writes the gradients.
 */
#include <string.h>

#include "program/lower.h"

/* ------------------------------------------------------------------ forward part */

/* A value may itself write a state (or a carried gradient) when it is computed in the loop,
 * rows x units, and writes nothing else yet. */
static bool may_write(const struct rk_value *value, int loop)
{
    return value->phase == loop && value->node.kind == RK_FULL && value->base < 0 &&
           value->state < 0 && value->carry < 0;
}

static enum rk_status lower_forward(struct rk_lowering *l)
{
    const struct rk_graph *graph = l->graph;
    for (int i = 0; i < graph->n_forward; i++)
        if (rk_value_add(l, graph->nodes[i], graph->nodes[i].args, -1) < 0)
            return RK_NOMEM;
    struct rk_range r = {.last = l->n, .carried_leaf = RK_OP_state, .pre = RK_FORWARD_PRE};
    int targets[64];
    for (int k = 0; k < graph->n_states; k++)
        targets[k] = graph->states[k].new_node;
    enum rk_status status = rk_classify(l, &r, targets, graph->n_states);
    if (status == RK_OK)
        status = rk_complete_linears(l, &r);
    if (status != RK_OK)
        return status;

    for (int k = 0; k < graph->n_states; k++) {
        int writer = targets[k];
        if (!may_write(&l->values[writer], RK_FORWARD_LOOP))
            writer = rk_value_add_copy(l, writer, graph->states[k].width, RK_FORWARD_LOOP);
        if (writer < 0)
            return RK_NOMEM;
        l->values[writer].state = k;
    }
    l->output = graph->output;
    const struct rk_value *output = &l->values[l->output];
    if (output->node.kind != RK_FULL || output->phase < 0)
        l->output = rk_value_add_copy(l, l->output, output->node.width, RK_FORWARD_LOOP);
    if (l->output < 0)
        return RK_NOMEM;
    l->values[l->output].pinned = true;
    l->n_forward = l->n;
    return RK_OK;
}

/* ----------------------------------------------------------------- backward part */

/* What the backward part reads of the forward part is stored, or, where that is cheap and
 * its operands are at hand anyway, computed again (the same bits). */
struct recompute {
    bool *at_hand; /* stored, a leaf, or computable from such                            */
    bool *again;   /* to be computed again                                               */
    int *depth; /* of what would be computed again; bounded, as a chain is recursed into */
    int *clone; /* the copy of it in the backward part; -1: none yet                  */
    int *new_index; /* of a node of the graph's backward part                            */
};

enum { MAX_RECOMPUTED_DEPTH = 16 };

static bool is_cheap(int op)
{
    switch (op) {
    case RK_OP_add:
    case RK_OP_sub:
    case RK_OP_mul:
    case RK_OP_neg:
    case RK_OP_min:
    case RK_OP_max:
    case RK_OP_abs:
    case RK_OP_relu:
    case RK_OP_greater:
    case RK_OP_greater_equal:
    case RK_OP_equal:
    case RK_OP_select:
    case RK_OP_stop_gradient:
    case RK_OP_muladd:
    case RK_OP_mask:
    case RK_OP_expand:
        return true;
    default:
        return false;
    }
}

static void plan_recompute(const struct rk_lowering *l, struct recompute *plan)
{
    const struct rk_graph *graph = l->graph;
    bool *read = plan->at_hand; /* by the backward part; turned into at_hand in one sweep */
    bool *must_store = plan->again;
    for (int i = graph->n_forward; i < graph->n_nodes; i++) {
        const struct rk_node *node = &graph->nodes[i];
        bool heavy = rk_node_is_heavy(node);
        for (int a = 0; a < node->n_args; a++) {
            if (node->args[a] >= graph->n_forward)
                continue;
            read[node->args[a]] = true;
            must_store[node->args[a]] |= heavy;
        }
    }
    for (int i = 0; i < graph->n_forward; i++) {
        const struct rk_value *value = &l->values[i];
        bool free = true, cheap = is_cheap(value->node.op) && rk_node_is_wide(&value->node);
        for (int a = 0; a < value->node.n_args; a++) {
            int arg = value->node.args[a];
            free &= plan->at_hand[arg];
            if (plan->again[arg] && plan->depth[i] <= plan->depth[arg])
                plan->depth[i] = plan->depth[arg] + 1;
        }
        free &= plan->depth[i] < MAX_RECOMPUTED_DEPTH;
        bool kept = value->state >= 0 || value->pinned || must_store[i] ||
                    value->phase < 0 || !rk_node_is_wide(&value->node);
        plan->again[i] = cheap && free && !kept;
        plan->at_hand[i] = kept || plan->again[i] || read[i];
    }
}

/* The value that stands for node `node` of the graph in the backward part. */
static int backward_value(struct rk_lowering *l, struct recompute *plan, int node)
{
    if (node >= l->graph->n_forward)
        return plan->new_index[node - l->graph->n_forward];
    if (!plan->again[node])
        return node;
    if (plan->clone[node] >= 0)
        return plan->clone[node];
    struct rk_node clone = l->values[node].node;
    int32_t args[4] = {0};
    for (int a = 0; a < clone.n_args; a++) {
        args[a] = backward_value(l, plan, clone.args[a]);
        if (args[a] < 0)
            return -1;
    }
    return plan->clone[node] = rk_value_add(l, clone, args, RK_BACKWARD_LOOP);
}

static enum rk_status copy_backward_nodes(struct rk_lowering *l, struct recompute *plan)
{
    const struct rk_graph *graph = l->graph;
    for (int i = graph->n_forward; i < graph->n_nodes; i++) {
        const struct rk_node *node = &graph->nodes[i];
        int32_t *args =
            rk_program_alloc(l->program, (size_t)node->n_args + 1, sizeof *args);
        if (!args)
            return RK_NOMEM;
        for (int a = 0; a < node->n_args; a++) {
            args[a] = backward_value(l, plan, node->args[a]);
            if (args[a] < 0)
                return RK_NOMEM;
        }
        int added =
            rk_value_add(l, *node, args, rk_node_is_leaf(node) ? -1 : RK_BACKWARD_LOOP);
        if (added < 0)
            return RK_NOMEM;
        plan->new_index[i - graph->n_forward] = added;
    }
    return RK_OK;
}

/* The value that a gradient goes to: a constant zero where the graph has none. */
static int gradient_value(struct rk_lowering *l, struct recompute *plan, int node)
{
    static const int32_t zero_bits[2] = {0, 0};
    if (node >= 0)
        return backward_value(l, plan, node);
    struct rk_node zero = {.op = RK_OP_constant,
                           .kind = RK_CONST,
                           .width = 1,
                           .n_attrs = 2,
                           .attrs = zero_bits};
    return rk_value_add(l, zero, NULL, -1);
}

/* A carried gradient has no place of its own a step: whoever else reads it must do so in
 * the loop. */
static bool read_in_loop_only(const struct rk_lowering *l, int value)
{
    for (int i = l->n_forward; i < l->n; i++)
        for (int a = 0; a < l->values[i].node.n_args; a++)
            if (l->values[i].node.args[a] == value &&
                l->values[i].phase != RK_BACKWARD_LOOP)
                return false;
    return true;
}

/* Likewise what comes from the next step: whoever reads it after the loop gets a copy that
 * has a place a step. */
static enum rk_status keep_carried_leaves(struct rk_lowering *l)
{
    int last = l->n;
    for (int leaf = l->n_forward; leaf < last; leaf++) {
        int copy = -1;
        if (l->values[leaf].node.op != RK_OP_grad_state || read_in_loop_only(l, leaf))
            continue;
        copy = rk_value_add_copy(l, leaf, l->values[leaf].node.width, RK_BACKWARD_LOOP);
        if (copy < 0)
            return RK_NOMEM;
        for (int i = l->n_forward; i < last; i++) {
            const struct rk_value *reader = &l->values[i];
            int32_t *args = (int32_t *)(uintptr_t)reader->node.args; /* our own copy */
            for (int a = 0; a < reader->node.n_args; a++)
                if (args[a] == leaf && reader->phase != RK_BACKWARD_LOOP)
                    args[a] = copy;
        }
    }
    return RK_OK;
}

static enum rk_status lower_backward(struct rk_lowering *l)
{
    const struct rk_graph *graph = l->graph;
    size_t n = (size_t)graph->n_nodes;
    struct recompute plan = {
        .at_hand = rk_program_alloc(l->program, n, sizeof(bool)),
        .again = rk_program_alloc(l->program, n, sizeof(bool)),
        .depth = rk_program_alloc(l->program, n, sizeof(int)),
        .clone = rk_program_alloc(l->program, n, sizeof(int)),
        .new_index = rk_program_alloc(l->program, n, sizeof(int)),
    };
    if (!plan.at_hand || !plan.again || !plan.depth || !plan.clone || !plan.new_index)
        return RK_NOMEM;
    memset(plan.clone, -1, n * sizeof(int));
    plan_recompute(l, &plan);
    enum rk_status status = copy_backward_nodes(l, &plan);
    if (status != RK_OK)
        return status;
    int targets[64];
    for (int k = 0; k < graph->n_states; k++) {
        targets[k] = gradient_value(l, &plan, graph->states[k].gradient);
        if (targets[k] < 0)
            return RK_NOMEM;
    }
    l->input_gradient =
        graph->input_gradient < 0 ? -1 : backward_value(l, &plan, graph->input_gradient);

    struct rk_range r = {.first = l->n_forward,
                         .last = l->n,
                         .carried_leaf = RK_OP_grad_state,
                         .pre = RK_BACKWARD_PRE};
    status = rk_classify(l, &r, targets, graph->n_states);
    if (status == RK_OK)
        status = rk_complete_linears(l, &r);
    if (status == RK_OK)
        status = keep_carried_leaves(l);
    if (status != RK_OK)
        return status;
    for (int k = 0; k < graph->n_states; k++) {
        int writer = targets[k];
        if (!may_write(&l->values[writer], RK_BACKWARD_LOOP) ||
            writer == l->input_gradient || !read_in_loop_only(l, writer))
            writer = rk_value_add_copy(l, writer, graph->states[k].width, RK_BACKWARD_LOOP);
        if (writer < 0)
            return RK_NOMEM;
        l->values[writer].carry = k;
    }
    if (l->input_gradient >= 0) {
        const struct rk_value *value = &l->values[l->input_gradient];
        if (value->node.kind != RK_FULL || value->phase < RK_BACKWARD_PRE)
            l->input_gradient = rk_value_add_copy(l, l->input_gradient, graph->input_width,
                                                  RK_BACKWARD_LOOP);
        if (l->input_gradient < 0)
            return RK_NOMEM;
        l->values[l->input_gradient].pinned = true;
    }
    return RK_OK;
}

enum rk_status rk_lower_parts(struct rk_lowering *l)
{
    l->input_gradient = -1;
    enum rk_status status = lower_forward(l);
    if (status == RK_OK && l->graph->n_nodes > l->graph->n_forward)
        status = lower_backward(l);
    if (status == RK_OK)
        status = rk_classify_vectors(l);
    return status;
}
