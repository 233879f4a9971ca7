/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The innermost loops of the matrix products, and what the drivers in linalg/ hand to them.
 * A tile keeps its part of the result in registers over its whole loop.
 */
#ifndef RK_TILES_H
#define RK_TILES_H

#include <stdbool.h>
#include <stddef.h>

/* c[r][p] = start[p] | 0 | c[r][p], then + a[r][k] * b[p][k] for each k, ascending. */
struct rk_product_tile {
    char *const *c; /* each row's place in panel 0                                        */
    size_t c_offset; /* bytes from there to the tile's first panel                        */
    size_t c_stride; /* from panel to panel                                               */
    const char *start; /* a vector; NULL: go on from c, or from zero                      */
    bool from_zero;
    const char *a; /* rows of a panel are 64 bytes apart                                  */
    size_t a_stride; /* from panel to panel                                               */
    const char *b; /* [k][64 bytes]                                                       */
    size_t b_stride; /* from panel to panel                                               */
    const char *fetch; /* lines to be fetched meanwhile, one for each k; or NULL */
    size_t k;
};
typedef void (*rk_product_fn)(const struct rk_product_tile *tile);

enum { RK_MOST_TILE_ROWS = 16, RK_MOST_TILE_PANELS = 8, RK_MOST_TILE_COLUMNS = 8 };

struct rk_product_tiles {
    /* [rows][panels]; NULL where there is none. One panel is there for all rows; what is
     * there for some rows is there for fewer rows too. */
    rk_product_fn tile[RK_MOST_TILE_ROWS + 1][RK_MOST_TILE_PANELS + 1];
};

/* Rows the same distance apart in memory. */
struct rk_outer_run {
    const char *delta, *a; /* the first row, in panel 0 */
    size_t rows;
};

/* dw[p][k] += delta[r][p] * a[r][k] for each row r of all runs, in order. */
struct rk_outer_tile {
    char *dw; /* [k][64 bytes]                                                            */
    size_t dw_stride; /* from panel to panel                                              */
    const struct rk_outer_run *runs;
    size_t n_runs;
    size_t delta_offset, a_offset; /* from a row's start to the first panel and column    */
    size_t delta_stride; /* from panel to panel                                           */
    size_t delta_row, a_row; /* from row to row                                           */
};
typedef void (*rk_outer_fn)(const struct rk_outer_tile *tile);

struct rk_outer_tiles {
    /* [columns][panels]; NULL where there is none. All columns lie in one panel of a. One
     * panel is there for all columns; all numbers of columns have the same panels. */
    rk_outer_fn tile[RK_MOST_TILE_COLUMNS + 1][RK_MOST_TILE_PANELS + 1];
};

#endif
