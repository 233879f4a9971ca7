/* SPDX-License-Identifier: BSD-3-Clause
 *
 * NEON of 64-bit ARM: vectors of 16 bytes, 32 registers, fma.
 */
#include "kernels/int8.h"
#include "kernels/names.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

#if defined(RK_HAS_ARM)
#include <arm_neon.h>

/* clang-format off */
#define RK_SET neon
#define RK_ISA RK_NEON
#define RK_VBYTES 16
#define RK_FMA 1
#define RK_ARM 1

/* 24 accumulators and a panel of the weight. */
#define RK_PRODUCT_ROWS 6
#define RK_PRODUCT_PANELS 4
#define RK_PRODUCT_TILES(X)                                                                  \
    X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(5, 1) X(6, 1)
#define RK_OUTER_COLUMNS 6
#define RK_OUTER_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1)
#define RK_INT8_ROWS 1
#define RK_INT8_TILES(X) X(1, 1) X(1, 2)
/* clang-format on */

#include "kernels/instance.inc.h"
#endif
