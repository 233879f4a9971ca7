/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of one panel moved by index, and squares transposed.
 */
static void RK_T(gather)(void *dst, const void *src, const int32_t *index, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *from = (const char *)src + (size_t)index[i] * RK_PANEL;
        RK_EACH(j, RK_VP)
            v_store((char *)dst + i * RK_PANEL + j * RK_VBYTES,
                    v_load(from + j * RK_VBYTES));
    }
}

static void RK_T(scatter_add)(void *dst, const void *src, const int32_t *index, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *to = (char *)dst + (size_t)index[i] * RK_PANEL;
        const char *from = (const char *)src + i * RK_PANEL;
        RK_EACH(j, RK_VP)
            v_store(to + j * RK_VBYTES,
                    v_load(to + j * RK_VBYTES) + v_load(from + j * RK_VBYTES));
    }
}

/* ---- a square of RK_VL vectors, by halves: rows i and i + d exchange their lanes l with
 * ---- l & d, for d from RK_VL / 2 down to 1 ---- */
#if defined(RNNKIT_PORTABLE)
RK_INLINE void RK_T(transpose_vectors)(v_real *rows)
{
    (void)rows;
}
#elif defined(__clang__) /* has shuffles of literal lanes only */
RK_INLINE void RK_T(transpose_vectors)(v_real *rows)
{
    for (int i = 0; i < RK_VL; i++)
        for (int l = 0; l < i; l++) {
            RK_REAL lane = rows[i][l];
            rows[i][l] = rows[l][i];
            rows[l][i] = lane;
        }
}
#else
/* clang-format off */
#if RK_VBYTES == 64 && RK_F32
#define RK_VECTOR_LANES(X, d) \
    {X(0, d), X(1, d), X(2, d), X(3, d), X(4, d), X(5, d), X(6, d), X(7, d), \
     X(8, d), X(9, d), X(10, d), X(11, d), X(12, d), X(13, d), X(14, d), X(15, d)}
#elif RK_VBYTES == 64 || (RK_VBYTES == 32 && RK_F32)
#define RK_VECTOR_LANES(X, d) \
    {X(0, d), X(1, d), X(2, d), X(3, d), X(4, d), X(5, d), X(6, d), X(7, d)}
#elif RK_VBYTES == 32 || RK_F32
#define RK_VECTOR_LANES(X, d) {X(0, d), X(1, d), X(2, d), X(3, d)}
#else
#define RK_VECTOR_LANES(X, d) {X(0, d), X(1, d)}
#endif
/* clang-format on */
/* Lanes of row i followed by those of row i + d: which make up the new row i; row i + d. */
#define RK_UPPER_LANE(l, d) ((l) & (d) ? RK_VL + (l) - (d) : (l))
#define RK_LOWER_LANE(l, d) ((l) & (d) ? RK_VL + (l) : (l) + (d))

RK_INLINE void RK_T(exchange_lanes)(v_real *rows, const int d)
{
    const v_int upper = RK_VECTOR_LANES(RK_UPPER_LANE, d);
    const v_int lower = RK_VECTOR_LANES(RK_LOWER_LANE, d);
    RK_EACH(i, RK_VL) {
        if (d == 0 || i & d)
            continue;
        v_real a = rows[i], b = rows[i + d];
        rows[i] = __builtin_shuffle(a, b, upper);
        rows[i + d] = __builtin_shuffle(a, b, lower);
    }
}

RK_INLINE void RK_T(transpose_vectors)(v_real *rows)
{
    RK_T(exchange_lanes)(rows, RK_VL / 2);
    RK_T(exchange_lanes)(rows, RK_VL / 4);
    RK_T(exchange_lanes)(rows, RK_VL / 8);
    RK_T(exchange_lanes)(rows, RK_VL / 16);
}
#undef RK_VECTOR_LANES
#undef RK_UPPER_LANE
#undef RK_LOWER_LANE
#endif

static void RK_T(transpose)(void *dst, const void *src)
{
    RK_EACH(p, RK_VP)
        RK_EACH(q, RK_VP) {
            const char *from = (const char *)src + p * RK_VL * RK_PANEL + q * RK_VBYTES;
            char *to = (char *)dst + q * RK_VL * RK_PANEL + p * RK_VBYTES;
            v_real rows[RK_VL];
            RK_EACH(i, RK_VL)
                rows[i] = v_load(from + i * RK_PANEL);
            RK_T(transpose_vectors)(rows);
            RK_EACH(i, RK_VL)
                v_store(to + i * RK_PANEL, rows[i]);
        }
}
