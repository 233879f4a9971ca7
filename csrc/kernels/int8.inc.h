/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products of int8 weights (int8.h). All is in whole numbers, but for two scales at the
 * end, each product and sum of which is rounded: the same bits on every instruction set.
 */
#if RK_F32

#if defined(RK_X86)
/* What the intrinsics on integers take. */
typedef long long v_bytes __attribute__((vector_size(RK_VBYTES)));
#endif

/* acc + the products of the four bytes of a lane of `magnitudes`, 0 to 127, and of
 * `weights`. No sum of two of them leaves 16 bits. */
RK_INLINE v_int RK_T(dot)(v_int acc, v_int magnitudes, v_int weights)
{
#if defined(RK_VNNI)
    return (v_int)_mm512_dpbusd_epi32((v_bytes)acc, (v_bytes)magnitudes, (v_bytes)weights);
#elif defined(RK_X86) && RK_VBYTES > 16
    v_bytes pairs = RK_X86(maddubs_epi16)((v_bytes)magnitudes, (v_bytes)weights);
    return acc + (v_int)RK_X86(madd_epi16)(pairs, RK_X86(set1_epi16)(1));
#elif defined(RK_X86) /* SSE2 multiplies 16 bits: the even bytes, and the odd ones */
    v_bytes even = _mm_srai_epi16(_mm_slli_epi16((v_bytes)weights, 8), 8);
    v_bytes odd = _mm_srai_epi16((v_bytes)weights, 8);
    v_bytes even_magnitudes = _mm_and_si128((v_bytes)magnitudes, _mm_set1_epi16(0xff));
    v_bytes odd_magnitudes = _mm_srli_epi16((v_bytes)magnitudes, 8);
    return acc + (v_int)_mm_madd_epi16(even, even_magnitudes) +
           (v_int)_mm_madd_epi16(odd, odd_magnitudes);
#else
    RK_EACH(j, 4)
        acc += ((v_int)((v_uint)weights << (24 - 8 * j)) >> 24) *
               ((magnitudes >> (8 * j)) & 0xff);
    return acc;
#endif
}

RK_INLINE v_int RK_T(splat_four)(const char *bytes)
{
    int32_t four;
    memcpy(&four, bytes, sizeof four);
    return four - (v_int){0};
}

RK_INLINE v_int RK_T(int_load)(const char *p)
{
    return (v_int)v_bits(v_load(p));
}

/* The tile comes as a copy: what is stored into c cannot change it. */
RK_INLINE void RK_T(int8_loop)(const struct rk_int8_tile t, int rows, int panels)
{
    v_int acc[RK_MOST_INT8_ROWS * RK_MOST_INT8_PANELS * RK_VP];
    RK_EACH(r, rows)
        RK_EACH(i, panels * RK_VP)
            acc[r * panels * RK_VP + i] = t.a[r].excess - (v_int){0};
    const char *b = t.b;
    for (size_t k = 0; k < t.k; k += 4, b += RK_PANEL) {
        v_int magnitudes[RK_MOST_INT8_ROWS], signs[RK_MOST_INT8_ROWS];
        RK_EACH(r, rows) {
            magnitudes[r] = RK_T(splat_four)(t.a[r].magnitudes + k);
            signs[r] = RK_T(splat_four)(t.a[r].signs + k);
        }
        RK_EACH(i, panels * RK_VP) {
            const char *at = b + (size_t)(i / RK_VP) * t.b_stride + i % RK_VP * RK_VBYTES;
            v_int weights = RK_T(int_load)(at);
            RK_EACH(r, rows)
                acc[r * panels * RK_VP + i] = RK_T(dot)(acc[r * panels * RK_VP + i],
                                                        magnitudes[r], weights ^ signs[r]);
        }
    }
    RK_EACH(r, rows) {
        char *c = t.c[r] + t.c_offset;
        RK_EACH(i, panels * RK_VP) {
            size_t panel = (size_t)(i / RK_VP);
            int at = i % RK_VP * RK_VBYTES;
            char *to = c + panel * t.c_stride + at;
            v_real sum = v_from_int(acc[r * panels * RK_VP + i]);
            v_real from = t.from_zero ? v_splat(0) : v_load(to);
            if (t.start)
                from = v_load(t.start + panel * RK_PANEL + at);
            sum *= t.a[r].scale * v_load(t.scales + panel * t.b_stride + at);
            v_store(to, from + sum);
        }
    }
}

#define X(rows, panels)                                                                    \
    static void RK_T(int8_##rows##x##panels)(const struct rk_int8_tile *tile)              \
    {                                                                                      \
        RK_T(int8_loop)(*tile, rows, panels);                                              \
    }
RK_INT8_TILES(X)
#undef X

/* clang-format off */
const struct rk_int8_tiles RK_PASTE2(rk_int8_tiles_, RK_SET) = {
    .rows = RK_INT8_ROWS,
    .tile = {
#define X(rows, panels) [rows][panels] = RK_T(int8_##rows##x##panels),
        RK_INT8_TILES(X)
#undef X
    },
};
/* clang-format on */

#endif
