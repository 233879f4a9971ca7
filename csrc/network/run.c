/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A window's runs. Each is one team run: embedding, layers, head; or the same backwards.
 */
#include "network/parts.h"

#include <string.h>

#include "heads/real.h"

/* ------------------------------------------------------------------- teams */

/* One token reads all weights but the embedding's once. A thread is worth a part of them
 * that takes it a few microseconds. To wake sleeping threads takes much longer: small
 * weights get more than one only while these are awake from the run before. */
enum { THREAD_WEIGHTS = 256 << 10, SMALL_WEIGHTS = 2 << 20 };

static size_t bytes_read(const struct rk_window *window)
{
    const struct rk_weights *weights = window->weights;
    return weights->n_bytes - (weights->tie_weights ? 0 : weights->tensors[0].n_bytes);
}

static bool is_small(const struct rk_window *window)
{
    return bytes_read(window) <= SMALL_WEIGHTS;
}

static int token_threads(const struct rk_window *window, int n_threads)
{
    size_t most = bytes_read(window) / THREAD_WEIGHTS;
    if (most <= 1 || (is_small(window) && !rk_team_is_awake()))
        return 1;
    if (n_threads < 1)
        n_threads = rk_threads_default();
    return most < (size_t)n_threads ? (int)most : n_threads;
}

static struct rk_team start_team(const struct rk_window *window, const struct rk_run *run,
                                 size_t n_rows)
{
    struct rk_team team;
    rk_team_init(&team,
                 n_rows == 1 ? token_threads(window, run->n_threads) : run->n_threads);
    team.poll = n_rows == 1 && is_small(window) ? NULL : run->poll; /* microseconds */
    team.poll_context = run->poll_context;
    return team;
}

/* The head's scratch for each thread of a training run. */
static enum rk_status reserve_threads(struct rk_window *window, int n_threads,
                                      struct rk_error *error)
{
    if (!window->training || n_threads <= window->scratch_threads)
        return RK_OK;
    size_t n_bytes;
    rk_free(window->thread_scratch);
    window->thread_scratch = NULL;
    window->scratch_threads = 0;
    if (rk_mul(rk_head_scratch(&window->head), (size_t)n_threads, &n_bytes))
        window->thread_scratch = rk_alloc(n_bytes);
    if (!window->thread_scratch)
        return rk_fail(error, RK_NOMEM, "no memory for the scratch of %d threads",
                       n_threads);
    window->scratch_threads = n_threads;
    return RK_OK;
}

/* ------------------------------------------------------------------- forward */

struct forward {
    struct rk_window *window;
    const struct rk_window_input *input;
    struct rk_head_task head;
};

/* One flag a row, in all lanes; `absent` where there is no array. */
static void spread_flags(const struct rk_window *window, char *flags, const uint8_t *plain,
                         uint8_t absent, size_t row0, size_t row1)
{
    const struct rk_kernels *kernels = window->weights->kernels;
    struct rk_rows rows = rk_sequence_rows(&window->sequences[0], flags, 1);
    for (size_t r = row0; r < row1; r++)
        kernels->fill(rk_row_at(&rows, window->batch, r), (plain ? plain[r] : absent) != 0,
                      kernels->lanes);
}

/* A thread's share of zeroing n_bytes, whole panels. */
static void zero_share(char *memory, size_t n_bytes, const struct rk_team *team, int thread)
{
    size_t first, last;
    rk_share(n_bytes / RK_PANEL, team->n_threads, thread, &first, &last);
    memset(memory + first * RK_PANEL, 0, (last - first) * RK_PANEL);
}

/* Bytes of a row of the embedding's gradient, where it is by rows. */
static size_t gradient_row_bytes(const struct rk_window *window)
{
    const struct rk_weights *weights = window->weights;
    return rk_panels(weights->dtype, weights->embedding_size) * RK_PANEL;
}

static struct rk_rows output_gradient(const struct rk_window *window)
{
    const struct rk_weights *weights = window->weights;
    return rk_sequence_rows(&window->sequences[0], window->output_gradient,
                            rk_panels(weights->dtype, weights->hidden_size));
}

