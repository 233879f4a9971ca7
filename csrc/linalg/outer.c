/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weight gradients, cut into tiles: chunks of rows, groups of panels, columns. A chunk of
 * the delta's panels stays in L1 while all columns pass; a tile of dw is read and written
 * once a chunk.
 */
#include "kernels/tiles.h"
#include "linalg/linalg.h"
#include "linalg/sizes.h"

enum { CHUNK_ROWS = 64 };

/* All columns [k0, k1) of one chunk and `panels` panels. `tile` is set up for column 0;
 * `a_stride` is the bytes from one panel of columns to the next. Within a panel the tiles
 * are as even as can be. */
static void columns_run(const struct rk_kernels *kernels, struct rk_outer_tile tile,
                        size_t a_stride, size_t panels, size_t k0, size_t k1)
{
    const unsigned most = (unsigned)kernels->outer_columns;
    const size_t lanes = kernels->lanes, real_size = RK_PANEL / lanes;
    tile.dw += k0 * RK_PANEL;
    for (size_t k = k0, end; k < k1; k = end) {
        end = least(k1, (k / lanes + 1) * lanes);
        tile.a_offset = k / lanes * a_stride + k % lanes * real_size;
        unsigned left = (unsigned)(end - k), tiles = (left + most - 1) / most;
        for (; tiles > 0; tiles--) {
            unsigned columns = (left + tiles - 1) / tiles;
            kernels->outer->tile[columns][panels](&tile);
            tile.dw += columns * RK_PANEL;
            tile.a_offset += columns * real_size;
            left -= columns;
        }
    }
}

/* The next rows of the list as runs, from `row` on; returns how many rows. Steps of one row
 * are one run of rows a step apart. */
static size_t cut_runs(struct rk_outer_run runs[CHUNK_ROWS], size_t *n_runs,
                       const struct rk_rows *delta, const struct rk_rows *a, size_t batch,
                       size_t row, size_t row1)
{
    size_t n = least(CHUNK_ROWS, row1 - row);
    *n_runs = 0;
    for (size_t done = 0, count; done < n; done += count, row += count) {
        count = n - done;
        if (batch > 1) {
            count = least(count, rk_rows_together(delta, batch, row));
            count = least(count, rk_rows_together(a, batch, row));
        }
        runs[(*n_runs)++] = (struct rk_outer_run){.delta = rk_row_at(delta, batch, row),
                                                  .a = rk_row_at(a, batch, row),
                                                  .rows = count};
    }
    return n;
}

void rk_outer(const struct rk_kernels *kernels, char *dw, size_t dw_stride,
              struct rk_rows delta, struct rk_rows a, size_t batch, size_t row0,
              size_t row1, size_t panel0, size_t panel1, size_t k0, size_t k1)
{
    struct rk_outer_run runs[CHUNK_ROWS];
    struct rk_outer_tile tile = {
        .dw_stride = dw_stride,
        .runs = runs,
        .delta_stride = delta.panel_stride,
        .delta_row = batch == 1 ? delta.step_stride : RK_PANEL,
        .a_row = batch == 1 ? a.step_stride : RK_PANEL,
    };
    for (size_t row = row0; row < row1;) {
        size_t group = RK_MOST_TILE_PANELS;
        row += cut_runs(runs, &tile.n_runs, &delta, &a, batch, row, row1);
        for (size_t panel = panel0; panel < panel1; panel += group) {
            while (group > panel1 - panel || !kernels->outer->tile[1][group])
                group--;
            tile.dw = dw + panel * dw_stride;
            tile.delta_offset = panel * delta.panel_stride;
            columns_run(kernels, tile, a.panel_stride, group, k0, k1);
        }
    }
}
