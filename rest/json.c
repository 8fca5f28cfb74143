/* SPDX-License-Identifier: MIT */
#include "rest/json.h"

#include "lib/base/secret.h"
#include "lib/base/text.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* The usable size, not a header in front: blocks from before the set-up must be freed rightly too. */
static void
wiping_free(void *p)
{
    if (p == NULL)
        return;
    sck_wipe(p, malloc_usable_size(p));
    free(p);
}

void
sck_rest_json_setup(void)
{
    json_set_alloc_funcs(malloc, wiping_free);
}

/* jansson's own limit (2048 levels) is compiled in, and it recurses: count the brackets first. */
static bool
is_too_deep(const uint8_t *data, size_t len)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (data[i] == '\\')
                i++;
            else if (data[i] == '"')
                in_string = false;
        } else if (data[i] == '"') {
            in_string = true;
        } else if (data[i] == '{' || data[i] == '[') {
            if (++depth > SCK_JSON_DEPTH_MAX)
                return true;
        } else if ((data[i] == '}' || data[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

enum sck_code
sck_rest_json_parse(const uint8_t *data, size_t len, json_t **out, struct sck_err *err)
{
    *out = NULL;
    if (is_too_deep(data, len))
        return sck_fail(err, SCK_E_USAGE, "The body is nested more than %d levels deep", SCK_JSON_DEPTH_MAX);
    json_error_t why;
    json_t *value = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (value == NULL && json_error_code(&why) == json_error_out_of_memory)
        return sck_fail(err, SCK_E_MEMORY, "no memory for a body");
    if (value == NULL && json_error_code(&why) == json_error_duplicate_key)
        return sck_fail(err, SCK_E_USAGE, "The body has a member twice");
    if (value == NULL && json_error_code(&why) == json_error_numeric_overflow)
        return sck_fail(err, SCK_E_USAGE, "The body has a number that is out of range");
    if (value == NULL)
        return sck_fail(err, SCK_E_USAGE, "The body is not valid JSON (RFC 8259) in UTF-8");
    if (!json_is_object(value)) {
        json_decref(value);
        return sck_fail(err, SCK_E_USAGE, "The body must be a JSON object");
    }
    *out = value;
    return SCK_OK;
}

/* A name that may be repeated to the client: anything else might be a value in the wrong place. */
static bool
is_plain_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len <= 32 && name[len] == '\0';
}

static const char *
type_text(json_type type)
{
    return type == JSON_STRING ? "a string" : type == JSON_OBJECT ? "an object" : "an integer";
}

enum sck_code
sck_rest_json_check(json_t *object, const struct sck_rest_json_member *members, size_t count, struct sck_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        size_t i = 0;
        while (i < count && strcmp(members[i].name, name) != 0)
            i++;
        if (i == count && is_plain_name(name))
            return sck_fail(err, SCK_E_USAGE, "Unknown member %s", name);
        if (i == count)
            return sck_fail(err, SCK_E_USAGE, "Unknown member");
        if (json_typeof(value) != members[i].type)
            return sck_fail(err, SCK_E_USAGE, "%s must be %s", name, type_text(members[i].type));
    }
    for (size_t i = 0; i < count; i++) {
        if (members[i].required && json_object_get(object, members[i].name) == NULL)
            return sck_fail(err, SCK_E_USAGE, "%s is required", members[i].name);
    }
    return SCK_OK;
}

struct sck_bytes
sck_rest_json_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL)
        return (struct sck_bytes){NULL, 0};
    return (struct sck_bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

enum sck_code
sck_rest_json_base64(const json_t *object, const char *name, struct sck_buf *out, struct sck_err *err)
{
    struct sck_bytes text = sck_rest_json_text(object, name);
    if (text.data == NULL || !sck_base64_parse((const char *)text.data, text.len, out))
        return sck_fail(err, SCK_E_USAGE, "%s must be base64 (RFC 4648)", name);
    return SCK_OK;
}

bool
sck_rest_json_put_base64(json_t *object, const char *name, const uint8_t *data, size_t len)
{
    struct sck_buf text;
    sck_buf_init(&text, (len + 2) / 3 * 4);
    sck_base64_format(data, len, &text);
    bool done = !text.failed &&
                json_object_set_new(object, name, json_stringn((const char *)text.data, text.len)) == 0;
    sck_buf_clear(&text);
    return done;
}
