/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One chunk of rows on its way through a softmax, and who does what of it. Private to the
 * files softmax*.c and augmented.c: softmax.c cuts the chunks, softmax_shares.c deals them
 * to threads, softmax_forward.c, softmax_backward.c and augmented.c are the phases.
 *
 * Classes go by groups, whose number n_classes alone sets. A phase is done for cells,
 * groups x rows, or for rows, or for columns of the weight; a barrier stands where that
 * changes.
 */
#ifndef RK_CHUNK_H
#define RK_CHUNK_H

#include "heads/augmented.h"
#include "heads/real.h"

enum { RK_PIECE_PANELS = 16 }; /* of a weight that are transposed at a time: for L2 */

struct rk_chunk {
    const struct rk_softmax *softmax;
    const struct rk_softmax_task *task;
    const int32_t *rows;
    size_t n;
    size_t stride; /* from panel to panel of hidden, logits and partial */
    size_t first;  /* index of its first row in the task */
    size_t panels, width_panels, n_groups;
    bool keeps; /* the exponentials, in place of the logits */
};

/* Cells [i0, i1) x [j0, j1) of a grid. */
struct rk_cells {
    size_t i0, i1, j0, j1;
};

/* A thread's share of a chunk. It stays empty once the run is cancelled: then the thread
 * still comes to every barrier, with nothing to do between them. */
struct rk_chunk_share {
    struct rk_team *team;
    int thread;
    int n_cells, n_columns;
    struct rk_cells cells[3];   /* groups x rows */
    struct rk_cells columns[3]; /* panels of the classes x columns of W */
    size_t row0, row1;
};

/* Groups of n_classes classes. */
size_t rk_softmax_groups(size_t n_classes);

struct rk_chunk_share rk_chunk_share(const struct rk_chunk *c, struct rk_team *team,
                                     int thread);
/* The panels of a group; returns the number of its classes. */
size_t rk_chunk_group(const struct rk_chunk *c, size_t group, size_t *panel0,
                      size_t *panel1);

/* Does a phase for a thread's cells. */
typedef void (*rk_chunk_phase)(const struct rk_chunk *c, size_t group, size_t row0,
                               size_t row1, const struct rk_chunk_share *share);
void rk_chunk_cells(rk_chunk_phase phase, const struct rk_chunk *c,
                    const struct rk_chunk_share *share);

/* From a row's hidden units to what is known of it, and from there to the gradients. */
void rk_chunk_forward(const struct rk_chunk *c, const struct rk_chunk_share *share);
void rk_chunk_backward(const struct rk_chunk *c, const struct rk_chunk_share *share);
/* A part of forward: from gathered hidden units to logits, exponentials and their sums. */
void rk_chunk_exponentials(const struct rk_chunk *c, const struct rk_chunk_share *share);

/* An augmented loss, where the task has one. Before forward, by every thread: what it aims
 * at. Then of cells whose logits are still there; of rows whose sums are known; and of
 * cells whose logits have become the gradient of the cross-entropy. */
void rk_chunk_soften_targets(const struct rk_chunk *c, struct rk_team *team, int thread);
void rk_chunk_soften(const struct rk_chunk *c, size_t group, size_t row0, size_t row1);
void rk_chunk_weigh(const struct rk_chunk *c, size_t row0, size_t row1);
void rk_chunk_augment(const struct rk_chunk *c, size_t group, size_t row0, size_t row1);

/* How many of the chunk's rows, from r on, lie together in a value of the list too. */
static inline size_t rk_chunk_together(const struct rk_chunk *c, const struct rk_rows *rows,
                                       size_t r, size_t end)
{
    size_t first = (size_t)c->rows[r], n = 1;
    size_t most = rk_rows_together(rows, c->task->batch, first);
    while (n < most && r + n < end && (size_t)c->rows[r + n] == first + n)
        n++;
    return n;
}

/* "One a row" entry of a group. */
static inline char *rk_chunk_row(const struct rk_chunk *c, char *array, size_t group,
                                 size_t row)
{
    return array + (group * c->n + row) * RK_PANEL;
}

/* A single logit, as rk_real_get and rk_real_set take it. */
static inline char *rk_chunk_logit(const struct rk_chunk *c, size_t unit, size_t row)
{
    const struct rk_kernels *kernels = c->softmax->kernels;
    return c->softmax->logits + unit / kernels->lanes * c->stride + row * RK_PANEL +
           unit % kernels->lanes * rk_real_size(kernels->dtype);
}

/* The class of a row's target. */
static inline size_t rk_chunk_target(const struct rk_chunk *c, size_t row)
{
    return (size_t)c->task->targets[c->rows[row]];
}

#endif
