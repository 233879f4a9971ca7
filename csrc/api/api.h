/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of csrc/api know together: include/rnnkit.h from within.
 */
#ifndef RK_API_H
#define RK_API_H

#include <rnnkit.h>

#include "modelfile/modelfile.h"

struct rnnkit_model {
    struct rk_modelfile file; /* opened; the file's own bytes are gone */
    struct rk_weights *weights;
    uint64_t checksum;
    struct rk_memory memory; /* for its streams */
};

/* A status of the core as the user knows it, and its message. */
rnnkit_status rk_report(enum rk_status status, const struct rk_error *reason,
                        rnnkit_error *error);

/* What is said of an argument that is NULL and must not be. */
rnnkit_status rk_report_null(rnnkit_error *error);

/* A status after asking for memory: the message then says how much there was none for. */
rnnkit_status rk_report_memory(rnnkit_status status, const struct rk_memory *memory,
                               rnnkit_error *error);

#endif
