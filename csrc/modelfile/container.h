/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The container of a model file: named tensors and strings, as strict safetensors.
 *
 *   8 bytes  length of the header, unsigned, little endian
 *   header   JSON: {"__metadata__": {name: string}, name: {data_offsets, dtype, shape}}
 *   data     the tensors, one after another, little endian
 *
 * safetensors leaves freedom; here is none, so that a file is read by taking what must come
 * next. Keys are sorted, `__metadata__` first, there are no blanks but those that fill the
 * header to a multiple of 8. Tensors lie in the order of (element size descending, name)
 * without a hole, each aligned to its elements. The metadata `checksum` covers all bytes
 * but its own digits: XXH64 of the data, whose sum is the seed for the header up to the
 * digits, whose sum is the seed for the rest of the header.
 */
#ifndef RK_CONTAINER_H
#define RK_CONTAINER_H

#include "base/base.h"

enum {
    RK_FORMAT_VERSION = 2,
    RK_MAX_HEADER = 1 << 20,
    RK_MAX_STORED = 4096,
    RK_MAX_RANK = 4,
};

enum rk_element { RK_F32, RK_F64, RK_I32, RK_I64, RK_I8, RK_U8, RK_N_ELEMENTS };

size_t rk_element_size(enum rk_element element);
const char *rk_element_name(enum rk_element element); /* as the file has it: "F32" */

/* A tensor of the file. */
struct rk_stored {
    const char *name;
    enum rk_element element;
    int rank;
    size_t shape[RK_MAX_RANK];
    size_t begin, n_bytes;
    const void *data; /* in the file, aligned to its elements */
    bool is_used;     /* for the reader's own account */
};

/* A string of the metadata, in UTF-8; a 0 follows it, and may be within. */
struct rk_entry {
    const char *name, *value;
    size_t n_bytes;
};

struct rk_container {
    struct rk_stored *tensors; /* by name */
    struct rk_entry *entries;  /* by name */
    size_t n_tensors, n_entries;
    uint64_t checksum;
    char *memory;
};

/* Reads a file that lies in memory, aligned to 8 bytes, and must stay there. Nothing it
 * says is believed before it has been compared with its own size, and no more memory asked
 * for than its header takes some times over. */
enum rk_status rk_container_open(struct rk_container *container, const void *data,
                                 size_t n_bytes, struct rk_error *error);
void rk_container_close(struct rk_container *container);

/* NULL when there is none of this name. */
struct rk_stored *rk_container_tensor(const struct rk_container *container,
                                      const char *name);
const struct rk_entry *rk_container_entry(const struct rk_container *container,
                                          const char *name);

#endif