/* This thread's share of the embeddings of n_rows ids, without the words dropped. */
static void embed_share(const struct rk_window *window, struct rk_rows to, size_t batch,
                        const int32_t *ids, size_t n_rows, const struct rk_team *team,
                        int thread)
{
    const struct rk_weights *weights = window->weights;
    size_t row0, row1;
    rk_share(n_rows, team->n_threads, thread, &row0, &row1);
    rk_embedding_gather(&window->embedding, to, batch, ids, row0, row1);
    rk_window_drop_words(window, to, batch, ids, row0, row1, 0,
                         rk_panels(weights->dtype, weights->embedding_size));
}

/* The embeddings of all rows, and of the distinct ones. */
static void embed(const struct rk_window *window, const struct rk_team *team, int thread)
{
    const struct rk_sequence *first = &window->sequences[0];
    const struct rk_repeats *repeats = first->repeats;
    if (!repeats || rk_program_reads_input(first->program))
        embed_share(window, first->input, window->batch, window->ids,
                    window->n_steps * window->batch, team, thread);
    if (repeats)
        embed_share(window, repeats->rows, repeats->n, window->distinct, repeats->n, team,
                    thread);
}

/* Zeroes this thread's share of what will be added to. A head writes its own gradients, and
 * those of the outputs where every row is scored. */
static void start_gradients(const struct forward *forward, const struct rk_team *team,
                            int thread)
{
    const struct rk_window *window = forward->window;
    const struct rk_weights *weights = window->weights;
    for (size_t i = 1; i < weights->layer_tensor[weights->n_layers]; i++)
        zero_share(window->gradient[i], weights->tensors[i].n_bytes, team, thread);
    if (window->token_row)
        zero_share(window->gradient[0], window->n_tokens * gradient_row_bytes(window), team,
                   thread);
    if (forward->head.words.n_rows < window->n_steps * window->batch)
        zero_share(window->output_gradient,
                   window->n_shards * output_gradient(window).shard_stride, team, thread);
}

static void forward_task(void *context, struct rk_team *team, int thread)
{
    const struct forward *forward = context;
    const struct rk_window *window = forward->window;
    size_t row0, row1;
    embed(window, team, thread);
    rk_share(window->n_steps * window->batch, team->n_threads, thread, &row0, &row1);
    if (window->reads_flags) {
        spread_flags(window, window->resets, forward->input->resets, 0, row0, row1);
        spread_flags(window, window->active, forward->input->active, 1, row0, row1);
    }
    if (window->training) {
        rk_window_drop_weights(window, team, thread);
        start_gradients(forward, team, thread);
    }
    rk_team_wait(team);
    for (size_t l = 0; l < window->weights->n_layers; l++)
        rk_sequence_forward(&window->sequences[l], team, thread);
    if (forward->head.words.n_rows > 0 || window->training)
        rk_head_run(&window->head, &forward->head, team, thread);
}

/* Gives each distinct token of the window a row of the embedding's gradient. */
static void find_tokens(struct rk_window *window)
{
    for (size_t i = 0; i < window->n_tokens; i++)
        window->token_row[window->tokens[i]] = 0;
    window->n_tokens = 0;
    for (size_t r = 0; r < window->n_steps * window->batch; r++) {
        int32_t *row = &window->token_row[window->ids[r]];
        if (*row > 0)
            continue;
        window->tokens[window->n_tokens++] = window->ids[r];
        *row = (int32_t)window->n_tokens;
    }
}

/* Connects the layers for this input's shape: each reads what the one below it leaves. */
static enum rk_status connect_layers(struct rk_window *window,
                                     const struct rk_window_input *input,
                                     struct rk_error *error)
{
    const struct rk_weights *weights = window->weights;
    struct rk_rows below;
    for (size_t l = 0; l < weights->n_layers; l++) {
        struct rk_sequence *sequence = &window->sequences[l];
        sequence->n_steps = input->n_steps;
        sequence->batch = input->batch;
        sequence->n_shards = window->n_shards;
        if (l == 0)
            below = rk_sequence_rows(sequence, window->input,
                                     rk_panels(weights->dtype, weights->embedding_size));
        sequence->input = below;
        sequence->resets = window->resets;
        sequence->active = window->active;
        sequence->repeats = l == 0 ? rk_window_find_repeats(window) : NULL;
        enum rk_status status = rk_sequence_init(sequence, error);
        if (status != RK_OK)
            return status;
        below = sequence->output;
    }
    return RK_OK;
}

