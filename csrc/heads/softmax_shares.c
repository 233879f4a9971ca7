/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/chunk.h"

enum {
    MAX_GROUPS = 8,
    GROUP_UNITS = 256, /* a group has at least so many classes, where there are more */
};

/* A power of two, so that few threads have whole groups each: then a thread's logits, and
 * the weights they come from, stay with its core from the product to the gradients. */
size_t rk_softmax_groups(size_t n_classes)
{
    size_t n = 1;
    while (n < MAX_GROUPS && 2 * n * GROUP_UNITS <= n_classes)
        n *= 2;
    return n;
}

/* A thread's share of a grid of n_i x n_j cells taken i by i: at most three parts. */
static int share_grid(size_t n_i, size_t n_j, const struct rk_chunk_share *share,
                      struct rk_cells parts[3])
{
    size_t cell, end;
    rk_share(n_i * n_j, share->team->n_threads, share->thread, &cell, &end);
    int n = 0;
    while (cell < end) {
        size_t i = cell / n_j, j = cell % n_j, whole = j ? 0 : (end - cell) / n_j;
        size_t j1 = end - cell < n_j - j ? j + (end - cell) : n_j;
        parts[n] = whole ? (struct rk_cells){i, i + whole, 0, n_j}
                         : (struct rk_cells){i, i + 1, j, j1};
        cell += whole ? whole * n_j : j1 - j;
        n++;
    }
    return n;
}

size_t rk_chunk_group(const struct rk_chunk *c, size_t group, size_t *panel0,
                      size_t *panel1)
{
    size_t lanes = c->softmax->kernels->lanes, n_classes = c->softmax->n_classes;
    rk_share(c->panels, (int)c->n_groups, (int)group, panel0, panel1);
    size_t end = *panel1 * lanes < n_classes ? *panel1 * lanes : n_classes;
    return end - *panel0 * lanes;
}

/* The panels of a thread's own groups where it has whole ones; else an even share. */
static void share_columns(const struct rk_chunk *c, struct rk_chunk_share *share)
{
    size_t n_threads = (size_t)share->team->n_threads, unused;
    if (c->n_groups % n_threads != 0) {
        share->n_columns = share_grid(c->panels, c->softmax->width, share, share->columns);
        return;
    }
    const struct rk_cells *groups = &share->cells[0];
    struct rk_cells *columns = &share->columns[0];
    share->n_columns = 1;
    columns->j1 = c->softmax->width;
    rk_chunk_group(c, groups->i0, &columns->i0, &unused);
    rk_chunk_group(c, groups->i1 - 1, &unused, &columns->i1);
}

struct rk_chunk_share rk_chunk_share(const struct rk_chunk *c, struct rk_team *team,
                                     int thread)
{
    struct rk_chunk_share share = {.team = team, .thread = thread};
    if (rk_team_poll(team, thread))
        return share;
    share.n_cells = share_grid(c->n_groups, c->n, &share, share.cells);
    share_columns(c, &share);
    rk_share(c->n, team->n_threads, thread, &share.row0, &share.row1);
    return share;
}

void rk_chunk_cells(rk_chunk_phase phase, const struct rk_chunk *c,
                    const struct rk_chunk_share *share)
{
    for (int i = 0; i < share->n_cells; i++) {
        const struct rk_cells *cells = &share->cells[i];
        for (size_t group = cells->i0; group < cells->i1; group++)
            if (!rk_team_poll(share->team, share->thread))
                phase(c, group, cells->j0, cells->j1, share);
    }
}
