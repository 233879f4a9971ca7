/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RK_CHECKSUM_H
#define RK_CHECKSUM_H

#include "base/base.h"

/* XXH64 (Collet), as fast as memory is read. It finds damage, not malice. */
uint64_t rk_checksum(const void *data, size_t n_bytes, uint64_t seed);

/* The same of bytes that come piece by piece. */
struct rk_checksum {
    uint64_t seed, n_bytes, sums[4];
    unsigned char stripe[32]; /* the last bytes, which fill no stripe yet */
};

void rk_checksum_begin(struct rk_checksum *checksum, uint64_t seed);
void rk_checksum_add(struct rk_checksum *checksum, const void *data, size_t n_bytes);
uint64_t rk_checksum_end(const struct rk_checksum *checksum);

#endif
