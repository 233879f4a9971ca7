/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products and weight gradients against one chain an element, written plainly, bit for bit;
 * packing and transposing against index arithmetic.
 */
#include "check.h"
#include "linalg/linalg.h"

static const struct rk_kernels *kernels;
static enum rk_dtype dtype;
static size_t lanes, size;

/* One link of a chain. */
static double link(double sum, double a, double b)
{
    if (kernels->isa == RK_BASELINE)
        return dtype == RK_FLOAT32 ? (double)((float)sum + (float)a * (float)b) : sum + a * b;
    return dtype == RK_FLOAT32 ? (double)fmaf((float)a, (float)b, (float)sum) : fma(a, b, sum);
}

/* A rows x width value over steps with lanes beyond the width full of NaN. */
struct value {
    size_t n_steps, batch, width, panels;
    char *memory;
    struct rk_rows rows;
};

static struct value value_make(size_t n_steps, size_t batch, size_t width, uint64_t seed)
{
    struct value v = {n_steps, batch, width, rk_panels(dtype, width), NULL, {0}};
    size_t n = n_steps * v.panels * batch * lanes;
    v.memory = must_alloc(n * size);
    v.rows = (struct rk_rows){.base = v.memory,
                              .step_stride = v.panels * batch * RK_PANEL,
                              .panel_stride = batch * RK_PANEL};
    for (size_t i = 0; i < n; i++) {
        size_t unit = i / (batch * lanes) % v.panels * lanes + i % lanes;
        real_set(dtype, v.memory, i, unit < width ? random_real(&seed) : (double)NAN);
    }
    return v;
}

static size_t value_index(const struct value *v, size_t row, size_t unit)
{
    return ((row / v->batch * v->panels + unit / lanes) * v->batch + row % v->batch) * lanes
           + unit % lanes;
}

static double value_get(const struct value *v, size_t row, size_t unit)
{
    return real_get(dtype, v->memory, value_index(v, row, unit));
}

static char *packed_make(size_t blocks, size_t n, size_t k, uint64_t seed, void **plain)
{
    *plain = must_alloc(blocks * n * k * size);
    random_fill(dtype, *plain, blocks * n * k, seed);
    char *packed = must_alloc(rk_packed_size(dtype, blocks, n, k));
    rk_pack(dtype, packed, *plain, blocks, n, k);
    return packed;
}

enum chain_start { FROM_START, FROM_ZERO, FROM_C };

/* c = product of up to two terms over rows [row0, row1), checked element by element; rows
 * outside must stay as they were. */
static void product_check(size_t n_steps, size_t batch, size_t row0, size_t row1, size_t n,
                          const size_t *ks, size_t n_terms, enum chain_start how)
{
    struct value c = value_make(n_steps, batch, n, 1), before = value_make(n_steps, batch, n, 1);
    struct value a[2];
    struct rk_term terms[2];
    void *plain[2];
    char *weights[2];
    void *bias = must_alloc(c.panels * RK_PANEL);
    random_fill(dtype, bias, n, 9);
    for (size_t t = 0; t < n_terms; t++) {
        a[t] = value_make(n_steps, batch, ks[t], 2 + t);
        weights[t] = packed_make(1, n, ks[t], 4 + t, &plain[t]);
        terms[t] = (struct rk_term){a[t].rows, weights[t], ks[t] * RK_PANEL, ks[t], false};
    }
    rk_product(kernels, c.rows, batch, row0, row1, 0, c.panels, how == FROM_START ? bias : NULL,
               how == FROM_C, terms, n_terms);
    size_t wrong = 0;
    for (size_t row = 0; row < n_steps * batch; row++)
        for (size_t u = 0; u < n; u++) {
            double sum = value_get(&before, row, u);
            if (row >= row0 && row < row1) {
                if (how != FROM_C) sum = how == FROM_START ? real_get(dtype, bias, u) : 0;
                for (size_t t = 0; t < n_terms; t++)
                    for (size_t k = 0; k < ks[t]; k++)
                        sum = link(sum, value_get(&a[t], row, k),
                                   real_get(dtype, plain[t], u * ks[t] + k));
            }
            wrong += value_get(&c, row, u) != sum;
        }
    check(wrong == 0,
          "product %s steps %zu batch %zu rows [%zu, %zu) n %zu k %zu terms %zu start %d: %zu wrong",
          dtype_name(dtype), n_steps, batch, row0, row1, n, n_terms ? ks[0] : 0, n_terms,
          (int)how, wrong);
    for (size_t t = 0; t < n_terms; t++)
        rk_free(a[t].memory), rk_free(plain[t]), rk_free(weights[t]);
    rk_free(c.memory), rk_free(before.memory), rk_free(bias);
}

