/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradients by units: most of a tensor's lines have none.
 */
#include <string.h>

#include "linalg/linalg.h"
#include "solvers/parts.h"

size_t rk_line_units(const struct rk_solver *solver, const struct rk_solver_tensor *tensor)
{
    return tensor->is_table ? 1 : solver->kernels->lanes;
}

size_t rk_line_bytes(const struct rk_solver *solver, const struct rk_solver_tensor *tensor)
{
    size_t units = rk_line_units(solver, tensor);
    return tensor->n_bytes / ((tensor->n_units + units - 1) / units);
}

bool rk_line_has_gradient(const struct rk_solver *solver,
                          const struct rk_gradient *gradient, size_t tensor, size_t line)
{
    const struct rk_solver_tensor *rules = &solver->tensors[tensor];
    size_t units = rk_line_units(solver, rules), unit = line * units;
    size_t end = unit + units < rules->n_units ? unit + units : rules->n_units;
    while (unit < end && gradient->places[tensor][unit] == 0)
        unit++;
    return unit < end;
}

size_t rk_line_piece(const struct rk_solver *solver, size_t tensor, size_t at)
{
    const struct rk_solver_tensor *rules = &solver->tensors[tensor];
    size_t left = rk_line_bytes(solver, rules) - at;
    return left < RK_PIECE_BYTES || rules->is_table ? left : RK_PIECE_BYTES;
}

const char *rk_line_gradient(const struct rk_solver *solver,
                             const struct rk_gradient *gradient, size_t tensor, size_t line,
                             size_t at, char piece[RK_PIECE_BYTES])
{
    const struct rk_solver_tensor *rules = &solver->tensors[tensor];
    const int32_t *places = gradient->places[tensor];
    const char *values = gradient->values[tensor];
    size_t lanes = solver->kernels->lanes, line_size = rk_line_bytes(solver, rules);
    if (rules->is_table)
        return values + (size_t)(places[line] - 1) * line_size;
    size_t columns = rk_line_piece(solver, tensor, at) / RK_PANEL;
    memset(piece, 0, columns * RK_PANEL);
    for (size_t lane = 0; lane < lanes && line * lanes + lane < rules->n_units; lane++) {
        size_t place = (size_t)places[line * lanes + lane];
        if (place)
            rk_unit_copy(solver->kernels->dtype, piece, lane,
                         values + (place - 1) / lanes * line_size + at, (place - 1) % lanes,
                         columns, 0, columns);
    }
    return piece;
}
