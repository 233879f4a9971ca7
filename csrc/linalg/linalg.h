/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packed matrix products. An element of a product is one chain of fused multiply-adds
 * (start, then each term in order, K ascending), whatever the tile, the batch, the blocking
 * and the threads. These functions do the share of one thread and never synchronise: the
 * caller hands each thread its own rows or panels.
 *
 * Packed weight of (n units, k columns): [n / lanes][k][64 bytes], the last panel filled
 * up with zero units. A parameter of several blocks (gates) is its blocks one after the
 * other, each filled up on its own. Its transpose, for gradients of the operand, has the k
 * columns as units and runs over block 0's units, then block 1's ...:
 * [k / lanes][blocks * n][64 bytes].
 *
 * int8 weight, under float32: each unit has codes from -127 to 127 and one scale. A panel
 * is 64 bytes of scales, then [k / 4][unit][4 codes], filled up with zeros: [n / lanes][1 +
 * k / 4][64 bytes]. Its operands become int8 too (kernels/int8.h), row by row, with the
 * scale that lets the largest magnitude be 127; from then on all is exact up to start +
 * scale * scale * sum, rounded at each step: results have the same bits on every
 * instruction set. A row's do not depend on which rows are with it.
 */
#ifndef RK_LINALG_H
#define RK_LINALG_H

#include "kernels/kernels.h"

struct rk_term {
    struct rk_rows a;     /* the operand: rows x k units                                */
    const char *weight;   /* panel 0 of the packed weight (or of one block's part)      */
    size_t weight_stride; /* bytes from one panel of units to the next                  */
    size_t k;
    bool is_int8; /* the weight is: all of a product's are, or none                     */
};

/* Neither operands nor results are in shards: a thread multiplies the rows of its own.
 *
 * c[r, n] = start[n] + sum_terms sum_k a[r, k] * weight[n, k], for rows [row0, row1) of the
 * list and panels [panel0, panel1). `start` is a packed vector (its panel 0), or NULL:
 * then the chain goes on from c's content when `accumulate`, else from zero. */
void rk_product(const struct rk_kernels *kernels, struct rk_rows c, size_t batch,
                size_t row0, size_t row1, size_t panel0, size_t panel1, const char *start,
                bool accumulate, const struct rk_term *terms, size_t n_terms);

/* dw[n, k] += sum over rows [row0, row1) of the list of delta[r, n] * a[r, k]: the gradient
 * of a packed weight, panels [panel0, panel1) of units, columns [k0, k1). Rows ascending,
 * one chain an element, going on from dw's content. */
void rk_outer(const struct rk_kernels *kernels, char *dw, size_t dw_stride,
              struct rk_rows delta, struct rk_rows a, size_t batch, size_t row0,
              size_t row1, size_t panel0, size_t panel1, size_t k0, size_t k1);

/* Plain (blocks * n, k), row-major, contiguous <-> packed. */
void rk_pack(enum rk_dtype dtype, char *packed, const void *plain, size_t blocks, size_t n,
             size_t k);
void rk_unpack(enum rk_dtype dtype, void *plain, const char *packed, size_t blocks,
               size_t n, size_t k);
/* One unit's columns [k0, k1) from one packed weight of k columns to another. */
void rk_unit_copy(enum rk_dtype dtype, char *to, size_t to_unit, const char *from,
                  size_t from_unit, size_t k, size_t k0, size_t k1);
/* Packed -> packed transpose, the share of panels [panel0, panel1) of the transpose. */
void rk_transpose(const struct rk_kernels *kernels, char *transposed, const char *packed,
                  size_t blocks, size_t n, size_t k, size_t panel0, size_t panel1);

static inline size_t rk_packed_size(enum rk_dtype dtype, size_t blocks, size_t n, size_t k)
{
    return blocks * rk_panels(dtype, n) * k * RK_PANEL;
}
static inline size_t rk_transposed_size(enum rk_dtype dtype, size_t blocks, size_t n,
                                        size_t k)
{
    return rk_panels(dtype, k) * blocks * n * RK_PANEL;
}

/* Bytes of a panel of an int8 weight of k columns, and of the weight. */
static inline size_t rk_int8_panel(size_t k)
{
    return (1 + (k + 3) / 4) * RK_PANEL;
}
static inline size_t rk_int8_size(size_t blocks, size_t n, size_t k)
{
    return blocks * rk_panels(RK_FLOAT32, n) * rk_int8_panel(k);
}
/* From panel to panel of a weight of either kind. */
static inline size_t rk_weight_stride(bool is_int8, size_t k)
{
    return is_int8 ? rk_int8_panel(k) : k * RK_PANEL;
}

/* Plain codes (blocks * n, k) and scales (blocks * n) <-> packed. */
void rk_int8_pack(char *packed, const int8_t *plain, const float *scales, size_t blocks,
                  size_t n, size_t k);
void rk_int8_unpack(int8_t *plain, float *scales, const char *packed, size_t blocks,
                    size_t n, size_t k);
/* rk_product where the weights are int8. */
void rk_int8_product(const struct rk_kernels *kernels, struct rk_rows c, size_t batch,
                     size_t row0, size_t row1, size_t panel0, size_t panel1,
                     const char *start, bool accumulate, const struct rk_term *terms,
                     size_t n_terms);

/* Plain rows (n_rows, width) <-> one step of a rows x units value. */
void rk_rows_pack(enum rk_dtype dtype, char *step, size_t panel_stride, const void *plain,
                  size_t n_rows, size_t width);
void rk_rows_unpack(enum rk_dtype dtype, void *plain, const char *step, size_t panel_stride,
                    size_t n_rows, size_t width);

#endif
