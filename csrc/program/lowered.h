/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What lowering makes and the interpreter runs: phases of stages over views of the window's
 * memory. Private to csrc/program.
 */
#ifndef RK_LOWERED_H
#define RK_LOWERED_H

#include "program/graph.h"

/* When something is computed. A phase around the loop runs stage by stage over all steps
 * and rows at once; a loop phase runs all its stages at each step. */
enum rk_phase {
    RK_WINDOW,      /* once a window: what depends on parameters alone                  */
    RK_FORWARD_PRE, /* what depends on the input alone, up to its last product          */
    RK_FORWARD_LOOP,
    RK_FORWARD_POST, /* what no later step needs                                         */
    RK_BACKWARD_PRE,
    RK_BACKWARD_LOOP, /* what the previous step's gradient needs                          */
    RK_BACKWARD_POST,
    RK_GRADIENTS, /* gradients of vectors, after the sums over all rows               */
    RK_N_PHASES,
};

/* Where a value stands. */
enum rk_view_kind {
    RK_VIEW_INPUT,           /* the caller's                                              */
    RK_VIEW_OUTPUT_GRADIENT, /* the caller's                                              */
    RK_VIEW_FLAG,            /* the caller's; index: which flag                           */
    RK_VIEW_STATE,           /* index: state; shift 0 before the step, 1 after it         */
    RK_VIEW_CARRY,           /* index: state; its gradient: shift 0 read, 1 written       */
    RK_VIEW_SLOT,            /* index: slot                                               */
    RK_VIEW_UNIT,            /* index: buffer of a vector computed once a window          */
    RK_VIEW_PARAMETER,       /* index: a vector parameter; shift: block                   */
    RK_VIEW_CONSTANT,        /* index: constant, a block full of it                       */
};

struct rk_view {
    enum rk_view_kind kind;
    int index, shift;
};

/* A view for one window: the address of (shard, step, panel, row) is base and each of them
 * times its stride. */
struct rk_operand {
    char *base;
    size_t shard_stride, step_stride, panel_stride, row_stride;
    bool alternates; /* two buffers in turn: the step counts modulo 2, in running order  */
    bool odd;        /* an alternating operand's turn                                     */
};

struct rk_slot {
    size_t panels;
    bool has_steps; /* one place a step, or one for all                                  */
};

/* Instructions of a vector program beside the elementwise ones. */
enum { RK_DO_EXPAND_UNIT = 1, RK_DO_EXPAND_ROW = 2, RK_DO_MASK = 3 };

/* Operands are views, or temporaries t as ~t. */
struct rk_instruction {
    int op;
    int dst, src[3];
    bool clears_tail; /* lanes beyond the width become zero                              */
    int mask;         /* RK_DO_MASK: index into the program's masks                       */
};

/* A share is divided by the rows of all steps of the window at hand. */
struct rk_constant {
    double number;
    bool is_share;
};

struct rk_mask_spec {
    uint32_t site;
    bool per_sequence;
    double rate;
};

/* Given repeats of the input (rk_repeats), some items run on distinct rows: their results
 * and operands then stand in the repeats' memory, at so many panels of n rows; -1: never.
 */
struct rk_factor {
    int operand; /* view                                                       */
    int repeats; /* place of the operand's sums over equal rows                */
    int parameter, block;
    bool transposed;
    size_t k;
};

struct rk_product_item {
    int dst, start; /* views; start -1: none                                             */
    int repeats;    /* place of the result                                               */
    bool accumulates;
    size_t panels;
    int n_factors;
    const struct rk_factor *factors;
};

struct rk_reduction_item {
    int op; /* row_sum, row_max or column_sum */
    int dst, src;
    size_t width, panels;
};

/* Units [from, from + n) of a value become units [to, to + n) of another. */
struct rk_move_item {
    int dst, src;
    size_t to, from, n;
    size_t panels;     /* of dst                                                          */
    size_t clear_tail; /* the last move into dst: its width, where that ends in a panel   */
};

/* A gradient: delta's outer product with the operand summed over all rows, or a vector. */
struct rk_gradient_item {
    int delta, operand;
    int repeats; /* place of delta's sums, when the operand is the input                 */
    int parameter, block;
    size_t panels, columns;
};

enum rk_stage_kind {
    RK_STAGE_VECTOR,
    RK_STAGE_PRODUCT,
    RK_STAGE_ROW_REDUCTION,
    RK_STAGE_MOVE,
    RK_STAGE_COLUMN_SUM,
    RK_STAGE_OUTER,
    RK_STAGE_VECTOR_GRADIENT,
};

struct rk_stage {
    enum rk_stage_kind kind;
    enum rk_kind domain;  /* vector programs: rows x units, one a row, one a unit         */
    bool crosses;         /* reads what other threads may have written in this phase      */
    size_t width, panels; /* vector programs                                              */
    int n_items;
    union {
        const struct rk_instruction *instructions;
        const struct rk_product_item *products;
        const struct rk_reduction_item *reductions;
        const struct rk_move_item *moves;
        const struct rk_gradient_item *gradients;
    } u;
};

struct rk_stages {
    int n;
    struct rk_stage *list;
};

/* Blocks of a vector program: this many panels of one row each, at most; temporaries of so
 * many bytes live on the stack of the thread that runs it. The first three are kept for
 * operands that have to be expanded. */
enum { RK_BLOCK = 32, RK_BLOCK_BYTES = RK_BLOCK * RK_PANEL };
enum { RK_MAX_TEMPORARIES = 24, RK_N_SCRATCH = 3 };

/* A gradient that is summed over equal rows: after the loop, before all else. */
struct rk_repeated_sum {
    int view, place;
    size_t panels;
};

struct rk_pool_block {
    struct rk_pool_block *next;
};

struct rk_program {
    enum rk_dtype dtype;
    struct rk_graph graph;
    struct rk_stages phases[RK_N_PHASES];
    int n_views, n_slots, n_units, n_constants, n_masks;
    struct rk_view *views;
    struct rk_slot *slots;
    size_t *unit_panels;
    struct rk_constant *constants;
    struct rk_mask_spec *masks;
    int output, input_gradient; /* views; -1: none                                       */
    bool can_train, reads_flags, is_masked, has_loop_product;
    int n_forward_repeats, n_backward_repeats; /* panels                                  */
    int n_repeated_sums;
    struct rk_repeated_sum *repeated_sums;
    bool reads_input, input_gradient_of_repeats;
    struct rk_pool_block *pool; /* everything above is in here                           */
};

void *rk_program_alloc(struct rk_program *program, size_t count, size_t size);
enum rk_status rk_lower(struct rk_program *program, struct rk_error *error);

/* The window's memory: operands of all views, what the shards share, then shard after shard
 * its states, carried gradients and slots (counted from the shard's start). */
struct rk_memory_plan {
    size_t operands, constants, units, shards;
    size_t states, carries, slots, shard_bytes;
    size_t total;
};
bool rk_memory_plan(const struct rk_program *program, size_t n_steps, size_t shard_rows,
                    size_t n_shards, struct rk_memory_plan *plan);

#endif
