/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tiles of tiles.h. The lists of sizes come from the file of the instruction set:
 * RK_PRODUCT_TILES(X) is X(rows, panels)..., RK_OUTER_TILES(X) is X(columns, panels)...
 */
#if defined(RNNKIT_PORTABLE)
/* One k: rows x panels products. The innermost loop is one that compilers vectorise. */
RK_INLINE void RK_T(product_step)(v_real *acc, const char *a, const char *b,
                                  size_t b_stride, int rows, int panels)
{
    for (int r = 0; r < rows; r++, a += RK_PANEL) {
        const v_real av = v_load(a);
        for (int p = 0; p < panels; p++, acc += RK_VP) {
            const char *panel = b + (size_t)p * b_stride;
            for (int j = 0; j < RK_VP; j++)
                acc[j] = v_fma(av, v_load(panel + j * RK_VBYTES), acc[j]);
        }
    }
}
#else
/* One k: rows x panels products. The smaller side is held in registers, of the other one
 * vector at a time. */
RK_INLINE void RK_T(product_step)(v_real *acc, const char *a, const char *b,
                                  size_t b_stride, int rows, int panels)
{
    v_real held[RK_MOST_TILE_ROWS];
    if (rows < panels * RK_VP) {
        RK_EACH(r, rows)
            held[r] = v_pin(v_splat(*(const RK_REAL *)(a + r * RK_PANEL)));
        RK_EACH(i, panels * RK_VP) {
            v_real bv = v_load(b + (size_t)(i / RK_VP) * b_stride + i % RK_VP * RK_VBYTES);
            if (rows > 1)
                bv = v_pin(bv);
            RK_EACH(r, rows)
                acc[r * panels * RK_VP + i] =
                    v_fma(held[r], bv, acc[r * panels * RK_VP + i]);
        }
    } else {
        RK_EACH(i, panels * RK_VP) {
            const char *panel = b + (size_t)(i / RK_VP) * b_stride;
            held[i] = v_pin(v_load(panel + i % RK_VP * RK_VBYTES));
        }
        RK_EACH(r, rows) {
            v_real av = v_splat(*(const RK_REAL *)(a + r * RK_PANEL));
            RK_EACH(i, panels * RK_VP)
                acc[r * panels * RK_VP + i] =
                    v_fma(av, held[i], acc[r * panels * RK_VP + i]);
        }
    }
}
#endif

/* The tile comes as a copy: what is stored into c cannot change it. */
RK_INLINE void RK_T(product_loop)(const struct rk_product_tile t, int rows, int panels)
{
    v_real acc[RK_MOST_TILE_ROWS * RK_MOST_TILE_PANELS * RK_VP];
    RK_EACH(r, rows) {
        const char *c = t.c[r] + t.c_offset;
        RK_EACH(i, panels * RK_VP) {
            size_t panel = (size_t)(i / RK_VP);
            int at = i % RK_VP * RK_VBYTES;
            v_real from_c = t.from_zero ? v_splat(0) : v_load(c + panel * t.c_stride + at);
            acc[r * panels * RK_VP + i] =
                t.start ? v_load(t.start + panel * RK_PANEL + at) : from_c;
        }
    }
    const char *a = t.a, *b = t.b, *fetch = t.fetch;
    size_t k = t.k;
    while (k > 0) {
        size_t count = k < RK_LANES ? k : RK_LANES;
        for (size_t i = 0; fetch && i < count; i++, fetch += RK_PANEL)
            RK_FETCH(fetch);
        for (size_t i = 0; i < count; i++, b += RK_PANEL)
            RK_T(product_step)(acc, a + i * sizeof(RK_REAL), b, t.b_stride, rows, panels);
        a += t.a_stride;
        k -= count;
    }
    RK_EACH(r, rows) {
        char *c = t.c[r] + t.c_offset;
        RK_EACH(i, panels * RK_VP)
            v_store(c + (size_t)(i / RK_VP) * t.c_stride + i % RK_VP * RK_VBYTES,
                    acc[r * panels * RK_VP + i]);
    }
}

/* One row: columns x panels products. */
RK_INLINE void RK_T(outer_step)(v_real *acc, const char *delta, size_t delta_stride,
                                const char *a, int columns, int panels)
{
    v_real held[RK_MOST_TILE_PANELS * RK_VP];
    RK_EACH(i, panels * RK_VP) {
        const char *at = delta + (size_t)(i / RK_VP) * delta_stride;
        held[i] = v_pin(v_load(at + i % RK_VP * RK_VBYTES));
    }
    RK_EACH(k, columns) {
        v_real av = v_splat(((const RK_REAL *)a)[k]);
        RK_EACH(i, panels * RK_VP)
            acc[k * panels * RK_VP + i] = v_fma(held[i], av, acc[k * panels * RK_VP + i]);
    }
}

RK_INLINE void RK_T(outer_loop)(const struct rk_outer_tile t, int columns, int panels)
{
    v_real acc[RK_MOST_TILE_COLUMNS * RK_MOST_TILE_PANELS * RK_VP];
    RK_EACH(k, columns)
        RK_EACH(i, panels * RK_VP) {
            const char *dw = t.dw + (size_t)(i / RK_VP) * t.dw_stride + k * RK_PANEL;
            acc[k * panels * RK_VP + i] = v_load(dw + i % RK_VP * RK_VBYTES);
        }
    for (const struct rk_outer_run *run = t.runs; run < t.runs + t.n_runs; run++) {
        const char *delta = run->delta + t.delta_offset, *a = run->a + t.a_offset;
        for (size_t left = run->rows; left > 0; left--, delta += t.delta_row, a += t.a_row)
            RK_T(outer_step)(acc, delta, t.delta_stride, a, columns, panels);
    }
    RK_EACH(k, columns)
        RK_EACH(i, panels * RK_VP) {
            char *dw = t.dw + (size_t)(i / RK_VP) * t.dw_stride + k * RK_PANEL;
            v_store(dw + i % RK_VP * RK_VBYTES, acc[k * panels * RK_VP + i]);
        }
}

#define X(rows, panels)                                                                    \
    static void RK_T(product_##rows##x##panels)(const struct rk_product_tile *tile)        \
    {                                                                                      \
        RK_T(product_loop)(*tile, rows, panels);                                           \
    }
RK_PRODUCT_TILES(X)
#undef X

#define X(columns, panels)                                                                 \
    static void RK_T(outer_##columns##x##panels)(const struct rk_outer_tile *tile)         \
    {                                                                                      \
        RK_T(outer_loop)(*tile, columns, panels);                                          \
    }
RK_OUTER_TILES(X)
#undef X

/* clang-format off */
static const struct rk_product_tiles RK_T(product_tiles) = {.tile = {
#define X(rows, panels) [rows][panels] = RK_T(product_##rows##x##panels),
    RK_PRODUCT_TILES(X)
#undef X
}};

static const struct rk_outer_tiles RK_T(outer_tiles) = {.tile = {
#define X(columns, panels) [columns][panels] = RK_T(outer_##columns##x##panels),
    RK_OUTER_TILES(X)
#undef X
}};
/* clang-format on */
