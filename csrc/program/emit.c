/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values, stages and places become the program's lists.
 */
#include <string.h>

#include "program/lower.h"

int rk_view_of(struct rk_lowering *l, enum rk_view_kind kind, int index, int shift)
{
    struct rk_program *program = l->program;
    for (int v = 0; v < program->n_views; v++) {
        const struct rk_view *view = &program->views[v];
        if (view->kind == kind && view->index == index && view->shift == shift)
            return v;
    }
    enum { STEP = 64 };
    if (program->n_views % STEP == 0) {
        struct rk_view *grown =
            rk_program_alloc(program, (size_t)program->n_views + STEP, sizeof *grown);
        if (!grown)
            return -1;
        if (program->n_views)
            memcpy(grown, program->views, (size_t)program->n_views * sizeof *grown);
        program->views = grown;
    }
    program->views[program->n_views] = (struct rk_view){kind, index, shift};
    return program->n_views++;
}

static int constant_view(struct rk_lowering *l, const struct rk_node *node)
{
    struct rk_program *program = l->program;
    double number = rk_double_from_words(node->attrs[0], node->attrs[1]);
    bool is_share = node->op == RK_OP_share;
    int index = 0;
    while (index < program->n_constants &&
           (program->constants[index].is_share != is_share ||
            memcmp(&program->constants[index].number, &number, sizeof number) != 0))
        index++;
    if (index == program->n_constants)
        program->constants[program->n_constants++] =
            (struct rk_constant){.number = number, .is_share = is_share};
    return rk_view_of(l, RK_VIEW_CONSTANT, index, 0);
}

/* Where a value can be read; -1 when it is a temporary (or there is no memory). */
static int view_of_value(struct rk_lowering *l, int index)
{
    const struct rk_value *value = &l->values[index];
    const struct rk_node *node = &value->node;
    if (value->phase >= 0)
        return value->view;
    switch (node->op) {
    case RK_OP_input:
        return rk_view_of(l, RK_VIEW_INPUT, 0, 0);
    case RK_OP_state:
        return rk_view_of(l, RK_VIEW_STATE, node->attrs[0], 0);
    case RK_OP_vector:
        return rk_view_of(l, RK_VIEW_PARAMETER, node->attrs[0], node->attrs[1]);
    case RK_OP_constant:
    case RK_OP_share:
        return constant_view(l, node);
    case RK_OP_flag:
        return rk_view_of(l, RK_VIEW_FLAG, node->attrs[0], 0);
    case RK_OP_grad_output:
        return rk_view_of(l, RK_VIEW_OUTPUT_GRADIENT, 0, 0);
    default:
        return rk_view_of(l, RK_VIEW_CARRY, node->attrs[0], 0);
    }
}

/* ------------------------------------------------------------------ vector programs */

struct vector_emitter {
    struct rk_lowering *l;
    struct rk_instruction *list;
    int n;
    int *temporary; /* by value                                     */
    int live_until[RK_MAX_TEMPORARIES];
};

static struct rk_instruction *add_instruction(struct vector_emitter *e, int op, int dst)
{
    struct rk_instruction *instruction = &e->list[e->n++];
    *instruction = (struct rk_instruction){.op = op, .dst = dst, .mask = -1};
    return instruction;
}

static int take_temporary(struct vector_emitter *e, const struct rk_value *value)
{
    int t = RK_N_SCRATCH;
    while (t < RK_MAX_TEMPORARIES - 1 && e->live_until[t] >= value->order)
        t++;
    e->live_until[t] = value->last;
    return t;
}

/* The operand for one argument; narrower kinds are expanded into scratch number `nth`. */
static int operand(struct vector_emitter *e, const struct rk_value *value, int arg, int nth)
{
    const struct rk_value *source = &e->l->values[arg];
    e->l->program->reads_input |= source->node.op == RK_OP_input;
    int view = view_of_value(e->l, arg);
    if (view < 0)
        return ~e->temporary[arg];
    enum rk_kind kind = source->node.kind;
    if (value->node.kind != RK_FULL || kind == RK_FULL || kind == RK_CONST)
        return view;
    int op = kind == RK_UNIT ? RK_DO_EXPAND_UNIT : RK_DO_EXPAND_ROW;
    add_instruction(e, op, ~nth)->src[0] = view;
    return ~nth;
}

