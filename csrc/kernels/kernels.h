/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything that does arithmetic on arrays, one table of functions per instruction set and
 * element type. The tables are instances of one template (*.inc.h); whoever calls them
 * works in bytes and panels and does not know the element type.
 *
 * Layout. A value of `width` units over `rows` rows at one time step is stored as panels:
 * [panel][row][64 bytes]; unit u of a row sits in panel u / lanes, lane u % lanes. A vector
 * (one value a unit) is [panel][64 bytes]. A value "one a row" is a single panel with all
 * lanes equal.
 */
#ifndef RK_KERNELS_H
#define RK_KERNELS_H

#include "base/base.h"

/* clang-format off */
/* Elementwise instructions. The numbers are those of the graph's op-set (rnnkit.compiler.ops)
 * and go into model files: never renumber. Comparisons give 1 or 0. Each row of the list:
 * name, number, operands. */
#define RK_VECTOR_OPS(X)                                                                   \
    X(add, 32, 2)           /* a + b                                                     */ \
    X(sub, 33, 2)           /* a - b                                                     */ \
    X(mul, 34, 2)           /* a * b                                                     */ \
    X(div, 35, 2)           /* a / b                                                     */ \
    X(neg, 36, 1)           /* -a                                                        */ \
    X(min, 37, 2)           /* NaN if either is NaN                                      */ \
    X(max, 38, 2)           /* NaN if either is NaN                                      */ \
    X(abs, 39, 1)                                                                          \
    X(sqrt, 40, 1)                                                                         \
    X(exp, 41, 1)                                                                          \
    X(log, 42, 1)                                                                          \
    X(sigmoid, 43, 1)       /* 1 / (1 + exp(-a))                                         */ \
    X(logsigmoid, 44, 1)    /* log(sigmoid(a)), no overflow at either end                */ \
    X(softplus, 45, 1)      /* log(1 + exp(a)), no overflow                              */ \
    X(tanh, 46, 1)                                                                         \
    X(relu, 47, 1)          /* max(a, 0); NaN stays NaN                                  */ \
    X(greater, 48, 2)       /* a > b                                                     */ \
    X(greater_equal, 49, 2) /* a >= b                                                    */ \
    X(equal, 50, 2)         /* a == b                                                    */ \
    X(select, 51, 3)        /* a != 0 ? b : c                                            */ \
    X(sigmoid_grad, 52, 2)  /* a * (b * (1 - b)): a gradient of y, b the value y         */ \
    X(tanh_grad, 53, 2)     /* a * (1 - b * b)                                           */ \
    X(relu_grad, 54, 2)     /* b > 0 ? a : 0                                             */ \
    X(stop_gradient, 55, 1) /* a                                                         */ \
    X(muladd, 56, 3)        /* a * b + c, each rounded (no fma)                          */

enum rk_vector_op {
#define X(name, number, operands) RK_OP_##name = number,
    RK_VECTOR_OPS(X)
#undef X
    RK_FIRST_VECTOR_OP = 32,
    RK_N_VECTOR_OPS = 64
};
/* clang-format on */

/* dst[0:n] = op(a, b, c), n elements, a whole number of panels; every pointer 64-byte
 * aligned. dst may equal an operand; nothing else overlaps. Unused operands are NULL. */
typedef void (*rk_vector_fn)(void *dst, const void *a, const void *b, const void *c,
                             size_t n);

/* A rows x units value over time steps, seen as a list of rows: row r of the list is row
 * r % batch of step r / batch. The rows of a step may be dealt to shards, `shard_rows` to
 * each (to the last one what is left), that lie apart in memory (program/program.h says
 * why). Strides in bytes. */
struct rk_rows {
    char *base;
    size_t step_stride, panel_stride;
    size_t shard_rows, shard_stride; /* 0, 0: all rows of a step lie together            */
    size_t first_row;                /* of a step, where the list is of some of its rows */
};

/* Row `row` of the list, in panel 0. */
static inline char *rk_row_at(const struct rk_rows *rows, size_t batch, size_t row)
{
    size_t step = row / batch, in_step = rows->first_row + row % batch, shard = 0;
    if (rows->shard_rows) {
        shard = in_step / rows->shard_rows;
        in_step %= rows->shard_rows;
    }
    return rows->base + shard * rows->shard_stride + step * rows->step_stride +
           in_step * RK_PANEL;
}

