/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A window's memory: where each view stands, and what the caller may ask for.
 */
#include "program/run.h"

size_t rk_sequence_shard_rows(const struct rk_sequence *sequence)
{
    return rk_shard_rows(sequence->batch, sequence->n_shards);
}

static void plan_memory(const struct rk_sequence *sequence, struct rk_memory_plan *plan)
{
    rk_memory_plan(sequence->program, sequence->n_steps, rk_sequence_shard_rows(sequence),
                   sequence->n_shards, plan);
}

struct rk_operand *rk_operands(const struct rk_sequence *sequence)
{
    return (struct rk_operand *)(void *)sequence->memory;
}

/* Bytes of a step of a state in one shard. */
static size_t state_bytes(const struct rk_sequence *sequence, size_t state)
{
    const struct rk_program *program = sequence->program;
    return rk_panels(program->dtype, rk_program_state_width(program, state)) *
           rk_sequence_shard_rows(sequence) * RK_PANEL;
}

/* One step of a state's, or a carried gradient's, that stands `before` bytes of a shard
 * after the first state. */
static struct rk_rows state_step(const struct rk_sequence *sequence, size_t before)
{
    struct rk_memory_plan plan;
    plan_memory(sequence, &plan);
    size_t rows = rk_sequence_shard_rows(sequence);
    return (struct rk_rows){.base = sequence->memory + plan.shards + before,
                            .panel_stride = rows * RK_PANEL,
                            .shard_rows = rows,
                            .shard_stride = plan.shard_bytes};
}

struct rk_rows rk_states_at(const struct rk_sequence *sequence, size_t state, size_t step)
{
    size_t before = step * state_bytes(sequence, state);
    for (size_t k = 0; k < state; k++)
        before += state_bytes(sequence, k) * (sequence->n_steps + 1);
    return state_step(sequence, before);
}

struct rk_rows rk_carries_at(const struct rk_sequence *sequence, size_t state, bool odd)
{
    struct rk_memory_plan plan;
    plan_memory(sequence, &plan);
    size_t before = plan.carries + odd * state_bytes(sequence, state);
    for (size_t k = 0; k < state; k++)
        before += state_bytes(sequence, k) * 2;
    return state_step(sequence, before);
}

/* ------------------------------------------------------------- around the two passes */

