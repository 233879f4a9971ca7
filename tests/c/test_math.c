/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The error of each elementary function in ulp, on each instruction set of the machine:
 * float32 at every 257th of all 2^32 numbers, float64 at a few hundred thousand; with the
 * argument "all" at all of them and at some millions. The bounds are those that
 * kernels/math.inc.h states. Once with denormals and once as the core's threads run, where
 * they are flushed.
 */
#include "check.h"
#include "ulp.h"

enum { BLOCK = 1 << 14, N_FUNCTIONS = 6, N_ISA = RK_N_ISA };

static double double_softplus(double a) { return (a > 0 ? a : 0) + log1p(exp(-fabs(a))); }
static double double_sigmoid(double a)
{
    return a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a));
}
static double double_logsigmoid(double a) { return -double_softplus(-a); }

static const struct function {
    const char *name;
    enum rk_vector_op op;
    double (*in_double)(double); /* what float32 is compared with */
    long double (*in_long_double)(long double);
    double bound[2]; /* by dtype */
} functions[N_FUNCTIONS] = {
    {"exp", RK_OP_exp, exp, expl, {1.1, 1.7}},
    {"log", RK_OP_log, log, logl, {0.9, 1.4}},
    {"sigmoid", RK_OP_sigmoid, double_sigmoid, true_sigmoid, {2.5, 2.8}},
    {"logsigmoid", RK_OP_logsigmoid, double_logsigmoid, true_logsigmoid, {2.1, 2.4}},
    {"softplus", RK_OP_softplus, double_softplus, true_softplus, {2.1, 2.4}},
    {"tanh", RK_OP_tanh, tanh, tanhl, {2.6, 3.6}},
};

/* A block of arguments, their true values, and what an instruction set makes of them. */
static struct {
    enum rk_dtype dtype;
    bool flushed;
    size_t n;
    const struct function *function;
    const struct rk_kernels *kernels;
    double least; /* the smallest normal number */
    long double want[BLOCK];
    double rounded[BLOCK]; /* want in the element type: half a ulp off at most */
    double x[BLOCK];
    double in[BLOCK] __attribute__((aligned(RK_PANEL))); /* holds either element type */
    double out[BLOCK] __attribute__((aligned(RK_PANEL)));
} block;

static struct {
    double ulp, at;
} worst[N_ISA][N_FUNCTIONS][2];

static void evaluate(void *context, struct rk_team *team, int thread)
{
    (void)context, (void)team, (void)thread;
    block.kernels->vector[block.function->op](block.out, block.in, NULL, NULL, BLOCK);
}

static void compare(enum rk_isa isa, size_t f)
{
    block.kernels = rk_kernels(isa, block.dtype);
    if (block.flushed) {
        run_task(evaluate, NULL, 1);
    } else {
        evaluate(NULL, NULL, 0);
    }
    for (size_t i = 0; i < block.n; i++) {
        double got = real_get(block.dtype, block.out, i);
        if (got == block.rounded[i]) continue;
        double off = ulp_distance(block.dtype, got, block.want[i]);
        if (block.flushed && got == 0 && fabsl(block.want[i]) < (long double)block.least) off = 0;
        if (off > worst[isa][f][block.dtype].ulp) {
            worst[isa][f][block.dtype].ulp = off;
            worst[isa][f][block.dtype].at = block.x[i];
        }
    }
}

/* block.x has the arguments: the true values are found once for all instruction sets. */
static void block_run(void)
{
    for (size_t i = 0; i < block.n; i++) {
        real_set(block.dtype, block.in, i, block.x[i]);
        if (block.flushed && fabs(block.x[i]) < block.least) block.x[i] = 0;
    }
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        block.function = &functions[f];
        for (size_t i = 0; i < block.n; i++) {
            bool is_float = block.dtype == RK_FLOAT32;
            block.want[i] = is_float ? (long double)functions[f].in_double(block.x[i])
                                     : functions[f].in_long_double((long double)block.x[i]);
            block.rounded[i] = is_float ? (double)(float)block.want[i] : (double)block.want[i];
        }
        for (int isa = 0; isa < RK_N_ISA; isa++)
            if (rk_isa_supported((enum rk_isa)isa)) compare((enum rk_isa)isa, f);
    }
    block.n = 0;
}

static void argument_add(double x)
{
    block.x[block.n++] = x;
    if (block.n == BLOCK) block_run();
}

static void sweep_float32(uint64_t stride)
{
    block.dtype = RK_FLOAT32;
    block.least = FLT_MIN;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += stride) {
        uint32_t word = (uint32_t)bits;
        float x;
        memcpy(&x, &word, sizeof x);
        argument_add((double)x);
    }
    block_run();
}

static void sweep_float64(size_t count)
{
    uint64_t seed = 5;
    block.dtype = RK_FLOAT64;
    block.least = DBL_MIN;
    for (size_t i = 0; i < count; i++) {
        double u = random_real(&seed) + random_real(&seed) * 0x1p-32, x;
        uint64_t bits = (uint64_t)(int64_t)(random_real(&seed) * 0x1p63) ^ (uint64_t)(u * 0x1p40);
        memcpy(&x, &bits, sizeof x);
        argument_add(x);                               /* any exponent, NaN, denormals   */
        argument_add(u);                               /* near 0                         */
        argument_add(40 * u);                          /* where the functions bend       */
        argument_add(760 * u);                         /* up to where they leave         */
        argument_add(1 + ldexp(u, -(int)(i % 52)));    /* near 1, where log is 0         */
        argument_add(ldexp(u, -(int)(i % 1074)));      /* ever smaller                   */
    }
    for (size_t i = 0; i < 4; i++)
        argument_add((double[]){0, -0.0, (double)INFINITY, -(double)INFINITY}[i]);
    block_run();
}

/* Where the system's long double functions are no better than double, what float64 is
 * compared with is itself off by up to one ulp. */
static double reference_ulp(void)
{
    volatile long double tenth = 0.1L;
    long double off = fabsl(expl(tenth) - 1.10517091807564762481170782649025L);
    return off < 0x1p-60L ? 0 : 1;
}

static void report(void)
{
    const double slack[2] = {0, reference_ulp()};
    for (int isa = 0; isa < RK_N_ISA; isa++)
        for (size_t f = 0; f < N_FUNCTIONS && rk_isa_supported((enum rk_isa)isa); f++) {
            for (int t = 0; t < 2; t++)
                check(worst[isa][f][t].ulp <= functions[f].bound[t] + slack[t],
                      "%s %s %s: %g ulp at %a, stated %g", rk_isa_name((enum rk_isa)isa),
                      functions[f].name, dtype_name((enum rk_dtype)t), worst[isa][f][t].ulp,
                      worst[isa][f][t].at, functions[f].bound[t]);
            printf("%-9s %-11s float32 %.3f  float64 %.3f ulp\n", rk_isa_name((enum rk_isa)isa),
                   functions[f].name, worst[isa][f][0].ulp, worst[isa][f][1].ulp);
        }
}

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
#if defined(RNNKIT_PORTABLE)
    const int n_modes = 1; /* plain C has denormals everywhere */
#else
    const int n_modes = 2;
#endif
    for (int flushed = 0; flushed < n_modes; flushed++) {
        block.flushed = flushed;
        sweep_float32(flushed ? 65537 : all ? 1 : 257);
        sweep_float64(flushed ? 10000 : all ? 2000000 : 40000);
    }
    report();
    return check_report("math");
}
