/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A model file, read and checked as a whole; docs/model_format.md says what stands in it.
 * This is the one reader, for Python and for C programs. The file is untrusted.
 */
#ifndef RK_MODELFILE_H
#define RK_MODELFILE_H

#include "modelfile/container.h"
#include "network/network.h"
#include "text/text.h"

/* An opened file; what it points to lies in the file's memory, which must stay. */
struct rk_modelfile {
    struct rk_container container;
    struct rk_network network;           /* with the programs of the file's graphs      */
    const struct rk_stored **parameters; /* by the index that the weights have          */
    const struct rk_stored **scales;     /* of those that are int8, else NULL           */
    size_t n_parameters;
    size_t n_cells;   /* layers but the projection                              */
    bool has_zoneout; /* no cell predicts by its own graph                      */
    struct rk_tokenizer *tokenizer; /* with the vocabulary; NULL for a model of ids */
    int32_t end_id, unk_id;         /* unk_id is -1 where nothing is unknown       */
    /* What `network` points to: */
    struct rk_program *programs[RK_MAX_LAYERS];
    int32_t cutoffs[RK_MAX_CLUSTERS], cluster_widths[RK_MAX_CLUSTERS];
};

/* `data` is aligned to 8 bytes. Before any memory is asked for that grows with a number in
 * the file, this number has been found to agree with the file's size. */
enum rk_status rk_modelfile_open(struct rk_modelfile *file, const void *data,
                                 size_t n_bytes, struct rk_error *error);
void rk_modelfile_close(struct rk_modelfile *file);

/* The weights, for the file's network. */
enum rk_status rk_modelfile_weights(const struct rk_modelfile *file,
                                    struct rk_weights **weights, struct rk_error *error);

#endif