static struct rk_operand resolve(const struct rk_sequence *sequence,
                                 const struct rk_memory_plan *plan,
                                 const struct rk_view *view)
{
    const struct rk_program *program = sequence->program;
    size_t row_bytes = rk_sequence_shard_rows(sequence) * RK_PANEL;
    size_t index = (size_t)view->index;
    struct rk_operand operand = {.panel_stride = row_bytes,
                                 .row_stride = RK_PANEL,
                                 .shard_stride = plan->shard_bytes};
    switch (view->kind) {
    case RK_VIEW_INPUT:
        return rk_operand_of(&sequence->input);
    case RK_VIEW_OUTPUT_GRADIENT: /* at the start of the backward pass */
        break;
    case RK_VIEW_FLAG: {
        const char *flags =
            view->index == RK_FLAG_RESET ? sequence->resets : sequence->active;
        struct rk_rows rows = rk_sequence_rows(sequence, (char *)(uintptr_t)flags, 1);
        return rk_operand_of(&rows);
    }
    case RK_VIEW_STATE:
        operand.step_stride = state_bytes(sequence, index);
        operand.base =
            rk_states_at(sequence, index, (view->shift != 0) != sequence->reverse).base;
        break;
    case RK_VIEW_CARRY:
        operand.base = rk_carries_at(sequence, index, false).base;
        operand.step_stride = state_bytes(sequence, index);
        operand.alternates = true;
        operand.odd = view->shift != 0;
        break;
    case RK_VIEW_SLOT:
        operand.base = sequence->memory + plan->shards + plan->slots;
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

struct rk_operand rk_operand_of(const struct rk_rows *rows)
{
    return (struct rk_operand){.base = rows->base,
                               .step_stride = rows->step_stride,
                               .panel_stride = rows->panel_stride,
                               .row_stride = RK_PANEL,
                               .shard_stride = rows->shard_stride};
}

struct rk_rows rk_all_rows(const struct rk_sequence *sequence, int view)
{
    const struct rk_operand *operand = &rk_operands(sequence)[view];
    return (struct rk_rows){.base = operand->base,
                            .step_stride = operand->step_stride,
                            .panel_stride = operand->panel_stride,
                            .shard_rows = rk_sequence_shard_rows(sequence),
                            .shard_stride = operand->shard_stride};
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

struct rk_rows rk_sequence_rows(const struct rk_sequence *sequence, char *base,
                                size_t panels)
{
    size_t rows = rk_sequence_shard_rows(sequence), step = panels * rows * RK_PANEL;
    return (struct rk_rows){.base = base,
                            .step_stride = step,
                            .panel_stride = rows * RK_PANEL,
                            .shard_rows = rows,
                            .shard_stride = sequence->n_steps * step};
}

static void fill_constants(const struct rk_sequence *sequence, char *memory)
{
    const struct rk_program *program = sequence->program;
    double n_rows = (double)(sequence->n_steps * sequence->batch);
    for (int c = 0; c < program->n_constants; c++) {
        const struct rk_constant *constant = &program->constants[c];
        double value = constant->number / (constant->is_share ? n_rows : 1);
        sequence->kernels->fill(memory + (size_t)c * RK_BLOCK_BYTES, value,
                                RK_BLOCK * sequence->kernels->lanes);
    }
}

enum rk_status rk_sequence_init(struct rk_sequence *sequence, struct rk_error *error)
{
    const struct rk_program *program = sequence->program;
    struct rk_memory_plan plan;
    if (sequence->n_steps < 1 || sequence->batch < 1)
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is empty",
                       sequence->n_steps, sequence->batch);
    if (sequence->n_shards < 1 || sequence->n_shards > sequence->batch)
        return rk_fail(error, RK_INVALID, "%zu rows cannot be dealt to %zu shards",
                       sequence->batch, sequence->n_shards);
    if (!rk_memory_plan(program, sequence->n_steps, rk_sequence_shard_rows(sequence),
                        sequence->n_shards, &plan))
        return rk_fail(error, RK_INVALID, "a window of %zu steps x %zu rows is too large",
                       sequence->n_steps, sequence->batch);
    if (program->reads_flags && (!sequence->resets || !sequence->active))
        return rk_fail(error, RK_INVALID, "this program reads flags, and none are given");
    if (sequence->kernels->dtype != program->dtype)
        return rk_fail(error, RK_INVALID, "kernels and program differ in element type");
    if (sequence->input.panel_stride != rk_sequence_shard_rows(sequence) * RK_PANEL)
        return rk_fail(error, RK_INVALID, "the panels of the input are not contiguous");

    for (int v = 0; v < program->n_views; v++)
        rk_operands(sequence)[v] = resolve(sequence, &plan, &program->views[v]);
    fill_constants(sequence, sequence->memory + plan.constants);
    sequence->output = rk_all_rows(sequence, program->output);
    sequence->input_gradient = (struct rk_rows){0};
    if (program->input_gradient >= 0)
        sequence->input_gradient = rk_all_rows(sequence, program->input_gradient);
    sequence->input_gradient_of_repeats =
        sequence->repeats && program->input_gradient_of_repeats;
    if (sequence->input_gradient_of_repeats)
        sequence->input_gradient = repeats_gradient(sequence);
    return RK_OK;
}

struct rk_rows rk_sequence_final_state(const struct rk_sequence *sequence, size_t state)
{
    return rk_states_at(sequence, state, sequence->reverse ? 0 : sequence->n_steps);
}

struct rk_rows rk_sequence_initial_state_gradient(const struct rk_sequence *sequence,
                                                  size_t state)
{
    return rk_carries_at(sequence, state, sequence->n_steps & 1);
}
