/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products with int8 weights, what the driver in linalg/int8.c hands to the kernels. An
 * operand is made int8 too, row by row: a = scale * code, codes from -127 to 127.
 */
#ifndef RK_INT8_H
#define RK_INT8_H

#include "base/base.h"

/* Codes of up to RK_INT8_PART units, whose sum of products fits into 32 bits with ease. For
 * a code c and a weight w, c * w = |c| * (w ^ s) + (|c| & s), s = -1 where c < 0, else 0:
 * the left part is a product of an unsigned byte, which machines want, the right one goes
 * into `excess`. The bytes are filled up with zeros to a multiple of a panel's lanes. */
enum { RK_INT8_PART = 8192 };
struct rk_int8_row {
    float scale;      /* NaN where a unit is not finite: so are the results            */
    int32_t excess;   /* the sum of |c| of the negative codes                          */
    char *magnitudes; /* |c|                                                           */
    char *signs;      /* s                                                             */
};

/* c[r][p] = start[p] | 0 | c[r][p], then + scale * (a[r] * b[p]). */
struct rk_int8_tile {
    char *const *c;    /* each row's place in panel 0                                     */
    size_t c_offset;   /* bytes from there to the tile's first panel                      */
    size_t c_stride;   /* from panel to panel                                             */
    const char *start; /* a vector; NULL: go on from c, or from zero                    */
    bool from_zero;
    const struct rk_int8_row *a; /* the rows                                            */
    const char *scales;          /* of the units of b                                   */
    const char *b;   /* [k / 4][unit][4 bytes]                                          */
    size_t b_stride; /* from panel to panel, of scales too                              */
    size_t k;
};
typedef void (*rk_int8_fn)(const struct rk_int8_tile *tile);

enum { RK_MOST_INT8_ROWS = 4, RK_MOST_INT8_PANELS = 8 };

struct rk_int8_tiles {
    int rows; /* of the largest tile                                                    */
    /* [rows][panels]; NULL where there is none. One panel is there for all rows; what is
     * there for some rows is there for fewer rows too. */
    rk_int8_fn tile[RK_MOST_INT8_ROWS + 1][RK_MOST_INT8_PANELS + 1];
};

/* Those of an instruction set, or better ones that the machine has beside it. */
const struct rk_int8_tiles *rk_int8_tiles(enum rk_isa isa);

#endif
