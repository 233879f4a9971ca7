/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A cell's graph, read from words and checked. Private to csrc/program.
 */
#ifndef RK_GRAPH_H
#define RK_GRAPH_H

#include "program/program.h"

/* Primitives that are not elementwise; the others are enum rk_vector_op. */
enum rk_op {
    RK_OP_input = 0,
    RK_OP_state = 1,
    RK_OP_vector = 2,
    RK_OP_constant = 3,
    RK_OP_flag = 4,
    RK_OP_mask = 5,
    RK_OP_grad_output = 6,
    RK_OP_grad_state = 7,
    RK_OP_linear = 8,
    RK_OP_linear_transposed = 9,
    RK_OP_row_sum = 10,
    RK_OP_row_max = 11,
    RK_OP_column_sum = 12,
    RK_OP_weight_grad = 13,
    RK_OP_vector_grad = 14,
    RK_OP_expand = 15,
    RK_OP_part = 16,
    RK_OP_join = 17,
    RK_OP_share = 18,
};

enum { RK_FLAG_RESET = 0, RK_FLAG_ACTIVE = 1 };

/* How many values a node has: one, one a unit, one a row, rows x units; a sink has none. */
enum rk_kind { RK_CONST, RK_UNIT, RK_ROW, RK_FULL, RK_SINK };

struct rk_node {
    int op;
    enum rk_kind kind;
    int width;
    int n_args, n_attrs;
    const int32_t *args, *attrs;
};

struct rk_state_spec {
    int width;
    double initial;
    int new_node; /* its value after the step                                            */
    int gradient; /* gradient of its value before the step; -1: zero                     */
};

struct rk_graph {
    int n_parameters, n_states, n_nodes, n_forward;
    int input_width, output, input_gradient;
    struct rk_parameter *parameters;
    struct rk_state_spec *states;
    struct rk_node *nodes;
    int32_t *words; /* what args and attrs point into                                    */
};

enum rk_status rk_graph_read(struct rk_graph *graph, const int32_t *words, size_t n_words,
                             enum rk_dtype dtype, struct rk_error *error);
void rk_graph_free(struct rk_graph *graph);

bool rk_op_is_elementwise(int op);
const char *rk_op_name(int op);

/* A float64 from its two halves. */
double rk_double_from_words(int32_t low, int32_t high);

#endif
