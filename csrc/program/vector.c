/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Vector programs, block by block: an instruction is one call for a block of a few hundred
 * elements that stays in the first cache.
 */
#include "program/run.h"

/* Where in the window: one step (and its turn in running order), panels, rows. */
struct block {
    size_t step, turn, panel, n_panels, row, n_rows;
};

static char *address(const struct run *run, int view, const struct block *block)
{
    const struct rk_operand *operand = &run->operands[view];
    return rk_step_base(run, view, block->step, block->turn) +
           block->panel * operand->panel_stride + block->row * operand->row_stride;
}

static void run_mask(const struct run *run, const struct rk_instruction *instruction,
                     char *dst, const struct block *block)
{
    const struct rk_mask_spec *spec = &run->program->masks[instruction->mask];
    struct rk_mask mask = run->sequence->mask;
    mask.site += spec->site;
    mask.rate = spec->rate;
    uint32_t step = spec->per_sequence ? 0 : (uint32_t)block->step;
    size_t row = run->shard * rk_sequence_shard_rows(run->sequence) + block->row;
    run->kernels->mask(dst, &mask, step, row, block->n_rows, block->panel, block->n_panels);
}

static void run_block(const struct run *run, const struct rk_stage *stage,
                      const struct block *block, char *temporaries)
{
    const struct rk_kernels *kernels = run->kernels;
    size_t n_units = block->n_panels * block->n_rows;
    for (int i = 0; i < stage->n_items; i++) {
        const struct rk_instruction *instruction = &stage->u.instructions[i];
        char *at[4];
        const int operands[4] = {instruction->dst, instruction->src[0], instruction->src[1],
                                 instruction->src[2]};
        for (int j = 0; j < 4; j++)
            at[j] = operands[j] < 0 ? temporaries + (size_t)~operands[j] * RK_BLOCK_BYTES
                                    : address(run, operands[j], block);
        switch (instruction->op) {
        case RK_DO_EXPAND_UNIT:
            kernels->expand_unit(at[0], at[1], block->n_panels, block->n_rows);
            break;
        case RK_DO_EXPAND_ROW: {
            struct block first = *block; /* one a row: a single panel */
            first.panel = 0;
            kernels->expand_row(at[0], address(run, instruction->src[0], &first),
                                block->n_panels, block->n_rows);
            break;
        }
        case RK_DO_MASK:
            run_mask(run, instruction, at[0], block);
            break;
        default:
            kernels->vector[instruction->op](at[0], at[1], at[2], at[3],
                                             n_units * kernels->lanes);
        }
        if (instruction->clears_tail && block->panel + block->n_panels == stage->panels)
            kernels->clear_tail(at[0] + (block->n_panels - 1) * block->n_rows * RK_PANEL,
                                stage->width, block->n_rows);
    }
}

/* Rows [row0, row1) and panels [panel0, panel1) of one step, in blocks that are contiguous
 * in every operand: whole panels of all rows, or some rows of one panel. */
void rk_run_vector(const struct run *run, const struct rk_stage *stage, size_t step,
                   size_t turn, size_t row0, size_t row1, size_t panel0, size_t panel1,
                   size_t places)
{
    enum { TARGET = RK_BLOCK / 2 }; /* 1 KB an operand: a dozen of them fit the L1 cache */
    _Alignas(RK_PANEL) char temporaries[RK_MAX_TEMPORARIES * RK_BLOCK_BYTES];
    struct block block = {.step = step, .turn = turn};
    size_t n_rows = row1 - row0;
    if (n_rows == 0)
        return;
    bool whole = n_rows == places && n_rows <= TARGET;
    size_t panels_a_block = whole ? TARGET / n_rows : 1;
    size_t n_chunks = (n_rows + TARGET - 1) / TARGET;
    for (size_t panel = panel0; panel < panel1; panel += block.n_panels) {
        block.panel = panel;
        block.n_panels = panel1 - panel < panels_a_block ? panel1 - panel : panels_a_block;
        for (size_t chunk = 0; chunk < n_chunks; chunk++) {
            block.row = row0 + n_rows * chunk / n_chunks;
            block.n_rows = row0 + n_rows * (chunk + 1) / n_chunks - block.row;
            run_block(run, stage, &block, temporaries);
        }
    }
}
