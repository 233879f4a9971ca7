/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What every machine runs: vectors of 16 bytes, SSE2 on x86-64, plain GNU vectors
 * elsewhere; without GNU C, vectors of one number. There is no fma: the chain of a product
 * rounds each product and each sum, so that its bits agree with other instruction sets to
 * within their roundings only.
 */
#include "kernels/int8.h"
#include "kernels/names.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

#if defined(RK_HAS_X86)
#include <immintrin.h>
#endif

/* clang-format off */
#define RK_SET baseline
#define RK_ISA RK_BASELINE
#if defined(RNNKIT_PORTABLE)
#define RK_VBYTES (RK_F32 ? 4 : 8)
#else
#define RK_VBYTES 16
#endif
#define RK_FMA 0
#if defined(RK_HAS_X86)
#define RK_X86(op) _mm_##op
#endif

/* 16 registers of which a panel takes four. */
#define RK_PRODUCT_ROWS 2
#define RK_PRODUCT_PANELS 2
#define RK_PRODUCT_TILES(X) X(1, 1) X(1, 2) X(2, 1)
#define RK_OUTER_COLUMNS 2
#define RK_OUTER_TILES(X) X(1, 1) X(2, 1)
#define RK_INT8_ROWS 1
#define RK_INT8_TILES(X) X(1, 1)
/* clang-format on */

#include "kernels/instance.inc.h"
