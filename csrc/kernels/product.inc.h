/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tiles of tiles.h. The lists of sizes come from the file of the instruction set:
 * RK_PRODUCT_TILES(X) is X(rows, panels)..., RK_OUTER_TILES(X) is X(columns, panels)...
 */
RK_INLINE void RK_T(product_step)(v_real *acc, const char *a, const char *b, size_t b_stride,
                                  int rows, int panels)
{
    v_real bv[RK_MOST_TILE_PANELS * RK_VP];
    RK_UNROLL for (int p = 0; p < panels; p++)
        RK_UNROLL for (int j = 0; j < RK_VP; j++) {
            v_real x = v_load(b + (size_t)p * b_stride + j * RK_VBYTES);
            bv[p * RK_VP + j] = rows > 1 ? v_pin(x) : x;
        }
    RK_UNROLL for (int r = 0; r < rows; r++) {
        v_real av = v_splat(*(const RK_REAL *)(a + r * RK_PANEL));
        RK_UNROLL for (int i = 0; i < panels * RK_VP; i++)
            acc[r * panels * RK_VP + i] = v_fma(av, bv[i], acc[r * panels * RK_VP + i]);
    }
}

RK_INLINE void RK_T(product_loop)(const struct rk_product_tile *t, int rows, int panels)
{
    v_real acc[RK_MOST_TILE_ROWS * RK_MOST_TILE_PANELS * RK_VP];
    RK_UNROLL for (int r = 0; r < rows; r++)
        RK_UNROLL for (int p = 0; p < panels; p++)
            RK_UNROLL for (int j = 0; j < RK_VP; j++)
                acc[(r * panels + p) * RK_VP + j] =
                    t->start ? v_load(t->start + p * RK_PANEL + j * RK_VBYTES)
                    : t->from_zero ? v_splat(0)
                    : v_load(t->c[r] + t->c_offset + (size_t)p * t->c_stride + j * RK_VBYTES);
    const char *a = t->a, *b = t->b;
    size_t k = t->k;
    for (; k >= RK_LANES; k -= RK_LANES, a += t->a_stride)
        for (int i = 0; i < RK_LANES; i++, b += RK_PANEL)
            RK_T(product_step)(acc, a + (size_t)i * sizeof(RK_REAL), b, t->b_stride, rows,
                               panels);
    for (; k > 0; k--, a += sizeof(RK_REAL), b += RK_PANEL)
        RK_T(product_step)(acc, a, b, t->b_stride, rows, panels);
    RK_UNROLL for (int r = 0; r < rows; r++)
        RK_UNROLL for (int p = 0; p < panels; p++)
            RK_UNROLL for (int j = 0; j < RK_VP; j++)
                v_store(t->c[r] + t->c_offset + (size_t)p * t->c_stride + j * RK_VBYTES,
                        acc[(r * panels + p) * RK_VP + j]);
}

RK_INLINE void RK_T(outer_step)(v_real *acc, const char *delta, size_t delta_stride,
                                const char *a, int columns, int panels)
{
    v_real dv[RK_MOST_TILE_PANELS * RK_VP];
    RK_UNROLL for (int p = 0; p < panels; p++)
        RK_UNROLL for (int j = 0; j < RK_VP; j++)
            dv[p * RK_VP + j] = v_pin(v_load(delta + (size_t)p * delta_stride + j * RK_VBYTES));
    RK_UNROLL for (int k = 0; k < columns; k++) {
        v_real av = v_splat(((const RK_REAL *)a)[k]);
        RK_UNROLL for (int i = 0; i < panels * RK_VP; i++)
            acc[k * panels * RK_VP + i] = v_fma(dv[i], av, acc[k * panels * RK_VP + i]);
    }
}

RK_INLINE void RK_T(outer_loop)(const struct rk_outer_tile *t, int columns, int panels)
{
    v_real acc[RK_MOST_TILE_COLUMNS * RK_MOST_TILE_PANELS * RK_VP];
    RK_UNROLL for (int k = 0; k < columns; k++)
        RK_UNROLL for (int p = 0; p < panels; p++)
            RK_UNROLL for (int j = 0; j < RK_VP; j++)
                acc[(k * panels + p) * RK_VP + j] = v_load(
                    t->dw + (size_t)p * t->dw_stride + k * RK_PANEL + j * RK_VBYTES);
    const char *delta_run = t->delta, *a_run = t->a;
    size_t left = t->rows, run = t->first;
    while (left > 0) {
        const char *delta = delta_run, *a = a_run;
        size_t count = left < run ? left : run;
        for (size_t i = 0; i < count; i++, delta += RK_PANEL, a += RK_PANEL)
            RK_T(outer_step)(acc, delta, t->delta_stride, a, columns, panels);
        /* The next run starts at its step's row 0. */
        delta_run += t->delta_step - (t->batch - run) * RK_PANEL;
        a_run += t->a_step - (t->batch - run) * RK_PANEL;
        left -= count;
        run = t->batch;
    }
    RK_UNROLL for (int k = 0; k < columns; k++)
        RK_UNROLL for (int p = 0; p < panels; p++)
            RK_UNROLL for (int j = 0; j < RK_VP; j++)
                v_store(t->dw + (size_t)p * t->dw_stride + k * RK_PANEL + j * RK_VBYTES,
                        acc[(k * panels + p) * RK_VP + j]);
}

#define X(rows, panels)                                                                     \
    static void RK_T(product_##rows##x##panels)(const struct rk_product_tile *tile)         \
    {                                                                                       \
        RK_T(product_loop)(tile, rows, panels);                                             \
    }
RK_PRODUCT_TILES(X)
#undef X

#define X(columns, panels)                                                                  \
    static void RK_T(outer_##columns##x##panels)(const struct rk_outer_tile *tile)          \
    {                                                                                       \
        RK_T(outer_loop)(tile, columns, panels);                                            \
    }
RK_OUTER_TILES(X)
#undef X

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
