/* SPDX-License-Identifier: MIT */
#include "lib/core/uri.h"

#include "lib/base/text.h"
#include "lib/core/escape.h"

#include <string.h>
#include <strings.h>

#define SCHEME "scopekey:"
#define SCHEME_LEN (sizeof SCHEME - 1)

/* Beside the unreserved ones, as in RFC 7512 section 2.3: a file's path stays readable. */
#define PIN_SOURCE_RAW "/:"

static const char *const types[] = {
    [SCK_TYPE_PRIVATE] = "private",
    [SCK_TYPE_PUBLIC] = "public",
    [SCK_TYPE_CERT] = "cert",
    [SCK_TYPE_SECRET] = "secret",
};

#define TYPE_COUNT (sizeof types / sizeof types[0])

bool
sck_key_name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len > SCK_KEY_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool mark = c == '.' || c == '_' || c == '-';
        if (c == '~' || !sck_is_unreserved((uint8_t)c) || (mark && i == 0))
            return false;
    }
    return true;
}

bool
sck_uri_has_scheme(const char *text)
{
    return strncasecmp(text, SCHEME, SCHEME_LEN) == 0;
}

/* Scope, and the key name if there is one ("" otherwise). */
static enum sck_code
parse_path(const char *text, size_t len, struct sck_scope *scope, char name[SCK_KEY_NAME_MAX + 1],
           struct sck_err *err)
{
    const char *end = text + len;
    const char *first = len > 0 ? memchr(text, '/', len) : NULL;
    const char *second = first != NULL ? memchr(first + 1, '/', (size_t)(end - first) - 1) : NULL;
    enum sck_code rc = sck_scope_parse(text, second != NULL ? (size_t)(second - text) : len, scope, err);
    if (rc != SCK_OK)
        return rc;
    memset(name, 0, SCK_KEY_NAME_MAX + 1);
    if (second == NULL)
        return SCK_OK;
    size_t name_len = (size_t)(end - second) - 1;
    if (name_len == 0)
        return sck_fail(err, SCK_E_USAGE, "the key name is empty: leave out the last \"/\" to name the scope");
    if (memchr(second + 1, '/', name_len) != NULL)
        return sck_fail(err, SCK_E_USAGE, "the path has more than three parts: inside an id \"/\" is written %%2F");
    if (!sck_key_name_is_valid(second + 1, name_len))
        return sck_fail(err, SCK_E_USAGE,
                        "a key name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit");
    memcpy(name, second + 1, name_len);
    return SCK_OK;
}

static enum sck_code
set_version(struct sck_uri *uri, const char *value, size_t len, struct sck_err *err)
{
    uint64_t version = 0;
    if (!sck_u64_parse(value, len, UINT32_MAX, &version) || version == 0)
        return sck_fail(err, SCK_E_USAGE, "version is a number from 1 to 4294967295 without leading zeros");
    if (uri->name[0] == '\0')
        return sck_fail(err, SCK_E_USAGE, "version is an attribute of a key, and the path names a whole scope");
    uri->version = (uint32_t)version;
    return SCK_OK;
}

static enum sck_code
set_type(struct sck_uri *uri, const char *value, size_t len, struct sck_err *err)
{
    for (size_t i = 1; i < TYPE_COUNT; i++) {
        if (sck_bytes_equal(value, len, types[i], strlen(types[i]))) {
            uri->type = (enum sck_uri_type)i;
            return SCK_OK;
        }
    }
    return sck_fail(err, SCK_E_USAGE, "type is private, public, cert or secret");
}

static enum sck_code
set_pin_source(struct sck_uri *uri, const char *value, size_t len, struct sck_err *err)
{
    size_t n = 0;
    enum sck_code rc = sck_unescape(value, len, PIN_SOURCE_RAW, SCK_E_USAGE, "pin-source", uri->pin_source,
                                    SCK_PIN_SOURCE_MAX, &n, err);
    if (rc == SCK_OK && !sck_utf8_is_clean((const uint8_t *)uri->pin_source, n))
        rc = sck_fail(err, SCK_E_USAGE, "pin-source is not UTF-8 without control characters");
    return rc;
}

static const struct attribute {
    const char *name;
    enum sck_code (*set)(struct sck_uri *uri, const char *value, size_t len, struct sck_err *err);
} attributes[] = {
    {"version", set_version},
    {"type", set_type},
    {"pin-source", set_pin_source},
};

#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])

static enum sck_code
unknown_attribute(const char *name, size_t len, struct sck_err *err)
{
    struct sck_buf shown;
    sck_buf_init(&shown, 128);
    sck_text_escape(name, len < 24 ? len : 24, &shown);
    enum sck_code rc = sck_fail(err, SCK_E_USAGE, "unknown attribute \"%s\": there are version, type and pin-source",
                                sck_buf_str(&shown));
    sck_buf_clear(&shown);
    return rc;
}