static void products_equal_one_chain_an_element(void)
{
    static const size_t batches[] = {1, 2, 3, 5, 7, 8, 9, 13, 17, 20, 65, 113, 130};
    static const size_t ns[] = {1, 16, 17, 33, 65, 130};
    static const size_t ks[][2] = {{1, 3}, {17, 1}, {65, 16}, {128, 5}, {300, 65}, {16, 600}};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (size_t i = 0; i < 6; i++) {
            size_t batch = batches[b], n_steps = batch > 40 ? 2 : 40 / batch + 1;
            size_t n = ns[(i + b) % 6], rows = n_steps * batch;
            enum chain_start how = (enum chain_start)((i + b) % 3);
            product_check(n_steps, batch, 0, rows, n, ks[i], 1 + (i + b / 2) % 2, how);
            product_check(n_steps, batch, rows / 5, rows - rows / 7, n, ks[i], 1, how);
        }
    /* A weight larger than L2 may keep. */
    product_check(2, 20, 0, 40, 470, (size_t[]){603}, 1, FROM_ZERO);
    /* Each number of rows of a tile, with each number of panels. */
    for (size_t rows = 1; rows <= 16; rows++)
        for (size_t panels = 1; panels <= 11; panels++)
            product_check(1, rows, 0, rows, panels * lanes, (size_t[]){lanes + 3}, 1, FROM_ZERO);
}

static void products_of_nothing_are_their_start(void)
{
    for (int how = FROM_START; how <= FROM_C; how++) {
        product_check(3, 4, 2, 11, 33, NULL, 0, (enum chain_start)how);
        product_check(3, 4, 2, 11, 33, (size_t[]){0, 0}, 2, (enum chain_start)how);
        product_check(3, 4, 5, 5, 33, (size_t[]){7}, 1, (enum chain_start)how);
    }
}

/* The shares of threads, panel by panel and row by row, give the bits of the whole. */
static void a_products_share_has_the_bits_of_the_whole(void)
{
    enum { STEPS = 7, BATCH = 9, N = 70, K = 290 };
    struct value a = value_make(STEPS, BATCH, K, 1), whole = value_make(STEPS, BATCH, N, 2);
    struct value shared = value_make(STEPS, BATCH, N, 3);
    void *plain;
    char *weight = packed_make(1, N, K, 4, &plain);
    struct rk_term term = {a.rows, weight, K * RK_PANEL, K, false};
    rk_product(kernels, whole.rows, BATCH, 0, STEPS * BATCH, 0, whole.panels, NULL, false, &term,
               1);
    for (size_t panel = 0; panel < whole.panels; panel++)
        for (size_t row = 0; row < STEPS * BATCH; row++)
            rk_product(kernels, shared.rows, BATCH, row, row + 1, panel, panel + 1, NULL, false,
                       &term, 1);
    check(same_bits(whole.memory, shared.memory, STEPS * BATCH * whole.panels * RK_PANEL),
          "%s: shares differ from the whole", dtype_name(dtype));
    rk_free(a.memory), rk_free(whole.memory), rk_free(shared.memory);
    rk_free(plain), rk_free(weight);
}

