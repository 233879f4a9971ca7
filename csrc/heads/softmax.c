/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/softmax.h"

#include <string.h>

#include "heads/real.h"
#include "kernels/softmax.h"

enum {
    MAX_GROUPS = 8,
    GROUP_UNITS = 256, /* a group has at least so many words, where there are more */
    PIECE_PANELS = 16, /* of a weight that are transposed at a time: a piece stays in L2 */
};

/* One chunk of rows on its way through the head. */
struct chunk {
    const struct rk_softmax *head;
    const struct rk_softmax_task *task;
    const int32_t *rows;
    size_t n;
    size_t stride; /* from panel to panel of hidden, logits and partial */
    size_t first;  /* index of its first row in the task */
    size_t vocab_panels, width_panels, n_groups;
};

/* A power of two, so that few threads have whole groups each: then a thread's logits, and
 * the weights they come from, stay with its core from the product to the gradients. */
static size_t n_groups(size_t vocab)
{
    size_t n = 1;
    while (n < MAX_GROUPS && 2 * n * GROUP_UNITS <= vocab)
        n *= 2;
    return n;
}

void rk_softmax_plan(struct rk_softmax *head, struct rk_arena *arena, size_t n_rows,
                     bool training)
{
    enum rk_dtype dtype = head->kernels->dtype;
    size_t rows = n_rows < RK_SOFTMAX_CHUNK ? n_rows : RK_SOFTMAX_CHUNK;
    size_t row_bytes = rows * RK_PANEL, groups = n_groups(head->vocab);
    size_t width_bytes = rk_panels(dtype, head->width) * RK_PANEL;
    head->max_rows = rows;
    head->hidden = rk_arena_take(arena, rows, width_bytes);
    head->logits = rk_arena_take(arena, rk_panels(dtype, head->vocab), row_bytes);
    head->group_max = rk_arena_take(arena, groups, row_bytes);
    head->group_sum = rk_arena_take(arena, groups, row_bytes);
    head->max = rk_arena_take(arena, 1, row_bytes);
    head->sum = rk_arena_take(arena, 1, row_bytes);
    head->log_sum = rk_arena_take(arena, 1, row_bytes);
    head->target_logit = rk_arena_take(arena, 1, row_bytes);
    if (!training)
        return;
    head->factor = rk_arena_take(arena, 1, row_bytes);
    head->partial = rk_arena_take(arena, groups * rows, width_bytes);
}

size_t rk_softmax_scratch(const struct rk_softmax *head)
{
    enum rk_dtype dtype = head->kernels->dtype;
    size_t panels = rk_panels(dtype, head->vocab);
    size_t units = (panels < PIECE_PANELS ? panels : PIECE_PANELS) * rk_lanes(dtype);
    return rk_transposed_size(dtype, 1, units, head->width);
}

/* ------------------------------------------------------------- who does what */

/* Cells [i0, i1) x [j0, j1) of a grid. */
struct part {
    size_t i0, i1, j0, j1;
};

/* A thread's share of a chunk. It stays empty once the run is cancelled: then the thread
 * still comes to every barrier, with nothing to do between them. */
struct share {
    struct rk_team *team;
    int thread;
    int n_cells, n_columns;
    struct part cells[3];   /* groups x rows */
    struct part columns[3]; /* panels of the vocabulary x columns of W */
    size_t row0, row1;
};

/* A thread's share of a grid of n_i x n_j cells taken i by i: at most three parts. */
static int share_grid(size_t n_i, size_t n_j, const struct share *share,
                      struct part parts[3])
{
    size_t cell, end;
    rk_share(n_i * n_j, share->team->n_threads, share->thread, &cell, &end);
    int n = 0;
    while (cell < end) {
        size_t i = cell / n_j, j = cell % n_j, whole = j ? 0 : (end - cell) / n_j;
        size_t j1 = end - cell < n_j - j ? j + (end - cell) : n_j;
        parts[n] =
            whole ? (struct part){i, i + whole, 0, n_j} : (struct part){i, i + 1, j, j1};
        cell += whole ? whole * n_j : j1 - j;
        n++;
    }
    return n;
}

