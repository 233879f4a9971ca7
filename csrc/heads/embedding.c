/* SPDX-License-Identifier: BSD-3-Clause */
#include "heads/embedding.h"

#include <string.h>

#include "heads/real.h"

/* Row `id`: of a table of its own its first panel; of a tied one its element of unit 0,
 * the next units following at 64 bytes each. */
static size_t row_offset(const struct rk_embedding *embedding, int32_t id)
{
    enum rk_dtype dtype = embedding->kernels->dtype;
    size_t lanes = rk_lanes(dtype), row = (size_t)id;
    if (!embedding->tied)
        return row * rk_panels(dtype, embedding->width) * RK_PANEL;
    return row / lanes * embedding->width * RK_PANEL + row % lanes * rk_real_size(dtype);
}

/* True units of a panel. */
static size_t panel_units(const struct rk_embedding *embedding, size_t panel)
{
    size_t lanes = rk_lanes(embedding->kernels->dtype),
           left = embedding->width - panel * lanes;
    return left < lanes ? left : lanes;
}

/* Between a panel, whose elements are neighbours, and a tied table, whose elements stand
 * 64 bytes apart. */
static void gather_strided(enum rk_dtype dtype, char *panel, const char *element,
                           size_t units)
{
    memset(panel, 0, RK_PANEL);
    for (size_t i = 0; i < units; i++, element += RK_PANEL)
        rk_real_set(dtype, panel, i, rk_real_get(dtype, element, 0));
}

static void add_strided(enum rk_dtype dtype, char *element, const char *panel, size_t units)
{
    for (size_t i = 0; i < units; i++, element += RK_PANEL)
        rk_real_set(dtype, element, 0,
                    rk_real_get(dtype, element, 0) + rk_real_get(dtype, panel, i));
}

static void gather_int8(const struct rk_embedding *embedding, struct rk_rows out,
                        size_t batch, const int32_t *ids, size_t row0, size_t row1)
{
    const struct rk_kernels *kernels = embedding->kernels;
    size_t panel = rk_int8_panel(embedding->width), lanes = kernels->lanes;
    for (size_t r = row0; r < row1; r++) {
        size_t row = (size_t)ids[r];
        kernels->int8_unit(rk_row_at(&out, batch, r), out.panel_stride,
                           embedding->table + row / lanes * panel, row % lanes,
                           embedding->width);
    }
}

void rk_embedding_gather(const struct rk_embedding *embedding, struct rk_rows out,
                         size_t batch, const int32_t *ids, size_t row0, size_t row1)
{
    enum rk_dtype dtype = embedding->kernels->dtype;
    size_t panels = rk_panels(dtype, embedding->width);
    if (embedding->is_int8) {
        gather_int8(embedding, out, batch, ids, row0, row1);
        return;
    }
    for (size_t r = row0; r < row1; r++) {
        const char *row = embedding->table + row_offset(embedding, ids[r]);
        char *to = rk_row_at(&out, batch, r);
        for (size_t p = 0; p < panels; p++, to += out.panel_stride) {
            if (embedding->tied)
                gather_strided(dtype, to, row + p * rk_lanes(dtype) * RK_PANEL,
                               panel_units(embedding, p));
            else
                memcpy(to, row + p * RK_PANEL, RK_PANEL);
        }
    }
}

void rk_embedding_scatter(const struct rk_embedding *embedding, char *gradient,
                          const int32_t *place, struct rk_rows delta, size_t batch,
                          const int32_t *ids, size_t n_rows, size_t panel0, size_t panel1)
{
    const struct rk_kernels *kernels = embedding->kernels;
    enum rk_dtype dtype = kernels->dtype;
    for (size_t r = 0; r < n_rows; r++) {
        int32_t at = place ? place[ids[r]] - 1 : ids[r];
        char *row = gradient + row_offset(embedding, at);
        const char *from = rk_row_at(&delta, batch, r);
        for (size_t p = panel0; p < panel1; p++) {
            const char *panel = from + p * delta.panel_stride;
            if (embedding->tied) {
                add_strided(dtype, row + p * rk_lanes(dtype) * RK_PANEL, panel,
                            panel_units(embedding, p));
            } else {
                char *to = row + p * RK_PANEL;
                kernels->vector[RK_OP_add](to, to, panel, NULL, rk_lanes(dtype));
            }
        }
    }
}
