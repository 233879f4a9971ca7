/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products with int8 weights: rows of the operand become codes, as many as a buffer holds,
 * and then pass all panels. Operands longer than a part go part by part, each with a scale
 * of its own; what a part gives is added to c.
 */
#include "kernels/int8.h"

#include <string.h>

#include "linalg/linalg.h"
#include "linalg/sizes.h"

enum {
    LANES = 16,
    BUFFER = 4 * RK_INT8_PART, /* bytes of codes, two each */
    MOST_ROWS = 64,
};

/* ------------------------------------------------------------------ packing */

/* Where code k of a unit stands in its panel. */
static size_t code_at(size_t unit, size_t k)
{
    return RK_PANEL + k / 4 * RK_PANEL + unit * 4 + k % 4;
}

void rk_int8_pack(char *packed, const int8_t *plain, const float *scales, size_t blocks,
                  size_t n, size_t k)
{
    const size_t panel_size = rk_int8_panel(k);
    memset(packed, 0, rk_int8_size(blocks, n, k));
    for (size_t b = 0; b < blocks; b++)
        for (size_t first = 0; first < n; first += LANES, packed += panel_size)
            for (size_t u = 0; u < least(LANES, n - first); u++, plain += k) {
                memcpy(packed + u * sizeof *scales, scales++, sizeof *scales);
                for (size_t i = 0; i < k; i++)
                    packed[code_at(u, i)] = (char)plain[i];
            }
}

void rk_int8_unpack(int8_t *plain, float *scales, const char *packed, size_t blocks,
                    size_t n, size_t k)
{
    const size_t panel_size = rk_int8_panel(k);
    for (size_t b = 0; b < blocks; b++)
        for (size_t first = 0; first < n; first += LANES, packed += panel_size)
            for (size_t u = 0; u < least(LANES, n - first); u++, plain += k) {
                memcpy(scales++, packed + u * sizeof *scales, sizeof *scales);
                for (size_t i = 0; i < k; i++)
                    plain[i] = (int8_t)packed[code_at(u, i)];
            }
}

/* ----------------------------------------------------------------- products */

/* Rows [row, row + n_rows) of the list, as codes of one part of one term. */
struct int8_block {
    size_t row, n_rows;
    char *c[MOST_ROWS]; /* each row's place in panel 0 */
    struct rk_int8_row codes[MOST_ROWS];
    _Alignas(RK_PANEL) char buffer[BUFFER];
};

static void quantise(struct int8_block *block, const struct rk_kernels *kernels,
                     const struct rk_term *term, size_t batch, size_t k0, size_t k)
{
    size_t n_bytes = divide_up(k, LANES) * LANES;
    for (size_t r = 0; r < block->n_rows; r++) {
        struct rk_int8_row *codes = &block->codes[r];
        const char *row = rk_row_at(&term->a, batch, block->row + r);
        codes->magnitudes = block->buffer + 2 * r * n_bytes;
        codes->signs = codes->magnitudes + n_bytes;
        kernels->quantise(codes, row + k0 / LANES * term->a.panel_stride,
                          term->a.panel_stride, k);
    }
}

/* All tiles of a block for panels [panel0, panel1). In `tile`, start, scales and b are
 * those of panel 0. */
static void int8_block_run(const struct int8_block *block,
                           const struct rk_int8_tiles *tiles, struct rk_int8_tile tile,
                           size_t panel0, size_t panel1)
{
    const char *start = tile.start, *scales = tile.scales, *b = tile.b;
    size_t most_rows = least(block->n_rows, (size_t)tiles->rows);
    size_t group = RK_MOST_INT8_PANELS;
    for (size_t panel = panel0; panel < panel1; panel += group) {
        while (group > panel1 - panel || !tiles->tile[most_rows][group])
            group--;
        tile.c_offset = panel * tile.c_stride;
        tile.start = start ? start + panel * RK_PANEL : NULL;
        tile.scales = scales + panel * tile.b_stride;
        tile.b = b + panel * tile.b_stride;
        for (size_t r = 0, n; r < block->n_rows; r += n) {
            n = least(block->n_rows - r, most_rows);
            tile.c = block->c + r;
            tile.a = block->codes + r;
            tiles->tile[n][group](&tile);
        }
    }
}

static size_t longest_part(const struct rk_term *terms, size_t n_terms)
{
    size_t most = LANES;
    for (size_t t = 0; t < n_terms; t++)
        if (terms[t].k > most)
            most = terms[t].k;
    return least(most, RK_INT8_PART);
}

void rk_int8_product(const struct rk_kernels *kernels, struct rk_rows c, size_t batch,
                     size_t row0, size_t row1, size_t panel0, size_t panel1,
                     const char *start, bool accumulate, const struct rk_term *terms,
                     size_t n_terms)
{
    const struct rk_int8_tiles *tiles = rk_int8_tiles(kernels->isa);
    const size_t row_bytes = 2 * divide_up(longest_part(terms, n_terms), LANES) * LANES;
    const size_t at_once = least(MOST_ROWS, BUFFER / row_bytes);
    struct int8_block block;
    for (block.row = row0; block.row < row1; block.row += block.n_rows) {
        struct rk_int8_tile tile = {.c = block.c,
                                    .c_stride = c.panel_stride,
                                    .start = start,
                                    .from_zero = !start && !accumulate};
        block.n_rows = least(at_once, row1 - block.row);
        for (size_t r = 0; r < block.n_rows; r++)
            block.c[r] = rk_row_at(&c, batch, block.row + r);
        for (const struct rk_term *term = terms; term < terms + n_terms; term++)
            for (size_t k = 0; k < term->k; k += tile.k) {
                tile.k = least(RK_INT8_PART, term->k - k);
                tile.b_stride = term->weight_stride;
                tile.scales = term->weight;
                tile.b = term->weight + RK_PANEL + k / 4 * RK_PANEL;
                quantise(&block, kernels, term, batch, k, tile.k);
                int8_block_run(&block, tiles, tile, panel0, panel1);
                tile.start = NULL;
                tile.from_zero = false;
            }
    }
}
