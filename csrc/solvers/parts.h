/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a solver is made of, and how its parts find a gradient. Private to csrc/solvers.
 */
#ifndef RK_SOLVERS_PARTS_H
#define RK_SOLVERS_PARTS_H

#include "solvers/solver.h"

/* The arrays are cut into blocks, none across two tensors or through a line: a row of a
 * table, or a panel of a packed weight, with as many units as lanes. What is frozen has
 * none. Threads own blocks; the norm adds the blocks' sums in order, so that it does not
 * depend on who made them. */
struct rk_block {
    size_t offset, n_bytes, tensor;
};

struct rk_solver {
    const struct rk_kernels *kernels;
    struct rk_solver_options options;
    size_t n_tensors, n_blocks, n_bytes;
    struct rk_solver_tensor *tensors;
    struct rk_block *blocks;
    double *sums;         /* of a block's squares */
    char *first, *second; /* moments, laid out as the weights */
    uint64_t n_steps;

    /* A mean of gradients, laid out as the weights (accumulate.c); NULL where no gradient
     * was ever accumulated. */
    char *mean;
    const char **mean_values; /* by tensor, as struct rk_gradient has them */
    int32_t **mean_places;
    struct rk_gradient accumulated;
};

/* -------------------------------------------------- gradients by units (units.c) */

enum { RK_PIECE_BYTES = 4 << 10 }; /* of a panel whose units' gradients are gathered */

/* Units and bytes of a line of a tensor whose gradient comes by units. */
size_t rk_line_units(const struct rk_solver *solver, const struct rk_solver_tensor *tensor);
size_t rk_line_bytes(const struct rk_solver *solver, const struct rk_solver_tensor *tensor);
/* Whether any unit of a line has a gradient. */
bool rk_line_has_gradient(const struct rk_solver *solver,
                          const struct rk_gradient *gradient, size_t tensor, size_t line);
/* How much of a line is looked at together, from byte `at` on: of a row of a table all. */
size_t rk_line_piece(const struct rk_solver *solver, size_t tensor, size_t at);
/* The gradient of a line that has one, from byte `at` on: a row as it stands; of a panel a
 * piece, gathered from its units' places. */
const char *rk_line_gradient(const struct rk_solver *solver,
                             const struct rk_gradient *gradient, size_t tensor, size_t line,
                             size_t at, char piece[RK_PIECE_BYTES]);

/* The gradient of a block of a tensor that has it for all units. */
static inline const char *rk_block_gradient(const struct rk_solver *solver,
                                            const struct rk_gradient *gradient,
                                            const struct rk_block *block)
{
    size_t offset = solver->tensors[block->tensor].offset;
    return gradient->values[block->tensor] + (block->offset - offset);
}

void rk_solver_free_accumulated(struct rk_solver *solver);

#endif