/* Windows of one shape after the other, as one token after the other, are connected once;
 * those with repeated tokens anew. */
static enum rk_status start_layers(struct rk_window *window, const struct rk_state *state,
                                   const struct rk_window_input *input, size_t n_shards,
                                   struct rk_error *error)
{
    bool same = window->n_steps == input->n_steps && window->batch == input->batch &&
                window->n_shards == n_shards && !window->distinct;
    for (size_t part = 0; part < state->layer_part[state->n_layers]; part++)
        window->initial_states[part] = state->parts[part].packed;
    for (size_t l = 0; l < window->weights->n_layers; l++)
        window->sequences[l].mask =
            (struct rk_mask){.seed = input->seed, .update = input->update};
    window->n_steps = input->n_steps;
    window->batch = input->batch;
    window->n_shards = n_shards;
    enum rk_status status = same ? RK_OK : connect_layers(window, input, error);
    if (status != RK_OK)
        window->n_steps = 0;
    return status;
}

/* The log-probabilities of all words at some rows of the list. */
static struct rk_head_task predict_rows(const struct rk_window *window, const int32_t *rows,
                                        size_t n_rows, void *log_probabilities)
{
    const struct rk_weights *weights = window->weights;
    return (struct rk_head_task){
        .words = {.hidden = window->sequences[weights->n_layers - 1].output,
                  .batch = window->batch,
                  .rows = rows,
                  .n_rows = n_rows,
                  .log_probabilities = log_probabilities,
                  .row_stride = weights->vocab_size * rk_real_size(weights->dtype)}};
}

/* The head's rows are those of the last step. */
static struct rk_head_task start_prediction(struct rk_window *window,
                                            const struct rk_window_input *input)
{
    size_t batch = input->batch;
    for (size_t b = 0; b < batch; b++)
        window->scored[b] = (int32_t)((input->n_steps - 1) * batch + b);
    return predict_rows(window, window->scored, batch, input->log_probabilities);
}

/* What the head has to do: the rows that have a weight. */
static struct rk_head_task start_head(struct rk_window *window,
                                      const struct rk_window_input *input,
                                      double *weight_sum)
{
    const struct rk_weights *weights = window->weights;
    size_t n = input->n_steps * input->batch, n_scored = 0;
    memset(window->log_likelihood, 0, n * rk_real_size(weights->dtype));
    memset(window->hits, 0, n);
    *weight_sum = 0;
    for (size_t i = 0; input->targets && i < n; i++) {
        double weight = input->target_weights ? (double)input->target_weights[i] : 1;
        if (weight > 0)
            window->scored[n_scored++] = (int32_t)i;
        *weight_sum += weight;
    }
    struct rk_head_task task = {
        .words = {.hidden = window->sequences[weights->n_layers - 1].output,
                  .batch = input->batch,
                  .rows = window->scored,
                  .n_rows = n_scored,
                  .targets = input->targets,
                  .weights = input->target_weights,
                  .weight_sum = *weight_sum,
                  .log_likelihood = window->log_likelihood,
                  .hits = window->hits},
        .seed = input->seed,
        .update = input->update,
    };
    if (window->training) {
        task.gradients = window->head_gradient;
        task.words.hidden_gradient = output_gradient(window);
        task.words.thread_scratch = window->thread_scratch;
    }
    return task;
}

/* In double, in the order of the list. */
static double mean_loss(const struct rk_window *window, const struct rk_softmax_task *task)
{
    double sum = 0;
    for (size_t i = 0; i < task->n_rows; i++) {
        size_t row = (size_t)window->scored[i];
        sum -= (task->weights ? (double)task->weights[row] : 1) *
               rk_real_get(window->weights->dtype, window->log_likelihood, row);
    }
    return task->n_rows ? sum / task->weight_sum : 0;
}

/* One step of rows, packed as [panel][batch][64 bytes]. */
static void keep_state(char *packed, const struct rk_rows *from, size_t panels,
                       size_t batch)
{
    for (size_t row = 0, together; row < batch; row += together) {
        together = rk_rows_together(from, batch, row);
        for (size_t p = 0; p < panels; p++)
            memcpy(packed + (p * batch + row) * RK_PANEL,
                   rk_row_at(from, batch, row) + p * from->panel_stride,
                   together * RK_PANEL);
    }
}

