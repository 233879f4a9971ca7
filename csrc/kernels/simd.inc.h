/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector type and its primitives in GNU C; see template.inc.h for what each means.
 */
/* clang-format off */

typedef RK_REAL v_real __attribute__((vector_size(RK_VBYTES)));
typedef RK_INT v_int __attribute__((vector_size(RK_VBYTES)));
typedef RK_UINT v_uint __attribute__((vector_size(RK_VBYTES)));
typedef double v_double __attribute__((vector_size(RK_VBYTES)));
/* RK_DL reals, that become a v_double */
typedef RK_REAL v_narrow __attribute__((vector_size(RK_DL * sizeof(RK_REAL)), may_alias));
typedef RK_REAL v_memory __attribute__((vector_size(RK_VBYTES), may_alias));
typedef uint64_t v_words __attribute__((vector_size(RK_VBYTES), may_alias));
typedef uint32_t v_word_memory
    __attribute__((vector_size(4 * RK_VL), aligned(4 * RK_VL), may_alias));

RK_INLINE v_real v_load(const void *p) { return *(const v_memory *)p; }
RK_INLINE void v_store(void *p, v_real a) { *(v_memory *)p = a; }
RK_INLINE v_real v_splat(RK_REAL x) { return x - (v_real){0}; }

RK_INLINE v_real v_from_int(v_int a) { return __builtin_convertvector(a, v_real); }

RK_INLINE v_double v_double_load(const void *p)
{
    return __builtin_convertvector(*(const v_narrow *)p, v_double);
}

RK_INLINE v_uint v_bits(v_real a) { return (v_uint)a; }
RK_INLINE v_real v_of_bits(v_uint a) { return (v_real)a; }

RK_INLINE v_real v_drop(v_real a, const uint32_t *words, uint32_t last)
{
    const v_word_memory at = *(const v_word_memory *)words;
    v_uint drop = (v_uint)(__builtin_convertvector(at, v_uint) <= last);
    return (v_real)((v_uint)a & ~drop);
}

RK_INLINE v_words v_count(uint32_t first)
{
    v_words a = {0};
    for (int i = 0; i < RK_DL; i++)
        a[i] = first + (uint32_t)i;
    return a;
}
RK_INLINE uint64_t v_word(v_words a, int lane) { return a[lane]; }

/* ---- fma ---- */
RK_INLINE v_real v_fma(v_real a, v_real b, v_real c)
{
#if !RK_FMA
    return a * b + c;
#elif defined(RK_X86)
    return RK_X86_TYPED(fmadd)(a, b, c);
#elif RK_F32
    return vfmaq_f32(c, a, b);
#else
    return vfmaq_f64(c, a, b);
#endif
}

/* ---- sqrt, clamps ---- */
#if defined(RK_X86)
RK_INLINE v_real v_sqrt(v_real a) { return RK_X86_TYPED(sqrt)(a); }
/* max and min give their second operand when either is NaN. */
RK_INLINE v_real v_at_least(v_real a, v_real lo) { return RK_X86_TYPED(max)(lo, a); }
RK_INLINE v_real v_at_most(v_real a, v_real hi) { return RK_X86_TYPED(min)(hi, a); }
#elif defined(RK_ARM) && RK_F32
RK_INLINE v_real v_sqrt(v_real a) { return vsqrtq_f32(a); }
RK_INLINE v_real v_at_least(v_real a, v_real lo) { return vmaxq_f32(a, lo); }
RK_INLINE v_real v_at_most(v_real a, v_real hi) { return vminq_f32(a, hi); }
#elif defined(RK_ARM)
RK_INLINE v_real v_sqrt(v_real a) { return vsqrtq_f64(a); }
RK_INLINE v_real v_at_least(v_real a, v_real lo) { return vmaxq_f64(a, lo); }
RK_INLINE v_real v_at_most(v_real a, v_real hi) { return vminq_f64(a, hi); }
#else
RK_INLINE v_real v_sqrt(v_real a)
{
    for (int i = 0; i < RK_VL; i++)
        a[i] = RK_F32 ? sqrtf((float)a[i]) : (RK_REAL)sqrt((double)a[i]);
    return a;
}
RK_INLINE v_real v_at_least(v_real a, v_real lo)
{
    v_int below = (v_int)(a < lo);
    return (v_real)(((v_int)lo & below) | ((v_int)a & ~below));
}
RK_INLINE v_real v_at_most(v_real a, v_real hi)
{
    v_int above = (v_int)(a > hi);
    return (v_real)(((v_int)hi & above) | ((v_int)a & ~above));
}
#endif

/* ---- comparisons, select ---- */
#if defined(RK_X86) && RK_VBYTES == 64
#if RK_F32
typedef __mmask16 v_mask;
#define RK_COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
#else
typedef __mmask8 v_mask;
#define RK_COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#endif
RK_INLINE v_mask v_greater(v_real a, v_real b) { return RK_COMPARE(a, b, _CMP_GT_OQ); }
RK_INLINE v_mask v_greater_equal(v_real a, v_real b) { return RK_COMPARE(a, b, _CMP_GE_OQ); }
RK_INLINE v_mask v_equal(v_real a, v_real b) { return RK_COMPARE(a, b, _CMP_EQ_OQ); }
RK_INLINE v_real v_select(v_mask mask, v_real a, v_real b)
{
    return RK_X86_TYPED(mask_blend)(mask, b, a);
}
#undef RK_COMPARE
#else
typedef v_int v_mask;
RK_INLINE v_mask v_greater(v_real a, v_real b) { return (v_mask)(a > b); }
RK_INLINE v_mask v_greater_equal(v_real a, v_real b) { return (v_mask)(a >= b); }
RK_INLINE v_mask v_equal(v_real a, v_real b) { return (v_mask)(a == b); }
RK_INLINE v_real v_select(v_mask mask, v_real a, v_real b)
{
#if defined(RK_X86) && RK_VBYTES == 32
    return RK_X86_TYPED(blendv)(b, a, (v_real)mask);
#else
    return (v_real)(((v_int)a & mask) | ((v_int)b & ~mask));
#endif
}
#endif

/* clang-format on */

/* Makes the compiler hold a in a register from here on. Without it gcc loads an operand
 * anew for each product that reads it, and the load ports become the limit. */
RK_INLINE v_real v_pin(v_real a)
{
#if defined(RK_X86) && RK_VBYTES == 64
    __asm__("" : "+v"(a));
#elif defined(RK_X86)
    __asm__("" : "+x"(a));
#elif defined(RK_ARM)
    __asm__("" : "+w"(a));
#endif
    return a;
}
