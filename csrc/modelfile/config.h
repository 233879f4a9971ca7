/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The metadata that say what the model is. Private to csrc/modelfile.
 */
#ifndef RK_CONFIG_H
#define RK_CONFIG_H

#include "modelfile/modelfile.h"

/* The numbers of `network`; programs and the widths of clusters are still to come. */
enum rk_status rk_config_network(struct rk_modelfile *file, struct rk_error *error);

/* The rule, whether it is for lower case, and the ids; for a model of ids `is_text` is
 * false, and the ids are set. */
struct rk_tokenizer_config {
    bool is_text, lowercase;
    enum rk_rule rule;
};
enum rk_status rk_config_tokenizer(struct rk_modelfile *file,
                                   struct rk_tokenizer_config *config,
                                   struct rk_error *error);

#endif