/* The panels and the number of words of a group. */
static size_t group_units(const struct chunk *c, size_t group, size_t *panel0,
                          size_t *panel1)
{
    size_t lanes = c->head->kernels->lanes;
    rk_share(c->vocab_panels, (int)c->n_groups, (int)group, panel0, panel1);
    size_t end = *panel1 * lanes < c->head->vocab ? *panel1 * lanes : c->head->vocab;
    return end - *panel0 * lanes;
}

/* The panels of a thread's own groups where it has whole ones; else an even share. */
static void share_columns(const struct chunk *c, struct share *share)
{
    size_t n_threads = (size_t)share->team->n_threads, unused;
    if (c->n_groups % n_threads != 0) {
        share->n_columns =
            share_grid(c->vocab_panels, c->head->width, share, share->columns);
        return;
    }
    const struct part *groups = &share->cells[0];
    struct part *columns = &share->columns[0];
    share->n_columns = 1;
    columns->j1 = c->head->width;
    group_units(c, groups->i0, &columns->i0, &unused);
    group_units(c, groups->i1 - 1, &unused, &columns->i1);
}

static struct share share_chunk(const struct chunk *c, struct rk_team *team, int thread)
{
    struct share share = {.team = team, .thread = thread};
    if (rk_team_poll(team, thread))
        return share;
    share.n_cells = share_grid(c->n_groups, c->n, &share, share.cells);
    share_columns(c, &share);
    rk_share(c->n, team->n_threads, thread, &share.row0, &share.row1);
    return share;
}

/* Does a phase for a thread's cells. */
typedef void (*cell_fn)(const struct chunk *c, size_t group, size_t row0, size_t row1,
                        const struct share *share);

static void for_cells(cell_fn phase, const struct chunk *c, const struct share *share)
{
    for (int i = 0; i < share->n_cells; i++) {
        const struct part *part = &share->cells[i];
        for (size_t group = part->i0; group < part->i1; group++)
            if (!rk_team_poll(share->team, share->thread))
                phase(c, group, part->j0, part->j1, share);
    }
}

/* "One a row" entry of a group. */
static char *group_row(const struct chunk *c, char *array, size_t group, size_t row)
{
    return array + (group * c->n + row) * RK_PANEL;
}

static size_t logit_offset(const struct chunk *c, size_t word, size_t row)
{
    const struct rk_kernels *kernels = c->head->kernels;
    return word / kernels->lanes * c->stride + row * RK_PANEL +
           word % kernels->lanes * rk_real_size(kernels->dtype);
}

static double logit(const struct chunk *c, size_t word, size_t row)
{
    return rk_real_get(c->head->kernels->dtype,
                       c->head->logits + logit_offset(c, word, row), 0);
}

/* -------------------------------------------------------------------- phases */

/* How many of the chunk's rows, from r on, lie together in a value of the window too. */
static size_t together(const struct chunk *c, const struct rk_rows *rows, size_t r,
                       size_t end)
{
    size_t first = (size_t)c->rows[r], n = 1;
    size_t most = rk_rows_together(rows, c->task->batch, first);
    while (n < most && r + n < end && (size_t)c->rows[r + n] == first + n)
        n++;
    return n;
}

static void gather_hidden(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_rows *from = &c->task->hidden;
    for (size_t r = row0, n; r < row1; r += n) {
        n = together(c, from, r, row1);
        const char *src = rk_row_at(from, c->task->batch, (size_t)c->rows[r]);
        for (size_t p = 0; p < c->width_panels; p++)
            memcpy(c->head->hidden + p * c->stride + r * RK_PANEL,
                   src + p * from->panel_stride, n * RK_PANEL);
    }
}

static void group_logits(const struct chunk *c, size_t group, size_t row0, size_t row1,
                         const struct share *share)
{
    (void)share;
    const struct rk_softmax *head = c->head;
    size_t panel0, panel1, units = group_units(c, group, &panel0, &panel1);
    struct rk_rows logits = {.base = head->logits, .panel_stride = c->stride};
    struct rk_term term = {.a = {.base = head->hidden, .panel_stride = c->stride},
                           .weight = head->weight,
                           .weight_stride = head->width * RK_PANEL,
                           .k = head->width};
    rk_product(head->kernels, logits, c->n, row0, row1, panel0, panel1, head->bias, false,
               &term, 1);
    head->kernels->softmax->max(group_row(c, head->group_max, group, row0),
                                head->logits + panel0 * c->stride + row0 * RK_PANEL,
                                c->stride, units, row1 - row0);
}

