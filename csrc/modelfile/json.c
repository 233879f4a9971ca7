/* SPDX-License-Identifier: BSD-3-Clause */
#include "modelfile/json.h"

#include <string.h>

enum { MAX_DEPTH = 64 };

bool rk_json_take(struct rk_json *json, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(json->end - json->at) < n || memcmp(json->at, text, n) != 0)
        return false;
    json->at += n;
    return true;
}

bool rk_json_key(struct rk_json *json, const char *name)
{
    struct rk_json ahead = *json;
    bool is_first = json->at[-1] == '{';
    if (!(is_first || rk_json_take(&ahead, ",")) || !rk_json_take(&ahead, "\"") ||
        !rk_json_take(&ahead, name) || !rk_json_take(&ahead, "\":"))
        return false;
    *json = ahead;
    return true;
}

static bool is_digit(const struct rk_json *json)
{
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

bool rk_json_integer(struct rk_json *json, uint64_t *value)
{
    struct rk_json ahead = *json;
    bool is_zero = rk_json_take(&ahead, "0");
    uint64_t n = 0;
    if (!is_zero && !is_digit(&ahead))
        return false;
    for (; is_digit(&ahead); ahead.at++) {
        if (is_zero || n > (UINT64_C(1) << 62) / 10)
            return false;
        n = 10 * n + (uint64_t)(*ahead.at - '0');
    }
    *json = ahead;
    *value = n;
    return true;
}

bool rk_json_bool(struct rk_json *json, bool *value)
{
    *value = rk_json_take(json, "true");
    return *value || rk_json_take(json, "false");
}

/* ----------------------------------------------------------------- strings */

/* Four hexadecimal digits, in lower case. */
static bool take_unit(struct rk_json *json, uint32_t *unit)
{
    static const char digits[] = "0123456789abcdef";
    *unit = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        const char *digit =
            json->at < json->end && *json->at ? strchr(digits, *json->at) : NULL;
        if (!digit)
            return false;
        *unit = *unit << 4 | (uint32_t)(digit - digits);
    }
    return true;
}

/* What stands behind \u: one unit of UTF-16, or two that belong together. */
static bool take_code_point(struct rk_json *json, uint32_t *c)
{
    uint32_t low;
    if (!take_unit(json, c))
        return false;
    if (*c < 0xd800 || *c > 0xdfff)
        return true;
    if (*c > 0xdbff || !rk_json_take(json, "\\u") || !take_unit(json, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return false;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int n_more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint32_t first[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(first[n_more] | c >> 6 * n_more);
    while (n_more-- > 0)
        *out++ = (char)(0x80 | (c >> 6 * n_more & 0x3f));
    return out;
}

/* One character, which must be spelled in the shortest way. */
static bool take_character(struct rk_json *json, uint32_t *c)
{
    static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    *c = (unsigned char)*json->at++;
    if (*c != '\\')
        return *c >= 0x20 && *c < 0x7f;
    if (json->at == json->end)
        return false;
    const char *letter = *json->at ? strchr(letters, *json->at) : NULL;
    if (letter) {
        *c = (unsigned char)meant[letter - letters];
        json->at++;
        return true;
    }
    if (!rk_json_take(json, "u") || !take_code_point(json, c))
        return false;
    return *c >= 0x7f || (*c < 0x20 && (*c == 0 || !strchr(meant, (int)*c)));
}

bool rk_json_string(struct rk_json *json, char **out)
{
    struct rk_json ahead = *json;
    char *text = *out;
    uint32_t c;
    if (!rk_json_take(&ahead, "\""))
        return false;
    while (ahead.at < ahead.end && *ahead.at != '"') {
        if (!take_character(&ahead, &c))
            return false;
        text = put_utf8(text, c);
    }
    if (!rk_json_take(&ahead, "\""))
        return false;
    *text++ = 0;
    *json = ahead;
    *out = text;
    return true;
}

static bool skip_string(struct rk_json *json)
{
    uint32_t c;
    if (!rk_json_take(json, "\""))
        return false;
    while (json->at < json->end && *json->at != '"')
        if (!take_character(json, &c))
            return false;
    return rk_json_take(json, "\"");
}

/* ------------------------------------------------------------------ values */

static bool skip_digits(struct rk_json *json)
{
    bool any = is_digit(json);
    while (is_digit(json))
        json->at++;
    return any;
}

static bool skip_number(struct rk_json *json)
{
    rk_json_take(json, "-");
    if (!rk_json_take(json, "0") && !skip_digits(json))
        return false;
    if (rk_json_take(json, ".") && !skip_digits(json))
        return false;
    if (!rk_json_take(json, "e"))
        return true;
    if (!rk_json_take(json, "-"))
        rk_json_take(json, "+");
    return skip_digits(json);
}

static bool skip_value(struct rk_json *json, int depth)
{
    bool is_object = rk_json_take(json, "{");
    if (is_object || rk_json_take(json, "[")) {
        const char *close = is_object ? "}" : "]";
        if (depth == MAX_DEPTH)
            return false;
        if (rk_json_take(json, close))
            return true;
        do {
            if (is_object && !(skip_string(json) && rk_json_take(json, ":")))
                return false;
            if (!skip_value(json, depth + 1))
                return false;
        } while (rk_json_take(json, ","));
        return rk_json_take(json, close);
    }
    if (json->at < json->end && *json->at == '"')
        return skip_string(json);
    return rk_json_take(json, "true") || rk_json_take(json, "false") ||
           rk_json_take(json, "null") || skip_number(json);
}

bool rk_json_skip(struct rk_json *json)
{
    struct rk_json ahead = *json;
    if (!skip_value(&ahead, 0))
        return false;
    *json = ahead;
    return true;
}

bool rk_json_find(struct rk_json *json, const char *name)
{
    struct rk_json ahead = *json;
    while (!rk_json_key(&ahead, name)) {
        if (ahead.at[-1] != '{' && !rk_json_take(&ahead, ","))
            return false;
        if (!skip_string(&ahead) || !rk_json_take(&ahead, ":") || !skip_value(&ahead, 1))
            return false;
    }
    *json = ahead;
    return true;
}
