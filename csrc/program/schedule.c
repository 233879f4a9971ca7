/* SPDX-License-Identifier: BSD-3-Clause
 *
 * In which stage. Within a phase the heavy values stand in levels, by how many of them lead
 * to each other; what lies between is elementwise and runs as late as it can, beside its
 * readers, so that few values have to be kept from one stage to the next.
 */
#include <string.h>

#include "program/lower.h"

static void set_levels(struct rk_lowering *l, int phase)
{
    for (int i = 0; i < l->n; i++) {
        struct rk_value *value = &l->values[i];
        if (value->phase != phase)
            continue;
        for (int a = 0; a < value->node.n_args; a++) {
            const struct rk_value *arg = &l->values[value->node.args[a]];
            if (arg->phase == phase && arg->level > value->level)
                value->level = arg->level;
        }
        value->level += rk_value_is_heavy(value) ? 1 : 0;
    }
}

/* Elementwise values move down to the level of their first reader. */
static enum rk_status sink_levels(struct rk_lowering *l, int phase)
{
    int *latest = rk_program_alloc(l->program, (size_t)l->n, sizeof *latest);
    if (!latest)
        return RK_NOMEM;
    memset(latest, -1, (size_t)l->n * sizeof *latest);
    for (int i = l->n - 1; i >= 0; i--) {
        struct rk_value *value = &l->values[i];
        if (value->phase != phase)
            continue;
        bool heavy = rk_value_is_heavy(value);
        if (!heavy && latest[i] > value->level)
            value->level = latest[i];
        int limit = value->level - (heavy ? 1 : 0);
        for (int a = 0; a < value->node.n_args; a++) {
            int arg = value->node.args[a];
            if (latest[arg] < 0 || latest[arg] > limit)
                latest[arg] = limit;
        }
    }
    return RK_OK;
}

static enum rk_stage_kind heavy_stage(const struct rk_value *value)
{
    switch (value->node.op) {
    case RK_OP_row_sum:
    case RK_OP_row_max:
        return RK_STAGE_ROW_REDUCTION;
    case RK_OP_part:
    case RK_OP_join:
        return RK_STAGE_MOVE;
    case RK_OP_column_sum:
        return RK_STAGE_COLUMN_SUM;
    case RK_OP_weight_grad:
        return RK_STAGE_OUTER;
    case RK_OP_vector_grad:
        return RK_STAGE_VECTOR_GRADIENT;
    default:
        return RK_STAGE_PRODUCT;
    }
}

struct scheduler {
    struct rk_lowering *l;
    int phase;
    int n_stages, capacity;
    struct rk_stage *stages;
    int *order; /* the next position                                                     */
};

static struct rk_stage *add_stage(struct scheduler *s, enum rk_stage_kind kind)
{
    if (s->n_stages == s->capacity)
        return NULL;
    struct rk_stage *stage = &s->stages[s->n_stages++];
    stage->kind = kind;
    return stage;
}

static void place_last(struct scheduler *s, struct rk_value *value)
{
    value->stage = s->n_stages - 1;
    value->order = (*s->order)++;
    s->stages[value->stage].n_items++;
}

static enum rk_status schedule_heavy(struct scheduler *s, int level)
{
    for (int kind = RK_STAGE_PRODUCT; kind <= RK_STAGE_VECTOR_GRADIENT; kind++) {
        struct rk_stage *stage = NULL;
        for (int i = 0; i < s->l->n; i++) {
            struct rk_value *value = &s->l->values[i];
            if (value->phase != s->phase || value->level != level ||
                !rk_value_is_heavy(value) || heavy_stage(value) != (enum rk_stage_kind)kind)
                continue;
            if (!stage && !(stage = add_stage(s, (enum rk_stage_kind)kind)))
                return RK_NOMEM;
            place_last(s, value);
        }
    }
    return RK_OK;
}

static bool is_ready(const struct scheduler *s, const struct rk_value *value)
{
    for (int a = 0; a < value->node.n_args; a++) {
        const struct rk_value *arg = &s->l->values[value->node.args[a]];
        if (arg->phase == s->phase && arg->stage < 0)
            return false;
    }
    return true;
}

