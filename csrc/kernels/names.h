/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Names of a template's instance. The template (template.inc.h) is included once for each
 * instruction set and element type; RK_T(name) is `name` in the instance being compiled,
 * and the primitives below are spelled without it. The macros expand where they are used,
 * so that this header is read once and serves every instance.
 */
#ifndef RK_NAMES_H
#define RK_NAMES_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

/* An fma stands where one is written and nowhere else: the build's -ffp-contract=off, said
 * once more to a compiler that would fuse a * b + c without it. */
#if defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#elif defined(__clang__) || !defined(__GNUC__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Sums round to the type of what is summed, or exp goes wrong (math.inc.h). */
#if FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2
#error "arithmetic has more digits than float; gcc for 32-bit x86: -msse2 -mfpmath=sse"
#endif

#define RK_PASTE3_(a, b, c)       a##b##c
#define RK_PASTE3(a, b, c)        RK_PASTE3_(a, b, c)
#define RK_PASTE5_(a, b, c, d, e) a##b##c##d##e
#define RK_PASTE5(a, b, c, d, e)  RK_PASTE5_(a, b, c, d, e)
#define RK_T(name)                RK_PASTE5(name, _, RK_SET, _, RK_TYPE)

/* Unrolls the loop that follows whole, so that the arrays it indexes can be registers; or
 * makes two turns of it one. */
#if defined(RNNKIT_PORTABLE)
#define RK_UNROLL
#define RK_UNROLL_TWICE
#elif defined(__clang__)
#define RK_UNROLL       _Pragma("clang loop unroll(full)")
#define RK_UNROLL_TWICE _Pragma("clang loop unroll_count(2)")
#else
#define RK_UNROLL       _Pragma("GCC unroll 32")
#define RK_UNROLL_TWICE _Pragma("GCC unroll 2")
#endif

/* Asks for a line of memory that will be read soon, in the second cache. */
#if defined(RNNKIT_PORTABLE)
#define RK_FETCH(line) ((void)(line))
#else
#define RK_FETCH(line) __builtin_prefetch(line, 0, 2)
#endif

/* j from 0 to a constant n, unrolled whole. */
#define RK_EACH(j, n) RK_UNROLL for (int j = 0; j < (n); j++)

/* clang-format off */

/* Types. */
#define v_real RK_T(v_real)
#define v_int RK_T(v_int)
#define v_uint RK_T(v_uint)
#define v_mask RK_T(v_mask)
#define v_double RK_T(v_double)
#define v_memory RK_T(v_memory)
#define v_word_memory RK_T(v_word_memory)
#define v_narrow RK_T(v_narrow)
#define v_words RK_T(v_words)
#define v_bytes RK_T(v_bytes)

/* Primitives (simd.inc.h). */
#define v_load RK_T(v_load)
#define v_store RK_T(v_store)
#define v_splat RK_T(v_splat)
#define v_fma RK_T(v_fma)
#define v_sqrt RK_T(v_sqrt)
#define v_greater RK_T(v_greater)
#define v_greater_equal RK_T(v_greater_equal)
#define v_equal RK_T(v_equal)
#define v_select RK_T(v_select)
#define v_at_least RK_T(v_at_least)
#define v_at_most RK_T(v_at_most)
#define v_min RK_T(v_min)
#define v_max RK_T(v_max)
#define v_abs RK_T(v_abs)
#define v_bits RK_T(v_bits)
#define v_of_bits RK_T(v_of_bits)
#define v_drop RK_T(v_drop)
#define v_count RK_T(v_count)
#define v_word RK_T(v_word)
#define v_from_int RK_T(v_from_int)
#define v_double_load RK_T(v_double_load)
#define v_pin RK_T(v_pin)
#define lanes_sum RK_T(lanes_sum)
#define lanes_max RK_T(lanes_max)
#define lanes_sum_double RK_T(lanes_sum_double)

/* Vector math (math.inc.h). */
#define v_exp RK_T(v_exp)
#define v_log RK_T(v_log)
#define v_sigmoid RK_T(v_sigmoid)
#define v_logsigmoid RK_T(v_logsigmoid)
#define v_softplus RK_T(v_softplus)
#define v_tanh RK_T(v_tanh)

/* clang-format on */

#endif
