/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each elementwise instruction against its scalar twin, and blocks, masks and reductions
 * against plain loops: at odd sizes, with NaN, infinities and denormals. What is not an
 * elementary function agrees bit for bit.
 */
#include "check.h"
#include "kernels/softmax.h"
#include "kernels/update.h"
#include "ulp.h"

static const struct rk_kernels *kernels;
static enum rk_dtype dtype;
static size_t lanes, size;

/* -------------------------------------------------------------------- scalar twins */

#define TWIN(real)                                                                           \
    static long double twin_##real(enum rk_vector_op op, real a, real b, real c)             \
    {                                                                                        \
        bool nan = isnan(a) || isnan(b);                                                     \
        switch (op) {                                                                        \
        case RK_OP_add: return a + b;                                                        \
        case RK_OP_sub: return a - b;                                                        \
        case RK_OP_mul: return a * b;                                                        \
        case RK_OP_div: return a / b;                                                        \
        case RK_OP_neg: return -a;                                                           \
        case RK_OP_min: return nan ? (real)NAN : a < b ? a : b;                              \
        case RK_OP_max: return nan ? (real)NAN : a > b ? a : b;                              \
        case RK_OP_abs: return fabsl(a);                                                     \
        case RK_OP_sqrt: return (real)sqrt(a);                                               \
        case RK_OP_exp: return expl(a);                                                      \
        case RK_OP_log: return logl(a);                                                      \
        case RK_OP_sigmoid: return true_sigmoid(a);                                          \
        case RK_OP_logsigmoid: return true_logsigmoid(a);                                    \
        case RK_OP_softplus: return true_softplus(a);                                        \
        case RK_OP_tanh: return tanhl(a);                                                    \
        case RK_OP_relu: return isnan(a) ? a : a > 0 ? a : 0;                                \
        case RK_OP_greater: return a > b;                                                    \
        case RK_OP_greater_equal: return a >= b;                                             \
        case RK_OP_equal: return a == b;                                                     \
        case RK_OP_select: return a != 0 ? b : c;                                            \
        case RK_OP_sigmoid_grad: return a * (real)(b * (real)(1 - b));                       \
        case RK_OP_tanh_grad: return a * (real)(1 - (real)(b * b));                          \
        case RK_OP_relu_grad: return b > 0 ? a : 0;                                          \
        case RK_OP_stop_gradient: return a;                                                  \
        case RK_OP_muladd: return (real)(a * b) + c;                                         \
        default: return NAN;                                                                 \
        }                                                                                    \
    }
TWIN(float)
TWIN(double)

static long double twin(enum rk_vector_op op, double a, double b, double c)
{
    return dtype == RK_FLOAT32 ? twin_float(op, (float)a, (float)b, (float)c)
                               : twin_double(op, a, b, c);
}

/* Elementary functions may be a few ulp off (math.inc.h says how many), all else not. */
static double allowed_ulp(enum rk_vector_op op)
{
    switch (op) {
    case RK_OP_exp: case RK_OP_log: case RK_OP_sigmoid: case RK_OP_logsigmoid:
    case RK_OP_softplus: case RK_OP_tanh: return 4;
    default: return 0;
    }
}

/* ---------------------------------------------------------- elementwise instructions */

static double special(size_t i)
{
    double tiny = dtype == RK_FLOAT32 ? FLT_MIN : DBL_MIN;
    double most = dtype == RK_FLOAT32 ? FLT_MAX : DBL_MAX;
    double all[] = {0, -0.0, 1, -1, 0.5, -2.5, 1e-3, -30, 88, -104, 700, -745,
                    tiny, -tiny, tiny / 8, -tiny / 1024, most, -most,
                    (double)INFINITY, -(double)INFINITY, (double)NAN};
    return all[i % (sizeof all / sizeof *all)];
}

