/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums and maxima. Adds alone, one partial a lane and panels in order, so that the bits are
 * the same on every instruction set.
 */
static _Alignas(RK_PANEL) const RK_REAL RK_T(lane_number)[RK_LANES] = {
#if RK_F32
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
#else
    0, 1, 2, 3, 4, 5, 6, 7,
#endif
};

/* Vector j of a panel with its lanes from `used` on replaced. */
RK_INLINE v_real RK_T(keep_lanes)(v_real a, int j, size_t used, v_real other)
{
    v_real lane = v_load(RK_T(lane_number) + j * RK_VL);
    return v_select(v_greater(v_splat((RK_REAL)used), lane), a, other);
}

RK_INLINE void RK_T(row_reduce)(char *dst, const char *src, size_t panel_stride,
                                size_t width, size_t rows, bool is_max)
{
    const v_real neutral = v_splat(is_max ? -(RK_REAL)INFINITY : 0);
    const size_t whole = width / RK_LANES, used = width % RK_LANES;
    for (size_t r = 0; r < rows; r++, src += RK_PANEL, dst += RK_PANEL) {
        v_real partial[RK_VP];
        RK_EACH(j, RK_VP)
            partial[j] = neutral;
        const char *panel = src;
        for (size_t p = 0; p < whole; p++, panel += panel_stride)
            RK_EACH(j, RK_VP) {
                v_real x = v_load(panel + j * RK_VBYTES);
                partial[j] = is_max ? v_max(partial[j], x) : partial[j] + x;
            }
        if (used > 0)
            RK_EACH(j, RK_VP) {
                v_real x = v_load(panel + j * RK_VBYTES);
                x = RK_T(keep_lanes)(x, j, used, neutral);
                partial[j] = is_max ? v_max(partial[j], x) : partial[j] + x;
            }
        v_real result = v_splat(is_max ? lanes_max(partial) : lanes_sum(partial));
        RK_EACH(j, RK_VP)
            v_store(dst + j * RK_VBYTES, result);
    }
}

static void RK_T(row_sum)(void *dst, const void *src, size_t panel_stride, size_t width,
                          size_t rows)
{
    RK_T(row_reduce)(dst, src, panel_stride, width, rows, false);
}

static void RK_T(row_max)(void *dst, const void *src, size_t panel_stride, size_t width,
                          size_t rows)
{
    RK_T(row_reduce)(dst, src, panel_stride, width, rows, true);
}

static void RK_T(column_sum)(void *dst, struct rk_rows src, size_t batch, size_t row0,
                             size_t row1, size_t p0, size_t p1)
{
    for (size_t p = p0; p < p1; p++) {
        char *to = (char *)dst + p * RK_PANEL;
        v_real sum[RK_VP];
        RK_EACH(j, RK_VP)
            sum[j] = v_load(to + j * RK_VBYTES);
        for (size_t row = row0; row < row1;) {
            size_t together = rk_rows_together(&src, batch, row);
            size_t count = row1 - row < together ? row1 - row : together;
            const char *at = rk_row_at(&src, batch, row) + p * src.panel_stride;
            for (size_t i = 0; i < count; i++, at += RK_PANEL)
                RK_EACH(j, RK_VP)
                    sum[j] += v_load(at + j * RK_VBYTES);
            row += count;
        }
        RK_EACH(j, RK_VP)
            v_store(to + j * RK_VBYTES, sum[j]);
    }
}

static double RK_T(sum_squares)(const void *a, size_t n)
{
    enum { N = RK_LANES / RK_DL };
    v_double partial[N];
    double sums[RK_LANES];
    RK_EACH(j, N)
        partial[j] = (v_double){0};
    for (size_t i = 0; i < n; i += RK_LANES)
        RK_EACH(j, N) {
            v_double x = v_double_load((const RK_REAL *)a + i + j * RK_DL);
            partial[j] += x * x;
        }
    memcpy(sums, partial, sizeof sums);
    return lanes_sum_double(sums);
}

static void RK_T(scale)(void *a, double factor, size_t n)
{
    v_real by = v_splat((RK_REAL)factor);
    for (size_t i = 0; i < n; i += RK_VL)
        v_store((RK_REAL *)a + i, v_load((RK_REAL *)a + i) * by);
}