static void keep_final_states(const struct rk_window *window, struct rk_state *state)
{
    for (size_t l = 0; l < state->n_layers; l++)
        for (size_t part = state->layer_part[l]; part < state->layer_part[l + 1]; part++) {
            const struct rk_state_part *to = &state->parts[part];
            struct rk_rows from =
                rk_sequence_final_state(&window->sequences[l], part - state->layer_part[l]);
            keep_state(to->packed, &from, rk_panels(state->dtype, to->width), state->batch);
        }
}

static enum rk_status run_forward(struct rk_window *window, struct rk_state *state,
                                  const struct rk_window_input *input,
                                  const struct rk_run *run, struct rk_window_loss *loss,
                                  struct rk_error *error)
{
    enum rk_status status = rk_window_check_input(window, state, input, error);
    if (status != RK_OK)
        return status;
    struct rk_team team = start_team(window, run, input->n_steps * input->batch);
    window->phase = RK_WINDOW_EMPTY;
    memcpy(window->ids, input->ids, input->n_steps * input->batch * sizeof *window->ids);
    status = reserve_threads(window, team.n_threads, error);
    if (status == RK_OK)
        status = start_layers(window, state, input, rk_shards(input->batch, team.n_threads),
                              error);
    if (status != RK_OK)
        return status;
    if (window->token_row)
        find_tokens(window);
    struct forward forward = {.window = window, .input = input};
    forward.head = start_head(window, input, &loss->weight_sum);
    if (input->log_probabilities)
        forward.head = start_prediction(window, input);
    rk_head_start(&window->head, &forward.head);
    status = rk_team_run(&team, forward_task, &forward);
    if (status != RK_OK)
        return rk_fail(error, status, "cancelled");
    keep_final_states(window, state);
    loss->loss = input->targets ? mean_loss(window, &forward.head.words) : 0;
    window->phase = RK_WINDOW_FORWARD;
    return RK_OK;
}

enum rk_status rk_window_forward(struct rk_window *window, struct rk_state *state,
                                 const struct rk_window_input *input,
                                 const struct rk_run *run, struct rk_window_loss *loss,
                                 struct rk_error *error)
{
    *loss = (struct rk_window_loss){0};
    enum rk_status status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    status = run_forward(window, state, input, run, loss, error);
    rk_window_leave(window);
    return status;
}

/* ---------------------------------------------------------- log-probabilities */

struct prediction {
    const struct rk_window *window;
    struct rk_head_task head;
};

static void prediction_task(void *context, struct rk_team *team, int thread)
{
    const struct prediction *prediction = context;
    rk_head_run(&prediction->window->head, &prediction->head, team, thread);
}

static enum rk_status check_rows(const struct rk_window *window, const int32_t *rows,
                                 size_t n_rows, struct rk_error *error)
{
    size_t n = window->n_steps * window->batch;
    if (window->phase != RK_WINDOW_FORWARD)
        return rk_fail(error, RK_INVALID,
                       "the window has no outputs: they stand from forward to backward");
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i] < 0 || (size_t)rows[i] >= n)
            return rk_fail(error, RK_INVALID, "rows[%zu] is %ld; it must be from 0 to %zu",
                           i, (long)rows[i], n - 1);
    return RK_OK;
}

enum rk_status rk_window_log_probabilities(void *plain, struct rk_window *window,
                                           const int32_t *rows, size_t n_rows,
                                           const struct rk_run *run, struct rk_error *error)
{
    enum rk_status status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    status = check_rows(window, rows, n_rows, error);
    if (status == RK_OK && n_rows > 0) {
        struct rk_team team = start_team(window, run, n_rows);
        struct prediction prediction = {
            .window = window,
            .head = predict_rows(window, rows, n_rows, plain),
        };
        rk_head_start(&window->head, &prediction.head);
        status = rk_team_run(&team, prediction_task, &prediction);
        if (status != RK_OK)
            rk_fail(error, status, "cancelled");
    }
    rk_window_leave(window);
    return status;
}

/* ------------------------------------------------------------------ backward */

static void transpose_share(const struct rk_window *window, const struct rk_team *team,
                            int thread)
{
    const struct rk_weights *weights = window->weights;
    for (size_t i = 0; i < weights->n_tensors; i++) {
        const struct rk_tensor *tensor = &weights->tensors[i];
        size_t panel0, panel1;
        if (!window->transposed[i])
            continue;
        rk_share(rk_panels(weights->dtype, tensor->columns), team->n_threads, thread,
                 &panel0, &panel1);
        rk_transpose(weights->kernels, window->transposed[i], window->parameters[i],
                     tensor->blocks, tensor->width, tensor->columns, panel0, panel1);
    }
}