/* One stage: all values of the level that have this domain and width and are ready. */
static enum rk_status schedule_vector_stage(struct scheduler *s, int level, int first)
{
    const struct rk_node *like = &s->l->values[first].node;
    struct rk_stage *stage = add_stage(s, RK_STAGE_VECTOR);
    if (!stage)
        return RK_NOMEM;
    stage->domain = like->kind;
    stage->width = (size_t)like->width;
    stage->panels = rk_panels(s->l->program->dtype, stage->width);
    for (int i = first; i < s->l->n; i++) {
        struct rk_value *value = &s->l->values[i];
        if (value->phase == s->phase && value->level == level &&
            rk_value_is_vector(value) && value->stage < 0 &&
            value->node.kind == like->kind && value->node.width == like->width &&
            is_ready(s, value))
            place_last(s, value);
    }
    return RK_OK;
}

static enum rk_status schedule_vectors(struct scheduler *s, int level)
{
    for (bool found = true; found;) {
        found = false;
        for (int i = 0; i < s->l->n && !found; i++) {
            const struct rk_value *value = &s->l->values[i];
            if (value->phase != s->phase || value->level != level ||
                !rk_value_is_vector(value) || value->stage >= 0 || !is_ready(s, value))
                continue;
            enum rk_status status = schedule_vector_stage(s, level, i);
            if (status != RK_OK)
                return status;
            found = true;
        }
    }
    return RK_OK;
}

static enum rk_status schedule_phase(struct rk_lowering *l, int phase, int *order)
{
    int most = 0, count = 0;
    set_levels(l, phase);
    enum rk_status status = sink_levels(l, phase);
    for (int i = 0; i < l->n; i++) {
        if (l->values[i].phase != phase)
            continue;
        l->values[i].stage = -1;
        count++;
        if (l->values[i].level > most)
            most = l->values[i].level;
    }
    struct rk_stages *stages = &l->program->phases[phase];
    stages->list = rk_program_alloc(l->program, (size_t)count + 1, sizeof *stages->list);
    if (!stages->list)
        return RK_NOMEM;
    struct scheduler s = {l, phase, 0, count, stages->list, order};
    for (int level = 0; level <= most && status == RK_OK; level++) {
        status = schedule_heavy(&s, level);
        if (status == RK_OK)
            status = schedule_vectors(&s, level);
    }
    stages->n = s.n_stages;
    l->order_end[phase] = ++*order;
    return status;
}

/* ------------------------------------------------------- who reads what, and until when */

static bool same_domain(const struct rk_value *a, const struct rk_value *b)
{
    return a->node.kind == b->node.kind && a->node.width == b->node.width;
}

static void note_reader(struct rk_lowering *l, struct rk_value *value,
                        const struct rk_value *reader)
{
    bool same_stage = reader->phase == value->phase && reader->stage == value->stage;
    bool across = rk_value_is_heavy(reader) || !same_domain(value, reader);
    if (!same_stage)
        value->stored = true;
    if (reader->phase != value->phase || !rk_value_is_loop(value))
        value->has_steps = true;
    if (across)
        value->crossed = value->has_steps = true;
    int until = across ? l->order_end[reader->phase] : reader->order;
    if (until > value->last)
        value->last = until;
}

static void note_readers(struct rk_lowering *l)
{
    for (int i = 0; i < l->n; i++) {
        const struct rk_value *reader = &l->values[i];
        if (reader->phase < 0)
            continue;
        for (int a = 0; a < reader->node.n_args; a++)
            if (l->values[reader->node.args[a]].phase >= 0)
                note_reader(l, &l->values[reader->node.args[a]], reader);
    }
    for (int i = 0; i < l->n; i++) {
        struct rk_value *value = &l->values[i];
        if (value->phase < 0)
            continue;
        if (value->last < value->order)
            value->last = value->order;
        if (rk_value_is_heavy(value))
            value->stored = true;
        if (value->pinned) {
            value->stored = value->has_steps = true;
            value->last = l->order_end[RK_N_PHASES - 1];
        }
        if (!rk_value_is_loop(value))
            value->has_steps = true;
        if (value->base >= 0)
            value->has_steps = true;
    }
}

enum rk_status rk_lower_schedule(struct rk_lowering *l)
{
    int order = 0;
    l->order_end = rk_program_alloc(l->program, RK_N_PHASES, sizeof *l->order_end);
    if (!l->order_end)
        return RK_NOMEM;
    for (int phase = 0; phase < RK_N_PHASES; phase++) {
        enum rk_status status = schedule_phase(l, phase, &order);
        if (status != RK_OK)
            return status;
    }
    note_readers(l);
    return RK_OK;
}