static void op_check(enum rk_vector_op op, const char *name, int operands, size_t panels,
                     uint64_t seed)
{
    size_t n = panels * lanes, wrong = 0, worst_at = 0;
    double worst = 0;
    void *in[3] = {NULL}, *dst = must_alloc((n + lanes) * size);
    for (int o = 0; o < operands; o++)
        in[o] = must_alloc(n * size);
    for (size_t i = 0; i < n; i++)
        for (int o = 0; o < operands; o++) {
            /* Every pair of special values, then random ones. */
            double x = i < 441 ? special(o == 0 ? i : o == 1 ? i / 21 : i / 7)
                               : 12 * random_real(&seed);
            real_set(dtype, in[o], i, x);
        }
    real_set(dtype, dst, n, 77);
    kernels->vector[op](dst, in[0], in[1], in[2], n);
    for (size_t i = 0; i < n; i++) {
        double operand[3] = {0};
        for (int o = 0; o < operands; o++)
            operand[o] = real_get(dtype, in[o], i);
        double off = ulp_distance(dtype, real_get(dtype, dst, i),
                                  twin(op, operand[0], operand[1], operand[2]));
        wrong += off > allowed_ulp(op);
        if (off > worst) worst = off, worst_at = i;
    }
    check(wrong == 0, "%s %s, %zu panels: %zu wrong, worst %g ulp at (%g, %g)",
          dtype_name(dtype), name, panels, wrong, worst,
          n ? real_get(dtype, in[0], worst_at) : 0,
          n && in[1] ? real_get(dtype, in[1], worst_at) : 0);
    check(real_get(dtype, dst, n) == 77, "%s writes past its end", name);
    for (int o = 0; o < operands; o++) {
        void *copy = must_alloc(n * size), *arguments[3] = {in[0], in[1], in[2]};
        memcpy(copy, in[o], n * size);
        arguments[o] = copy;
        kernels->vector[op](copy, arguments[0], arguments[1], arguments[2], n);
        check(same_bits(copy, dst, n * size), "%s in place of operand %d", name, o);
        rk_free(copy);
    }
    for (int o = 0; o < operands; o++)
        rk_free(in[o]);
    rk_free(dst);
}

static void instructions_equal_their_scalar_twins(void)
{
    static const size_t panels[] = {0, 1, 2, 3, 5, 17, 65};
    size_t n_ops = 0;
    for (size_t i = 0; i < 7; i++) {
#define X(name, number, operands) op_check(RK_OP_##name, #name, operands, panels[i], i);
        RK_VECTOR_OPS(X)
#undef X
    }
    for (size_t op = 0; op < RK_N_VECTOR_OPS; op++)
        n_ops += kernels->vector[op] != NULL;
#define X(name, number, operands) n_ops--;
    RK_VECTOR_OPS(X)
#undef X
    check(n_ops == 0, "the table has other instructions than the list");
}

/* ------------------------------------------------------------------------- blocks */

static void blocks_are_expanded_filled_and_cleared(void)
{
    static const size_t sizes[] = {0, 1, 3, 17, 65};
    for (size_t i = 0; i < 25; i++) {
        size_t panels = sizes[i / 5], rows = sizes[i % 5], n = panels * rows * lanes;
        char *dst = must_alloc(n * size), *unit = must_alloc(panels * RK_PANEL);
        char *row = must_alloc(rows * RK_PANEL);
        random_fill(dtype, unit, panels * lanes, i);
        random_fill(dtype, row, rows * lanes, i + 1);
        size_t wrong = 0;
        kernels->expand_unit(dst, unit, panels, rows);
        for (size_t b = 0; b < panels * rows; b++)
            wrong += !same_bits(dst + b * RK_PANEL, unit + b / rows * RK_PANEL, RK_PANEL);
        kernels->expand_row(dst, row, panels, rows);
        for (size_t b = 0; b < panels * rows; b++)
            wrong += !same_bits(dst + b * RK_PANEL, row + b % rows * RK_PANEL, RK_PANEL);
        kernels->fill(dst, 0.1, n);
        double tenth = dtype == RK_FLOAT32 ? (double)0.1f : 0.1;
        for (size_t at = 0; at < n; at++)
            wrong += real_get(dtype, dst, at) != tenth;
        kernels->scale(dst, 3, n);
        for (size_t at = 0; at < n; at++)
            wrong += real_get(dtype, dst, at) != (dtype == RK_FLOAT32 ? (double)(3 * 0.1f)
                                                                      : 3 * 0.1);
        check(wrong == 0, "blocks of %zu x %zu: %zu wrong", panels, rows, wrong);
        rk_free(dst), rk_free(unit), rk_free(row);
    }
    for (size_t width = 1; width <= 2 * lanes; width++) {
        char panels[3][RK_PANEL] __attribute__((aligned(RK_PANEL)));
        memset(panels, 0xff, sizeof panels);
        kernels->clear_tail(panels, width, 2);
        size_t wrong = 0;
        for (size_t at = 0; at < 3 * lanes; at++) {
            bool cleared = at < 2 * lanes && width % lanes > 0 && at % lanes >= width % lanes;
            double x = real_get(dtype, panels, at);
            wrong += cleared ? x != 0 : !isnan(x);
        }
        check(wrong == 0, "clear_tail at width %zu: %zu wrong", width, wrong);
    }
}