/* The input's gradient goes to the embedding: of all rows, or of the distinct ones. */
static void scatter_share(const struct rk_window *window, const struct rk_team *team,
                          int thread)
{
    const struct rk_weights *weights = window->weights;
    const struct rk_sequence *first = &window->sequences[0];
    size_t batch = window->batch, n_rows = window->n_steps * batch, panel0, panel1;
    const int32_t *ids = window->ids;
    if (first->input_gradient_of_repeats) {
        batch = n_rows = first->repeats->n;
        ids = window->distinct;
    }
    rk_share(rk_panels(weights->dtype, weights->embedding_size), team->n_threads, thread,
             &panel0, &panel1);
    rk_window_drop_words(window, first->input_gradient, batch, ids, 0, n_rows, panel0,
                         panel1);
    rk_embedding_scatter(&window->embedding, window->gradient[0], window->token_row,
                         first->input_gradient, batch, ids, n_rows, panel0, panel1);
}

static void backward_task(void *context, struct rk_team *team, int thread)
{
    const struct rk_window *window = context;
    const struct rk_weights *weights = window->weights;
    transpose_share(window, team, thread);
    rk_team_wait(team);
    for (size_t l = weights->n_layers; l-- > 0;)
        rk_sequence_backward(&window->sequences[l], team, thread);
    rk_window_drop_gradients(window, team, thread);
    if (window->sequences[0].input_gradient.base && !rk_team_poll(team, thread))
        scatter_share(window, team, thread);
}

/* Each layer's output gradient is the input gradient of the one above. */
static void connect_gradients(struct rk_window *window)
{
    size_t top = window->weights->n_layers - 1;
    window->sequences[top].output_gradient = output_gradient(window);
    for (size_t l = 0; l < top; l++) {
        struct rk_rows above = window->sequences[l + 1].input_gradient;
        if (!above.base)
            above = (struct rk_rows){.base = window->no_gradient,
                                     .panel_stride = window->batch * RK_PANEL,
                                     .shard_rows = window->batch};
        window->sequences[l].output_gradient = above;
    }
}

static void add_outputs_gradient(struct rk_window *window, const char *plain)
{
    const struct rk_weights *weights = window->weights;
    struct rk_rows rows = output_gradient(window);
    size_t width = weights->hidden_size, batch = window->batch, together;
    size_t row_size = width * rk_real_size(weights->dtype);
    for (size_t row = 0; row < window->n_steps * batch; row += together) {
        together = rk_rows_together(&rows, batch, row);
        size_t n_bytes = together * RK_PANEL;
        char *panel = rk_row_at(&rows, batch, row), *added = window->step;
        rk_rows_pack(weights->dtype, added, n_bytes, plain + row * row_size, together,
                     width);
        for (size_t p = 0; p < rk_panels(weights->dtype, width); p++) {
            weights->kernels->vector[RK_OP_add](panel, panel, added, NULL,
                                                n_bytes / rk_real_size(weights->dtype));
            panel += rows.panel_stride;
            added += n_bytes;
        }
    }
}

enum rk_status rk_window_backward(struct rk_window *window, const void *outputs_gradient,
                                  const struct rk_run *run, struct rk_error *error)
{
    enum rk_status status = rk_window_enter(window, run, error);
    if (status != RK_OK)
        return status;
    if (!window->training || window->phase != RK_WINDOW_FORWARD) {
        status = rk_fail(error, RK_INVALID,
                         window->training ? "backward comes once after each forward"
                                          : "the window was not made for training");
    } else {
        struct rk_team team = start_team(window, run, window->n_steps * window->batch);
        window->phase = RK_WINDOW_EMPTY;
        if (outputs_gradient)
            add_outputs_gradient(window, outputs_gradient);
        connect_gradients(window);
        status = rk_team_run(&team, backward_task, window);
        if (status == RK_OK)
            window->phase = RK_WINDOW_BACKWARD;
        else
            rk_fail(error, status, "cancelled");
    }
    rk_window_leave(window);
    return status;
}
