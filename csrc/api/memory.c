/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Models in memory of the caller's, and budgets.
 */
#include "api/api.h"

#include <string.h>

/* ---------------------------------------------------------------- sources */

rnnkit_status rk_report_memory(rnnkit_status status, const struct rk_memory *memory,
                               rnnkit_error *error)
{
    struct rk_error reason;
    if (status == RNNKIT_NO_MEMORY && error) {
        rk_fail(&reason, RK_NOMEM, "%.190s: %zu bytes are not to be had", error->text,
                memory->refused);
        memcpy(error->text, reason.text, sizeof reason.text);
    }
    return status;
}

/* What a loading that began on this thread has left. */
static rnnkit_status end_loading(rnnkit_status status, rnnkit_model **model,
                                 const struct rk_memory *memory, struct rk_memory *before,
                                 rnnkit_error *error)
{
    rk_memory_use(before);
    if (status == RNNKIT_OK)
        (*model)->memory = *memory;
    return rk_report_memory(status, memory, error);
}

static bool lacks_function(const rnnkit_allocator *allocator)
{
    return allocator && !(allocator->allocate && allocator->release);
}

static struct rk_memory memory_of(const rnnkit_allocator *allocator)
{
    struct rk_memory memory = {0};
    if (allocator) {
        memory.allocate = allocator->allocate;
        memory.release = allocator->release;
        memory.context = allocator->context;
    }
    return memory;
}

rnnkit_status rnnkit_model_load_in(rnnkit_model **model, const char *path,
                                   const rnnkit_allocator *allocator, rnnkit_error *error)
{
    if (lacks_function(allocator))
        return rk_report_null(error);
    struct rk_memory memory = memory_of(allocator), *before = rk_memory_use(&memory);
    rnnkit_status status = rnnkit_model_load(model, path, error);
    return end_loading(status, model, &memory, before, error);
}

rnnkit_status rnnkit_model_read_in(rnnkit_model **model, const void *data, size_t n_bytes,
                                   const rnnkit_allocator *allocator, rnnkit_error *error)
{
    if (lacks_function(allocator))
        return rk_report_null(error);
    struct rk_memory memory = memory_of(allocator), *before = rk_memory_use(&memory);
    rnnkit_status status = rnnkit_model_read(model, data, n_bytes, error);
    return end_loading(status, model, &memory, before, error);
}

/* ---------------------------------------------------------------- budgets */

/* Pieces lie one behind another; the free ones are a list in the order of their places, no
 * two of them neighbours. */
struct rnnkit_piece {
    size_t n_bytes; /* this header too; a multiple of PLACE */
    struct rnnkit_piece *next;
};

enum { PLACE = 16 };

/* Takes the beginning of the first free piece that is large enough: what lies behind all
 * that was ever taken decides nothing, and without it the budget would have been enough. */
static void *budget_allocate(void *context, size_t n_bytes)
{
    rnnkit_budget *budget = context;
    struct rnnkit_piece **link = &budget->first_free, *piece;
    if (n_bytes > SIZE_MAX - 2 * PLACE)
        return NULL;
    n_bytes = (n_bytes + PLACE + PLACE - 1) / PLACE * PLACE;
    while ((piece = *link) && piece->n_bytes < n_bytes)
        link = &piece->next;
    if (!piece)
        return NULL;
    char *end = (char *)piece + n_bytes;
    *link = piece->next;
    if (piece->n_bytes > n_bytes) {
        struct rnnkit_piece rest = {piece->n_bytes - n_bytes, piece->next};
        *link = memcpy(end, &rest, sizeof rest);
        piece->n_bytes = n_bytes;
    }
    budget->n_used += n_bytes;
    size_t reached = (size_t)(end - (char *)budget->memory);
    if (reached > budget->most_used)
        budget->most_used = reached;
    return (char *)piece + PLACE;
}

/* Makes one piece of two neighbours. */
static void join_pieces(struct rnnkit_piece *piece)
{
    struct rnnkit_piece *next = piece->next;
    if (next && (char *)piece + piece->n_bytes == (char *)next) {
        piece->n_bytes += next->n_bytes;
        piece->next = next->next;
    }
}

static void budget_release(void *context, void *memory)
{
    rnnkit_budget *budget = context;
    struct rnnkit_piece *piece = (struct rnnkit_piece *)((char *)memory - PLACE);
    struct rnnkit_piece *before = NULL, *behind = budget->first_free;
    budget->n_used -= piece->n_bytes;
    for (; behind && behind < piece; behind = behind->next)
        before = behind;
    piece->next = behind;
    join_pieces(piece);
    if (before) {
        before->next = piece;
        join_pieces(before);
    } else {
        budget->first_free = piece;
    }
}

void rnnkit_budget_init(rnnkit_budget *budget, void *memory, size_t n_bytes)
{
    size_t skipped = (PLACE - (uintptr_t)memory % PLACE) % PLACE;
    struct rnnkit_piece whole = {0};
    memset(budget, 0, sizeof *budget);
    budget->allocator.allocate = budget_allocate;
    budget->allocator.release = budget_release;
    budget->allocator.context = budget;
    budget->memory = memory;
    if (!memory || n_bytes < skipped + PLACE)
        return;
    whole.n_bytes = (n_bytes - skipped) / PLACE * PLACE;
    budget->first_free = memcpy((char *)memory + skipped, &whole, sizeof whole);
}
