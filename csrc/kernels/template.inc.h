/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The template of all kernels, included twice (float, double) by each file that stands for
 * an instruction set (baseline.c, avx2.c, avx512.c, neon.c). GNU C vectors carry it; what
 * GNU C lacks is one line an instruction set in simd.inc.h. Where there is no GNU C, the
 * vectors are numbers (plain.inc.h). What its parts may use:
 *
 *   RK_REAL, RK_F32         the element type, and 1 where it is float, 0 where double
 *   RK_INT, RK_UINT         integers of its size
 *   RK_LANES                elements of a panel (16 or 8)
 *   RK_VL, RK_VP            elements of a vector; vectors of a panel: RK_VL * RK_VP lanes
 *   RK_T(name)              a name in this instance: for everything that you define
 *   RK_INLINE               static, always inlined: for helpers on vectors
 *   RK_EACH(j, n)           a loop of j over 0 .. n - 1, n a constant, unrolled whole
 *
 *   v_real                  a vector of RK_VL reals. + - * / work lane by lane, also with a
 *                           scalar of type RK_REAL: write (RK_REAL)0.5, not 0.5
 *   v_int, v_uint           the same shape in integers
 *   v_mask                  the result of a comparison; masks have & and |
 *   v_bits(a) v_of_bits(u)  the bits of a v_real as a v_uint, and back
 *   v_load(p) v_store(p, v) aligned to the vector; p is void *
 *   v_splat(x)              all lanes x
 *   v_fma(a, b, c)          a * b + c, rounded once (twice on a machine without fma)
 *   v_sqrt(a) v_abs(a)
 *   v_greater(a, b) v_greater_equal(a, b) v_equal(a, b)      -> v_mask; false on NaN
 *   v_select(mask, a, b)    mask ? a : b
 *   v_drop(a, words, last)  0 where the lane's word, of RK_VL uint32_t, is `last` or less
 *   v_min(a, b) v_max(a, b) NaN where either is
 *   v_at_least(a, lo) v_at_most(a, hi)      clamps that are one instruction; NaN in a stays
 *   v_from_int(a)           the lanes of a v_int as reals, rounded
 *   v_exp v_log v_sigmoid v_logsigmoid v_softplus v_tanh      (a), see math.inc.h
 *   v_double                a vector of RK_DL doubles, of the same bytes
 *   v_double_load(p)        RK_DL elements of RK_REAL at p, as doubles
 *   v_words                 a vector of RK_DL 64-bit words, of the same bytes
 *   v_count(n) v_word(a, i) n, n + 1 ...; word i of a
 *
 *   Across the lanes of one panel, v_real partial[RK_VP], by one fixed tree:
 *   lanes_sum(partial) lanes_max(partial) -> RK_REAL
 *   lanes_sum_double(sums) -> double, of double sums[RK_LANES]
 *
 * An array is walked panel by panel, so that an element is computed alike on every machine:
 *
 *   for (size_t i = 0; i < n; i += RK_LANES)
 *       RK_EACH(j, RK_VP)
 *           v_store(dst + i + j * RK_VL, v_exp(v_load(a + i + j * RK_VL)));
 */
#if defined(RNNKIT_PORTABLE)
#include "kernels/plain.inc.h"
#else
#include "kernels/simd.inc.h"
#endif
#include "kernels/int8.inc.h"
#if !defined(RK_INT8_ALONE)
#include "kernels/lanes.inc.h"
#include "kernels/math.inc.h"
#include "kernels/vector.inc.h"
#include "kernels/block.inc.h"
#include "kernels/move.inc.h"
#include "kernels/reduce.inc.h"
#include "kernels/product.inc.h"
#include "kernels/update.inc.h"
#include "kernels/softmax.inc.h"
#include "kernels/quantise.inc.h"
#include "kernels/table.inc.h"
#endif
