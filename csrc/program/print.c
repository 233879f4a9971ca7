/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A program in readable lines: its phases, their stages, what each reads and writes.
 */
#include <stdarg.h>
#include <stdio.h>

#include "program/lowered.h"

struct page {
    char *text;
    size_t capacity, length; /* length: as if there were room for all of it              */
};

static void put(struct page *page, const char *format, ...) RK_PRINTF(2, 3);

static void put(struct page *page, const char *format, ...)
{
    va_list arguments;
    size_t room = page->length < page->capacity ? page->capacity - page->length : 0;
    va_start(arguments, format);
    int n = vsnprintf(room ? page->text + page->length : NULL, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        page->length += (size_t)n;
}

static void put_operand(struct page *page, const struct rk_program *program, int operand)
{
    if (operand < 0) {
        put(page, "t%d", ~operand);
        return;
    }
    const struct rk_view *view = &program->views[operand];
    switch (view->kind) {
    case RK_VIEW_INPUT:
        put(page, "x");
        break;
    case RK_VIEW_OUTPUT_GRADIENT:
        put(page, "dy");
        break;
    case RK_VIEW_FLAG:
        put(page, view->index == RK_FLAG_RESET ? "reset" : "active");
        break;
    case RK_VIEW_STATE:
        put(page, "s%d%s", view->index, view->shift ? "'" : "");
        break;
    case RK_VIEW_CARRY:
        put(page, "d%d%s", view->index, view->shift ? "" : "'");
        break;
    case RK_VIEW_SLOT:
        put(page, program->slots[view->index].has_steps ? "a%d" : "b%d", view->index);
        break;
    case RK_VIEW_UNIT:
        put(page, "u%d", view->index);
        break;
    case RK_VIEW_PARAMETER:
        put(page, "p%d.%d", view->index, view->shift);
        break;
    case RK_VIEW_CONSTANT:
        put(page, program->constants[view->index].is_share ? "%.9g/n" : "%.9g",
            program->constants[view->index].number);
        break;
    }
}

static int n_operands(int op)
{
    switch (op) {
    case RK_DO_EXPAND_UNIT:
    case RK_DO_EXPAND_ROW:
        return 1;
#define X(name, number, operands)                                                          \
    case number:                                                                           \
        return operands;
        RK_VECTOR_OPS(X)
#undef X
    default:
        return 0;
    }
}

static const char *instruction_name(int op)
{
    switch (op) {
    case RK_DO_EXPAND_UNIT:
        return "expand_unit";
    case RK_DO_EXPAND_ROW:
        return "expand_row";
    case RK_DO_MASK:
        return "mask";
    default:
        return rk_op_name(op);
    }
}

static void put_instruction(struct page *page, const struct rk_program *program,
                            const struct rk_instruction *instruction)
{
    put(page, "    ");
    put_operand(page, program, instruction->dst);
    put(page, " = %s", instruction_name(instruction->op));
    for (int a = 0; a < n_operands(instruction->op); a++) {
        put(page, a ? ", " : " ");
        put_operand(page, program, instruction->src[a]);
    }
    put(page, "\n");
}

static void put_product(struct page *page, const struct rk_program *program,
                        const struct rk_product_item *item)
{
    put(page, "    ");
    put_operand(page, program, item->dst);
    put(page, item->accumulates ? " += " : " = ");
    if (item->start >= 0)
        put_operand(page, program, item->start);
    for (int f = 0; f < item->n_factors; f++) {
        const struct rk_factor *factor = &item->factors[f];
        put(page, "%sp%d.%d%s ", f || item->start >= 0 ? " + " : "", factor->parameter,
            factor->block, factor->transposed ? "^T" : "");
        put_operand(page, program, factor->operand);
    }
    put(page, "\n");
}

static void put_item(struct page *page, const struct rk_program *program,
                     const struct rk_stage *stage, int i)
{
    if (stage->kind == RK_STAGE_VECTOR) {
        put_instruction(page, program, &stage->u.instructions[i]);
    } else if (stage->kind == RK_STAGE_PRODUCT) {
        put_product(page, program, &stage->u.products[i]);
    } else if (stage->kind == RK_STAGE_ROW_REDUCTION ||
               stage->kind == RK_STAGE_COLUMN_SUM) {
        const struct rk_reduction_item *item = &stage->u.reductions[i];
        put(page, "    ");
        put_operand(page, program, item->dst);
        put(page, " = %s ", rk_op_name(item->op));
        put_operand(page, program, item->src);
        put(page, "\n");
    } else if (stage->kind == RK_STAGE_MOVE) {
        const struct rk_move_item *item = &stage->u.moves[i];
        put(page, "    ");
        put_operand(page, program, item->dst);
        put(page, "[%zu:%zu] = ", item->to, item->to + item->n);
        put_operand(page, program, item->src);
        put(page, "[%zu:%zu]\n", item->from, item->from + item->n);
    } else {
        const struct rk_gradient_item *item = &stage->u.gradients[i];
        put(page, "    dp%d.%d += ", item->parameter, item->block);
        put_operand(page, program, item->delta);
        if (item->operand >= 0) {
            put(page, " x ");
            put_operand(page, program, item->operand);
        }
        put(page, "\n");
    }
}

static void put_stage(struct page *page, const struct rk_program *program,
                      const struct rk_stage *stage)
{
    static const char *const names[] = {
        "vector program",   "product",         "row reduction",  "units moved",
        "column reduction", "weight gradient", "vector gradient"};
    put(page, "  %s", names[stage->kind]);
    if (stage->kind == RK_STAGE_VECTOR) {
        static const char *const domains[] = {"", ", one a unit", ", one a row", ""};
        put(page, " over %zu units%s", stage->width, domains[stage->domain]);
    }
    put(page, "%s\n", stage->crosses ? " (reads across units)" : "");
    for (int i = 0; i < stage->n_items; i++)
        put_item(page, program, stage, i);
}

size_t rk_program_print(const struct rk_program *program, char *text, size_t capacity)
{
    static const char *const names[] = {
        "once a window",
        "forward, before the loop",
        "forward, at each step",
        "forward, after the loop",
        "backward, before the loop",
        "backward, at each step",
        "backward, after the loop",
        "gradients of vectors",
    };
    struct page page = {text, capacity, 0};
    if (capacity)
        text[0] = '\0';
    for (int phase = 0; phase < RK_N_PHASES; phase++) {
        if (program->phases[phase].n == 0)
            continue;
        put(&page, "%s:\n", names[phase]);
        for (int s = 0; s < program->phases[phase].n; s++)
            put_stage(&page, program, &program->phases[phase].list[s]);
    }
    return page.length;
}
