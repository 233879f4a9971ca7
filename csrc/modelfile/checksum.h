/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RK_CHECKSUM_H
#define RK_CHECKSUM_H

#include "base/base.h"

/* XXH64 (Collet), as fast as memory is read. It finds damage, not malice. */
uint64_t rk_checksum(const void *data, size_t n_bytes, uint64_t seed);

#endif
