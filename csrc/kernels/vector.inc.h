/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The elementwise instructions: what each does to one vector, then its loop over an array,
 * made from the one list RK_VECTOR_OPS.
 */
/* clang-format off */
RK_INLINE v_real RK_T(op_add)(v_real a, v_real b) { return a + b; }
RK_INLINE v_real RK_T(op_sub)(v_real a, v_real b) { return a - b; }
RK_INLINE v_real RK_T(op_mul)(v_real a, v_real b) { return a * b; }
RK_INLINE v_real RK_T(op_div)(v_real a, v_real b) { return a / b; }
RK_INLINE v_real RK_T(op_neg)(v_real a) { return -a; }
RK_INLINE v_real RK_T(op_min)(v_real a, v_real b) { return v_min(a, b); }
RK_INLINE v_real RK_T(op_max)(v_real a, v_real b) { return v_max(a, b); }
RK_INLINE v_real RK_T(op_abs)(v_real a) { return v_abs(a); }
RK_INLINE v_real RK_T(op_sqrt)(v_real a) { return v_sqrt(a); }
RK_INLINE v_real RK_T(op_exp)(v_real a) { return v_exp(a); }
RK_INLINE v_real RK_T(op_log)(v_real a) { return v_log(a); }
RK_INLINE v_real RK_T(op_sigmoid)(v_real a) { return v_sigmoid(a); }
RK_INLINE v_real RK_T(op_logsigmoid)(v_real a) { return v_logsigmoid(a); }
RK_INLINE v_real RK_T(op_softplus)(v_real a) { return v_softplus(a); }
RK_INLINE v_real RK_T(op_tanh)(v_real a) { return v_tanh(a); }
RK_INLINE v_real RK_T(op_relu)(v_real a) { return v_at_least(a, v_splat(0)); }
RK_INLINE v_real RK_T(op_stop_gradient)(v_real a) { return a; }

RK_INLINE v_real RK_T(one_where)(v_mask mask)
{
    return v_select(mask, v_splat(1), v_splat(0));
}
RK_INLINE v_real RK_T(op_greater)(v_real a, v_real b)
{
    return RK_T(one_where)(v_greater(a, b));
}
RK_INLINE v_real RK_T(op_greater_equal)(v_real a, v_real b)
{
    return RK_T(one_where)(v_greater_equal(a, b));
}
RK_INLINE v_real RK_T(op_equal)(v_real a, v_real b)
{
    return RK_T(one_where)(v_equal(a, b));
}
/* NaN is not 0: it chooses b. */
RK_INLINE v_real RK_T(op_select)(v_real a, v_real b, v_real c)
{
    return v_select(v_equal(a, v_splat(0)), c, b);
}
RK_INLINE v_real RK_T(op_sigmoid_grad)(v_real a, v_real b)
{
    return a * (b * ((RK_REAL)1 - b));
}
RK_INLINE v_real RK_T(op_tanh_grad)(v_real a, v_real b)
{
    return a * ((RK_REAL)1 - b * b);
}
RK_INLINE v_real RK_T(op_relu_grad)(v_real a, v_real b)
{
    return v_select(v_greater(b, v_splat(0)), a, v_splat(0));
}
RK_INLINE v_real RK_T(op_muladd)(v_real a, v_real b, v_real c) { return a * b + c; }
/* clang-format on */

#define RK_ARGUMENTS_1 v_load(a + i)
#define RK_ARGUMENTS_2 RK_ARGUMENTS_1, v_load(b + i)
#define RK_ARGUMENTS_3 RK_ARGUMENTS_2, v_load(c + i)
#define X(name, number, operands)                                                          \
    static void RK_T(vector_##name)(void *dst_, const void *a_, const void *b_,            \
                                    const void *c_, size_t n)                              \
    {                                                                                      \
        RK_REAL *dst = dst_;                                                               \
        const RK_REAL *a = a_, *b = b_, *c = c_;                                           \
        (void)b, (void)c;                                                                  \
        RK_UNROLL_TWICE                                                                    \
        for (size_t i = 0; i < n; i += RK_VL)                                              \
            v_store(dst + i, RK_T(op_##name)(RK_ARGUMENTS_##operands));                    \
    }
RK_VECTOR_OPS(X)
#undef X
#undef RK_ARGUMENTS_1
#undef RK_ARGUMENTS_2
#undef RK_ARGUMENTS_3
