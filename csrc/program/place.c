/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where. What does not outlive its stage is a temporary. A new state stands in the state's
 * own row of steps. All else gets a slot; slots are handed on as soon as their last reader
 * has run, so that a gate's value overwrites the sum it came from, and its gradient the
 * gate. What other threads read keeps its slot until the phase ends.
 */
#include "program/lower.h"

/* -------------------------------------------------------------------- temporaries */

enum { MOST_LIVE = RK_MAX_TEMPORARIES - RK_N_SCRATCH };

/* Where too many values live at once in a stage, the newcomers are stored instead. */
static void limit_temporaries(struct rk_lowering *l, const int *by_order, int n_ordered)
{
    int live_until[MOST_LIVE];
    int phase = -1, stage = -1;
    for (int i = 0; i < n_ordered; i++) {
        struct rk_value *value = &l->values[by_order[i]];
        if (value->phase != phase || value->stage != stage)
            for (int t = 0; t < MOST_LIVE; t++)
                live_until[t] = -1;
        phase = value->phase;
        stage = value->stage;
        if (value->stored || !rk_value_is_vector(value))
            continue;
        int free = 0;
        while (free < MOST_LIVE && live_until[free] >= value->order)
            free++;
        if (free < MOST_LIVE)
            live_until[free] = value->last;
        else
            value->stored = true;
    }
}

/* -------------------------------------------------------------------------- slots */

struct slots {
    int n, capacity;
    struct rk_slot *list;
    int *free_at; /* position of the last reader of what stands there                    */
};

static int find_slot(const struct slots *slots, size_t panels, bool has_steps, int before)
{
    int best = -1;
    for (int s = 0; s < slots->n; s++)
        if (slots->list[s].panels == panels && slots->list[s].has_steps == has_steps &&
            slots->free_at[s] <= before &&
            (best < 0 || slots->free_at[s] > slots->free_at[best]))
            best = s; /* the one freed last is still in the cache */
    return best;
}

static int place_in_slot(struct rk_lowering *l, struct slots *slots,
                         const struct rk_value *value)
{
    size_t panels = rk_panels(l->program->dtype, (size_t)value->node.width);
    /* Elementwise values may overwrite what they read; products and reductions may not. */
    int before = value->order - (rk_value_is_heavy(value) ? 1 : 0);
    int slot = find_slot(slots, panels, value->has_steps, before);
    if (slot < 0) {
        slot = slots->n++;
        slots->list[slot] = (struct rk_slot){panels, value->has_steps};
    }
    slots->free_at[slot] = value->last;
    return rk_view_of(l, RK_VIEW_SLOT, slot, 0);
}

static int place_unit(struct rk_lowering *l, const struct rk_value *value)
{
    struct rk_program *program = l->program;
    program->unit_panels[program->n_units] =
        rk_panels(program->dtype, (size_t)value->node.width);
    return rk_view_of(l, RK_VIEW_UNIT, program->n_units++, 0);
}

static enum rk_status place(struct rk_lowering *l, struct slots *slots,
                            struct rk_value *value)
{
    bool has_place = true;
    if (value->node.kind == RK_SINK)
        has_place = false;
    else if (value->state >= 0)
        value->view = rk_view_of(l, RK_VIEW_STATE, value->state, 1);
    else if (value->carry >= 0)
        value->view = rk_view_of(l, RK_VIEW_CARRY, value->carry, 1);
    else if (!value->stored)
        has_place = false;
    else if (value->node.kind == RK_UNIT)
        value->view = place_unit(l, value);
    else if (value->base >= 0)
        value->view = l->values[value->base].view;
    else
        value->view = place_in_slot(l, slots, value);
    return has_place && value->view < 0 ? RK_NOMEM : RK_OK;
}

/* Values to compute, in the order of their positions. */
static int sort_by_order(const struct rk_lowering *l, int *by_order, int *at_position,
                         int n_positions)
{
    int n = 0;
    for (int p = 0; p < n_positions; p++)
        at_position[p] = -1;
    for (int i = 0; i < l->n; i++)
        if (l->values[i].phase >= 0)
            at_position[l->values[i].order] = i;
    for (int p = 0; p < n_positions; p++)
        if (at_position[p] >= 0)
            by_order[n++] = at_position[p];
    return n;
}

enum rk_status rk_lower_places(struct rk_lowering *l)
{
    struct rk_program *program = l->program;
    size_t n = (size_t)l->n + 1;
    int n_positions = l->order_end[RK_N_PHASES - 1] + 1;
    int *by_order = rk_program_alloc(program, n, sizeof *by_order);
    int *at_position = rk_program_alloc(program, (size_t)n_positions, sizeof *at_position);
    struct slots slots = {.list = rk_program_alloc(program, n, sizeof *slots.list),
                          .free_at = rk_program_alloc(program, n, sizeof *slots.free_at)};
    program->unit_panels = rk_program_alloc(program, n, sizeof *program->unit_panels);
    if (!by_order || !at_position || !slots.list || !slots.free_at || !program->unit_panels)
        return RK_NOMEM;

    /* A split linear lives on in the slot of its first half. */
    for (int i = 0; i < l->n; i++)
        if (l->values[i].base >= 0)
            l->values[l->values[i].base].last = l->values[i].last;
    /* Vectors stand in buffers of their own, even within one stage. */
    for (int i = 0; i < l->n; i++)
        if (l->values[i].node.kind == RK_UNIT)
            l->values[i].stored = true;

    int n_ordered = sort_by_order(l, by_order, at_position, n_positions);
    limit_temporaries(l, by_order, n_ordered);
    for (int i = 0; i < n_ordered; i++) {
        enum rk_status status = place(l, &slots, &l->values[by_order[i]]);
        if (status != RK_OK)
            return status;
    }
    program->slots = slots.list;
    program->n_slots = slots.n;
    return RK_OK;
}
