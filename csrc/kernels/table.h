/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tables that table.c chooses from.
 */
#ifndef RK_TABLE_H
#define RK_TABLE_H

#include "kernels/kernels.h"

extern const struct rk_kernels rk_kernels_baseline_f32, rk_kernels_baseline_f64;
#if defined(RK_HAS_X86)
extern const struct rk_kernels rk_kernels_avx2_f32, rk_kernels_avx2_f64;
extern const struct rk_kernels rk_kernels_avx512_f32, rk_kernels_avx512_f64;
#elif defined(RK_HAS_ARM)
extern const struct rk_kernels rk_kernels_neon_f32, rk_kernels_neon_f64;
#endif

#endif