/* Whether no word has a larger logit and no earlier one an equal one. False on NaN. */
static bool is_likeliest(const struct chunk *c, size_t group, size_t first_word,
                         size_t word, size_t row)
{
    enum rk_dtype dtype = c->head->kernels->dtype;
    double value = logit(c, word, row);
    for (size_t g = 0; g < c->n_groups; g++) {
        double max = rk_real_get(dtype, group_row(c, c->head->group_max, g, row), 0);
        if (!(g < group ? value > max : value >= max))
            return false;
    }
    for (size_t other = first_word; other < word; other++)
        if (logit(c, other, row) == value)
            return false;
    return true;
}

/* Keeps what is wanted of the targets' logits, then makes exponentials of all. */
static void group_exponentials(const struct chunk *c, size_t group, size_t row0,
                               size_t row1, const struct share *share)
{
    (void)share;
    const struct rk_softmax *head = c->head;
    const struct rk_softmax_task *task = c->task;
    const struct rk_kernels *kernels = head->kernels;
    size_t panel0, panel1, units = group_units(c, group, &panel0, &panel1);
    size_t first_word = panel0 * kernels->lanes;
    for (size_t r = row0; task->targets && r < row1; r++) {
        size_t word = (size_t)task->targets[c->rows[r]];
        if (word < first_word || word >= first_word + units)
            continue;
        kernels->fill(head->target_logit + r * RK_PANEL, logit(c, word, r), kernels->lanes);
        task->hits[c->rows[r]] = is_likeliest(c, group, first_word, word, r);
    }
    char *logits = head->logits + panel0 * c->stride + row0 * RK_PANEL;
    kernels->softmax->exp_sum(group_row(c, head->group_sum, group, row0),
                              task->weight_gradient ? logits : NULL, logits, c->stride,
                              units, row1 - row0, group_row(c, head->group_max, 0, row0),
                              c->stride, c->n_groups);
}

/* Maximum, sum of exponentials and its logarithm of each row, from the groups' in order. */
static void join_groups(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *head = c->head;
    const struct rk_kernels *kernels = head->kernels;
    size_t n = (row1 - row0) * kernels->lanes, offset = row0 * RK_PANEL;
    char *max = head->max + offset, *sum = head->sum + offset;
    memcpy(max, group_row(c, head->group_max, 0, row0), (row1 - row0) * RK_PANEL);
    memcpy(sum, group_row(c, head->group_sum, 0, row0), (row1 - row0) * RK_PANEL);
    for (size_t g = 1; g < c->n_groups; g++) {
        kernels->vector[RK_OP_max](max, max, group_row(c, head->group_max, g, row0), NULL,
                                   n);
        kernels->vector[RK_OP_add](sum, sum, group_row(c, head->group_sum, g, row0), NULL,
                                   n);
    }
    kernels->vector[RK_OP_log](head->log_sum + offset, sum, NULL, NULL, n);
}

/* (logit - max) - log_sum, of the targets as of all words: with the same bits. */
static void score_rows(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *head = c->head;
    const struct rk_kernels *kernels = head->kernels;
    size_t n = (row1 - row0) * kernels->lanes, offset = row0 * RK_PANEL;
    char *x = head->target_logit + offset;
    kernels->vector[RK_OP_sub](x, x, head->max + offset, NULL, n);
    kernels->vector[RK_OP_sub](x, x, head->log_sum + offset, NULL, n);
    for (size_t r = row0; r < row1; r++, x += RK_PANEL)
        rk_real_set(kernels->dtype, c->task->log_likelihood, (size_t)c->rows[r],
                    rk_real_get(kernels->dtype, x, 0));
}

static void predict_rows(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *head = c->head;
    size_t row_bytes = head->vocab * rk_real_size(head->kernels->dtype);
    size_t offset = row0 * RK_PANEL;
    char *plain = c->task->log_probabilities;
    head->kernels->softmax->normalise(
        plain + (c->first + row0) * row_bytes, head->logits + offset, c->stride,
        head->vocab, row1 - row0, head->max + offset, head->log_sum + offset);
}

/* d loss / d logits of a row is factor * (exponentials - sum at the target). The factor
 * goes into `hidden` for dW and later into dh, which are smaller than the logits. */