static void emit_instruction(struct vector_emitter *e, int index)
{
    struct rk_value *value = &e->l->values[index];
    struct rk_program *program = e->l->program;
    int src[3] = {0};
    for (int a = 0; a < value->node.n_args; a++)
        src[a] = operand(e, value, value->node.args[a], a);
    int dst = value->view;
    if (dst < 0)
        dst = ~(e->temporary[index] = take_temporary(e, value));
    int op = value->node.op == RK_OP_expand ? (int)RK_OP_stop_gradient : value->node.op;
    struct rk_instruction *instruction = add_instruction(e, op, dst);
    memcpy(instruction->src, src, sizeof src);
    instruction->clears_tail = value->view >= 0 && value->node.kind != RK_ROW &&
                               (size_t)value->node.width % rk_lanes(program->dtype) != 0;
    if (op == RK_OP_mask) {
        const int32_t *attrs = value->node.attrs;
        instruction->op = RK_DO_MASK;
        instruction->mask = program->n_masks;
        program->masks[program->n_masks++] =
            (struct rk_mask_spec){.site = (uint32_t)attrs[0],
                                  .per_sequence = attrs[1] != 0,
                                  .rate = rk_double_from_words(attrs[2], attrs[3])};
    }
}

/* -------------------------------------------------------------- repeats of the input */

static bool is_input(const struct rk_lowering *l, int value)
{
    return l->values[value].node.op == RK_OP_input;
}

/* Places of the forward and of the backward part are handed out in order; the two parts
 * share the memory. */
static int take_place(int *n_panels, size_t panels)
{
    int place = *n_panels;
    *n_panels += (int)panels;
    return place;
}

/* Place of the sums of `value` over equal rows, -1 where it has none: it must be complete
 * before the phase after the loop begins. */
static int repeated_sum(struct rk_lowering *l, int value)
{
    struct rk_program *program = l->program;
    const struct rk_value *delta = &l->values[value];
    if (delta->phase < RK_BACKWARD_PRE || delta->phase > RK_BACKWARD_LOOP ||
        delta->view < 0)
        return -1;
    for (int s = 0; s < program->n_repeated_sums; s++)
        if (program->repeated_sums[s].view == delta->view)
            return program->repeated_sums[s].place;
    size_t panels = rk_panels(program->dtype, (size_t)delta->node.width);
    int place = take_place(&program->n_backward_repeats, panels);
    program->repeated_sums[program->n_repeated_sums++] =
        (struct rk_repeated_sum){delta->view, place, panels};
    return place;
}

static bool has_reader(const struct rk_lowering *l, int value)
{
    for (int i = 0; i < l->n; i++)
        for (int a = 0; a < l->values[i].node.n_args; a++)
            if (l->values[i].phase >= 0 && l->values[i].node.args[a] == value)
                return true;
    return false;
}

/* A product of the input alone, before the loop. */
static bool is_product_of_input(const struct rk_lowering *l, const struct rk_value *value)
{
    bool all = value->phase == RK_FORWARD_PRE && value->node.op == RK_OP_linear;
    for (int a = 0; a < value->node.n_args; a++)
        all = all && is_input(l, value->node.args[a]);
    return all;
}

/* The gradient of the input, when it is a product that nothing else reads. */
static bool is_input_gradient(const struct rk_lowering *l, const struct rk_value *value)
{
    int index = (int)(value - l->values);
    return index == l->input_gradient && value->phase == RK_BACKWARD_POST &&
           value->node.op == RK_OP_linear_transposed && value->base < 0 &&
           !has_reader(l, index);
}

/* Whether the product can run on distinct rows, and where its result then stands. */
static int product_place(struct rk_lowering *l, const struct rk_value *value,
                         struct rk_factor *factors, size_t panels)
{
    struct rk_program *program = l->program;
    if (is_product_of_input(l, value))
        return take_place(&program->n_forward_repeats, panels);
    if (!is_input_gradient(l, value))
        return -1;
    for (int a = 0; a < value->node.n_args; a++) {
        factors[a].repeats = repeated_sum(l, value->node.args[a]);
        if (factors[a].repeats < 0)
            return -1;
    }
    program->input_gradient_of_repeats = true;
    return take_place(&program->n_backward_repeats, panels);
}

/* ------------------------------------------------------------------------ heavy stages */

