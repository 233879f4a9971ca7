/* SPDX-License-Identifier: BSD-3-Clause
 *
 * AVX-512 (F, DQ, BW, VL): a vector is a panel, 32 registers.
 */
#include "kernels/int8.h"
#include "kernels/names.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

#if defined(RK_HAS_X86)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                              \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))),                \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif

/* clang-format off */
#define RK_SET avx512
#define RK_ISA RK_AVX512
#define RK_VBYTES 64
#define RK_FMA 1
#define RK_X86(op) _mm512_##op

/* Up to 28 accumulators: two panels share a row's broadcast; fewer rows take more panels. */
#define RK_PRODUCT_ROWS 14
#define RK_PRODUCT_PANELS 8
#define RK_PRODUCT_TILES(X)                                                                  \
    X(1, 1) X(1, 2) X(1, 4) X(1, 8) X(2, 1) X(2, 2) X(2, 4) X(2, 8)                          \
    X(3, 1) X(3, 2) X(3, 4) X(3, 8) X(4, 1) X(4, 2) X(4, 4) X(5, 1) X(5, 2) X(5, 4)          \
    X(6, 1) X(6, 2) X(6, 4) X(7, 1) X(7, 2) X(8, 1) X(8, 2) X(9, 1) X(9, 2)                  \
    X(10, 1) X(10, 2) X(11, 1) X(11, 2) X(12, 1) X(12, 2) X(13, 1) X(13, 2) X(14, 1) X(14, 2)
#define RK_OUTER_COLUMNS 8
#define RK_OUTER_TILES(X)                                                                    \
    X(1, 1) X(1, 2) X(1, 3) X(2, 1) X(2, 2) X(2, 3) X(3, 1) X(3, 2) X(3, 3) X(4, 1) X(4, 2)  \
    X(4, 3) X(5, 1) X(5, 2) X(5, 3) X(6, 1) X(6, 2) X(6, 3) X(7, 1) X(7, 2) X(7, 3)          \
    X(8, 1) X(8, 2) X(8, 3)
#define RK_INT8_ROWS 4
#define RK_INT8_TILES(X)                                                                     \
    X(1, 1) X(1, 4) X(2, 1) X(2, 4) X(3, 1) X(3, 4) X(4, 1) X(4, 4)
/* clang-format on */

#include "kernels/instance.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