static void differentiate_rows(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *head = c->head;
    const struct rk_softmax_task *task = c->task;
    const struct rk_kernels *kernels = head->kernels;
    for (size_t r = row0; r < row1; r++) {
        double sum = rk_real_get(kernels->dtype, head->sum + r * RK_PANEL, 0);
        double weight = task->weights ? (double)task->weights[c->rows[r]] : 1.0;
        kernels->fill(head->factor + r * RK_PANEL, weight / task->weight_sum / sum,
                      kernels->lanes);
    }
    for (size_t p = 0; p < c->width_panels; p++) {
        char *hidden = head->hidden + p * c->stride + row0 * RK_PANEL;
        kernels->vector[RK_OP_mul](hidden, hidden, head->factor + row0 * RK_PANEL, NULL,
                                   (row1 - row0) * kernels->lanes);
    }
}

/* The subtraction at the targets is done by whoever has their logits. */
static void subtract_targets(const struct chunk *c, size_t group, size_t row0, size_t row1,
                             const struct share *share)
{
    (void)share;
    const struct rk_softmax *head = c->head;
    enum rk_dtype dtype = head->kernels->dtype;
    size_t panel0, panel1, units = group_units(c, group, &panel0, &panel1);
    size_t first_word = panel0 * head->kernels->lanes;
    for (size_t r = row0; r < row1; r++) {
        size_t word = (size_t)c->task->targets[c->rows[r]];
        if (word < first_word || word >= first_word + units)
            continue;
        double sum = rk_real_get(dtype, head->sum + r * RK_PANEL, 0);
        rk_real_set(dtype, head->logits + logit_offset(c, word, r), 0,
                    logit(c, word, r) - sum);
    }
}

/* Columns [j0, j1) of panels [i0, i1) of a packed weight's gradient start from zero. */
static void start_gradient(char *gradient, size_t panel_stride, size_t i0, size_t i1,
                           size_t j0, size_t j1)
{
    for (size_t i = i0; i < i1; i++)
        memset(gradient + i * panel_stride + j0 * RK_PANEL, 0, (j1 - j0) * RK_PANEL);
}

/* dW += dlogits^T hidden over the chunk's rows, and db likewise with `factor` as operand:
 * threads own words and columns. The first chunk zeroes each piece when it comes to it, so
 * that the zeros need not travel through memory. */
static void weight_gradients(const struct chunk *c, const struct part *part,
                             const struct share *share)
{
    const struct rk_softmax *head = c->head;
    const struct rk_softmax_task *task = c->task;
    struct rk_rows delta = {.base = head->logits, .panel_stride = c->stride};
    struct rk_rows hidden = {.base = head->hidden, .panel_stride = c->stride};
    struct rk_rows factor = {.base = head->factor, .panel_stride = c->stride};
    for (size_t p = part->i0; p < part->i1; p += PIECE_PANELS) {
        size_t end = part->i1 - p < PIECE_PANELS ? part->i1 : p + PIECE_PANELS;
        if (rk_team_poll(share->team, share->thread))
            return;
        size_t stride = head->width * RK_PANEL;
        if (c->first == 0)
            start_gradient(task->weight_gradient, stride, p, end, part->j0, part->j1);
        rk_outer(head->kernels, task->weight_gradient, stride, delta, hidden, c->n, 0, c->n,
                 p, end, part->j0, part->j1);
        if (!task->bias_gradient || part->j0 > 0)
            continue;
        if (c->first == 0)
            start_gradient(task->bias_gradient, RK_PANEL, p, end, 0, 1);
        rk_outer(head->kernels, task->bias_gradient, RK_PANEL, delta, factor, c->n, 0, c->n,
                 p, end, 0, 1);
    }
}

/* partial = W^T dlogits over the words of one group. The weight is transposed piece by
 * piece as it is needed, so that no transposed copy of the whole is kept. */
