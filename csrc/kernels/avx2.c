/* SPDX-License-Identifier: BSD-3-Clause
 *
 * AVX2 with FMA: vectors of 32 bytes, 16 registers.
 */
#include "kernels/int8.h"
#include "kernels/names.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

#if defined(RK_HAS_X86)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

/* clang-format off */
#define RK_SET avx2
#define RK_ISA RK_AVX2
#define RK_VBYTES 32
#define RK_FMA 1
#define RK_X86(op) _mm256_##op

/* 12 accumulators and a panel of the weight; fewer rows take more panels. */
#define RK_PRODUCT_ROWS 6
#define RK_PRODUCT_PANELS 4
#define RK_PRODUCT_TILES(X)                                                                  \
    X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(5, 1) X(6, 1)
#define RK_OUTER_COLUMNS 6
#define RK_OUTER_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1)
#define RK_INT8_ROWS 2
#define RK_INT8_TILES(X) X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2)
/* clang-format on */

#include "kernels/instance.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
