/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weight gradients, cut into tiles: chunks of rows, groups of panels, columns. A chunk of
 * the delta's panels stays in L1 while all columns pass; a tile of dw is read and written
 * once a chunk.
 */
#include "kernels/tiles.h"
#include "linalg/linalg.h"

enum { CHUNK_ROWS = 64 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* All columns [k0, k1) of one chunk and `panels` panels. `tile` is set up for column 0;
 * `a_panel` is the bytes from one panel of columns to the next. */
static void columns_run(const struct rk_kernels *kernels, struct rk_outer_tile tile,
                        size_t a_panel, size_t panels, size_t k0, size_t k1)
{
    const size_t lanes = kernels->lanes, real_size = RK_PANEL / lanes;
    char *dw = tile.dw;
    const char *a = tile.a;
    for (size_t k = k0, in_panel; k < k1; k += in_panel) {
        in_panel = least(lanes - k % lanes, k1 - k);
        size_t n = divide_up(in_panel, (size_t)kernels->outer_columns);
        for (size_t i = 0; i < n; i++) {
            size_t first = k + in_panel * i / n, end = k + in_panel * (i + 1) / n;
            tile.dw = dw + first * RK_PANEL;
            tile.a = a + first / lanes * a_panel + first % lanes * real_size;
            kernels->outer->tile[end - first][panels](&tile);
        }
    }
}

void rk_outer(const struct rk_kernels *kernels, char *dw, size_t dw_stride, struct rk_rows delta,
              struct rk_rows a, size_t batch, size_t row0, size_t row1, size_t panel0,
              size_t panel1, size_t k0, size_t k1)
{
    struct rk_outer_tile tile = {
        .dw_stride = dw_stride,
        .delta_stride = delta.panel_stride, .delta_step = delta.step_stride,
        .a_step = a.step_stride, .batch = batch};
    for (size_t row = row0; row < row1; row += tile.rows) {
        size_t step = row / batch, in_step = row % batch, group = RK_MOST_TILE_PANELS;
        tile.rows = least(CHUNK_ROWS, row1 - row);
        tile.first = batch - in_step;
        tile.a = a.base + step * a.step_stride + in_step * RK_PANEL;
        for (size_t panel = panel0; panel < panel1; panel += group) {
            while (group > panel1 - panel || !kernels->outer->tile[1][group])
                group--;
            tile.dw = dw + panel * dw_stride;
            tile.delta = delta.base + step * delta.step_stride + panel * delta.panel_stride
                         + in_step * RK_PANEL;
            columns_run(kernels, tile, a.panel_stride, group, k0, k1);
        }
    }
}
