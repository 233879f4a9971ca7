/* SPDX-License-Identifier: BSD-3-Clause
 *
 * AVX-512 with VNNI, which multiplies and adds bytes in one instruction: the tiles of int8
 * alone. What they give has the bits of all others.
 */
#include "kernels/int8.h"
#include "kernels/names.h"
#include "kernels/table.h"

#if defined(RK_HAS_X86)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                              \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma"))),     \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma")
#endif

/* clang-format off */
#define RK_SET avx512vnni
#define RK_ISA RK_AVX512
#define RK_VBYTES 64
#define RK_FMA 1
#define RK_VNNI 1
#define RK_X86(op) _mm512_##op

#define RK_INT8_ALONE
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
