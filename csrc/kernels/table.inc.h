/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The table of this instance.
 */
/* clang-format off */
const struct rk_kernels RK_T(rk_kernels) = {
    .isa = RK_ISA,
    .dtype = RK_F32 ? RK_FLOAT32 : RK_FLOAT64,
    .lanes = RK_LANES,
    .vector = {
#define X(name, number, operands) [number] = RK_T(vector_##name),
        RK_VECTOR_OPS(X)
#undef X
    },
    .expand_unit = RK_T(expand_unit),
    .expand_row = RK_T(expand_row),
    .fill = RK_T(fill),
    .mask = RK_T(mask),
    .clear_tail = RK_T(clear_tail),
    .gather = RK_T(gather),
    .scatter_add = RK_T(scatter_add),
    .transpose = RK_T(transpose),
    .row_sum = RK_T(row_sum),
    .row_max = RK_T(row_max),
    .column_sum = RK_T(column_sum),
    .product_rows = RK_PRODUCT_ROWS,
    .product_panels = RK_PRODUCT_PANELS,
    .outer_columns = RK_OUTER_COLUMNS,
    .product = &RK_T(product_tiles),
    .outer = &RK_T(outer_tiles),
#if RK_F32
    .quantise = RK_T(int8_quantise),
    .int8_unit = RK_T(int8_unit),
#endif
    .sum_squares = RK_T(sum_squares),
    .scale = RK_T(scale),
    .update = &RK_T(update_kernels),
    .softmax = &RK_T(softmax_kernels),
};
/* clang-format on */
