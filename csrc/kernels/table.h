/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tables that table.c chooses from.
 */
#ifndef RK_TABLE_H
#define RK_TABLE_H

#include "kernels/int8.h"
#include "kernels/kernels.h"

extern const struct rk_kernels rk_kernels_baseline_f32, rk_kernels_baseline_f64;
extern const struct rk_int8_tiles rk_int8_tiles_baseline;
#if defined(RK_HAS_X86)
extern const struct rk_kernels rk_kernels_avx2_f32, rk_kernels_avx2_f64;
extern const struct rk_kernels rk_kernels_avx512_f32, rk_kernels_avx512_f64;
extern const struct rk_int8_tiles rk_int8_tiles_avx2;
extern const struct rk_int8_tiles rk_int8_tiles_avx512, rk_int8_tiles_avx512vnni;
#elif defined(RK_HAS_ARM)
extern const struct rk_kernels rk_kernels_neon_f32, rk_kernels_neon_f64;
extern const struct rk_int8_tiles rk_int8_tiles_neon;
#endif

#endif
