/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A program's life: made from words, asked for its shape, freed.
 */
#include "program/program.h"

#include "program/lowered.h"

void rk_program_free(struct rk_program *program)
{
    if (!program)
        return;
    rk_graph_free(&program->graph);
    for (struct rk_pool_block *block = program->pool; block;) {
        struct rk_pool_block *next = block->next;
        rk_free(block);
        block = next;
    }
    rk_free(program);
}

enum rk_status rk_program_create(struct rk_program **result, const int32_t *words,
                                 size_t n_words, enum rk_dtype dtype,
                                 struct rk_error *error)
{
    *result = NULL;
    struct rk_program *program = rk_alloc(sizeof *program);
    if (!program)
        return rk_fail(error, RK_NOMEM, "no memory for a program");
    program->dtype = dtype;
    enum rk_status status = rk_graph_read(&program->graph, words, n_words, dtype, error);
    if (status == RK_OK) {
        program->can_train = program->graph.n_nodes > program->graph.n_forward;
        status = rk_lower(program, error);
    }
    if (status != RK_OK) {
        rk_program_free(program);
        return status == RK_NOMEM ? rk_fail(error, status, "no memory for a program")
                                  : status;
    }
    *result = program;
    return RK_OK;
}

/* ----------------------------------------------------------------------- its shape */

enum rk_dtype rk_program_dtype(const struct rk_program *program)
{
    return program->dtype;
}

size_t rk_program_n_parameters(const struct rk_program *program)
{
    return (size_t)program->graph.n_parameters;
}

const struct rk_parameter *rk_program_parameter(const struct rk_program *program,
                                                size_t index)
{
    return &program->graph.parameters[index];
}

size_t rk_program_n_states(const struct rk_program *program)
{
    return (size_t)program->graph.n_states;
}

size_t rk_program_state_width(const struct rk_program *program, size_t state)
{
    return (size_t)program->graph.states[state].width;
}

double rk_program_state_initial(const struct rk_program *program, size_t state)
{
    return program->graph.states[state].initial;
}

size_t rk_program_input_width(const struct rk_program *program)
{
    return (size_t)program->graph.input_width;
}

size_t rk_program_output_width(const struct rk_program *program)
{
    return (size_t)program->graph.nodes[program->graph.output].width;
}

bool rk_program_can_train(const struct rk_program *program)
{
    return program->can_train;
}

bool rk_program_reads_flags(const struct rk_program *program)
{
    return program->reads_flags;
}

bool rk_program_is_masked(const struct rk_program *program)
{
    return program->is_masked;
}

bool rk_program_has_loop_product(const struct rk_program *program)
{
    return program->has_loop_product;
}

bool rk_program_uses_repeats(const struct rk_program *program)
{
    return program->n_forward_repeats > 0;
}

bool rk_program_reads_input(const struct rk_program *program)
{
    return program->reads_input;
}

/* ------------------------------------------------------------------ a window's memory */

/* n += a * b * c bytes, in whole panels */
static bool grow(size_t *n, size_t a, size_t b, size_t c)
{
    size_t size;
    if (!rk_mul(a, b, &size) || !rk_mul(size, c, &size) ||
        !rk_add(size, RK_PANEL - 1, &size))
        return false;
    return rk_add(*n, size / RK_PANEL * RK_PANEL, n);
}

/* States, carried gradients and slots of one shard. */
static bool plan_shard(const struct rk_program *program, size_t n_steps, size_t rows,
                       struct rk_memory_plan *plan)
{
    size_t n = 0, row_bytes, more_steps;
    if (!rk_mul(rows, RK_PANEL, &row_bytes) || !rk_add(n_steps, 1, &more_steps))
        return false;
    plan->states = n;
    for (size_t k = 0; k < rk_program_n_states(program); k++)
        if (!grow(&n, rk_panels(program->dtype, rk_program_state_width(program, k)),
                  row_bytes, more_steps))
            return false;
    plan->carries = n;
    for (size_t k = 0; program->can_train && k < rk_program_n_states(program); k++)
        if (!grow(&n, rk_panels(program->dtype, rk_program_state_width(program, k)),
                  row_bytes, 2))
            return false;
    plan->slots = n;
    for (int s = 0; s < program->n_slots; s++)
        if (!grow(&n, program->slots[s].panels, row_bytes,
                  program->slots[s].has_steps ? n_steps : 1))
            return false;
    plan->shard_bytes = n;
    return true;
}

bool rk_memory_plan(const struct rk_program *program, size_t n_steps, size_t shard_rows,
                    size_t n_shards, struct rk_memory_plan *plan)
{
    size_t n = 0;
    plan->operands = n;
    if (!grow(&n, (size_t)program->n_views, sizeof(struct rk_operand), 1))
        return false;
    plan->constants = n;
    if (!grow(&n, (size_t)program->n_constants, RK_BLOCK_BYTES, 1))
        return false;
    plan->units = n;
    for (int u = 0; u < program->n_units; u++)
        if (!grow(&n, program->unit_panels[u], RK_PANEL, 1))
            return false;
    plan->shards = n;
    if (!plan_shard(program, n_steps, shard_rows, plan) ||
        !grow(&n, plan->shard_bytes, n_shards, 1))
        return false;
    plan->total = n;
    return true;
}

size_t rk_shards(size_t batch, int n_threads)
{
    return batch / RK_LEAST_SHARD < (size_t)n_threads ? 1 : (size_t)n_threads;
}

bool rk_program_memory(const struct rk_program *program, size_t n_steps, size_t batch,
                       size_t *n_bytes)
{
    struct rk_memory_plan plan;
    if (batch > SIZE_MAX / 2 ||
        !rk_memory_plan(program, n_steps, rk_rows_bound(batch), 1, &plan))
        return false;
    *n_bytes = plan.total;
    return true;
}

bool rk_program_repeats_memory(const struct rk_program *program, size_t n, size_t *n_bytes)
{
    int most = program->n_forward_repeats > 2 * program->n_backward_repeats
                   ? program->n_forward_repeats
                   : 2 * program->n_backward_repeats;
    *n_bytes = 0;
    return grow(n_bytes, n, RK_PANEL, (size_t)most);
}
