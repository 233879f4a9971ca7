/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When: the graph's nodes become values, each with its phase.
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

bool rk_value_is_heavy(const struct rk_value *value)
{
    int op = value->node.op;
    return op >= RK_OP_linear && op <= RK_OP_vector_grad;
}

bool rk_value_is_loop(const struct rk_value *value)
{
    return value->phase == RK_FORWARD_LOOP || value->phase == RK_BACKWARD_LOOP;
}

static bool is_leaf(const struct rk_node *node)
{
    return node->op <= RK_OP_grad_state && node->op != RK_OP_mask;
}

static bool is_wide(const struct rk_node *node) /* has rows */
{
    return node->kind == RK_FULL || node->kind == RK_ROW;
}

/* A copy of a value, or its expansion to rows x units; in the loop, or after it where the
 * value itself comes after it. */
static int add_copy(struct rk_lowering *l, int value, int width, int loop)
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

/* -------------------------------------------------------- the rule, on a range */

struct mark {
    bool carried, needed, before, after, read_in_loop, read_after;
};

/* Values [first, last), the forward or the backward part. */
struct range {
    int first, last;
    int carried_leaf; /* operation of what comes from the neighbouring step              */
    int pre;          /* its phases are pre, pre + 1 (loop), pre + 2 (post)              */
    struct mark *marks;
};

static void mark_carried(struct rk_lowering *l, struct range *r)
{
    for (int i = r->first; i < r->last; i++) {
        const struct rk_node *node = &l->values[i].node;
        r->marks[i].carried = node->op == r->carried_leaf;
        for (int a = 0; a < node->n_args; a++)
            r->marks[i].carried |= r->marks[node->args[a]].carried;
    }
}

static void mark_needed(struct rk_lowering *l, struct range *r)
{
    for (int i = r->last - 1; i >= r->first; i--)
        if (r->marks[i].needed)
            for (int a = 0; a < l->values[i].node.n_args; a++)
                r->marks[l->values[i].node.args[a]].needed = true;
}

static int n_leading_terms(const struct rk_lowering *l, const struct range *r, int i)
{
    const struct rk_node *node = &l->values[i].node;
    if (node->op != RK_OP_linear && node->op != RK_OP_linear_transposed)
        return 0;
    int n = 0;
    while (n < node->n_args && !r->marks[node->args[n]].carried)
        n++;
    return n;
}

