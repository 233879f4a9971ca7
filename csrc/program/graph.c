/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Words to graph. The words are untrusted: each is read through one bounded cursor and each
 * rule of the op-set is checked here, once, so that lowering may assert.
 *
 *   1 (op-set version), parameters, states, input width, nodes, forward nodes, output node
 *   each parameter:  is_weight, blocks, width, columns
 *   each state:      width, initial value (low word, high word), new-state node
 *   each node:       op, width, n_args, args..., n_attrs, attrs...
 *   with a backward part: node of the input's gradient or -1,
 *                    then for each state the node of its gradient or -1
 */
#include "program/graph.h"

#include <string.h>

enum {
    MAX_NODES = 1 << 14,
    MAX_PARAMETERS = 1 << 12,
    MAX_STATES = 64,
    MAX_BLOCKS = 1 << 12,
    MAX_WIDTH = 1 << 22,
    MAX_ARGS = 1 << 12,
};

struct cursor {
    const int32_t *words;
    size_t n_words, at;
    enum rk_dtype dtype;
    struct rk_error *error;
};

#define FORMAT(cursor, ...) rk_fail((cursor)->error, RK_FORMAT, __VA_ARGS__)
#define TRY(call)                                                                          \
    do {                                                                                   \
        enum rk_status status_ = (call);                                                   \
        if (status_ != RK_OK)                                                              \
            return status_;                                                                \
    } while (0)

bool rk_op_is_elementwise(int op)
{
    switch (op) {
#define X(name, number, operands) case number:
        RK_VECTOR_OPS(X)
#undef X
        return true;
    default:
        return false;
    }
}

static int elementwise_arity(int op)
{
    switch (op) {
#define X(name, number, operands)                                                          \
    case number:                                                                           \
        return operands;
        RK_VECTOR_OPS(X)
#undef X
    default:
        return 0;
    }
}

const char *rk_op_name(int op)
{
    static const char *const names[] = {
        "input",   "state",       "vector",     "constant",    "flag",
        "mask",    "grad_output", "grad_state", "linear",      "linear_transposed",
        "row_sum", "row_max",     "column_sum", "weight_grad", "vector_grad",
        "expand",  "part",        "join",       "share",
    };
    if (op >= 0 && op <= RK_OP_share)
        return names[op];
    switch (op) {
#define X(name, number, operands)                                                          \
    case number:                                                                           \
        return #name;
        RK_VECTOR_OPS(X)
#undef X
    default:
        return "unknown";
    }
}

