/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products with int8 weights against whole numbers, written plainly, bit for bit; packing
 * and what is read of a packed weight.
 */
#include "kernels/int8.h"

#include "check.h"
#include "kernels/table.h"
#include "linalg/linalg.h"

enum { LANES = 16 };

static const struct rk_kernels *kernels;

/* A weight as it is and packed. */
struct weight {
    size_t n, k;
    int8_t *codes;
    float *scales;
    char *packed;
};

static struct weight weight_make(size_t n, size_t k, uint64_t seed)
{
    struct weight w = {n, k, must_alloc(n * k), must_alloc(n * sizeof(float)),
                       must_alloc(rk_int8_size(1, n, k))};
    for (size_t i = 0; i < n * k; i++)
        w.codes[i] = (int8_t)(random_real(&seed) * 127.999);
    for (size_t u = 0; u < n; u++)
        w.scales[u] = (float)(random_real(&seed) + 1.5) / 100;
    return w;
}

static void weight_pack(struct weight *w)
{
    rk_int8_pack(w->packed, w->codes, w->scales, 1, w->n, w->k);
}

static void weight_free(struct weight *w)
{
    rk_free(w->codes), rk_free(w->scales), rk_free(w->packed);
}

/* Rows of `width` units over steps; lanes beyond are NaN. */
static struct rk_rows rows_make(size_t n_steps, size_t batch, size_t width, uint64_t seed)
{
    size_t panels = rk_panels(RK_FLOAT32, width), n = n_steps * panels * batch * LANES;
    float *memory = must_alloc(n * sizeof *memory);
    for (size_t i = 0; i < n; i++) {
        size_t unit = i / (batch * LANES) % panels * LANES + i % LANES;
        memory[i] = unit < width ? (float)random_real(&seed) : NAN;
    }
    return (struct rk_rows){.base = (char *)memory,
                            .step_stride = panels * batch * RK_PANEL,
                            .panel_stride = batch * RK_PANEL};
}

static float *unit_at(struct rk_rows rows, size_t batch, size_t row, size_t unit)
{
    char *at = rk_row_at(&rows, batch, row) + unit / LANES * rows.panel_stride;
    return (float *)at + unit % LANES;
}

/* What a part [k0, k1) of an operand's row gives for a unit. */
static float part(struct rk_rows a, size_t batch, size_t row, const struct weight *w,
                  size_t unit, size_t k0, size_t k1)
{
    float most = 0;
    int64_t sum = 0;
    for (size_t k = k0; k < k1; k++)
        most = fmaxf(most, fabsf(*unit_at(a, batch, row, k)));
    for (size_t k = k0; most >= 1e-30f && k < k1; k++)
        sum += (int64_t)nearbyintf(*unit_at(a, batch, row, k) * (127 / most)) *
               w->codes[unit * w->k + k];
    return (float)sum * ((most >= 1e-30f ? most / 127 : 0) * w->scales[unit]);
}

/* A product of two terms over all rows, checked element by element. */
static void product_check(size_t n_steps, size_t batch, size_t n, size_t k0, size_t k1)
{
    size_t ks[2] = {k0, k1}, n_rows = n_steps * batch, panels = rk_panels(RK_FLOAT32, n);
    struct rk_rows a[2], c = rows_make(n_steps, batch, n, 1);
    struct weight w[2];
    struct rk_term terms[2];
    float *bias = must_alloc(panels * RK_PANEL);
    random_fill(RK_FLOAT32, bias, n, 9);
    for (size_t t = 0; t < 2; t++) {
        a[t] = rows_make(n_steps, batch, ks[t], 2 + t);
        w[t] = weight_make(n, ks[t], 4 + t);
        weight_pack(&w[t]);
        terms[t] =
            (struct rk_term){a[t], w[t].packed, rk_int8_panel(ks[t]), ks[t], true};
    }
    rk_product(kernels, c, batch, 0, n_rows, 0, panels, (char *)bias, false, terms, 1);
    rk_product(kernels, c, batch, 0, n_rows, 0, panels, NULL, true, terms + 1, 1);
    size_t wrong = 0;
    for (size_t row = 0; row < n_rows; row++)
        for (size_t u = 0; u < n; u++) {
            float sum = bias[u];
            for (size_t t = 0; t < 2; t++)
                for (size_t k = 0; k < ks[t]; k += RK_INT8_PART)
                    sum += part(a[t], batch, row, &w[t], u, k,
                                k + RK_INT8_PART < ks[t] ? k + RK_INT8_PART : ks[t]);
            wrong += *unit_at(c, batch, row, u) != sum;
        }
    check(wrong == 0, "int8 product steps %zu batch %zu n %zu k %zu, %zu: %zu wrong", n_steps,
          batch, n, k0, k1, wrong);
    for (size_t t = 0; t < 2; t++)
        weight_free(&w[t]), rk_free(a[t].base);
    rk_free(c.base), rk_free(bias);
}

