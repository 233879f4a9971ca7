/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between plain arrays and packed ones. Only moves elements: `size` is 4 or 8, a constant
 * once inlined.
 */
#include <string.h>

#include "linalg/linalg.h"
#include "linalg/sizes.h"

RK_INLINE void move(char *to, size_t to_index, const char *from, size_t from_index,
                    size_t size)
{
    memcpy(to + to_index * size, from + from_index * size, size);
}

/* All units of a panel, which lie k elements apart, column by column. */
RK_INLINE void pack_panel(char *packed, const char *plain, size_t k, size_t size)
{
    const size_t lanes = RK_PANEL / size;
    for (size_t i = 0; i < k; i++)
        for (size_t u = 0; u < lanes; u++)
            move(packed, i * lanes + u, plain, u * k + i, size);
}

RK_INLINE void pack_rows(char *packed, const char *plain, size_t n, size_t k, size_t row,
                         size_t n_rows, size_t size)
{
    const size_t lanes = RK_PANEL / size, panels = divide_up(n, lanes);
    for (size_t units; n_rows > 0; row += units, n_rows -= units) {
        size_t unit = row % n, first = unit % lanes;
        char *panel = packed + (row / n * panels + unit / lanes) * k * RK_PANEL;
        units = least(least(lanes - first, n - unit), n_rows);
        if (units == lanes)
            pack_panel(panel, plain, k, size);
        else
            for (size_t u = 0; u < units; u++)
                for (size_t i = 0; i < k; i++)
                    move(panel, i * lanes + first + u, plain, u * k + i, size);
        plain += units * k * size;
    }
}

/* Zeroes the last panel of each block where it has lanes that stand for no unit. */
static void clear_last_panels(char *packed, size_t blocks, size_t n, size_t k, size_t lanes)
{
    size_t panels = divide_up(n, lanes);
    for (size_t b = 1; n % lanes > 0 && b <= blocks; b++)
        memset(packed + (b * panels - 1) * k * RK_PANEL, 0, k * RK_PANEL);
}

RK_INLINE void unpack(char *plain, const char *packed, size_t blocks, size_t n, size_t k,
                      size_t size)
{
    const size_t lanes = RK_PANEL / size, panels = divide_up(n, lanes);
    for (size_t b = 0; b < blocks; b++, plain += n * k * size)
        for (size_t p = 0; p < panels; p++, packed += k * RK_PANEL) {
            size_t units = least(lanes, n - p * lanes);
            for (size_t u = 0; u < units; u++)
                for (size_t i = 0; i < k; i++)
                    move(plain, (p * lanes + u) * k + i, packed, i * lanes + u, size);
        }
}

/* A square of fewer units or columns than lanes, element by element. */
RK_INLINE void transpose_part(char *to, const char *from, size_t units, size_t columns,
                              size_t size)
{
    for (size_t j = 0; j < columns; j++)
        for (size_t u = 0; u < units; u++)
            move(to, u * (RK_PANEL / size) + j, from, j * (RK_PANEL / size) + u, size);
}

RK_INLINE void unit_copy(char *to, size_t to_unit, const char *from, size_t from_unit,
                         size_t k, size_t k0, size_t k1, size_t size)
{
    const size_t lanes = RK_PANEL / size;
    to += (to_unit / lanes * k * lanes + to_unit % lanes) * size;
    from += (from_unit / lanes * k * lanes + from_unit % lanes) * size;
    for (size_t i = k0; i < k1; i++)
        move(to, i * lanes, from, i * lanes, size);
}

RK_INLINE void rows_pack(char *step, size_t panel_stride, const char *plain, size_t n_rows,
                         size_t width, size_t size)
{
    const size_t lanes = RK_PANEL / size;
    for (size_t first = 0; first < width; first += lanes, step += panel_stride) {
        size_t used = least(lanes, width - first) * size;
        for (size_t r = 0; r < n_rows; r++) {
            memcpy(step + r * RK_PANEL, plain + (r * width + first) * size, used);
            memset(step + r * RK_PANEL + used, 0, RK_PANEL - used);
        }
    }
}

RK_INLINE void rows_unpack(char *plain, const char *step, size_t panel_stride,
                           size_t n_rows, size_t width, size_t size)
{
    const size_t lanes = RK_PANEL / size;
    for (size_t first = 0; first < width; first += lanes, step += panel_stride) {
        size_t used = least(lanes, width - first) * size;
        for (size_t r = 0; r < n_rows; r++)
            memcpy(plain + (r * width + first) * size, step + r * RK_PANEL, used);
    }
}

void rk_pack_rows(enum rk_dtype dtype, char *packed, const void *plain, size_t n, size_t k,
                  size_t row, size_t n_rows)
{
    if (dtype == RK_FLOAT32) {
        pack_rows(packed, plain, n, k, row, n_rows, 4);
    } else {
        pack_rows(packed, plain, n, k, row, n_rows, 8);
    }
}

void rk_pack(enum rk_dtype dtype, char *packed, const void *plain, size_t blocks, size_t n,
             size_t k)
{
    clear_last_panels(packed, blocks, n, k, rk_lanes(dtype));
    rk_pack_rows(dtype, packed, plain, n, k, 0, blocks * n);
}

void rk_unpack(enum rk_dtype dtype, void *plain, const char *packed, size_t blocks,
               size_t n, size_t k)
{
    if (dtype == RK_FLOAT32) {
        unpack(plain, packed, blocks, n, k, 4);
    } else {
        unpack(plain, packed, blocks, n, k, 8);
    }
}

void rk_unit_copy(enum rk_dtype dtype, char *to, size_t to_unit, const char *from,
                  size_t from_unit, size_t k, size_t k0, size_t k1)
{
    if (dtype == RK_FLOAT32) {
        unit_copy(to, to_unit, from, from_unit, k, k0, k1, 4);
    } else {
        unit_copy(to, to_unit, from, from_unit, k, k0, k1, 8);
    }
}

/* Panel by panel of the transpose, in squares of lanes x lanes, each 1 kB on both sides. */
void rk_transpose(const struct rk_kernels *kernels, char *transposed, const char *packed,
                  size_t blocks, size_t n, size_t k, size_t panel0, size_t panel1)
{
    const size_t lanes = kernels->lanes, panels = divide_up(n, lanes);
    for (size_t q = panel0; q < panel1; q++) {
        char *to = transposed + q * blocks * n * RK_PANEL;
        size_t columns = least(lanes, k - q * lanes);
        if (columns < lanes)
            memset(to, 0, blocks * n * RK_PANEL);
        for (size_t p = 0; p < blocks * panels; p++) {
            const char *from = packed + (p * k + q * lanes) * RK_PANEL;
            size_t units = least(lanes, n - p % panels * lanes);
            if (units == lanes && columns == lanes)
                kernels->transpose(to, from);
            else if (kernels->dtype == RK_FLOAT32)
                transpose_part(to, from, units, columns, 4);
            else
                transpose_part(to, from, units, columns, 8);
            to += units * RK_PANEL;
        }
    }
}

void rk_rows_pack(enum rk_dtype dtype, char *step, size_t panel_stride, const void *plain,
                  size_t n_rows, size_t width)
{
    rows_pack(step, panel_stride, plain, n_rows, width, rk_real_size(dtype));
}

void rk_rows_unpack(enum rk_dtype dtype, void *plain, const char *step, size_t panel_stride,
                    size_t n_rows, size_t width)
{
    rows_unpack(plain, step, panel_stride, n_rows, width, rk_real_size(dtype));
}