/* -------------------------------------------------------------------------- masks */

/* The word of a (step, row, unit), straight from the definition. */
static uint32_t mask_word(const struct rk_mask *mask, uint32_t step, uint32_t row, uint32_t unit)
{
    uint32_t out[4], counter[4] = {unit / 4, row, step,
                                   mask->update + mask->site * 0x9e3779b9u};
    uint32_t key[2] = {(uint32_t)mask->seed, (uint32_t)(mask->seed >> 32)};
    rk_philox(out, counter, key);
    return out[unit % 4];
}

static void masks_are_a_function_of_the_place(void)
{
    static const double rates[] = {0, 0.25, 0.5, 0.9999, 1};
    static const size_t shapes[][4] = {
        {0, 1, 0, 1}, {3, 2, 1, 3}, {70, 17, 2, 5}, {0, 3, 0, 65}, {5, 0, 1, 2}, {5, 2, 1, 0}};
    for (size_t i = 0; i < 30; i++) {
        const size_t *s = shapes[i / 5], n = s[1] * s[3] * lanes;
        struct rk_mask mask = {0x0123456789abcdef, (uint32_t)i, (uint32_t)(1000 - i),
                               rates[i % 5]};
        void *dst = must_alloc(n * size);
        kernels->mask(dst, &mask, 11, s[0], s[1], s[2], s[3]);
        double keep = 1 / (1 - mask.rate);
        if (dtype == RK_FLOAT32) keep = (double)(float)keep;
        size_t wrong = 0, dropped = 0;
        for (size_t at = 0; at < n; at++) {
            size_t row = s[0] + at / lanes % s[1];
            size_t unit = (s[2] + at / lanes / s[1]) * lanes + at % lanes;
            bool drop = mask_word(&mask, 11, (uint32_t)row, (uint32_t)unit)
                        < mask.rate * 4294967296.0;
            wrong += real_get(dtype, dst, at) != (drop ? 0 : keep);
            dropped += drop;
        }
        check(wrong == 0, "mask %zu: %zu wrong", i, wrong);
        /* Five standard deviations. */
        check(fabs((double)dropped - (double)n * mask.rate)
                  <= 5 * sqrt((double)n * mask.rate * (1 - mask.rate)),
              "mask %zu drops %zu of %zu at rate %g", i, dropped, n, mask.rate);
        rk_free(dst);
    }
}

/* --------------------------------------------------------------------- reductions */

/* Adds in the element type. */
static double add(double a, double b)
{
    return dtype == RK_FLOAT32 ? (double)((float)a + (float)b) : a + b;
}

