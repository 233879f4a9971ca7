/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cuts a product into tiles. The work goes by blocks of rows, parts of K, groups of panels,
 * tiles of rows: a group's part of the weight (16 kB a panel) is read from L1 by all tiles
 * of a block. The chain of an element goes on through c from one part of K to the next, so
 * that nothing here changes a bit.
 */
#include <string.h>

#include "kernels/tiles.h"
#include "linalg/linalg.h"
#include "linalg/sizes.h"

enum {
    PART_PANELS = 16,     /* panels of the operand in one part of K, at most            */
    BLOCK_ROWS = 112,     /* rows of a block, at most                                   */
    SHORT_STEP = 8,       /* steps of fewer rows make tiles that are too small: then    */
    GATHERED_ROWS = 28,   /* the rows of several steps are gathered, so many in a block */
    FAR_WEIGHT = 1 << 20, /* bytes of a weight that L2 may not keep                     */
};

/* Rows [row, row + n_rows) of the list as tiles of rows that follow each other in memory:
 * within one step, or gathered. */
struct row_block {
    size_t row, n_rows;
    bool gathered;
    size_t n_tiles, most_rows;
    size_t first[BLOCK_ROWS + 1]; /* row of each tile, counted from the block's first */
    const char *a[BLOCK_ROWS]; /* each tile's operand, in this part of K                */
    char *c[BLOCK_ROWS];       /* each row's place in panel 0                           */
};

/* How many rows from `row` on make a block: whole steps, or an even piece of a long one. */
static size_t block_rows(size_t batch, size_t row, size_t row1)
{
    if (batch < SHORT_STEP)
        return least(row1 - row, GATHERED_ROWS);
    size_t in_step = row % batch, end = BLOCK_ROWS / batch * batch;
    if (end == 0) {
        size_t piece = divide_up(batch, divide_up(batch, BLOCK_ROWS));
        end = least(batch, in_step + piece);
    }
    return least(row1 - row, end - in_step);
}

static void block_init(struct row_block *block, size_t tile_rows, struct rk_rows c,
                       size_t batch, size_t row, size_t row1)
{
    block->row = row;
    block->n_rows = block_rows(batch, row, row1);
    block->gathered = batch < SHORT_STEP && row % batch + block->n_rows > batch;
    block->n_tiles = block->most_rows = 0;
    for (size_t i = 0; i < block->n_rows; i++)
        block->c[i] = rk_row_at(&c, batch, row + i);
    for (size_t i = 0, run; i < block->n_rows; i += run) {
        run = block->n_rows - i;
        if (!block->gathered)
            run = least(run, batch - (row + i) % batch);
        size_t n = divide_up(run, tile_rows), largest = divide_up(run, n);
        for (size_t t = 0; t < n; t++)
            block->first[block->n_tiles++] = i + run * t / n;
        if (block->most_rows < largest)
            block->most_rows = largest;
    }
    block->first[block->n_tiles] = block->n_rows;
}

/* Panels [panel, panel + panels) of the operand's rows as [panel][row][64 bytes]. */
static void gather_rows(char *to, const struct row_block *block, struct rk_rows a,
                        size_t batch, size_t panel, size_t panels)
{
    for (size_t i = 0; i < block->n_rows; i++) {
        const char *from = rk_row_at(&a, batch, block->row + i) + panel * a.panel_stride;
        for (size_t p = 0; p < panels; p++)
            memcpy(to + (p * block->n_rows + i) * RK_PANEL, from + p * a.panel_stride,
                   RK_PANEL);
    }
}

/* All tiles of a block for one part of K and panels [panel0, panel1). In `tile`, start and
 * b are those of panel 0. */
static void block_run(const struct row_block *block, const struct rk_kernels *kernels,
                      struct rk_product_tile tile, size_t panel0, size_t panel1)
{
    const rk_product_fn(*functions)[RK_MOST_TILE_PANELS + 1] = kernels->product->tile;
    const char *start = tile.start, *b = tile.b;
    const bool far = (panel1 - panel0) * tile.b_stride > FAR_WEIGHT;
    size_t group = (size_t)kernels->product_panels;
    for (size_t panel = panel0; panel < panel1; panel += group) {
        while (group > panel1 - panel || !functions[block->most_rows][group])
            group--;
        tile.c_offset = panel * tile.c_stride;
        tile.start = start ? start + panel * RK_PANEL : NULL;
        tile.b = b + panel * tile.b_stride;
        for (size_t t = 0; t < block->n_tiles; t++) {
            tile.c = block->c + block->first[t];
            tile.a = block->a[t];
            /* A group's last tiles have the next group's panels fetched, one each. */
            size_t left = block->n_tiles - t, next = panel + 2 * group - left;
            bool fetches = far && left <= group && next < panel1;
            tile.fetch = fetches ? b + next * tile.b_stride : NULL;
            functions[block->first[t + 1] - block->first[t]][group](&tile);
        }
    }
}

/* One term of a block's product. `tile` says where the chain starts and where c is. */
static void term_run(struct row_block *block, const struct rk_kernels *kernels,
                     size_t batch, struct rk_product_tile tile, const struct rk_term *term,
                     size_t panel0, size_t panel1)
{
    _Alignas(RK_PANEL) char buffer[PART_PANELS * GATHERED_ROWS * RK_PANEL];
    size_t panels = divide_up(term->k, kernels->lanes), part = panels;
    /* A weight that only one tile reads need not stay in L1. */
    if (block->gathered || block->n_tiles > 1)
        part = panels > 0 ? divide_up(panels, divide_up(panels, PART_PANELS)) : 0;
    size_t panel = 0;
    tile.b_stride = term->weight_stride;
    do {
        tile.b = term->weight + panel * kernels->lanes * RK_PANEL;
        tile.k = least(term->k - panel * kernels->lanes, part * kernels->lanes);
        tile.a_stride = block->gathered ? block->n_rows * RK_PANEL : term->a.panel_stride;
        if (block->gathered)
            gather_rows(buffer, block, term->a, batch, panel, least(part, panels - panel));
        for (size_t t = 0; t < block->n_tiles; t++)
            block->a[t] = block->gathered
                              ? buffer + block->first[t] * RK_PANEL
                              : rk_row_at(&term->a, batch, block->row + block->first[t]) +
                                    panel * term->a.panel_stride;
        block_run(block, kernels, tile, panel0, panel1);
        tile.start = NULL;
        tile.from_zero = false;
        panel += part;
    } while (panel < panels);
}

void rk_product(const struct rk_kernels *kernels, struct rk_rows c, size_t batch,
                size_t row0, size_t row1, size_t panel0, size_t panel1, const char *start,
                bool accumulate, const struct rk_term *terms, size_t n_terms)
{
    /* Without a term, the start alone. */
    static const struct rk_term nothing = {.a = {.base = ""}, .weight = ""};
    if (n_terms == 0)
        terms = &nothing, n_terms = 1;
    if (terms->is_int8) {
        rk_int8_product(kernels, c, batch, row0, row1, panel0, panel1, start, accumulate,
                        terms, n_terms);
        return;
    }
    struct row_block block;
    for (size_t row = row0; row < row1; row += block.n_rows) {
        block_init(&block, (size_t)kernels->product_rows, c, batch, row, row1);
        struct rk_product_tile tile = {
            .c_stride = c.panel_stride, .start = start, .from_zero = !start && !accumulate};
        for (size_t t = 0; t < n_terms; t++) {
            term_run(&block, kernels, batch, tile, terms + t, panel0, panel1);
            tile.start = NULL;
            tile.from_zero = false;
        }
    }
}
