/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What stands behind the header: tensors, one by one and all in one pass.
 */
#include <string.h>

#include "modelfile/checksum.h"
#include "modelfile/container.h"

enum { PIECE = 256 << 10 };

enum rk_status rk_source_read(const struct rk_source *source, void *to, size_t at,
                              size_t n_bytes, struct rk_error *error)
{
    if (source->memory)
        memcpy(to, source->memory + at, n_bytes);
    else if (!source->read(source->context, to, at, n_bytes))
        return rk_fail(error, RK_INVALID, "the file cannot be read");
    return RK_OK;
}

enum rk_status rk_container_load(const struct rk_container *container,
                                 struct rk_stored *tensor, struct rk_error *error)
{
    if (tensor->data)
        return RK_OK;
    void *data = rk_alloc(tensor->n_bytes);
    if (!data)
        return rk_fail(error, RK_NOMEM, "no memory for %zu bytes of '%s'", tensor->n_bytes,
                       tensor->name);
    tensor->data = data;
    return rk_source_read(&container->source, data, tensor->position, tensor->n_bytes,
                          error);
}

/* How many rows of a tensor are a piece: one at least. */
static size_t rows_at_once(const struct rk_stored *tensor)
{
    size_t n = PIECE / (tensor->n_bytes / tensor->shape[0]);
    return n == 0 ? 1 : n < tensor->shape[0] ? n : tensor->shape[0];
}

static enum rk_status scan_tensor(const struct rk_container *container,
                                  const struct rk_stored *tensor, char *buffer,
                                  struct rk_checksum *sum, rk_look look, void *context,
                                  struct rk_error *error)
{
    size_t row_bytes = tensor->n_bytes / tensor->shape[0], n = rows_at_once(tensor);
    for (size_t row = 0; row < tensor->shape[0]; row += n) {
        if (n > tensor->shape[0] - row)
            n = tensor->shape[0] - row;
        const char *rows = buffer;
        enum rk_status status = RK_OK;
        if (tensor->data)
            rows = (const char *)tensor->data + row * row_bytes;
        else
            status =
                rk_source_read(&container->source, buffer,
                               tensor->position + row * row_bytes, n * row_bytes, error);
        if (status != RK_OK)
            return status;
        rk_checksum_add(sum, rows, n * row_bytes);
        if (look)
            look(context, tensor, row, n, rows);
    }
    return RK_OK;
}

/* The data have been added up. */
static enum rk_status check_sum(const struct rk_container *container,
                                const struct rk_checksum *data, struct rk_error *error)
{
    const char *behind = container->digits + RK_CHECKSUM_DIGITS;
    const char *end = container->header + container->header_bytes;
    uint64_t sum = rk_checksum_end(data);
    sum = rk_checksum(container->header, (size_t)(container->digits - container->header),
                      sum);
    sum = rk_checksum(behind, (size_t)(end - behind), sum);
    if (container->checksum == sum)
        return RK_OK;
    return rk_fail(error, RK_FORMAT,
                   "the checksum is %016llx, the content gives %016llx: the file was "
                   "damaged after it was saved",
                   (unsigned long long)container->checksum, (unsigned long long)sum);
}

enum rk_status rk_container_scan(struct rk_container *container, rk_look look,
                                 void *context, struct rk_error *error)
{
    enum rk_status status = RK_OK;
    struct rk_checksum sum;
    size_t n_bytes = 0;
    for (size_t i = 0; i < container->n_tensors; i++) {
        const struct rk_stored *tensor = &container->tensors[i];
        size_t piece = rows_at_once(tensor) * (tensor->n_bytes / tensor->shape[0]);
        if (!tensor->data && piece > n_bytes)
            n_bytes = piece;
    }
    char *buffer = rk_alloc(n_bytes);
    if (!buffer)
        return rk_fail(error, RK_NOMEM, "no memory for %zu bytes", n_bytes);
    rk_checksum_begin(&sum, 0);
    for (size_t i = 0; status == RK_OK && i < container->n_tensors; i++)
        status =
            scan_tensor(container, container->order[i], buffer, &sum, look, context, error);
    rk_free(buffer);
    return status == RK_OK ? check_sum(container, &sum, error) : status;
}