static double row_reduced(const char *src, size_t stride, size_t width, bool is_max)
{
    double partial[16];
    for (size_t l = 0; l < lanes; l++) {
        partial[l] = is_max ? -(double)INFINITY : 0;
        for (size_t u = l; u < width; u += lanes) {
            double x = real_get(dtype, src + u / lanes * stride, l);
            if (!is_max) partial[l] = add(partial[l], x);
            else if (isnan(x) || x > partial[l]) partial[l] = x;
        }
    }
    for (size_t half = lanes / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            if (!is_max) partial[l] = add(partial[l], partial[l + half]);
            else if (isnan(partial[l + half]) || partial[l + half] > partial[l])
                partial[l] = partial[l + half];
    return partial[0];
}

static void row_reductions_follow_their_tree(void)
{
    static const size_t sizes[] = {1, 3, 8, 16, 17, 33, 65, 130};
    for (size_t i = 0; i < 64; i++) {
        size_t width = sizes[i / 8], rows = sizes[i % 8], panels = rk_panels(dtype, width);
        size_t stride = (rows + 1) * RK_PANEL;
        char *src = must_alloc(panels * stride), *sum = must_alloc(rows * RK_PANEL);
        char *max = must_alloc(rows * RK_PANEL);
        memset(src, 0xff, panels * stride); /* NaN beyond the width */
        uint64_t seed = i;
        for (size_t r = 0; r < rows; r++)
            for (size_t u = 0; u < width; u++)
                real_set(dtype, src + u / lanes * stride + r * RK_PANEL, u % lanes,
                         random_real(&seed) - 2);
        kernels->row_sum(sum, src, stride, width, rows);
        kernels->row_max(max, src, stride, width, rows);
        size_t wrong = 0;
        for (size_t at = 0; at < rows * lanes; at++) {
            const char *row = src + at / lanes * RK_PANEL;
            wrong += real_get(dtype, sum, at) != row_reduced(row, stride, width, false);
            wrong += real_get(dtype, max, at) != row_reduced(row, stride, width, true);
        }
        check(wrong == 0, "rows %zu x %zu: %zu wrong", rows, width, wrong);
        /* NaN anywhere makes its row's results NaN, and no other's. */
        size_t at = width - 1;
        real_set(dtype, src + at / lanes * stride, at % lanes, (double)NAN);
        kernels->row_max(max, src, stride, width, rows);
        kernels->row_sum(sum, src, stride, width, rows);
        check(isnan(real_get(dtype, max, 0)) && isnan(real_get(dtype, sum, lanes - 1)),
              "NaN is lost at width %zu", width);
        check(rows == 1 || !isnan(real_get(dtype, max, lanes)), "NaN spreads to another row");
        rk_free(src), rk_free(sum), rk_free(max);
    }
}

/* (x - m) * scale, m the larger of two maxima, each step rounded. */
static double exponent(double x, double m0, double m1, double scale)
{
    double m = m0 > m1 ? m0 : m1;
    return (double)twin(RK_OP_mul, (double)twin(RK_OP_sub, x, m, 0), scale, 0);
}

static void exponentials_of_rows_are_summed_by_their_tree(void)
{
    static const size_t sizes[] = {1, 3, 8, 16, 17, 33, 65, 130};
    for (size_t i = 0; i < 128; i++) {
        size_t width = sizes[i / 8 % 8], rows = sizes[i % 8], panels = rk_panels(dtype, width);
        size_t stride = (rows + 1) * RK_PANEL, n = panels * stride / size, wrong = 0;
        double scale = i < 64 ? 1 : dtype == RK_FLOAT32 ? 0.1f : 0.1;
        char *src = must_alloc(panels * stride), *exps = must_alloc(panels * stride);
        char *expected = must_alloc(panels * stride), *maxima = must_alloc(2 * stride);
        char *sum = must_alloc(rows * RK_PANEL);
        memset(src, 0xff, panels * stride); /* NaN beyond the width */
        uint64_t seed = i;
        for (size_t r = 0; r < rows; r++)
            for (int g = 0; g < 2; g++)
                kernels->fill(maxima + (size_t)g * stride + r * RK_PANEL, random_real(&seed), lanes);
        for (size_t at = 0; at < n; at++)
            real_set(dtype, expected, at, -INFINITY); /* whose exponential is 0 */
        for (size_t r = 0; r < rows; r++)
            for (size_t u = 0; u < width; u++) {
                size_t at = (u / lanes * stride + r * RK_PANEL) / size + u % lanes;
                real_set(dtype, src, at, 9 * random_real(&seed) - 9);
                real_set(dtype, expected, at,
                         exponent(real_get(dtype, src, at), real_get(dtype, maxima, r * lanes),
                                  real_get(dtype, maxima + stride, r * lanes), scale));
            }
        kernels->vector[RK_OP_exp](expected, expected, NULL, NULL, n);
        if (i < 64)
            kernels->softmax->exp_sum(sum, exps, src, stride, width, rows, maxima, stride, 2);
        else
            kernels->softmax->tempered_exp_sum(sum, exps, src, stride, width, rows, maxima,
                                               stride, 2, scale);
        for (size_t r = 0; r < rows; r++) {
            const char *row = expected + r * RK_PANEL;
            for (size_t p = 0; p < panels; p++)
                wrong += !same_bits(exps + p * stride + r * RK_PANEL, row + p * stride, RK_PANEL);
            for (size_t l = 0; l < lanes; l++)
                wrong += real_get(dtype, sum, r * lanes + l) !=
                         row_reduced(row, stride, width, false);
        }
        check(wrong == 0, "exponentials of %zu x %zu: %zu wrong", rows, width, wrong);
        rk_free(src), rk_free(exps), rk_free(expected), rk_free(maxima), rk_free(sum);
    }
}

/* Row r takes from row 7 r modulo n_minus of what is subtracted. */
static void differences_are_added_by_index(void)
{
    static const size_t sizes[][3] = {{0, 1, 1}, {1, 1, 1}, {17, 3, 2}, {65, 40, 5}};
    for (size_t i = 0; i < 4; i++) {
        size_t rows = sizes[i][0], n_minus = sizes[i][1], panels = sizes[i][2], wrong = 0;
        size_t stride = (rows + 2) * RK_PANEL, minus_stride = n_minus * RK_PANEL;
        size_t n = panels * stride / size;
        int32_t index[65];
        char *dst = must_alloc(n * size), *before = must_alloc(n * size);
        char *plus = must_alloc(n * size), *minus = must_alloc(panels * minus_stride);
        char *a = must_alloc(stride), *b = must_alloc(stride);
        random_fill(dtype, dst, n, i);
        memcpy(before, dst, n * size);
        random_fill(dtype, plus, n, i + 9);
        random_fill(dtype, minus, panels * n_minus * lanes, i + 99);
        uint64_t seed = i;
        for (size_t r = 0; r < rows; r++) {
            index[r] = (int32_t)(7 * r % n_minus);
            kernels->fill(a + r * RK_PANEL, random_real(&seed), lanes);
            kernels->fill(b + r * RK_PANEL, random_real(&seed), lanes);
        }
        kernels->softmax->add_difference(dst, plus, stride, minus, minus_stride, index, panels,
                                         rows, a, b);
        for (size_t at = 0; at < n; at++) {
            size_t p = at * size / stride, r = at * size % stride / RK_PANEL, l = at % lanes;
            double expected = real_get(dtype, before, at);
            if (r < rows) {
                const char *less = minus + p * minus_stride + (size_t)index[r] * RK_PANEL;
                double up = (double)twin(RK_OP_mul, real_get(dtype, plus, at),
                                         real_get(dtype, a, r * lanes), 0);
                double down = (double)twin(RK_OP_mul, real_get(dtype, less, l),
                                           real_get(dtype, b, r * lanes), 0);
                expected = add(expected, (double)twin(RK_OP_sub, up, down, 0));
            }
            wrong += real_get(dtype, dst, at) != expected;
        }
        check(wrong == 0, "differences of %zu rows: %zu wrong", rows, wrong);
        rk_free(dst), rk_free(before), rk_free(plus), rk_free(minus), rk_free(a), rk_free(b);
    }
}

static void column_sums_go_on_row_by_row(void)
{
    static const size_t shapes[][5] = {/* steps, batch, panels, row0, row1 */
        {1, 1, 1, 0, 1}, {3, 1, 2, 0, 3}, {5, 7, 3, 2, 33}, {2, 65, 5, 64, 66}, {4, 4, 2, 8, 8}};
    for (size_t i = 0; i < 5; i++) {
        size_t n_steps = shapes[i][0], batch = shapes[i][1], panels = shapes[i][2];
        size_t row0 = shapes[i][3], row1 = shapes[i][4], n = panels * lanes, wrong = 0;
        char *base = must_alloc(n_steps * batch * panels * RK_PANEL);
        char *dst = must_alloc(panels * RK_PANEL), *before = must_alloc(panels * RK_PANEL);
        random_fill(dtype, base, n_steps * batch * n, i);
        random_fill(dtype, dst, n, i + 9);
        memcpy(before, dst, panels * RK_PANEL);
        struct rk_rows src = {.base = base,
                              .step_stride = panels * batch * RK_PANEL,
                              .panel_stride = batch * RK_PANEL};
        kernels->column_sum(dst, src, batch, row0, row1, 0, panels / 2);
        kernels->column_sum(dst, src, batch, row0, row1, panels / 2, panels);
        for (size_t u = 0; u < n; u++) {
            double sum = real_get(dtype, before, u);
            for (size_t r = row0; r < row1; r++)
                sum = add(sum, real_get(dtype, base + r / batch * src.step_stride
                                                   + u / lanes * src.panel_stride
                                                   + r % batch * RK_PANEL, u % lanes));
            wrong += real_get(dtype, dst, u) != sum;
        }
        check(wrong == 0, "column sums %zu: %zu wrong", i, wrong);
        rk_free(base), rk_free(dst), rk_free(before);
    }
}

static void sums_of_squares_are_in_double_and_in_order(void)
{
    static const size_t panels[] = {0, 1, 2, 3, 17, 65};
    for (size_t i = 0; i < 6; i++) {
        size_t n = panels[i] * lanes;
        void *a = must_alloc(n * size);
        random_fill(dtype, a, n, i);
        double partial[16] = {0};
        for (size_t at = 0; at < n; at++)
            partial[at % lanes] += real_get(dtype, a, at) * real_get(dtype, a, at);
        for (size_t half = lanes / 2; half > 0; half /= 2)
            for (size_t l = 0; l < half; l++)
                partial[l] += partial[l + half];
        check(kernels->sum_squares(a, n) == partial[0], "sum of squares of %zu", n);
        rk_free(a);
    }
    if (dtype != RK_FLOAT32) return;
    float large[16] __attribute__((aligned(RK_PANEL))) = {1e30f, 1e30f};
    check(isfinite(kernels->sum_squares(large, 16)), "squares overflow float32");
}

/* mean += rate * (values - mean): a difference, and one multiply-add. */
static double moved(double mean, double rate, double value)
{
    if (kernels->isa == RK_BASELINE)
        return dtype == RK_FLOAT32
                   ? (double)((float)rate * ((float)value - (float)mean) + (float)mean)
                   : rate * (value - mean) + mean;
    return dtype == RK_FLOAT32
               ? (double)fmaf((float)rate, (float)value - (float)mean, (float)mean)
               : fma(rate, value - mean, mean);
}

static void means_move_by_one_multiply_add(void)
{
    for (size_t panels = 0; panels < 70; panels = 2 * panels + 1) {
        size_t n = panels * lanes, wrong = 0;
        for (int has_values = 0; has_values < 2; has_values++) {
            void *mean = must_alloc((n + lanes) * size), *values = must_alloc(n * size);
            void *before = must_alloc(n * size);
            random_fill(dtype, mean, n, 1);
            random_fill(dtype, values, n, 2);
            memcpy(before, mean, n * size);
            real_set(dtype, mean, n, 77);
            kernels->update->mean(1.0 / 3, mean, has_values ? values : NULL, n);
            for (size_t i = 0; i < n; i++) {
                double value = has_values ? real_get(dtype, values, i) : 0;
                wrong += real_get(dtype, mean, i) !=
                         moved(real_get(dtype, before, i), 1.0 / 3, value);
            }
            check(real_get(dtype, mean, n) == 77, "a mean of %zu writes past its end", n);
            rk_free(mean), rk_free(values), rk_free(before);
        }
        check(wrong == 0, "means of %zu: %zu wrong", n, wrong);
    }
}

static void every_instruction_set_has_its_own_table(void)
{
    for (int isa = 0; isa < RK_N_ISA; isa++)
        for (int type = 0; type < 2; type++) {
            const struct rk_kernels *k = rk_kernels((enum rk_isa)isa, (enum rk_dtype)type);
            if (!rk_isa_supported((enum rk_isa)isa)) continue;
            check(k && (int)k->isa == isa && (int)k->dtype == type
                      && k->lanes == rk_lanes((enum rk_dtype)type),
                  "table of %s", rk_isa_name((enum rk_isa)isa));
        }
    check(rk_kernels(RK_N_ISA, RK_FLOAT32) == NULL, "a table where there is none");
}

/* --------------------------------------------------------------- rows and squares */

/* Row i goes with row 7 i modulo n_dst: some stand for several, some for none. */
static void rows_move_by_index(void)
{
    static const size_t sizes[][2] = {{0, 1}, {1, 1}, {17, 3}, {65, 40}};
    for (size_t i = 0; i < 4; i++) {
        size_t n = sizes[i][0], n_dst = sizes[i][1], wrong = 0;
        int32_t index[65];
        char *rows = must_alloc(n * RK_PANEL), *table = must_alloc(n_dst * RK_PANEL);
        char *back = must_alloc(n * RK_PANEL);
        random_fill(dtype, rows, n * lanes, i);
        for (size_t r = 0; r < n; r++)
            index[r] = (int32_t)(7 * r % n_dst);
        kernels->scatter_add(table, rows, index, n);
        kernels->gather(back, table, index, n);
        for (size_t at = 0; at < n * lanes; at++) {
            double sum = 0;
            for (size_t r = 0; r < n; r++)
                if (index[r] == index[at / lanes])
                    sum = add(sum, real_get(dtype, rows, r * lanes + at % lanes));
            wrong += real_get(dtype, back, at) != sum;
        }
        check(wrong == 0, "%zu rows by index: %zu wrong", n, wrong);
        rk_free(rows), rk_free(table), rk_free(back);
    }
}

static void squares_are_transposed(void)
{
    size_t n = lanes * lanes, wrong = 0;
    char *src = must_alloc(n * size), *dst = must_alloc(n * size);
    random_fill(dtype, src, n, 1);
    kernels->transpose(dst, src);
    for (size_t at = 0; at < n; at++)
        wrong += real_get(dtype, dst, at) !=
                 real_get(dtype, src, at % lanes * lanes + at / lanes);
    check(wrong == 0, "transpose: %zu wrong", wrong);
    rk_free(src), rk_free(dst);
}

int main(void)
{
    enum rk_isa isa = check_isa();
    every_instruction_set_has_its_own_table();
    for (int type = 0; type < 2; type++) {
        dtype = (enum rk_dtype)type;
        kernels = rk_kernels(isa, dtype);
        lanes = rk_lanes(dtype);
        size = rk_real_size(dtype);
        instructions_equal_their_scalar_twins();
        blocks_are_expanded_filled_and_cleared();
        rows_move_by_index();
        squares_are_transposed();
        masks_are_a_function_of_the_place();
        row_reductions_follow_their_tree();
        exponentials_of_rows_are_summed_by_their_tree();
        differences_are_added_by_index();
        column_sums_go_on_row_by_row();
        sums_of_squares_are_in_double_and_in_order();
        means_move_by_one_multiply_add();
    }
    return check_report(rk_isa_name(isa));
}
