/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The workbench of lowering: the graph's nodes as values, with what has been found out
 * about each. Passes in order, run by lower.c: parts.c makes the values (values.c),
 * phases.c says when, fuse.c joins instructions, schedule.c says in which stage, place.c
 * where, emit.c writes the program. Private to csrc/program.
 */
#ifndef RK_LOWER_H
#define RK_LOWER_H

#include "program/lowered.h"

struct rk_value {
    struct rk_node node; /* args are indices of values                                   */
    int phase;    /* -1: a leaf, nothing to compute                                     */
    int base;     /* a linear that goes on from this value's sums; -1                   */
    int start;    /* a linear's sum of biases (a UNIT value); -1                        */
    int state;    /* writes the new value of this state; -1                             */
    int carry;    /* writes the gradient of this state; -1                              */
    bool pinned;  /* the caller reads it                                                */
    int level;    /* products and reductions that stand before it in its phase          */
    int stage;    /* index within its phase                                             */
    int order;    /* position in the whole program                                      */
    int last;     /* position of its last reader                                        */
    bool crossed; /* some reader looks at units or rows of other threads                */
    bool stored;  /* outlives its stage                                                 */
    bool has_steps;
    int view; /* where it stands, once placed; -1                                   */
};

struct rk_lowering {
    struct rk_program *program;
    const struct rk_graph *graph;
    struct rk_error *error;
    int n, capacity;
    int n_forward; /* values before this one are the forward part                        */
    struct rk_value *values;
    int *order_end; /* by phase: the position after its last value                       */
    int output, input_gradient;
};

/* Adds a value; -1 when there is no memory. `args` is copied. */
int rk_value_add(struct rk_lowering *l, struct rk_node node, const int32_t *args,
                 int phase);
/* A copy of a value, or its expansion to rows x units; in the loop, or after it where the
 * value itself comes after it. */
int rk_value_add_copy(struct rk_lowering *l, int value, int width, int loop);

bool rk_node_is_leaf(const struct rk_node *node);
bool rk_node_is_wide(const struct rk_node *node); /* has rows                      */
/* Product, reduction, sink, or units moved: it reads other units or rows than it writes. */
bool rk_node_is_heavy(const struct rk_node *node);
bool rk_value_is_heavy(const struct rk_value *value);
bool rk_value_is_loop(const struct rk_value *value);
static inline bool rk_value_is_vector(const struct rk_value *value)
{
    return value->phase >= 0 && !rk_value_is_heavy(value);
}

/* The rule of phases.c is applied to the forward part, then to the backward part. */
struct rk_mark {
    bool carried, needed, before, after, read_in_loop, read_after;
};

/* Values [first, last), the forward or the backward part. */
struct rk_range {
    int first, last;
    int carried_leaf; /* operation of what comes from the neighbouring step              */
    int pre;          /* its phases are pre, pre + 1 (loop), pre + 2 (post)              */
    struct rk_mark *marks;
};

/* `targets`: the values that go to the next step (-1: none). Leaves the marks in `r`. */
enum rk_status rk_classify(struct rk_lowering *l, struct rk_range *r, const int *targets,
                           int n_targets);
enum rk_status rk_classify_vectors(struct rk_lowering *l);
/* Gives linears their sums of biases, and splits those whose first terms are not carried.
 */
enum rk_status rk_complete_linears(struct rk_lowering *l, const struct rk_range *r);

enum rk_status rk_lower_parts(struct rk_lowering *l);
enum rk_status rk_lower_fuse(struct rk_lowering *l);
enum rk_status rk_lower_schedule(struct rk_lowering *l);
enum rk_status rk_lower_places(struct rk_lowering *l);
enum rk_status rk_lower_emit(struct rk_lowering *l);

/* The view of this kind, index and shift, made at the first call; -1: no memory. */
int rk_view_of(struct rk_lowering *l, enum rk_view_kind kind, int index, int shift);

#endif