static void outer_check(size_t n_steps, size_t batch, size_t row0, size_t row1, size_t n,
                        size_t k, size_t k0, size_t k1)
{
    struct value delta = value_make(n_steps, batch, n, 1), a = value_make(n_steps, batch, k, 2);
    void *plain;
    char *dw = packed_make(1, n, k, 3, &plain);
    rk_outer(kernels, dw, k * RK_PANEL, delta.rows, a.rows, batch, row0, row1, 0, delta.panels,
             k0, k1);
    void *result = must_alloc(n * k * size);
    rk_unpack(dtype, result, dw, 1, n, k);
    size_t wrong = 0;
    for (size_t u = 0; u < n; u++)
        for (size_t j = 0; j < k; j++) {
            double sum = real_get(dtype, plain, u * k + j);
            for (size_t row = row0; j >= k0 && j < k1 && row < row1; row++)
                sum = link(sum, value_get(&a, row, j), value_get(&delta, row, u));
            wrong += real_get(dtype, result, u * k + j) != sum;
        }
    check(wrong == 0,
          "outer %s steps %zu batch %zu rows [%zu, %zu) n %zu k %zu [%zu, %zu): %zu wrong",
          dtype_name(dtype), n_steps, batch, row0, row1, n, k, k0, k1, wrong);
    rk_free(delta.memory), rk_free(a.memory), rk_free(plain), rk_free(dw), rk_free(result);
}

static void weight_gradients_equal_one_chain_an_element(void)
{
    static const size_t batches[] = {1, 3, 20, 64, 65};
    static const size_t sizes[] = {1, 3, 17, 33, 65};
    for (size_t b = 0; b < 5; b++)
        for (size_t i = 0; i < 5; i++) {
            size_t batch = batches[b], n_steps = batch > 60 ? 3 : 150 / batch;
            size_t rows = n_steps * batch, n = sizes[i], k = sizes[(i + b) % 5];
            outer_check(n_steps, batch, 0, rows, n, k, 0, k);
            outer_check(n_steps, batch, rows / 3, rows - 1, n, k, k / 3, k - k / 4);
        }
    outer_check(3, 4, 5, 5, 17, 3, 0, 3);
}

static void packing_follows_the_layout_and_back(void)
{
    static const size_t sizes[] = {1, 3, 16, 17, 65};
    for (size_t blocks = 1; blocks <= 3; blocks += 2)
        for (size_t i = 0; i < 25; i++) {
            size_t n = sizes[i / 5], k = sizes[i % 5], panels = rk_panels(dtype, n);
            void *plain, *back = must_alloc(blocks * n * k * size);
            char *packed = packed_make(blocks, n, k, i, &plain);
            size_t wrong = 0;
            for (size_t at = 0; at < blocks * panels * k * lanes; at++) {
                size_t panel = at / (k * lanes), j = at / lanes % k;
                size_t block = panel / panels, u = panel % panels * lanes + at % lanes;
                double expected =
                    u < n ? real_get(dtype, plain, (block * n + u) * k + j) : 0;
                wrong += real_get(dtype, packed, at) != expected;
            }
            check(wrong == 0, "pack %zu x %zu x %zu: %zu wrong", blocks, n, k, wrong);
            rk_unpack(dtype, back, packed, blocks, n, k);
            check(same_bits(back, plain, blocks * n * k * size), "unpack %zu x %zu x %zu",
                  blocks, n, k);
            rk_free(plain), rk_free(back), rk_free(packed);
        }
}

static void a_transpose_runs_over_the_units_of_all_blocks(void)
{
    static const size_t sizes[] = {1, 3, 16, 17, 65};
    for (size_t blocks = 1; blocks <= 3; blocks += 2)
        for (size_t i = 0; i < 25; i++) {
            size_t n = sizes[i / 5], k = sizes[i % 5], panels = rk_panels(dtype, k);
            size_t n_bytes = rk_transposed_size(dtype, blocks, n, k);
            void *plain;
            char *packed = packed_make(blocks, n, k, i, &plain);
            char *transposed = must_alloc(n_bytes);
            memset(transposed, 0xff, n_bytes);
            rk_transpose(kernels, transposed, packed, blocks, n, k, 0, panels / 2);
            rk_transpose(kernels, transposed, packed, blocks, n, k, panels / 2, panels);
            size_t wrong = 0;
            for (size_t at = 0; at < n_bytes / size; at++) {
                size_t u = at / lanes % (blocks * n);
                size_t j = at / (blocks * n * lanes) * lanes + at % lanes;
                double expected = j < k ? real_get(dtype, plain, u * k + j) : 0;
                wrong += real_get(dtype, transposed, at) != expected;
            }
            check(wrong == 0, "transpose %zu x %zu x %zu: %zu wrong", blocks, n, k, wrong);
            rk_free(plain), rk_free(packed), rk_free(transposed);
        }
}