static void mark_before(struct rk_lowering *l, struct range *r)
{
    for (int i = r->last - 1; i >= r->first; i--) {
        const struct rk_value *value = &l->values[i];
        struct mark *mark = &r->marks[i];
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

static void mark_after(struct rk_lowering *l, struct range *r)
{
    for (int i = r->first; i < r->last; i++) {
        const struct rk_value *value = &l->values[i];
        struct mark *mark = &r->marks[i];
        if (mark->before || mark->needed)
            continue;
        mark->after = rk_value_is_heavy(value);
        for (int a = 0; a < value->node.n_args; a++)
            mark->after |= r->marks[value->node.args[a]].after;
    }
    /* What is not carried and read only after the loop is computed there. */
    for (int i = r->last - 1; i >= r->first; i--) {
        struct mark *mark = &r->marks[i];
        if (!mark->before && !mark->carried && mark->read_after && !mark->read_in_loop)
            mark->after = true;
        for (int a = 0; a < l->values[i].node.n_args; a++) {
            struct mark *arg = &r->marks[l->values[i].node.args[a]];
            if (mark->after)
                arg->read_after = true;
            else
                arg->read_in_loop = true;
        }
    }
}

/* `targets`: the values that go to the next step (-1: none). Leaves the marks in `r`. */
static enum rk_status classify(struct rk_lowering *l, struct range *r, const int *targets,
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
        const struct mark *mark = &r->marks[i];
        bool over_rows = is_wide(&value->node) || value->node.op == RK_OP_column_sum ||
                         value->node.op == RK_OP_weight_grad;
        if (over_rows && !is_leaf(&value->node))
            value->phase = mark->before ? r->pre : mark->after ? r->pre + 2 : r->pre + 1;
    }
    return RK_OK;
}

/* Vectors: once a window, or after the sums over all rows that they depend on. */
static enum rk_status classify_vectors(struct rk_lowering *l)
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
        else if (value->node.kind == RK_UNIT && !is_leaf(&value->node) &&
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

static enum rk_status split_linear(struct rk_lowering *l, const struct range *r, int i)
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

static enum rk_status complete_linears(struct rk_lowering *l, const struct range *r)
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
    struct range r = {.last = l->n, .carried_leaf = RK_OP_state, .pre = RK_FORWARD_PRE};
    int targets[64];
    for (int k = 0; k < graph->n_states; k++)
        targets[k] = graph->states[k].new_node;
    enum rk_status status = classify(l, &r, targets, graph->n_states);
    if (status == RK_OK)
        status = complete_linears(l, &r);
    if (status != RK_OK)
        return status;

    for (int k = 0; k < graph->n_states; k++) {
        int writer = targets[k];
        if (!may_write(&l->values[writer], RK_FORWARD_LOOP))
            writer = add_copy(l, writer, graph->states[k].width, RK_FORWARD_LOOP);
        if (writer < 0)
            return RK_NOMEM;
        l->values[writer].state = k;
    }
    l->output = graph->output;
    const struct rk_value *output = &l->values[l->output];
    if (output->node.kind != RK_FULL || output->phase < 0)
        l->output = add_copy(l, l->output, output->node.width, RK_FORWARD_LOOP);
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
        bool heavy = node->op >= RK_OP_linear && node->op <= RK_OP_vector_grad;
        for (int a = 0; a < node->n_args; a++) {
            if (node->args[a] >= graph->n_forward)
                continue;
            read[node->args[a]] = true;
            must_store[node->args[a]] |= heavy;
        }
    }
    for (int i = 0; i < graph->n_forward; i++) {
        const struct rk_value *value = &l->values[i];
        bool free = true, cheap = is_cheap(value->node.op) && is_wide(&value->node);
        for (int a = 0; a < value->node.n_args; a++) {
            int arg = value->node.args[a];
            free &= plan->at_hand[arg];
            if (plan->again[arg] && plan->depth[i] <= plan->depth[arg])
                plan->depth[i] = plan->depth[arg] + 1;
        }
        free &= plan->depth[i] < MAX_RECOMPUTED_DEPTH;
        bool kept = value->state >= 0 || value->pinned || must_store[i] ||
                    value->phase < 0 || !is_wide(&value->node);
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
        int added = rk_value_add(l, *node, args, is_leaf(node) ? -1 : RK_BACKWARD_LOOP);
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
        copy = add_copy(l, leaf, l->values[leaf].node.width, RK_BACKWARD_LOOP);
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

    struct range r = {.first = l->n_forward,
                      .last = l->n,
                      .carried_leaf = RK_OP_grad_state,
                      .pre = RK_BACKWARD_PRE};
    status = classify(l, &r, targets, graph->n_states);
    if (status == RK_OK)
        status = complete_linears(l, &r);
    if (status == RK_OK)
        status = keep_carried_leaves(l);
    if (status != RK_OK)
        return status;
    for (int k = 0; k < graph->n_states; k++) {
        int writer = targets[k];
        if (!may_write(&l->values[writer], RK_BACKWARD_LOOP) ||
            writer == l->input_gradient || !read_in_loop_only(l, writer))
            writer = add_copy(l, writer, graph->states[k].width, RK_BACKWARD_LOOP);
        if (writer < 0)
            return RK_NOMEM;
        l->values[writer].carry = k;
    }
    if (l->input_gradient >= 0) {
        const struct rk_value *value = &l->values[l->input_gradient];
        if (value->node.kind != RK_FULL || value->phase < RK_BACKWARD_PRE)
            l->input_gradient =
                add_copy(l, l->input_gradient, graph->input_width, RK_BACKWARD_LOOP);
        if (l->input_gradient < 0)
            return RK_NOMEM;
        l->values[l->input_gradient].pinned = true;
    }
    return RK_OK;
}

enum rk_status rk_lower_phases(struct rk_lowering *l)
{
    l->input_gradient = -1;
    enum rk_status status = lower_forward(l);
    if (status == RK_OK && l->graph->n_nodes > l->graph->n_forward)
        status = lower_backward(l);
    if (status == RK_OK)
        status = classify_vectors(l);
    return status;
}
