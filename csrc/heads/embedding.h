/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The embedding: ids to rows, and their gradients back. A table of its own is row-major,
 * a row as whole panels [vocab][panels of width][64 bytes]; a tied one is the head's packed
 * weight [panels of vocab][width][64 bytes], whose columns are read with stride, and one of
 * int8 is laid out as a weight whether it is tied or not (linalg/linalg.h). The
 * gradient of a tied table is laid out as the table; that of the other kind holds the rows
 * of the tokens that were read, and no other.
 */
#ifndef RK_EMBEDDING_H
#define RK_EMBEDDING_H

#include "linalg/linalg.h"

struct rk_embedding {
    const struct rk_kernels *kernels;
    bool tied, is_int8;
    size_t width;
    const char *table;
};

/* out[r] = table[ids[r]] for rows [row0, row1) of the list. */
void rk_embedding_gather(const struct rk_embedding *embedding, struct rk_rows out,
                         size_t batch, const int32_t *ids, size_t row0, size_t row1);

/* gradient[ids[r]] += delta[r] for all rows of the list in order, panels [panel0, panel1)
 * of the width: threads own panels. `place`: by token 1 + its row in the gradient; NULL for
 * a tied table. */
void rk_embedding_scatter(const struct rk_embedding *embedding, char *gradient,
                          const int32_t *place, struct rk_rows delta, size_t batch,
                          const int32_t *ids, size_t n_rows, size_t panel0, size_t panel1);

#endif