/* How many rows of the list, from `row` on, lie together: to the end of its shard. */
static inline size_t rk_rows_together(const struct rk_rows *rows, size_t batch, size_t row)
{
    size_t in_step = rows->first_row + row % batch, end = rows->first_row + batch;
    if (rows->shard_rows) {
        size_t next = (in_step / rows->shard_rows + 1) * rows->shard_rows;
        end = next < end ? next : end;
    }
    return end - in_step;
}

/* A dropout site. The mask's value for (step, row, unit) is 0 with probability `rate`, else
 * 1 / (1 - rate), from Philox with key (seed) and counter (unit / 4, row, step, site and
 * update folded in); the word is unit % 4. It does not depend on threads, batches and
 * dtype. */
struct rk_mask {
    uint64_t seed;
    uint32_t site;   /* number of the place in the network (layer and site)              */
    uint32_t update; /* number of the window within the fit                              */
    double rate;
};

struct rk_int8_row;

struct rk_kernels {
    enum rk_isa isa;
    enum rk_dtype dtype;
    size_t lanes; /* of a panel: 16 or 8 */

    rk_vector_fn vector[RK_N_VECTOR_OPS]; /* NULL where the number is no instruction      */

    /* Blocks of `panels` x `rows`, contiguous: [panel][row][64 bytes]. */
    void (*expand_unit)(void *dst, const void *vector, size_t panels, size_t rows);
    /* row_values: one panel a row, [row][64 bytes] */
    void (*expand_row)(void *dst, const void *row_values, size_t panels, size_t rows);
    void (*fill)(void *dst, double value, size_t n);
    void (*mask)(void *dst, const struct rk_mask *mask, uint32_t step, size_t row0,
                 size_t rows, size_t panel0, size_t panels);
    /* Zeroes the lanes from width % lanes on of `rows` consecutive panels (the last panel
     * of a value); nothing when width is a multiple of lanes. */
    void (*clear_tail)(void *last_panel, size_t width, size_t rows);

    /* Rows of one panel: dst[i] = src[index[i]]; dst[index[i]] += src[i], i ascending. */
    void (*gather)(void *dst, const void *src, const int32_t *index, size_t n);
    void (*scatter_add)(void *dst, const void *src, const int32_t *index, size_t n);
    /* A square: lane j of row i of dst (lanes rows of 64 bytes) is lane i of row j. */
    void (*transpose)(void *dst, const void *src);

    /* dst[row] (a panel, all lanes equal) = sum or max over the true units of a row. One
     * partial a lane, panels in order, one fixed tree: the same bits however rows are
     * grouped and on every instruction set. src: row 0 of panel 0; max keeps NaN. */
    void (*row_sum)(void *dst, const void *src, size_t panel_stride, size_t width,
                    size_t rows);
    void (*row_max)(void *dst, const void *src, size_t panel_stride, size_t width,
                    size_t rows);

    /* dst panel p (+)= sum over rows [row0, row1) of the list, in order, panels [p0, p1).
     * Continues from dst's content. */
    void (*column_sum)(void *dst, struct rk_rows src, size_t batch, size_t row0,
                       size_t row1, size_t p0, size_t p1);

    /* --- Matrix products: see linalg/linalg.h, which drives these tiles. --- */
    int product_rows, product_panels; /* largest tile of `product`                       */
    int outer_columns;                /* largest number of columns of `outer`            */
    const struct rk_product_tiles *product;
    const struct rk_outer_tiles *outer;

    /* --- int8 weights (linalg.h) under float32; else NULL. --- */
    /* Makes codes of k floats, in panels (kernels/int8.h); the row's places are set. */
    void (*quantise)(struct rk_int8_row *row, const void *src, size_t panel_stride,
                     size_t k);
    /* Unit `unit` of a packed panel of k columns, as a row of floats in panels. */
    void (*int8_unit)(void *dst, size_t dst_stride, const void *panel, size_t unit,
                      size_t k);

    /* --- Flat arrays (parameters, gradients, moments); n a whole number of panels. --- */
    /* Sum of squares in double, in one fixed order for a given n. */
    double (*sum_squares)(const void *a, size_t n);
    /* g *= scale */
    void (*scale)(void *a, double factor, size_t n);
    const struct rk_update_kernels *update; /* of solvers and means: kernels/update.h    */
    const struct rk_softmax_kernels *softmax; /* private to heads: kernels/softmax.inc.h */
};

/* The table of an instruction set, or NULL where it was not compiled in. */
const struct rk_kernels *rk_kernels(enum rk_isa isa, enum rk_dtype dtype);

#endif