static void group_hidden_gradient(const struct chunk *c, size_t group, size_t row0,
                                  size_t row1, const struct share *share)
{
    const struct rk_softmax *head = c->head;
    const struct rk_kernels *kernels = head->kernels;
    char *piece =
        c->task->thread_scratch + (size_t)share->thread * rk_softmax_scratch(head);
    size_t panel0, panel1, left = group_units(c, group, &panel0, &panel1);
    struct rk_rows partial = {
        .base = head->partial + group * c->width_panels * c->stride,
        .panel_stride = c->stride,
    };
    for (size_t p = panel0; p < panel1; p += PIECE_PANELS) {
        size_t most = PIECE_PANELS * kernels->lanes, k = left < most ? left : most;
        struct rk_term term = {
            .a = {.base = head->logits + p * c->stride, .panel_stride = c->stride},
            .weight = piece,
            .weight_stride = k * RK_PANEL,
            .k = k,
        };
        if (rk_team_poll(share->team, share->thread))
            return;
        rk_transpose(kernels, piece, head->weight + p * head->width * RK_PANEL, 1, k,
                     head->width, 0, c->width_panels);
        rk_product(kernels, partial, c->n, row0, row1, 0, c->width_panels, NULL, p > panel0,
                   &term, 1);
        left -= k;
    }
}

static void join_hidden_gradient(const struct chunk *c, size_t row0, size_t row1)
{
    const struct rk_softmax *head = c->head;
    const struct rk_kernels *kernels = head->kernels;
    const struct rk_rows *to = &c->task->hidden_gradient;
    size_t n = (row1 - row0) * kernels->lanes;
    for (size_t p = 0; p < c->width_panels; p++) {
        char *sum = head->partial + p * c->stride + row0 * RK_PANEL;
        for (size_t g = 1; g < c->n_groups; g++)
            kernels->vector[RK_OP_add](sum, sum, sum + g * c->width_panels * c->stride,
                                       NULL, n);
        kernels->vector[RK_OP_mul](sum, sum, head->factor + row0 * RK_PANEL, NULL, n);
    }
    for (size_t r = row0, n_rows; r < row1; r += n_rows) {
        n_rows = together(c, to, r, row1);
        char *row = rk_row_at(to, c->task->batch, (size_t)c->rows[r]);
        for (size_t p = 0; p < c->width_panels; p++)
            memcpy(row + p * to->panel_stride, head->partial + p * c->stride + r * RK_PANEL,
                   n_rows * RK_PANEL);
    }
}

/* ----------------------------------------------------------------------- run */

/* From a row's hidden units to what is known of it; a barrier stands at each change of who
 * owns what: rows, then cells, then rows again. */
static void forward_chunk(const struct chunk *c, const struct share *share)
{
    gather_hidden(c, share->row0, share->row1);
    rk_team_wait(share->team);
    for_cells(group_logits, c, share);
    rk_team_wait(share->team);
    for_cells(group_exponentials, c, share);
    rk_team_wait(share->team);
    join_groups(c, share->row0, share->row1);
    if (c->task->targets)
        score_rows(c, share->row0, share->row1);
    if (c->task->log_probabilities)
        predict_rows(c, share->row0, share->row1);
}

static void backward_chunk(const struct chunk *c, const struct share *share)
{
    differentiate_rows(c, share->row0, share->row1);
    rk_team_wait(share->team);
    for_cells(subtract_targets, c, share);
    rk_team_wait(share->team);
    for (int i = 0; i < share->n_columns; i++)
        weight_gradients(c, &share->columns[i], share);
    for_cells(group_hidden_gradient, c, share);
    rk_team_wait(share->team);
    join_hidden_gradient(c, share->row0, share->row1);
}

void rk_softmax_run(const struct rk_softmax *head, const struct rk_softmax_task *task,
                    struct rk_team *team, int thread)
{
    enum rk_dtype dtype = head->kernels->dtype;
    for (size_t first = 0; first < task->n_rows; first += head->max_rows) {
        size_t left = task->n_rows - first,
               n = left < head->max_rows ? left : head->max_rows;
        struct chunk chunk = {
            .head = head,
            .task = task,
            .rows = task->rows + first,
            .n = n,
            .stride = n * RK_PANEL,
            .first = first,
            .vocab_panels = rk_panels(dtype, head->vocab),
            .width_panels = rk_panels(dtype, head->width),
            .n_groups = n_groups(head->vocab),
        };
        struct share share = share_chunk(&chunk, team, thread);
        forward_chunk(&chunk, &share);
        if (task->weight_gradient)
            backward_chunk(&chunk, &share);
    }
    rk_team_wait(team);
}
