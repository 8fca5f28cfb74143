/* SPDX-License-Identifier: MIT */
#include "lib/core/scope.h"

#include "lib/base/text.h"
#include "lib/core/escape.h"
#include "lib/core/uri.h"

#include <string.h>

static const char *const kinds[] = {
    [SCK_SCOPE_SUBJECT] = "subject",
    [SCK_SCOPE_FILE] = "file",
    [SCK_SCOPE_CLIENT] = "client",
    [SCK_SCOPE_SYSTEM] = "system",
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

const char *
sck_scope_kind_name(enum sck_scope_kind kind)
{
    size_t i = (size_t)kind;
    return i > 0 && i < KIND_COUNT ? kinds[i] : "unknown";
}

enum sck_scope_kind
sck_scope_kind_by_name(const char *name, size_t len)
{
    for (size_t i = 1; i < KIND_COUNT; i++) {
        if (sck_bytes_equal(name, len, kinds[i], strlen(kinds[i])))
            return (enum sck_scope_kind)i;
    }
    return (enum sck_scope_kind)0;
}

static bool
is_id_of_kind(enum sck_scope_kind kind, const char *id, size_t id_len)
{
    uint8_t uuid[16];
    switch (kind) {
    case SCK_SCOPE_SUBJECT:
    case SCK_SCOPE_CLIENT: return true;
    case SCK_SCOPE_FILE: return sck_uuid_parse(id, id_len, uuid);
    case SCK_SCOPE_SYSTEM: return sck_key_name_is_valid(id, id_len);
    }
    return false;
}

enum sck_code
sck_scope_make(enum sck_scope_kind kind, const char *id, size_t id_len, struct sck_scope *out, struct sck_err *err)
{
    if (kind < SCK_SCOPE_SUBJECT || kind > SCK_SCOPE_SYSTEM)
        return sck_fail(err, SCK_E_USAGE, "scope: the kind is subject, file, client or system");
    if (id_len == 0)
        return sck_fail(err, SCK_E_USAGE, "scope: the id is empty");
    if (id_len > SCK_SCOPE_ID_MAX)
        return sck_fail(err, SCK_E_USAGE, "scope: the id has more than %d bytes", SCK_SCOPE_ID_MAX);
    if (!sck_utf8_is_clean((const uint8_t *)id, id_len))
        return sck_fail(err, SCK_E_USAGE, "scope: the id is not UTF-8 without control characters");
    if (sck_bytes_equal(id, id_len, ".", 1) || sck_bytes_equal(id, id_len, "..", 2))
        return sck_fail(err, SCK_E_USAGE, "scope: the id may not be \".\" or \"..\"");
    if (!is_id_of_kind(kind, id, id_len)) {
        return kind == SCK_SCOPE_FILE
                   ? sck_fail(err, SCK_E_USAGE, "scope: the id of a file is a UUID in lower case")
                   : sck_fail(err, SCK_E_USAGE,
                              "scope: a system name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or "
                              "digit");
    }
    memset(out, 0, sizeof *out);
    out->kind = kind;
    out->id_len = id_len;
    memcpy(out->id, id, id_len);
    return SCK_OK;
}

enum sck_code
sck_scope_parse(const char *text, size_t text_len, struct sck_scope *out, struct sck_err *err)
{
    const char *slash = text_len > 0 ? memchr(text, '/', text_len) : NULL;
    size_t kind_len = slash != NULL ? (size_t)(slash - text) : text_len;
    enum sck_scope_kind kind = sck_scope_kind_by_name(text, kind_len);
    if (slash == NULL || kind == 0)
        return sck_fail(err, SCK_E_USAGE,
                        "scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"");
    char id[SCK_SCOPE_ID_MAX + 1];
    size_t id_len = 0;
    enum sck_code rc = sck_unescape(slash + 1, text_len - kind_len - 1, "", SCK_E_USAGE, "scope: the id", id,
                                    SCK_SCOPE_ID_MAX, &id_len, err);
    return rc == SCK_OK ? sck_scope_make(kind, id, id_len, out, err) : rc;
}

void
sck_scope_format(const struct sck_scope *scope, struct sck_buf *out)
{
    sck_buf_put_str(out, sck_scope_kind_name(scope->kind));
    sck_buf_put_u8(out, '/');
    sck_percent_format((const uint8_t *)scope->id, scope->id_len, out);
}

void
sck_scope_text(const struct sck_scope *scope, char out[SCK_SCOPE_TEXT_MAX + 1])
{
    static const char hex[] = "0123456789ABCDEF";
    const char *kind = sck_scope_kind_name(scope->kind);
    size_t n = strlen(kind);
    memcpy(out, kind, n);
    out[n++] = '/';
    for (size_t i = 0; i < scope->id_len; i++) {
        uint8_t c = (uint8_t)scope->id[i];
        if (sck_is_unreserved(c)) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    out[n] = '\0';
}

bool
sck_scope_equal(const struct sck_scope *a, const struct sck_scope *b)
{
    return a->kind == b->kind && sck_bytes_equal(a->id, a->id_len, b->id, b->id_len);
}

/* Next pattern of a list: commas and white space separate.  False at the end. */
static bool
next_pattern(const char **at, struct sck_bytes *pattern)
{
    const char *p = *at + strspn(*at, ", \t");
    size_t len = strcspn(p, ", \t");
    *at = p + len;
    *pattern = (struct sck_bytes){(const uint8_t *)p, len};
    return len > 0;
}

/* The kind of a pattern that ends in a slash and a star; 0 for any other. */
static enum sck_scope_kind
star_kind(const struct sck_bytes *pattern)
{
    if (pattern->len < 2 || memcmp(pattern->data + pattern->len - 2, "/*", 2) != 0)
        return (enum sck_scope_kind)0;
    return sck_scope_kind_by_name((const char *)pattern->data, pattern->len - 2);
}

bool
sck_scope_is_allowed(const struct sck_scope *scope, const char *patterns)
{
    if (patterns == NULL)
        return true;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(scope, text);
    struct sck_bytes pattern;
    while (next_pattern(&patterns, &pattern)) {
        if (star_kind(&pattern) == scope->kind || sck_bytes_equal(pattern.data, pattern.len, text, strlen(text)))
            return true;
    }
    return false;
}

enum sck_code
sck_scope_patterns_check(const char *patterns, struct sck_err *err)
{
    struct sck_bytes pattern;
    if (patterns == NULL)
        return SCK_OK;
    for (size_t i = 1; next_pattern(&patterns, &pattern); i++) {
        struct sck_scope scope;
        struct sck_err why = SCK_ERR_INIT;
        const char *text = (const char *)pattern.data;
        if (star_kind(&pattern) != 0 || sck_scope_parse(text, pattern.len, &scope, &why) == SCK_OK)
            continue;
        return sck_fail(err, SCK_E_CONFIG, "scope pattern %zu is neither KIND/* nor a scope: %s", i, why.message);
    }
    return SCK_OK;
}
