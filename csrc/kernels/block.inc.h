/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Making and clearing blocks of panels, and dropout's masks.
 */
static void RK_T(expand_unit)(void *dst, const void *vector, size_t panels, size_t rows)
{
    char *to = dst;
    for (size_t p = 0; p < panels; p++) {
        v_real panel[RK_VP];
        RK_EACH(j, RK_VP)
            panel[j] = v_load((const char *)vector + p * RK_PANEL + j * RK_VBYTES);
        for (size_t r = 0; r < rows; r++, to += RK_PANEL)
            RK_EACH(j, RK_VP)
                v_store(to + j * RK_VBYTES, panel[j]);
    }
}

static void RK_T(expand_row)(void *dst, const void *row_values, size_t panels, size_t rows)
{
    for (size_t p = 0; p < panels; p++)
        memcpy((char *)dst + p * rows * RK_PANEL, row_values, rows * RK_PANEL);
}

static void RK_T(fill)(void *dst, double value, size_t n)
{
    v_real x = v_splat((RK_REAL)value);
    for (size_t i = 0; i < n; i += RK_VL)
        v_store((RK_REAL *)dst + i, x);
}

static void RK_T(clear_tail)(void *last_panel, size_t width, size_t rows)
{
    size_t used = width % RK_LANES * sizeof(RK_REAL);
    for (size_t r = 0; used > 0 && r < rows; r++)
        memset((char *)last_panel + r * RK_PANEL + used, 0, RK_PANEL - used);
}

/* ---- Philox on vectors: the low half of a 64-bit lane is a 32-bit word of one counter
 * ---- */
/* The products of the lanes' low halves. */
RK_INLINE v_words RK_T(words_mul)(v_words a, uint64_t b)
{
#if defined(RK_X86) && RK_VBYTES == 64
    return (v_words)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((long long)b));
#elif defined(RK_X86) && RK_VBYTES == 32
    return (v_words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((long long)b));
#elif defined(RK_X86)
    return (v_words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((long long)b));
#else
    return (a & 0xffffffff) * b;
#endif
}

/* RK_DL counters (first, first + 1, ..., and the other three words), as pairs of words:
 * low[i] is words 0 and 1 of counter i, high[i] words 2 and 3. */
RK_INLINE void RK_T(philox)(v_words *low, v_words *high, uint32_t first,
                            const uint32_t counter[4], uint64_t seed)
{
    const v_words zero = {0};
    v_words x0 = v_count(first);
    v_words x1 = zero + counter[1], x2 = zero + counter[2], x3 = zero + counter[3];
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        v_words p = RK_T(words_mul)(x0, 0xd2511f53), q = RK_T(words_mul)(x2, 0xcd9e8d57);
        x0 = (q >> 32) ^ x1 ^ key0;
        x2 = (p >> 32) ^ x3 ^ key1;
        x1 = q;
        x3 = p;
        key0 += 0x9e3779b9;
        key1 += 0xbb67ae85;
    }
    *low = (x0 & 0xffffffff) | x1 << 32;
    *high = (x2 & 0xffffffff) | x3 << 32;
}

/* The words of n counters, four each, in order. */
RK_INLINE void RK_T(philox_words)(uint32_t *words, uint32_t first, size_t n,
                                  const uint32_t counter[4], uint64_t seed)
{
    for (size_t i = 0; i < n; i += RK_DL) {
        v_words low, high;
        RK_T(philox)(&low, &high, first + (uint32_t)i, counter, seed);
        for (int lane = 0; lane < RK_DL; lane++) {
            uint64_t pair[2] = {v_word(low, lane), v_word(high, lane)};
            memcpy(words + 4 * (i + (size_t)lane), pair, sizeof pair);
        }
    }
}

/* A panel of a mask: 0 where the word is `last` or less, else keep. */
RK_INLINE void RK_T(mask_panel)(RK_REAL *dst, const uint32_t *words, uint32_t last,
                                RK_REAL keep)
{
    RK_EACH(j, RK_VP)
        v_store(dst + j * RK_VL, v_drop(v_splat(keep), words + j * RK_VL, last));
}

/* One word of the counter holds site and update. Two sites meet in it only millions of
 * updates apart: steps of the golden ratio spread best over the circle of 2^32. */
static void RK_T(mask)(void *dst, const struct rk_mask *mask, uint32_t step, size_t row0,
                       size_t rows, size_t panel0, size_t panels)
{
    enum { QUADS = RK_LANES / 4, GROUP = 64 / QUADS }; /* a panel's counters; panels a go */
    _Alignas(RK_PANEL) uint32_t words[64 * 4 + 4 * RK_DL];
    const RK_REAL keep = (RK_REAL)(1 / (1 - mask->rate));
    const uint64_t dropped = (uint64_t)(mask->rate * 4294967296.0); /* of 2^32 words */
    if (dropped == 0) {
        RK_T(fill)(dst, 1 / (1 - mask->rate), panels * rows * RK_LANES);
        return;
    }
    for (size_t p = 0; p < panels; p += GROUP) {
        size_t group = panels - p < GROUP ? panels - p : GROUP;
        uint32_t first = (uint32_t)((panel0 + p) * QUADS);
        for (size_t r = 0; r < rows; r++) {
            const uint32_t counter[4] = {0, (uint32_t)(row0 + r), step,
                                         mask->update + mask->site * 0x9e3779b9u};
            RK_REAL *to = (RK_REAL *)dst + (p * rows + r) * RK_LANES;
            RK_T(philox_words)(words, first, group * QUADS, counter, mask->seed);
            for (size_t g = 0; g < group; g++)
                RK_T(mask_panel)
            (to + g * rows * RK_LANES, words + g * RK_LANES, (uint32_t)(dropped - 1), keep);
        }
    }
}