static void products_are_those_of_whole_numbers(void)
{
    static const size_t ns[] = {1, 16, 17, 33, 65, 130, 160};
    static const size_t ks[] = {1, 3, 4, 15, 16, 17, 66, 300};
    for (size_t i = 0; i < 8; i++)
        for (size_t batch = 1; batch <= 9; batch += 2)
            product_check(1 + i % 3, batch, ns[(i + batch) % 7], ks[i], ks[(i + batch) % 8]);
    product_check(1, 70, 33, 20, 5);                      /* more rows than are taken at once */
    product_check(1, 2, 17, RK_INT8_PART + 37, 2 * RK_INT8_PART); /* several parts */
}

/* Each tile of a table, on codes whose products are as large as can be. */
static void tiles_check(const struct rk_int8_tiles *tiles)
{
    enum { K = 44, PANELS = RK_MOST_INT8_PANELS };
    struct weight w = weight_make(PANELS * LANES, K, 7);
    for (size_t i = 0; i < w.n * K; i++)
        w.codes[i] = i / K % 3 == 0 ? 127 : i / K % 3 == 1 ? -127 : w.codes[i];
    weight_pack(&w);
    char codes[RK_MOST_INT8_ROWS][2][64] = {{{0}}};
    struct rk_int8_row a[RK_MOST_INT8_ROWS];
    float *c = must_alloc(RK_MOST_INT8_ROWS * PANELS * RK_PANEL);
    char *places[RK_MOST_INT8_ROWS];
    for (int r = 0; r < RK_MOST_INT8_ROWS; r++) {
        a[r] = (struct rk_int8_row){0.5f, 0, codes[r][0], codes[r][1]};
        places[r] = (char *)(c + r * PANELS * LANES);
        for (int k = 0; k < K; k++) {
            bool negative = r % 2 ? k % 3 == 0 : r == 2;
            codes[r][0][k] = (char)(r < 3 ? 127 : k);
            codes[r][1][k] = (char)-negative;
            a[r].excess += negative ? codes[r][0][k] : 0;
        }
    }
    for (int rows = 1; rows <= tiles->rows; rows++)
        for (int panels = 1; panels <= PANELS; panels++) {
            struct rk_int8_tile tile = {.c = places, .c_stride = RK_PANEL, .from_zero = true,
                                        .a = a, .scales = w.packed, .b = w.packed + RK_PANEL,
                                        .b_stride = rk_int8_panel(K), .k = K};
            size_t wrong = 0;
            if (!tiles->tile[rows][panels]) {
                check(panels > 1, "no tile of %d rows and one panel", rows);
                continue;
            }
            tiles->tile[rows][panels](&tile);
            for (int r = 0; r < rows; r++)
                for (int u = 0; u < panels * LANES; u++) {
                    int sum = 0;
                    for (int k = 0; k < K; k++)
                        sum += (codes[r][1][k] ? -codes[r][0][k] : codes[r][0][k]) *
                               w.codes[u * K + k];
                    wrong += c[r * PANELS * LANES + u] != (float)sum * (0.5f * w.scales[u]);
                }
            check(wrong == 0, "tile of %d rows, %d panels: %zu wrong", rows, panels, wrong);
        }
    rk_free(c), weight_free(&w);
}

static void every_table_has_the_same_products(void)
{
    tiles_check(rk_int8_tiles(kernels->isa));
#if defined(__x86_64__)
    if (kernels->isa == RK_AVX512) /* where VNNI hides it */
        tiles_check(&rk_int8_tiles_avx512);
#endif
}