static void units_are_copied_from_weight_to_weight(void)
{
    static const size_t sizes[] = {1, 3, 17, 65};
    for (size_t i = 0; i < 16; i++) {
        size_t n = sizes[i / 4], k = sizes[i % 4], first = k / 3, last = k - k / 5;
        void *plain, *other, *back = must_alloc(n * k * size);
        char *from = packed_make(1, n, k, i, &plain), *to = packed_make(1, n, k, 99, &other);
        for (size_t u = 0; u < n; u += 2) /* to the place of the unit at the other end */
            rk_unit_copy(dtype, to, n - 1 - u, from, u, k, first, last);
        rk_unpack(dtype, back, to, 1, n, k);
        size_t wrong = 0;
        for (size_t u = 0; u < n; u++)
            for (size_t j = 0; j < k; j++) {
                bool copied = (n - 1 - u) % 2 == 0 && j >= first && j < last;
                double expected = copied ? real_get(dtype, plain, (n - 1 - u) * k + j)
                                         : real_get(dtype, other, u * k + j);
                wrong += real_get(dtype, back, u * k + j) != expected;
            }
        check(wrong == 0, "units of %zu x %zu: %zu wrong", n, k, wrong);
        rk_free(plain), rk_free(other), rk_free(back), rk_free(from), rk_free(to);
    }
}

static void rows_are_packed_with_zeros_and_back(void)
{
    static const size_t sizes[] = {1, 3, 17, 65};
    for (size_t i = 0; i < 16; i++) {
        size_t rows = sizes[i / 4], width = sizes[i % 4], panels = rk_panels(dtype, width);
        size_t stride = (rows + 2) * RK_PANEL;
        void *plain = must_alloc(rows * width * size), *back = must_alloc(rows * width * size);
        char *step = must_alloc(panels * stride);
        memset(step, 0xff, panels * stride);
        random_fill(dtype, plain, rows * width, i);
        rk_rows_pack(dtype, step, stride, plain, rows, width);
        size_t wrong = 0;
        for (size_t r = 0; r < rows; r++)
            for (size_t u = 0; u < panels * lanes; u++) {
                double expected = u < width ? real_get(dtype, plain, r * width + u) : 0;
                wrong += real_get(dtype, step + u / lanes * stride + r * RK_PANEL, u % lanes)
                         != expected;
            }
        check(wrong == 0, "rows %zu x %zu: %zu wrong", rows, width, wrong);
        rk_rows_unpack(dtype, back, step, stride, rows, width);
        check(same_bits(back, plain, rows * width * size), "rows back %zu x %zu", rows, width);
        rk_free(plain), rk_free(back), rk_free(step);
    }
}

int main(void)
{
    enum rk_isa isa = check_isa();
    for (int type = 0; type < 2; type++) {
        dtype = (enum rk_dtype)type;
        kernels = rk_kernels(isa, dtype);
        lanes = rk_lanes(dtype);
        size = rk_real_size(dtype);
        products_equal_one_chain_an_element();
        products_of_nothing_are_their_start();
        a_products_share_has_the_bits_of_the_whole();
        weight_gradients_equal_one_chain_an_element();
        packing_follows_the_layout_and_back();
        a_transpose_runs_over_the_units_of_all_blocks();
        units_are_copied_from_weight_to_weight();
        rows_are_packed_with_zeros_and_back();
    }
    return check_report(rk_isa_name(isa));
}