static enum rk_status emit_product(struct rk_lowering *l, const struct rk_value *value,
                                   struct rk_product_item *item)
{
    const struct rk_node *node = &value->node;
    struct rk_program *program = l->program;
    struct rk_factor *factors =
        rk_program_alloc(program, (size_t)node->n_args, sizeof *factors);
    if (!factors)
        return RK_NOMEM;
    bool transposed = node->op == RK_OP_linear_transposed;
    const int32_t *pairs = transposed ? node->attrs : node->attrs + 1 + 2 * node->attrs[0];
    for (int a = 0; a < node->n_args; a++) {
        factors[a] = (struct rk_factor){.operand = view_of_value(l, node->args[a]),
                                        .repeats = -1,
                                        .parameter = pairs[2 * a],
                                        .block = pairs[2 * a + 1],
                                        .transposed = transposed,
                                        .k = (size_t)l->values[node->args[a]].node.width};
        if (factors[a].operand < 0)
            return RK_NOMEM;
        struct rk_parameter *p = &program->graph.parameters[factors[a].parameter];
        if (transposed)
            p->n_bytes_transposed =
                rk_transposed_size(program->dtype, p->blocks, p->width, p->columns);
        program->has_loop_product |= rk_value_is_loop(value);
    }
    size_t panels = rk_panels(program->dtype, (size_t)node->width);
    int repeats = product_place(l, value, factors, panels);
    for (int a = 0; a < node->n_args; a++)
        program->reads_input |= is_input(l, node->args[a]) && repeats < 0;
    *item = (struct rk_product_item){
        .dst = value->view,
        .repeats = repeats,
        .start = value->start < 0 ? -1 : view_of_value(l, value->start),
        .accumulates = value->base >= 0,
        .panels = panels,
        .n_factors = node->n_args,
        .factors = factors,
    };
    return RK_OK;
}

static void emit_reduction(struct rk_lowering *l, const struct rk_value *value,
                           struct rk_reduction_item *item)
{
    int arg = value->node.args[0];
    l->program->reads_input |= is_input(l, arg);
    size_t width = (size_t)l->values[arg].node.width;
    *item = (struct rk_reduction_item){.op = value->node.op,
                                       .dst = value->view,
                                       .src = view_of_value(l, arg),
                                       .width = width,
                                       .panels = rk_panels(l->program->dtype, width)};
}

/* One move for each value that is joined; returns how many. */
static int emit_moves(struct rk_lowering *l, const struct rk_value *value,
                      struct rk_move_item *items)
{
    const struct rk_node *node = &value->node;
    bool is_part = node->op == RK_OP_part;
    size_t width = (size_t)node->width, lanes = rk_lanes(l->program->dtype), to = 0;
    for (int a = 0; a < node->n_args; a++) {
        int arg = node->args[a];
        l->program->reads_input |= is_input(l, arg);
        items[a] = (struct rk_move_item){
            .dst = value->view,
            .src = view_of_value(l, arg),
            .to = to,
            .from = is_part ? (size_t)node->attrs[0] : 0,
            .n = is_part ? width : (size_t)l->values[arg].node.width,
            .panels = rk_panels(l->program->dtype, width),
            .clear_tail = a + 1 == node->n_args && width % lanes ? width : 0,
        };
        to += items[a].n;
    }
    return node->n_args;
}

static enum rk_status emit_move_stage(struct rk_lowering *l, struct rk_stage *stage,
                                      const int *members)
{
    size_t n = 0;
    for (int i = 0; i < stage->n_items; i++)
        n += (size_t)l->values[members[i]].node.n_args;
    struct rk_move_item *items = rk_program_alloc(l->program, n, sizeof *items);
    if (!items)
        return RK_NOMEM;
    int n_moves = 0;
    for (int i = 0; i < stage->n_items; i++)
        n_moves += emit_moves(l, &l->values[members[i]], items + n_moves);
    stage->u.moves = items;
    stage->n_items = n_moves;
    return RK_OK;
}

static void emit_gradient(struct rk_lowering *l, const struct rk_value *value,
                          struct rk_gradient_item *item)
{
    const struct rk_node *node = &value->node;
    const struct rk_parameter *p = &l->program->graph.parameters[node->attrs[0]];
    bool of_input = node->n_args > 1 && is_input(l, node->args[1]);
    int repeats =
        of_input && value->phase == RK_BACKWARD_POST ? repeated_sum(l, node->args[0]) : -1;
    l->program->reads_input |= of_input && repeats < 0;
    *item = (struct rk_gradient_item){
        .delta = view_of_value(l, node->args[0]),
        .operand = node->n_args > 1 ? view_of_value(l, node->args[1]) : -1,
        .repeats = repeats,
        .parameter = node->attrs[0],
        .block = node->attrs[1],
        .panels = rk_panels(l->program->dtype, p->width),
        .columns = p->columns,
    };
}

/* ------------------------------------------------------------------------------ stages */

/* Whether a reader must wait for what other threads write in its phase. */
static bool reads_across(const struct rk_lowering *l, const struct rk_value *reader)
{
    for (int a = 0; a < reader->node.n_args; a++) {
        const struct rk_value *arg = &l->values[reader->node.args[a]];
        bool same_domain =
            arg->node.kind == reader->node.kind && arg->node.width == reader->node.width;
        if (same_domain && !rk_value_is_heavy(reader))
            continue;
        bool written_here =
            arg->phase == reader->phase ||
            (rk_value_is_loop(reader) &&
             (arg->node.op == RK_OP_state || arg->node.op == RK_OP_grad_state));
        if (written_here)
            return true;
    }
    return false;
}

