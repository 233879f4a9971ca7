/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between floats and int8 (int8.h): rows that become codes, units of weights that become
 * rows. No sum is rounded: the same bits on every instruction set.
 */
#if RK_F32

/* The integers next to a, even ones where two are as near; |a| below 2^22. */
RK_INLINE v_int RK_T(nearest)(v_real a)
{
    const RK_REAL shift = 12582912; /* 1.5 * 2^23: its last bit is worth 1 */
    return (v_int)(v_bits(a + shift) - v_bits(v_splat(shift)));
}

/* The largest magnitude of a row; not finite where one is not. */
RK_INLINE RK_REAL RK_T(largest)(const char *src, size_t panel_stride, size_t k)
{
    v_real most[RK_VP];
    RK_EACH(j, RK_VP)
        most[j] = v_splat(0);
    for (size_t i = 0; i < k; i += RK_LANES, src += panel_stride)
        RK_EACH(j, RK_VP) {
            v_real x = v_abs(v_load(src + j * RK_VBYTES));
            if (k - i < RK_LANES)
                x = RK_T(keep_lanes)(x, j, k - i, v_splat(0));
            most[j] = v_max(most[j], x);
        }
    return lanes_max(most);
}

/* The lowest bytes of a panel of integers. */
RK_INLINE void RK_T(narrow)(char *bytes, const int32_t *integers)
{
    for (int i = 0; i < RK_LANES; i++)
        bytes[i] = (char)integers[i];
}

static void RK_T(int8_quantise)(struct rk_int8_row *row, const void *src,
                                size_t panel_stride, size_t k)
{
    const RK_REAL most = RK_T(largest)(src, panel_stride, k);
    /* What is smaller counts as zero: its inverse would be no number. */
    const bool is_zero = most < (RK_REAL)1e-30, is_finite = most < INFINITY;
    const RK_REAL inverse = is_zero || !is_finite ? 0 : 127 / most;
    const char *from = src;
    v_int excess[RK_VP];
    int32_t excesses[RK_LANES];
    RK_EACH(j, RK_VP)
        excess[j] = (v_int){0};
    row->scale = is_zero ? 0 : most / 127;
    if (!is_finite)
        row->scale = NAN;
    for (size_t i = 0; i < k; i += RK_LANES, from += panel_stride) {
        _Alignas(RK_PANEL) int32_t magnitudes[RK_LANES];
        _Alignas(RK_PANEL) int32_t signs[RK_LANES];
        RK_EACH(j, RK_VP) {
            v_real x = v_load(from + j * RK_VBYTES);
            if (k - i < RK_LANES)
                x = RK_T(keep_lanes)(x, j, k - i, v_splat(0));
            v_int code = is_finite ? RK_T(nearest)(x * inverse) : (v_int){0};
            v_int sign = code >> 31, magnitude = (code ^ sign) - sign;
            v_store(magnitudes + j * RK_VL, v_of_bits((v_uint)magnitude));
            v_store(signs + j * RK_VL, v_of_bits((v_uint)sign));
            excess[j] += magnitude & sign;
        }
        RK_T(narrow)(row->magnitudes + i, magnitudes);
        RK_T(narrow)(row->signs + i, signs);
    }
    memcpy(excesses, excess, sizeof excesses);
    row->excess = 0;
    for (int i = 0; i < RK_LANES; i++)
        row->excess += excesses[i];
}

static void RK_T(int8_unit)(void *dst, size_t panel_stride, const void *panel, size_t unit,
                            size_t k)
{
    const RK_REAL scale = ((const RK_REAL *)panel)[unit];
    const int8_t *codes = (const int8_t *)panel + RK_PANEL + 4 * unit;
    char *to = dst;
    for (size_t i = 0; i < k; i += RK_LANES, to += panel_stride)
        for (size_t j = 0; j < RK_LANES; j++) {
            size_t at = i + j;
            ((RK_REAL *)to)[j] = at < k ? scale * codes[at / 4 * RK_PANEL + at % 4] : 0;
        }
}

#endif
