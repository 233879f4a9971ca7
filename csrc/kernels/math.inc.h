/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions of one vector, within a few units in the last place (ulp) of the true value.
 * NaN stays NaN; the values at 0 and at infinity are exact, underflow ends in 0 and
 * overflow in infinity, without a step. Where denormals are flushed (inside rk_team_run), a
 * result that would be one is 0 and an argument that is one counts as 0; elsewhere they are
 * as exact as any.
 *
 *              largest error in ulp    float32    float64
 *              exp                       1.1        1.7
 *              log                       0.9        1.4
 *              sigmoid                   2.5        2.8
 *              logsigmoid                2.1        2.4
 *              softplus                  2.1        2.4
 *              tanh                      2.6        3.6
 *
 * float32: of all 2^32 numbers, on each instruction set (tests/c/test_math.c); float64: of
 * twelve million. With fma and without, results differ within these bounds.
 */

/* Polynomials are minimax fits: of (e^r - 1 - r) / r^2 on |r| <= log(2) / 2, weighted so
 * that e^r - 1 is exact relative to r; and of (atanh(s) / s - 1) / s^2 on s^2 <= 1/9. */
RK_INLINE v_real RK_T(exp_polynomial)(v_real r)
{
#if RK_F32
    v_real q = v_splat(0x1.6da0bbp-10f);
    q = v_fma(q, r, v_splat(0x1.122d8bp-7f));
    q = v_fma(q, r, v_splat(0x1.55547fp-5f));
    q = v_fma(q, r, v_splat(0x1.5554a9p-3f));
#else
    v_real q = v_splat(2.5115718347367236e-08);
    q = v_fma(q, r, v_splat(2.7627696900278123e-07));
    q = v_fma(q, r, v_splat(2.7557224273894813e-06));
    q = v_fma(q, r, v_splat(2.4801501126337237e-05));
    q = v_fma(q, r, v_splat(0.00019841269906801652));
    q = v_fma(q, r, v_splat(0.0013888888935014777));
    q = v_fma(q, r, v_splat(0.0083333333333130526));
    q = v_fma(q, r, v_splat(0.04166666666656605));
    q = v_fma(q, r, v_splat(0.16666666666666688));
#endif
    return v_fma(q, r, v_splat((RK_REAL)0.5));
}

RK_INLINE v_real RK_T(atanh_polynomial)(v_real z)
{
#if RK_F32
    v_real q = v_splat(0.140154794f);
    q = v_fma(q, z, v_splat(0.139989689f));
    q = v_fma(q, z, v_splat(0.200108826f));
    return v_fma(q, z, v_splat(0.333332062f));
#else
    v_real q = v_splat(0.085140996354667625);
    q = v_fma(q, z, v_splat(0.041675403554974857));
    q = v_fma(q, z, v_splat(0.060535965634788545));
    q = v_fma(q, z, v_splat(0.066504197304956686));
    q = v_fma(q, z, v_splat(0.076932848258045194));
    q = v_fma(q, z, v_splat(0.090908717469677935));
    q = v_fma(q, z, v_splat(0.11111111990562977));
    q = v_fma(q, z, v_splat(0.14285714273843275));
    q = v_fma(q, z, v_splat(0.20000000000079204));
    return v_fma(q, z, v_splat(0.33333333333333148));
#endif
}

/* x + shift, rounded to an integer, leaves that integer in the low bits; minus shift, the
 * integer as a real. log(2) in two parts: the first has so few bits that n times it is
 * exact without fma too. */
#if RK_F32
#define RK_SHIFT         0x1.8p23f
#define RK_EXPONENT_BITS 23
#define RK_EXPONENT_BIAS 127
#define RK_LOG2E         0x1.715476p+0f
#define RK_LN2_HIGH      0x1.63p-1f
#define RK_LN2_LOW       -0x1.bd0106p-13f
#define RK_EXP_LEAST     -104.0f
#define RK_EXP_MOST      89.0f
#define RK_EXP_MORE      25
#else
#define RK_SHIFT         0x1.8p52
#define RK_EXPONENT_BITS 52
#define RK_EXPONENT_BIAS 1023
#define RK_LOG2E         0x1.71547652b82fep+0
#define RK_LN2_HIGH      0x1.62e42feep-1
#define RK_LN2_LOW       0x1.a39ef35793c76p-33
#define RK_EXP_LEAST     -746.0
#define RK_EXP_MOST      710.0
#define RK_EXP_MORE      55
#endif

/* 2^n from n + RK_SHIFT, for n whose power is a normal number. */
RK_INLINE v_real RK_T(power_of_two)(v_real shifted)
{
    return v_of_bits((v_bits(shifted) + RK_EXPONENT_BIAS) << RK_EXPONENT_BITS);
}

/* x = n log(2) + r, |r| <= log(2) / 2. Leaves n + RK_SHIFT and gives e^r - 1. */
RK_INLINE v_real RK_T(expm1_reduced)(v_real x, v_real *shifted)
{
    *shifted = v_fma(x, v_splat(RK_LOG2E), v_splat(RK_SHIFT));
    v_real n = *shifted - RK_SHIFT;
    v_real r = v_fma(n, v_splat(-RK_LN2_HIGH), x);
    r = v_fma(n, v_splat(-RK_LN2_LOW), r);
    return v_fma(r * r, RK_T(exp_polynomial)(r), r);
}

/* e^x for x within [RK_EXP_LEAST, RK_EXP_MOST], or not above 0 where `negative`. 2^n comes
 * in two factors: the first leaves a normal number, the second rounds, overflows or
 * underflows, once. */