double rk_double_from_words(int32_t low, int32_t high)
{
    uint64_t bits = (uint64_t)(uint32_t)high << 32 | (uint32_t)low;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static enum rk_status read_word(struct cursor *c, const char *what, int32_t least,
                                int32_t most, int *value)
{
    if (c->at >= c->n_words)
        return FORMAT(c, "graph: ends before %s (%zu words)", what, c->n_words);
    int32_t word = c->words[c->at++];
    if (word < least || word > most)
        return FORMAT(c, "graph: %s is %d, allowed %d to %d", what, word, least, most);
    *value = word;
    return RK_OK;
}

static enum rk_status read_list(struct cursor *c, const char *what, int *n,
                                const int32_t **list)
{
    TRY(read_word(c, what, 0, MAX_ARGS, n));
    if ((size_t)*n > c->n_words - c->at)
        return FORMAT(c, "graph: ends within %s (%zu words)", what, c->n_words);
    *list = c->words + c->at;
    c->at += (size_t)*n;
    return RK_OK;
}

/* ------------------------------------------------------- parameters, states */

static enum rk_status read_parameter(struct cursor *c, struct rk_parameter *p)
{
    int is_weight = 0, blocks = 0, width = 0, columns = 0;
    TRY(read_word(c, "parameter kind", 0, 1, &is_weight));
    TRY(read_word(c, "parameter blocks", 1, MAX_BLOCKS, &blocks));
    TRY(read_word(c, "parameter width", 1, MAX_WIDTH, &width));
    TRY(read_word(c, "parameter columns", 1, is_weight ? MAX_WIDTH : 1, &columns));
    *p = (struct rk_parameter){.is_weight = is_weight,
                               .blocks = (size_t)blocks,
                               .width = (size_t)width,
                               .columns = (size_t)columns};
    /* below 2^12 * 2^22 * 2^22 * 8 / 8 = 2^56 bytes: no overflow on 64 bits */
    p->n_bytes = rk_packed_size(c->dtype, p->blocks, p->width, p->columns);
    return RK_OK;
}

static enum rk_status read_state(struct cursor *c, const struct rk_graph *graph,
                                 struct rk_state_spec *state)
{
    int low = 0, high = 0;
    TRY(read_word(c, "state width", 1, MAX_WIDTH, &state->width));
    TRY(read_word(c, "state initial value", INT32_MIN, INT32_MAX, &low));
    TRY(read_word(c, "state initial value", INT32_MIN, INT32_MAX, &high));
    TRY(read_word(c, "new-state node", 0, graph->n_forward - 1, &state->new_node));
    state->initial = rk_double_from_words(low, high);
    state->gradient = -1;
    return RK_OK;
}

/* -------------------------------------------------------------------- nodes */

#define NODE_ERROR(message)                                                                \
    FORMAT(c, "graph: node %d (%s): %s", index, rk_op_name(node->op), message)

static enum rk_status expect_counts(struct cursor *c, const struct rk_node *node, int index,
                                    int n_args, int n_attrs)
{
    if (node->n_args != n_args || node->n_attrs != n_attrs)
        return FORMAT(
            c, "graph: node %d (%s) has %d arguments and %d attributes, needs %d and %d",
            index, rk_op_name(node->op), node->n_args, node->n_attrs, n_args, n_attrs);
    return RK_OK;
}

/* A (parameter, block) pair among the attributes. */
static enum rk_status check_reference(struct cursor *c, const struct rk_graph *graph,
                                      int index, const int32_t *pair, bool is_weight,
                                      int width, int columns)
{
    const struct rk_node *node = &graph->nodes[index];
    if (pair[0] < 0 || pair[0] >= graph->n_parameters)
        return NODE_ERROR("no such parameter");
    const struct rk_parameter *p = &graph->parameters[pair[0]];
    if (p->is_weight != is_weight)
        return NODE_ERROR("vector where a weight belongs, or vice versa");
    if (pair[1] < 0 || (size_t)pair[1] >= p->blocks)
        return NODE_ERROR("no such block");
    if (p->width != (size_t)width || p->columns != (size_t)columns)
        return FORMAT(c, "graph: node %d (%s): parameter %d is %zu x %zu, needs %d x %d",
                      index, rk_op_name(node->op), pair[0], p->width, p->columns, width,
                      columns);
    return RK_OK;
}

static enum rk_status check_leaf(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    node->kind = RK_FULL;
    int width = node->width;
    switch (node->op) {
    case RK_OP_input:
        TRY(expect_counts(c, node, index, 0, 0));
        width = graph->input_width;
        break;
    case RK_OP_state:
    case RK_OP_grad_state:
        TRY(expect_counts(c, node, index, 0, 1));
        if (node->attrs[0] < 0 || node->attrs[0] >= graph->n_states)
            return NODE_ERROR("no such state");
        width = graph->states[node->attrs[0]].width;
        break;
    case RK_OP_grad_output:
        TRY(expect_counts(c, node, index, 0, 0));
        width = graph->nodes[graph->output].width;
        break;
    case RK_OP_vector:
        TRY(expect_counts(c, node, index, 0, 2));
        node->kind = RK_UNIT;
        return check_reference(c, graph, index, node->attrs, false, node->width, 1);
    case RK_OP_constant:
    case RK_OP_share:
        TRY(expect_counts(c, node, index, 0, 2));
        node->kind = RK_CONST;
        width = 1;
        break;
    case RK_OP_flag:
        TRY(expect_counts(c, node, index, 0, 1));
        if (node->attrs[0] < 0 || node->attrs[0] > 1)
            return NODE_ERROR("no such flag");
        node->kind = RK_ROW;
        width = 1;
        break;
    default: { /* mask */
        TRY(expect_counts(c, node, index, 0, 4));
        double rate = rk_double_from_words(node->attrs[2], node->attrs[3]);
        if (!(rate >= 0.0 && rate < 1.0))
            return NODE_ERROR("rate must be in [0, 1)");
        if (node->attrs[0] < 0 || node->attrs[1] < 0 || node->attrs[1] > 1)
            return NODE_ERROR("bad site");
    }
    }
    if (node->width != width)
        return FORMAT(c, "graph: node %d (%s) says width %d, needs %d", index,
                      rk_op_name(node->op), node->width, width);
    return RK_OK;
}

static enum rk_status check_full(struct cursor *c, const struct rk_graph *graph, int index,
                                 int arg)
{
    const struct rk_node *node = &graph->nodes[index];
    if (graph->nodes[node->args[arg]].kind != RK_FULL)
        return NODE_ERROR("an argument is not a rows x units value");
    return RK_OK;
}

static enum rk_status check_linear(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    node->kind = RK_FULL;
    bool forward = node->op == RK_OP_linear;
    int n_biases = forward && node->n_attrs > 0 ? node->attrs[0] : 0;
    int first = forward ? 1 + 2 * n_biases : 0;
    if (node->n_args < 1 || n_biases < 0 || n_biases > MAX_ARGS ||
        node->n_attrs != first + 2 * node->n_args)
        return NODE_ERROR("counts do not match");
    for (int b = 0; b < n_biases; b++)
        TRY(check_reference(c, graph, index, node->attrs + 1 + 2 * b, false, node->width,
                            1));
    for (int a = 0; a < node->n_args; a++) {
        TRY(check_full(c, graph, index, a));
        int arg_width = graph->nodes[node->args[a]].width;
        TRY(check_reference(c, graph, index, node->attrs + first + 2 * a, true,
                            forward ? node->width : arg_width,
                            forward ? arg_width : node->width));
    }
    return RK_OK;
}

static enum rk_status check_reduction(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    TRY(expect_counts(c, node, index, 1, 0));
    TRY(check_full(c, graph, index, 0));
    bool columns = node->op == RK_OP_column_sum;
    node->kind = columns ? RK_UNIT : RK_ROW;
    if (node->width != (columns ? graph->nodes[node->args[0]].width : 1))
        return NODE_ERROR("wrong width");
    return RK_OK;
}

static enum rk_status check_sink(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    bool weight = node->op == RK_OP_weight_grad;
    TRY(expect_counts(c, node, index, weight ? 2 : 1, 2));
    node->kind = RK_SINK;
    const struct rk_node *delta = &graph->nodes[node->args[0]];
    if (delta->kind != (weight ? RK_FULL : RK_UNIT))
        return NODE_ERROR("argument of a wrong kind");
    if (!weight)
        return check_reference(c, graph, index, node->attrs, false, delta->width, 1);
    TRY(check_full(c, graph, index, 1));
    return check_reference(c, graph, index, node->attrs, true, delta->width,
                           graph->nodes[node->args[1]].width);
}

static enum rk_status check_expand(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    TRY(expect_counts(c, node, index, 1, 0));
    const struct rk_node *arg = &graph->nodes[node->args[0]];
    node->kind = RK_FULL;
    if ((arg->kind == RK_UNIT || arg->kind == RK_FULL) && arg->width != node->width)
        return NODE_ERROR("widths differ");
    return RK_OK;
}

static enum rk_status check_part(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    TRY(expect_counts(c, node, index, 1, 1));
    TRY(check_full(c, graph, index, 0));
    node->kind = RK_FULL;
    int first = node->attrs[0], whole = graph->nodes[node->args[0]].width;
    if (first < 0 || node->width > whole || first > whole - node->width)
        return FORMAT(c, "graph: node %d (part) takes %d units from %d on of %d", index,
                      node->width, first, whole);
    return RK_OK;
}

static enum rk_status check_join(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    node->kind = RK_FULL;
    int64_t width = 0;
    if (node->n_args < 1 || node->n_attrs != 0)
        return NODE_ERROR("counts do not match");
    for (int a = 0; a < node->n_args; a++) {
        TRY(check_full(c, graph, index, a));
        width += graph->nodes[node->args[a]].width;
    }
    if (node->width != width)
        return NODE_ERROR("wrong width");
    return RK_OK;
}

static enum rk_status check_elementwise(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    TRY(expect_counts(c, node, index, elementwise_arity(node->op), 0));
    bool units = false, rows = false;
    int width = 1;
    for (int a = 0; a < node->n_args; a++) {
        const struct rk_node *arg = &graph->nodes[node->args[a]];
        bool has_units = arg->kind == RK_UNIT || arg->kind == RK_FULL;
        if (has_units && units && arg->width != width)
            return FORMAT(c, "graph: node %d (%s) mixes widths %d and %d", index,
                          rk_op_name(node->op), width, arg->width);
        if (has_units)
            width = arg->width;
        units |= has_units;
        rows |= arg->kind == RK_ROW || arg->kind == RK_FULL;
    }
    if (!units && !rows)
        return NODE_ERROR("arithmetic on constants must be folded");
    node->kind = units && rows ? RK_FULL : units ? RK_UNIT : RK_ROW;
    if (node->width != width)
        return NODE_ERROR("wrong width");
    return RK_OK;
}

static enum rk_status check_node(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    bool backward_only = node->op == RK_OP_grad_output || node->op == RK_OP_grad_state ||
                         node->op == RK_OP_linear_transposed ||
                         node->op == RK_OP_column_sum || node->op == RK_OP_weight_grad ||
                         node->op == RK_OP_vector_grad || node->op == RK_OP_share;
    if (backward_only && index < graph->n_forward)
        return NODE_ERROR("belongs to a backward part");
    for (int a = 0; a < node->n_args; a++)
        if (node->args[a] < 0 || node->args[a] >= index ||
            graph->nodes[node->args[a]].kind == RK_SINK)
            return NODE_ERROR("an argument is not an earlier value");
    if (node->width < 1 && node->op != RK_OP_weight_grad && node->op != RK_OP_vector_grad)
        return NODE_ERROR("width 0");
    if ((node->op >= 0 && node->op <= RK_OP_grad_state) || node->op == RK_OP_share)
        return check_leaf(c, graph, index);
    switch (node->op) {
    case RK_OP_linear:
    case RK_OP_linear_transposed:
        return check_linear(c, graph, index);
    case RK_OP_row_sum:
    case RK_OP_row_max:
    case RK_OP_column_sum:
        return check_reduction(c, graph, index);
    case RK_OP_weight_grad:
    case RK_OP_vector_grad:
        return check_sink(c, graph, index);
    case RK_OP_expand:
        return check_expand(c, graph, index);
    case RK_OP_part:
        return check_part(c, graph, index);
    case RK_OP_join:
        return check_join(c, graph, index);
    default:
        if (rk_op_is_elementwise(node->op))
            return check_elementwise(c, graph, index);
        return FORMAT(c, "graph: node %d has the unknown operation %d", index, node->op);
    }
}

static enum rk_status read_node(struct cursor *c, struct rk_graph *graph, int index)
{
    struct rk_node *node = &graph->nodes[index];
    TRY(read_word(c, "operation", 0, RK_N_VECTOR_OPS - 1, &node->op));
    TRY(read_word(c, "node width", 0, MAX_WIDTH, &node->width));
    TRY(read_list(c, "arguments", &node->n_args, &node->args));
    TRY(read_list(c, "attributes", &node->n_attrs, &node->attrs));
    return check_node(c, graph, index);
}

/* ------------------------------------------------------------------ results */

/* Whether a node may stand for a rows x units value of `width` (narrower kinds expand). */
static bool fits(const struct rk_node *node, int width)
{
    return node->kind == RK_CONST || node->kind == RK_ROW ||
           ((node->kind == RK_UNIT || node->kind == RK_FULL) && node->width == width);
}

static enum rk_status read_gradients(struct cursor *c, struct rk_graph *graph)
{
    if (graph->n_nodes == graph->n_forward)
        return RK_OK;
    TRY(read_word(c, "input gradient node", -1, graph->n_nodes - 1,
                  &graph->input_gradient));
    if (graph->input_gradient >= 0 &&
        !fits(&graph->nodes[graph->input_gradient], graph->input_width))
        return FORMAT(c, "graph: the input's gradient has a wrong width");
    for (int k = 0; k < graph->n_states; k++) {
        struct rk_state_spec *state = &graph->states[k];
        TRY(read_word(c, "state gradient node", -1, graph->n_nodes - 1, &state->gradient));
        if (state->gradient >= 0 && !fits(&graph->nodes[state->gradient], state->width))
            return FORMAT(c, "graph: the gradient of state %d has a wrong width", k);
    }
    return RK_OK;
}

static enum rk_status read_body(struct cursor *c, struct rk_graph *graph)
{
    for (int p = 0; p < graph->n_parameters; p++)
        TRY(read_parameter(c, &graph->parameters[p]));
    for (int k = 0; k < graph->n_states; k++)
        TRY(read_state(c, graph, &graph->states[k]));
    for (int i = 0; i < graph->n_nodes; i++)
        TRY(read_node(c, graph, i));
    for (int k = 0; k < graph->n_states; k++)
        if (!fits(&graph->nodes[graph->states[k].new_node], graph->states[k].width))
            return FORMAT(c, "graph: state %d becomes a value of another width", k);
    TRY(read_gradients(c, graph));
    if (c->at != c->n_words)
        return FORMAT(c, "graph: %zu words too many", c->n_words - c->at);
    return RK_OK;
}

enum rk_status rk_graph_read(struct rk_graph *graph, const int32_t *words, size_t n_words,
                             enum rk_dtype dtype, struct rk_error *error)
{
    *graph = (struct rk_graph){.input_gradient = -1};
    struct cursor cursor = {words, n_words, 0, dtype, error}, *c = &cursor;
    int version;
    TRY(read_word(c, "op-set version", 1, 1, &version));
    TRY(read_word(c, "number of parameters", 0, MAX_PARAMETERS, &graph->n_parameters));
    TRY(read_word(c, "number of states", 0, MAX_STATES, &graph->n_states));
    TRY(read_word(c, "input width", 1, MAX_WIDTH, &graph->input_width));
    TRY(read_word(c, "number of nodes", 1, MAX_NODES, &graph->n_nodes));
    TRY(read_word(c, "number of forward nodes", 1, graph->n_nodes, &graph->n_forward));
    TRY(read_word(c, "output node", 0, graph->n_forward - 1, &graph->output));
    if ((size_t)graph->n_nodes > n_words / 4)
        return FORMAT(c, "graph: %d nodes cannot stand in %zu words", graph->n_nodes,
                      n_words);

    graph->parameters =
        rk_alloc(sizeof *graph->parameters * (size_t)(graph->n_parameters + 1));
    graph->states = rk_alloc(sizeof *graph->states * (size_t)(graph->n_states + 1));
    graph->nodes = rk_alloc(sizeof *graph->nodes * (size_t)graph->n_nodes);
    graph->words = rk_alloc(sizeof *graph->words * n_words);
    enum rk_status status = RK_NOMEM;
    if (graph->parameters && graph->states && graph->nodes && graph->words) {
        memcpy(graph->words, words, sizeof *words * n_words);
        c->words = graph->words;
        status = read_body(c, graph);
    }
    if (status != RK_OK)
        rk_graph_free(graph);
    return status;
}

void rk_graph_free(struct rk_graph *graph)
{
    rk_free(graph->parameters);
    rk_free(graph->states);
    rk_free(graph->nodes);
    rk_free(graph->words);
    *graph = (struct rk_graph){.input_gradient = -1};
}
