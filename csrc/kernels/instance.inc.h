/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Both element types of one instruction set. The file that includes this has set
 *   RK_SET        its name in identifiers (avx2)
 *   RK_ISA        its number (RK_AVX2)
 *   RK_VBYTES     bytes of a vector
 *   RK_FMA        1 where fma is an instruction, else 0
 *   RK_X86(op)    where it is x86: the intrinsic's name without its type (_mm256_##op)
 *   RK_ARM        where it is NEON
 *   RK_VNNI       where bytes are multiplied and added in one instruction
 *   RK_INT8_ALONE where no more than the tiles of int8 is wanted
 *   RK_PRODUCT_*, RK_OUTER_*      the sizes of the tiles (product.inc.h)
 *   RK_INT8_ROWS, RK_INT8_TILES   those of int8 (int8.inc.h)
 */
/* clang-format off */
#define RK_PASTE2_(a, b) a##b
#define RK_PASTE2(a, b) RK_PASTE2_(a, b)
#define RK_DL ((RK_VBYTES + 4) / 8)
#define RK_VL (RK_VBYTES / (int)sizeof(RK_REAL))
#define RK_VP (RK_PANEL / RK_VBYTES)
#define RK_LANES (RK_PANEL / (int)sizeof(RK_REAL))

#define RK_F32 1
#define RK_TYPE f32
#define RK_REAL float
#define RK_INT int32_t
#define RK_UINT uint32_t
#define RK_X86_TYPED(op) RK_PASTE2(RK_X86(op), _ps)
#include "kernels/template.inc.h"
#undef RK_F32
#undef RK_TYPE
#undef RK_REAL
#undef RK_INT
#undef RK_UINT
#undef RK_X86_TYPED

#define RK_F32 0
#define RK_TYPE f64
#define RK_REAL double
#define RK_INT int64_t
#define RK_UINT uint64_t
#define RK_X86_TYPED(op) RK_PASTE2(RK_X86(op), _pd)
#include "kernels/template.inc.h"
#undef RK_F32
#undef RK_TYPE
#undef RK_REAL
#undef RK_INT
#undef RK_UINT
#undef RK_X86_TYPED

#undef RK_PASTE2_
#undef RK_PASTE2
#undef RK_DL
#undef RK_VL
#undef RK_VP
#undef RK_LANES
#undef RK_SET
#undef RK_ISA
#undef RK_VBYTES
#undef RK_FMA
#undef RK_X86
#undef RK_ARM
#undef RK_VNNI
#undef RK_INT8_ALONE
#undef RK_PRODUCT_ROWS
#undef RK_PRODUCT_PANELS
#undef RK_PRODUCT_TILES
#undef RK_OUTER_COLUMNS
#undef RK_OUTER_TILES
#undef RK_INT8_ROWS
#undef RK_INT8_TILES
/* clang-format on */