RK_INLINE v_real RK_T(exp_core)(v_real x, bool negative)
{
    v_real shifted, y = RK_T(expm1_reduced)(x, &shifted) + (RK_REAL)1;
#if defined(RK_X86) && RK_VBYTES == 64
    (void)negative;
    return RK_X86_TYPED(scalef)(y, shifted - RK_SHIFT);
#else
    if (negative) {
        const v_real more = v_splat(RK_EXP_MORE);
        return y * RK_T(power_of_two)(shifted + more) * RK_T(power_of_two)(RK_SHIFT - more);
    }
    v_real half = v_fma(shifted - RK_SHIFT, v_splat((RK_REAL)0.5), v_splat(RK_SHIFT));
    v_real rest = shifted - (half - RK_SHIFT);
    return y * RK_T(power_of_two)(half) * RK_T(power_of_two)(rest);
#endif
}

RK_INLINE v_real v_exp(v_real a)
{
    v_real x = v_at_most(v_at_least(a, v_splat(RK_EXP_LEAST)), v_splat(RK_EXP_MOST));
    return RK_T(exp_core)(x, false);
}

/* e^-|a|: never overflows, so that both ends of what is made of it are exact. */
RK_INLINE v_real RK_T(exp_minus_abs)(v_real a)
{
    return RK_T(exp_core)(v_at_least(-v_abs(a), v_splat(RK_EXP_LEAST)), true);
}

/* log(1 + f) for f in [-0.3, 1], relative to the result. */
RK_INLINE v_real RK_T(log1p_core)(v_real f)
{
    v_real s = f / (f + (RK_REAL)2);
    v_real z = s * s;
    v_real half_square = f * f * (RK_REAL)0.5;
    v_real rest = (z + z) * RK_T(atanh_polynomial)(z);
    return f - v_fma(-s, half_square + rest, half_square);
}

RK_INLINE v_real v_log(v_real a)
{
    const RK_UINT root_half = RK_F32 ? 0x3f3504f3 : (RK_UINT)0x3fe6a09e667f3bcd;
    const RK_REAL tiny = RK_F32 ? 0x1p-126f : (RK_REAL)0x1p-1022;
    const RK_REAL grow = RK_F32 ? 0x1p24f : (RK_REAL)0x1p53;
    const RK_REAL grown = RK_F32 ? -24 : -53;
    v_mask small = v_greater(v_splat(tiny), a);
    v_real x = v_select(small, a * grow, a);
    v_real n = v_select(small, v_splat(grown), v_splat(0));
    /* The mantissa within [sqrt(1/2), sqrt(2)), the exponent as a real through RK_SHIFT. */
    v_uint bits = v_bits(x) - root_half;
    v_uint exponent = bits & ((RK_UINT)-1 << RK_EXPONENT_BITS);
    v_real mantissa = v_of_bits(v_bits(x) - exponent);
    v_uint biased =
        (exponent + ((RK_UINT)RK_EXPONENT_BIAS << RK_EXPONENT_BITS)) >> RK_EXPONENT_BITS;
    n += v_of_bits(biased + v_bits(v_splat(RK_SHIFT))) - (RK_SHIFT + RK_EXPONENT_BIAS);
    v_real f = mantissa - (RK_REAL)1;
    v_real y = v_fma(n, v_splat(RK_LN2_LOW), RK_T(log1p_core)(f));
    y = v_fma(n, v_splat(RK_LN2_HIGH), y);
    /* 0 gives -inf, inf inf; below 0 and NaN give NaN. */
    y = v_select(v_equal(a, v_splat(0)), v_splat(-(RK_REAL)INFINITY), y);
    y = v_select(v_equal(a, v_splat((RK_REAL)INFINITY)), a, y);
    return v_select(v_greater_equal(a, v_splat(0)), y, v_splat((RK_REAL)NAN));
}

RK_INLINE v_real v_sigmoid(v_real a)
{
    v_real e = RK_T(exp_minus_abs)(a);
    v_real one = v_splat(1);
    return v_select(v_greater(v_splat(0), a), e, one) / (one + e);
}

RK_INLINE v_real v_softplus(v_real a)
{
    return v_at_least(a, v_splat(0)) + RK_T(log1p_core)(RK_T(exp_minus_abs)(a));
}

RK_INLINE v_real v_logsigmoid(v_real a)
{
    return v_at_most(a, v_splat(0)) - RK_T(log1p_core)(RK_T(exp_minus_abs)(a));
}

/* With t = e^(-2|a|) - 1, tanh |a| = -t / (2 + t): relative accuracy near 0 too. */
RK_INLINE v_real v_tanh(v_real a)
{
    const RK_REAL least = RK_F32 ? -40 : -90; /* from here on tanh is 1 */
    v_real shifted;
    v_real x = v_at_least((RK_REAL)-2 * v_abs(a), v_splat(least));
    v_real p = RK_T(expm1_reduced)(x, &shifted);
    v_real scale = RK_T(power_of_two)(shifted);
    v_real t = v_fma(p, scale, scale - (RK_REAL)1);
    v_real y = -t / (t + (RK_REAL)2);
    v_uint sign = v_bits(a) & ~((RK_UINT)-1 >> 1);
    return v_of_bits(v_bits(y) | sign);
}

#undef RK_SHIFT
#undef RK_EXPONENT_BITS
#undef RK_EXPONENT_BIAS
#undef RK_LOG2E
#undef RK_LN2_HIGH
#undef RK_LN2_LOW
#undef RK_EXP_LEAST
#undef RK_EXP_MOST
#undef RK_EXP_MORE
