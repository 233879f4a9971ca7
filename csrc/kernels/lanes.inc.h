/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the primitives of simd.inc.h or plain.inc.h make up; see template.inc.h.
 */
RK_INLINE v_real v_abs(v_real a)
{
    return v_of_bits(v_bits(a) & ((RK_UINT)-1 >> 1));
}

RK_INLINE v_real v_max(v_real a, v_real b)
{
    return v_select(v_equal(a, a), v_at_least(b, a), a);
}
RK_INLINE v_real v_min(v_real a, v_real b)
{
    return v_select(v_equal(a, a), v_at_most(b, a), a);
}

/* ---- across the lanes of a panel: lane i with i + lanes / 2, then lanes / 4 ... ---- */
RK_INLINE RK_REAL lanes_sum(const v_real *partial)
{
    _Alignas(RK_PANEL) RK_REAL a[RK_LANES];
    RK_EACH(j, RK_VP)
        v_store(a + j * RK_VL, partial[j]);
    for (int half = RK_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a[i] += a[i + half];
    return a[0];
}

RK_INLINE RK_REAL lanes_max(const v_real *partial)
{
    _Alignas(RK_PANEL) RK_REAL a[RK_LANES];
    RK_EACH(j, RK_VP)
        v_store(a + j * RK_VL, partial[j]);
    for (int half = RK_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            if (a[i] == a[i] && !(a[i] >= a[i + half]))
                a[i] = a[i + half];
    return a[0];
}

RK_INLINE double lanes_sum_double(double *sums)
{
    for (int half = RK_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}