/* One "name=value"; `seen` has a bit for each attribute that was given. */
static enum sck_code
parse_attribute(const char *text, size_t len, unsigned *seen, struct sck_uri *uri, struct sck_err *err)
{
    const char *equals = len > 0 ? memchr(text, '=', len) : NULL;
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    if (len == 0)
        return sck_fail(err, SCK_E_USAGE, "an attribute is empty: write NAME=VALUE after \"?\" and \"&\"");
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        const struct attribute *a = &attributes[i];
        if (!sck_bytes_equal(text, name_len, a->name, strlen(a->name)))
            continue;
        if (equals == NULL || name_len + 1 == len)
            return sck_fail(err, SCK_E_USAGE, "attribute %s has no value", a->name);
        if ((*seen & 1U << i) != 0)
            return sck_fail(err, SCK_E_USAGE, "attribute %s is given twice", a->name);
        *seen |= 1U << i;
        return a->set(uri, equals + 1, len - name_len - 1, err);
    }
    return unknown_attribute(text, name_len, err);
}

static enum sck_code
parse_query(const char *text, size_t len, struct sck_uri *uri, struct sck_err *err)
{
    unsigned seen = 0;
    for (;;) {
        const char *amp = len > 0 ? memchr(text, '&', len) : NULL;
        size_t n = amp != NULL ? (size_t)(amp - text) : len;
        enum sck_code rc = parse_attribute(text, n, &seen, uri, err);
        if (rc != SCK_OK || amp == NULL)
            return rc;
        text += n + 1;
        len -= n + 1;
    }
}

static enum sck_code
parse_uri(const char *text, size_t text_len, struct sck_uri *out, struct sck_err *err)
{
    if (text_len < SCHEME_LEN || strncasecmp(text, SCHEME, SCHEME_LEN) != 0)
        return sck_fail(err, SCK_E_USAGE, "it does not begin with \"scopekey:\"");
    const char *path = text + SCHEME_LEN;
    size_t left = text_len - SCHEME_LEN;
    if (left > 0 && memchr(path, ';', left) != NULL)
        return sck_fail(err, SCK_E_USAGE, "\";\" has no meaning: attributes follow \"?\", with \"&\" between them");
    const char *query = left > 0 ? memchr(path, '?', left) : NULL;
    size_t path_len = query != NULL ? (size_t)(query - path) : left;
    enum sck_code rc = parse_path(path, path_len, &out->scope, out->name, err);
    if (rc == SCK_OK && query != NULL)
        rc = parse_query(query + 1, left - path_len - 1, out, err);
    return rc;
}

enum sck_code
sck_uri_parse(const char *text, size_t text_len, struct sck_uri *out, struct sck_err *err)
{
    memset(out, 0, sizeof *out);
    enum sck_code rc = parse_uri(text, text_len, out, err);
    if (rc != SCK_OK) {
        memset(out, 0, sizeof *out);
        sck_err_prefix(err, "key URI");
    }
    return rc;
}

static void
put_pin_source(const char *text, struct sck_buf *out)
{
    for (; *text != '\0'; text++) {
        if (strchr(PIN_SOURCE_RAW, *text) != NULL)
            sck_buf_put_u8(out, (uint8_t)*text);
        else
            sck_percent_format((const uint8_t *)text, 1, out);
    }
}

void
sck_uri_format(const struct sck_uri *uri, struct sck_buf *out)
{
    const char *separator = "?";
    sck_buf_put_str(out, SCHEME);
    sck_label_format(&uri->scope, uri->name, out);
    if (uri->version != 0) {
        sck_buf_printf(out, "%sversion=%lu", separator, (unsigned long)uri->version);
        separator = "&";
    }
    if (uri->type != SCK_TYPE_NONE) {
        sck_buf_printf(out, "%stype=%s", separator, types[uri->type]);
        separator = "&";
    }
    if (uri->pin_source[0] != '\0') {
        sck_buf_printf(out, "%spin-source=", separator);
        put_pin_source(uri->pin_source, out);
    }
}

void
sck_label_format(const struct sck_scope *scope, const char *name, struct sck_buf *out)
{
    sck_scope_format(scope, out);
    if (name[0] != '\0') {
        sck_buf_put_u8(out, '/');
        sck_buf_put_str(out, name);
    }
}

enum sck_code
sck_label_parse(const char *text, size_t text_len, struct sck_scope *scope, char name[SCK_KEY_NAME_MAX + 1],
                struct sck_err *err)
{
    enum sck_code rc = parse_path(text, text_len, scope, name, err);
    if (rc == SCK_OK && name[0] == '\0')
        rc = sck_fail(err, SCK_E_USAGE, "it names a scope, not a key: add \"/NAME\"");
    if (rc != SCK_OK)
        sck_err_prefix(err, "label");
    return rc;
}
