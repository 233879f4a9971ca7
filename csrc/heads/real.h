/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single elements of arrays whose type is known at run time, for the few places that touch
 * one element a row. Through double and back a float is unchanged, and a sum or difference
 * of two floats taken in double rounds to the same float.
 */
#ifndef RK_REAL_H
#define RK_REAL_H

#include "base/base.h"

static inline double rk_real_get(enum rk_dtype dtype, const void *array, size_t index)
{
    return dtype == RK_FLOAT32 ? (double)((const float *)array)[index]
                               : ((const double *)array)[index];
}

static inline void rk_real_set(enum rk_dtype dtype, void *array, size_t index, double value)
{
    if (dtype == RK_FLOAT32)
        ((float *)array)[index] = (float)value;
    else
        ((double *)array)[index] = value;
}

#endif