/* Values of a stage, in order. */
static int *stage_members(struct rk_lowering *l, int phase, int stage, int n_items)
{
    int *members = rk_program_alloc(l->program, (size_t)n_items + 1, sizeof *members);
    int n = 0;
    for (int i = 0; members && i < l->n; i++)
        if (l->values[i].phase == phase && l->values[i].stage == stage)
            members[n++] = i;
    for (int i = 1; members && i < n; i++) /* nearly sorted already */
        for (int j = i;
             j > 0 && l->values[members[j]].order < l->values[members[j - 1]].order; j--) {
            int swap = members[j];
            members[j] = members[j - 1];
            members[j - 1] = swap;
        }
    return members;
}

static enum rk_status emit_vector_stage(struct rk_lowering *l, struct rk_stage *stage,
                                        const int *members)
{
    struct vector_emitter e = {.l = l};
    size_t n = (size_t)stage->n_items;
    e.list = rk_program_alloc(l->program, 4 * n, sizeof *e.list);
    e.temporary = rk_program_alloc(l->program, (size_t)l->n, sizeof *e.temporary);
    if (!e.list || !e.temporary)
        return RK_NOMEM;
    memset(e.live_until, -1, sizeof e.live_until);
    for (size_t i = 0; i < n; i++)
        emit_instruction(&e, members[i]);
    stage->u.instructions = e.list;
    stage->n_items = e.n;
    return RK_OK;
}

static enum rk_status emit_heavy_stage(struct rk_lowering *l, struct rk_stage *stage,
                                       const int *members)
{
    size_t n = (size_t)stage->n_items;
    union {
        void *any;
        struct rk_product_item *products;
        struct rk_reduction_item *reductions;
        struct rk_gradient_item *gradients;
    } items = {rk_program_alloc(
        l->program, n, sizeof(struct rk_product_item) + sizeof(struct rk_gradient_item))};
    if (!items.any)
        return RK_NOMEM;
    enum rk_status status = RK_OK;
    for (size_t i = 0; i < n && status == RK_OK; i++) {
        const struct rk_value *value = &l->values[members[i]];
        if (stage->kind == RK_STAGE_PRODUCT)
            status = emit_product(l, value, &items.products[i]);
        else if (stage->kind == RK_STAGE_ROW_REDUCTION ||
                 stage->kind == RK_STAGE_COLUMN_SUM)
            emit_reduction(l, value, &items.reductions[i]);
        else
            emit_gradient(l, value, &items.gradients[i]);
    }
    if (stage->kind == RK_STAGE_PRODUCT)
        stage->u.products = items.products;
    else if (stage->kind == RK_STAGE_ROW_REDUCTION || stage->kind == RK_STAGE_COLUMN_SUM)
        stage->u.reductions = items.reductions;
    else
        stage->u.gradients = items.gradients;
    return status;
}

static enum rk_status emit_stage(struct rk_lowering *l, int phase, int index)
{
    struct rk_stage *stage = &l->program->phases[phase].list[index];
    int *members = stage_members(l, phase, index, stage->n_items);
    if (!members)
        return RK_NOMEM;
    for (int i = 0; i < stage->n_items; i++)
        stage->crosses |= reads_across(l, &l->values[members[i]]);
    switch (stage->kind) {
    case RK_STAGE_VECTOR:
        return emit_vector_stage(l, stage, members);
    case RK_STAGE_MOVE:
        return emit_move_stage(l, stage, members);
    default:
        return emit_heavy_stage(l, stage, members);
    }
}

enum rk_status rk_lower_emit(struct rk_lowering *l)
{
    struct rk_program *program = l->program;
    program->constants =
        rk_program_alloc(program, (size_t)l->n, sizeof *program->constants);
    program->masks = rk_program_alloc(program, (size_t)l->n, sizeof *program->masks);
    program->repeated_sums =
        rk_program_alloc(program, (size_t)l->n, sizeof *program->repeated_sums);
    if (!program->constants || !program->masks || !program->repeated_sums)
        return RK_NOMEM;
    for (int phase = 0; phase < RK_N_PHASES; phase++)
        for (int s = 0; s < program->phases[phase].n; s++) {
            enum rk_status status = emit_stage(l, phase, s);
            if (status != RK_OK)
                return status;
        }
    for (int i = 0; i < l->n; i++) {
        program->reads_flags |= l->values[i].node.op == RK_OP_flag;
        program->is_masked |= l->values[i].node.op == RK_OP_mask;
    }
    program->output = view_of_value(l, l->output);
    program->input_gradient =
        l->input_gradient < 0 ? -1 : view_of_value(l, l->input_gradient);
    return RK_OK;
}
