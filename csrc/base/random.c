/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

void rk_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t key0 = key[0], key1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53 * x0, q = (uint64_t)0xcd9e8d57 * x2;
        x0 = (uint32_t)(q >> 32) ^ x1 ^ key0;
        x2 = (uint32_t)(p >> 32) ^ x3 ^ key1;
        x1 = (uint32_t)q;
        x3 = (uint32_t)p;
        key0 += 0x9e3779b9;
        key1 += 0xbb67ae85;
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}