/* Each of five rows has one kind of odd values; what stands in a row stays there. */
static void odd_operands_have_the_results_that_they_should(void)
{
    enum { K = 35, N = 20 };
    struct weight w = weight_make(N, K, 1);
    struct rk_rows a = rows_make(1, 5, K, 2), c = rows_make(1, 5, N, 3);
    struct rk_term term = {a, w.packed, rk_int8_panel(K), K, true};
    weight_pack(&w);
    *unit_at(a, 5, 1, 34) = NAN;
    *unit_at(a, 5, 2, 0) = -INFINITY;
    for (size_t k = 0; k < K; k++) {
        *unit_at(a, 5, 3, k) = k % 2 ? 0.0f : -0.0f;
        *unit_at(a, 5, 4, k) = 1e-37f;
    }
    rk_product(kernels, c, 5, 0, 5, 0, 2, NULL, false, &term, 1);
    for (size_t u = 0; u < N; u++) {
        check(*unit_at(c, 5, 0, u) == part(a, 5, 0, &w, u, 0, K), "unit %zu beside NaN", u);
        check(isnan(*unit_at(c, 5, 1, u)) && isnan(*unit_at(c, 5, 2, u)),
              "unit %zu of NaN and infinity", u);
        check(*unit_at(c, 5, 3, u) == 0 && *unit_at(c, 5, 4, u) == 0, "unit %zu of zeros", u);
    }
    weight_free(&w), rk_free(a.base), rk_free(c.base);
}

/* The shares of threads, panel by panel and row by row, give the bits of the whole. */
static void a_share_has_the_bits_of_the_whole(void)
{
    enum { STEPS = 7, BATCH = 9, N = 70, K = 290, PANELS = 5 };
    struct weight w = weight_make(N, K, 1);
    struct rk_rows a = rows_make(STEPS, BATCH, K, 2);
    struct rk_rows whole = rows_make(STEPS, BATCH, N, 3), shared = rows_make(STEPS, BATCH, N, 4);
    struct rk_term term = {a, w.packed, rk_int8_panel(K), K, true};
    weight_pack(&w);
    rk_product(kernels, whole, BATCH, 0, STEPS * BATCH, 0, PANELS, NULL, false, &term, 1);
    for (size_t panel = 0; panel < PANELS; panel++)
        for (size_t row = 0; row < STEPS * BATCH; row++)
            rk_product(kernels, shared, BATCH, row, row + 1, panel, panel + 1, NULL, false,
                       &term, 1);
    check(same_bits(whole.base, shared.base, STEPS * BATCH * PANELS * RK_PANEL),
          "shares differ from the whole");
    weight_free(&w), rk_free(a.base), rk_free(whole.base), rk_free(shared.base);
}

static void packed_weights_are_unpacked_and_read_by_units(void)
{
    static const size_t sizes[] = {1, 3, 16, 17, 65};
    for (size_t i = 0; i < 25; i++) {
        size_t n = sizes[i / 5], k = sizes[i % 5], wrong = 0;
        struct weight w = weight_make(2 * n, k, i);
        char *packed = must_alloc(rk_int8_size(2, n, k));
        int8_t *codes = must_alloc(2 * n * k);
        float *scales = must_alloc(2 * n * sizeof *scales);
        struct rk_rows row = rows_make(1, 1, k, i);
        rk_int8_pack(packed, w.codes, w.scales, 2, n, k);
        rk_int8_unpack(codes, scales, packed, 2, n, k);
        check(same_bits(codes, w.codes, 2 * n * k) &&
                  same_bits(scales, w.scales, 2 * n * sizeof *scales),
              "int8 pack and back, 2 x %zu x %zu", n, k);
        for (size_t u = 0; u < n; u++) {
            kernels->int8_unit(row.base, row.panel_stride,
                               packed + u / LANES * rk_int8_panel(k), u % LANES, k);
            for (size_t j = 0; j < rk_panels(RK_FLOAT32, k) * LANES; j++)
                wrong += *unit_at(row, 1, 0, j) !=
                         (j < k ? w.scales[u] * w.codes[u * k + j] : 0);
        }
        check(wrong == 0, "units of %zu x %zu: %zu wrong", n, k, wrong);
        weight_free(&w), rk_free(packed), rk_free(codes), rk_free(scales), rk_free(row.base);
    }
}

int main(void)
{
    enum rk_isa isa = check_isa();
    kernels = rk_kernels(isa, RK_FLOAT32);
    products_are_those_of_whole_numbers();
    every_table_has_the_same_products();
    odd_operands_have_the_results_that_they_should();
    a_share_has_the_bits_of_the_whole();
    packed_weights_are_unpacked_and_read_by_units();
    return check_report(rk_isa_name(isa));
}
