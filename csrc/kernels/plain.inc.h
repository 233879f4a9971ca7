/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector type and its primitives in plain C: a vector of one number. What is computed
 * is what baseline.c computes on vectors, to the bit.
 */
/* clang-format off */
typedef RK_REAL v_real;
typedef RK_INT v_int;
typedef RK_UINT v_uint;
typedef double v_double;
typedef uint64_t v_words;
typedef bool v_mask;

RK_INLINE v_real v_load(const void *p) { RK_REAL a; memcpy(&a, p, sizeof a); return a; }
RK_INLINE void v_store(void *p, v_real a) { memcpy(p, &a, sizeof a); }
RK_INLINE v_real v_splat(RK_REAL x) { return x; }
RK_INLINE v_double v_double_load(const void *p) { return v_load(p); }

RK_INLINE v_real v_from_int(v_int a) { return (v_real)a; }

RK_INLINE v_uint v_bits(v_real a) { v_uint b; memcpy(&b, &a, sizeof b); return b; }
RK_INLINE v_real v_of_bits(v_uint a) { v_real b; memcpy(&b, &a, sizeof b); return b; }

RK_INLINE v_real v_fma(v_real a, v_real b, v_real c) { return a * b + c; }
RK_INLINE v_real v_sqrt(v_real a) { return RK_F32 ? sqrtf((float)a) : (RK_REAL)sqrt(a); }
RK_INLINE v_real v_at_least(v_real a, v_real lo) { return a < lo ? lo : a; }
RK_INLINE v_real v_at_most(v_real a, v_real hi) { return a > hi ? hi : a; }

RK_INLINE v_mask v_greater(v_real a, v_real b) { return a > b; }
RK_INLINE v_mask v_greater_equal(v_real a, v_real b) { return a >= b; }
RK_INLINE v_mask v_equal(v_real a, v_real b) { return a == b; }
RK_INLINE v_real v_select(v_mask mask, v_real a, v_real b) { return mask ? a : b; }

RK_INLINE v_real v_pin(v_real a) { return a; }

RK_INLINE v_words v_count(uint32_t first) { return first; }
RK_INLINE uint64_t v_word(v_words a, int lane) { return (void)lane, a; }

RK_INLINE v_real v_drop(v_real a, const uint32_t *words, uint32_t last)
{
    return *words <= last ? 0 : a;
}
/* clang-format on */
