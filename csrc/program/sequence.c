/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A window's memory: where each view stands, and what the caller may ask for.
 */
#include "program/run.h"

size_t rk_state_bytes(const struct rk_sequence *sequence, size_t state)
{
    const struct rk_program *program = sequence->program;
    return rk_panels(program->dtype, rk_program_state_width(program, state)) *
           sequence->batch * RK_PANEL;
}

char *rk_states_base(const struct rk_sequence *sequence, size_t state)
{
    struct rk_memory_plan plan;
    rk_memory_plan(sequence->program, sequence->n_steps, sequence->batch, &plan);
    char *base = sequence->memory + plan.states;
    for (size_t k = 0; k < state; k++)
        base += rk_state_bytes(sequence, k) * (sequence->n_steps + 1);
    return base;
}

char *rk_carries_base(const struct rk_sequence *sequence, size_t state)
{
    struct rk_memory_plan plan;
    rk_memory_plan(sequence->program, sequence->n_steps, sequence->batch, &plan);
    char *base = sequence->memory + plan.carries;
    for (size_t k = 0; k < state; k++)
        base += rk_state_bytes(sequence, k) * 2;
    return base;
}

/* ------------------------------------------------------------- around the two passes */

static struct rk_operand resolve(const struct rk_sequence *sequence,
                                 const struct rk_memory_plan *plan,
                                 const struct rk_view *view)
{
    const struct rk_program *program = sequence->program;
    size_t row_bytes = sequence->batch * RK_PANEL, index = (size_t)view->index;
    struct rk_operand operand = {.panel_stride = row_bytes, .row_stride = RK_PANEL};
    switch (view->kind) {
    case RK_VIEW_INPUT:
        operand.base = sequence->input.base;
        operand.step_stride = sequence->input.step_stride;
        break;
    case RK_VIEW_OUTPUT_GRADIENT: /* at the start of the backward pass */
        break;
    case RK_VIEW_FLAG: {
        const char *flags =
            view->index == RK_FLAG_RESET ? sequence->resets : sequence->active;
        operand.base = (char *)(uintptr_t)flags;
        operand.step_stride = row_bytes;
        break;
    }
    case RK_VIEW_STATE:
        operand.step_stride = rk_state_bytes(sequence, index);
        operand.base = rk_states_base(sequence, index) +
                       ((view->shift != 0) != sequence->reverse ? operand.step_stride : 0);
        break;
    case RK_VIEW_CARRY:
        operand.base = rk_carries_base(sequence, index);
        operand.step_stride = rk_state_bytes(sequence, index);
        operand.alternates = true;
        operand.odd = view->shift != 0;
        break;
    case RK_VIEW_SLOT:
        operand.base = sequence->memory + plan->slots;
        for (size_t s = 0; s < index; s++)
            operand.base += program->slots[s].panels * row_bytes *
                            (program->slots[s].has_steps ? sequence->n_steps : 1);
        if (program->slots[index].has_steps)
            operand.step_stride = program->slots[index].panels * row_bytes;
        break;
    case RK_VIEW_UNIT:
        operand = (struct rk_operand){.base = sequence->memory + plan->units,
                                      .panel_stride = RK_PANEL};
        for (size_t u = 0; u < index; u++)
            operand.base += program->unit_panels[u] * RK_PANEL;
        break;
    case RK_VIEW_PARAMETER: {
        size_t panels = rk_panels(program->dtype, program->graph.parameters[index].width);
        const char *vector =
            sequence->parameters[index] + (size_t)view->shift * panels * RK_PANEL;
        operand = (struct rk_operand){.base = (char *)(uintptr_t)vector,
                                      .panel_stride = RK_PANEL};
        break;
    }
    case RK_VIEW_CONSTANT:
        operand = (struct rk_operand){.base = sequence->memory + plan->constants +
                                              index * RK_BLOCK_BYTES};
        break;
    }
    return operand;
}

/* Where the gradient of the distinct rows will stand. */
static struct rk_rows repeats_gradient(const struct rk_sequence *sequence)
{
    const struct rk_stages *stages = &sequence->program->phases[RK_BACKWARD_POST];
    struct run run = {.sequence = sequence};
    for (int s = 0; s < stages->n; s++)
        for (int i = 0;
             stages->list[s].kind == RK_STAGE_PRODUCT && i < stages->list[s].n_items; i++)
            if (stages->list[s].u.products[i].repeats >= 0)
                return rk_repeats_at(&run, stages->list[s].u.products[i].repeats);
    return (struct rk_rows){0};
}

static struct rk_rows rows_of(const struct rk_operand *operand)
{
    return (struct rk_rows){operand->base, operand->step_stride, operand->panel_stride};
}

enum rk_status rk_sequence_init(struct rk_sequence *sequence, struct rk_error *error)
{
    const struct rk_program *program = sequence->program;
    struct rk_memory_plan plan;
    if (sequence->n_steps < 1 || sequence->batch < 1)
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is empty",
                       sequence->n_steps, sequence->batch);
    if (!rk_memory_plan(program, sequence->n_steps, sequence->batch, &plan))
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is too large",
                       sequence->n_steps, sequence->batch);
    if (program->reads_flags && (!sequence->resets || !sequence->active))
        return rk_fail(error, RK_INVALID, "this program reads flags, and none are given");
    if (sequence->kernels->dtype != program->dtype)
        return rk_fail(error, RK_INVALID, "kernels and program differ in element type");
    if (sequence->input.panel_stride != sequence->batch * RK_PANEL)
        return rk_fail(error, RK_INVALID, "the panels of the input are not contiguous");

    struct rk_operand *operands = (struct rk_operand *)(void *)sequence->memory;
    for (int v = 0; v < program->n_views; v++)
        operands[v] = resolve(sequence, &plan, &program->views[v]);
    for (int c = 0; c < program->n_constants; c++)
        sequence->kernels->fill(sequence->memory + plan.constants +
                                    (size_t)c * RK_BLOCK_BYTES,
                                program->constants[c], RK_BLOCK * sequence->kernels->lanes);
    sequence->output = rows_of(&operands[program->output]);
    sequence->input_gradient = (struct rk_rows){0};
    if (program->input_gradient >= 0)
        sequence->input_gradient = rows_of(&operands[program->input_gradient]);
    sequence->input_gradient_of_repeats =
        sequence->repeats && program->input_gradient_of_repeats;
    if (sequence->input_gradient_of_repeats)
        sequence->input_gradient = repeats_gradient(sequence);
    return RK_OK;
}

struct rk_rows rk_sequence_states(const struct rk_sequence *sequence, size_t state)
{
    size_t n_bytes = rk_state_bytes(sequence, state);
    return (struct rk_rows){rk_states_base(sequence, state) +
                                (sequence->reverse ? n_bytes : 0),
                            n_bytes, sequence->batch * RK_PANEL};
}

const char *rk_sequence_final_state(const struct rk_sequence *sequence, size_t state)
{
    size_t last = sequence->reverse ? 0 : sequence->n_steps;
    return rk_states_base(sequence, state) + last * rk_state_bytes(sequence, state);
}

const char *rk_sequence_initial_state_gradient(const struct rk_sequence *sequence,
                                               size_t state)
{
    return rk_carries_base(sequence, state) +
           (sequence->n_steps & 1) * rk_state_bytes(sequence, state);
}
