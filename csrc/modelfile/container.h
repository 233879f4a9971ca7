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
    RK_CHECKSUM_DIGITS = 16,
};

enum rk_element { RK_F32, RK_F64, RK_I32, RK_I64, RK_U8, RK_N_ELEMENTS };

size_t rk_element_size(enum rk_element element);
const char *rk_element_name(enum rk_element element); /* as the file has it: "F32" */

/* A tensor of the file. */
struct rk_stored {
    const char *name;
    enum rk_element element;
    int rank;
    size_t shape[RK_MAX_RANK];
    size_t begin, n_bytes;
    size_t position;  /* of its first byte in the file */
    const void *data; /* aligned to its elements; NULL: not in memory */
    bool is_used;     /* for the reader's own account, */
    size_t parameter; /* as this is: 1 + its index among the weights */
};

/* A string of the metadata, in UTF-8; a 0 follows it, and may be within. */
struct rk_entry {
    const char *name, *value;
    size_t n_bytes;
};

/* Where a file's bytes come from: they lie in memory, aligned to 8 bytes, or are read from
 * position `at`; false when that fails. Must stay as long as what is opened from it. */
struct rk_source {
    size_t n_bytes;
    const char *memory;
    bool (*read)(void *context, void *to, size_t at, size_t n_bytes);
    void *context;
};

enum rk_status rk_source_read(const struct rk_source *source, void *to, size_t at,
                              size_t n_bytes, struct rk_error *error);

struct rk_container {
    struct rk_stored *tensors; /* by name */
    struct rk_stored **order;  /* as they lie in the file */
    struct rk_entry *entries;  /* by name */
    size_t n_tensors, n_entries;
    uint64_t checksum;  /* as the file says */
    const char *digits; /* of it, in the header */
    const char *header;
    size_t header_bytes;
    struct rk_source source;
    char *memory;
};

/* Reads the header. Nothing it says is believed before it has been compared with the
 * file's size, and no more memory asked for than it takes some times over. Tensors of a
 * file in memory stay there; others are in memory once they are loaded. */
enum rk_status rk_container_open(struct rk_container *container,
                                 const struct rk_source *source, struct rk_error *error);
enum rk_status rk_container_load(const struct rk_container *container,
                                 struct rk_stored *tensor, struct rk_error *error);
void rk_container_close(struct rk_container *container);

/* Shown some rows of a tensor (its first dimension), from `row` on. */
typedef void (*rk_look)(void *context, const struct rk_stored *tensor, size_t row,
                        size_t n_rows, const void *rows);

/* Goes once through all data, in pieces that fit into a cache, and compares the checksum.
 * Each piece is shown to `look`, if there is one, before it is known whether it is sound.
 */
enum rk_status rk_container_scan(struct rk_container *container, rk_look look,
                                 void *context, struct rk_error *error);

/* NULL when there is none of this name. */
struct rk_stored *rk_container_tensor(const struct rk_container *container,
                                      const char *name);
const struct rk_entry *rk_container_entry(const struct rk_container *container,
                                          const char *name);

#endif
