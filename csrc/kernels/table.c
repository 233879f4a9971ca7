/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/table.h"

const struct rk_kernels *rk_kernels(enum rk_isa isa, enum rk_dtype dtype)
{
    static const struct rk_kernels *const tables[RK_N_ISA][2] = {
        [RK_BASELINE] = {&rk_kernels_baseline_f32, &rk_kernels_baseline_f64},
#if defined(RK_HAS_X86)
        [RK_AVX2] = {&rk_kernels_avx2_f32, &rk_kernels_avx2_f64},
        [RK_AVX512] = {&rk_kernels_avx512_f32, &rk_kernels_avx512_f64},
#elif defined(RK_HAS_ARM)
        [RK_NEON] = {&rk_kernels_neon_f32, &rk_kernels_neon_f64},
#endif
    };
    return (unsigned)isa < RK_N_ISA && (unsigned)dtype < 2 ? tables[isa][dtype] : NULL;
}

const struct rk_int8_tiles *rk_int8_tiles(enum rk_isa isa)
{
    static const struct rk_int8_tiles *const tables[RK_N_ISA] = {
        [RK_BASELINE] = &rk_int8_tiles_baseline,
#if defined(RK_HAS_X86)
        [RK_AVX2] = &rk_int8_tiles_avx2,
        [RK_AVX512] = &rk_int8_tiles_avx512,
#elif defined(RK_HAS_ARM)
        [RK_NEON] = &rk_int8_tiles_neon,
#endif
    };
#if defined(RK_HAS_X86)
    if (isa == RK_AVX512 && rk_cpu_has_vnni())
        return &rk_int8_tiles_avx512vnni;
#endif
    return (unsigned)isa < RK_N_ISA ? tables[isa] : NULL;
}
