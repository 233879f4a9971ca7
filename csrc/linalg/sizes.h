/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Arithmetic on counts.
 */
#ifndef RK_SIZES_H
#define RK_SIZES_H

#include <stddef.h>

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

#endif
