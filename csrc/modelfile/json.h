/* SPDX-License-Identifier: BSD-3-Clause
 *
 * JSON as rnnkit writes it, and no other: ASCII, keys in order, no blanks. So a reader says
 * what must come next, and takes it. Private to csrc/modelfile.
 */
#ifndef RK_JSON_H
#define RK_JSON_H

#include "base/base.h"

/* What is left to be read. Each function moves it only when it finds what it wants. */
struct rk_json {
    const char *at, *end;
};

/* These very characters. */
bool rk_json_take(struct rk_json *json, const char *text);

/* The name of an object's next member, if it is this one; the `{` has been taken. */
bool rk_json_key(struct rk_json *json, const char *name);

/* From within an object (its `{` has been taken) to the value of a member, past others. */
bool rk_json_find(struct rk_json *json, const char *name);

/* A whole number from 0 up to 2^62. */
bool rk_json_integer(struct rk_json *json, uint64_t *value);
bool rk_json_bool(struct rk_json *json, bool *value);

/* A string as UTF-8 at *out, which moves behind the 0 that ends it. There are never more
 * bytes than the quoted string has. */
bool rk_json_string(struct rk_json *json, char **out);

/* Any value. */
bool rk_json_skip(struct rk_json *json);

#endif
