/* SPDX-License-Identifier: MIT */
#include "lib/core/context.h"

#include "lib/base/text.h"
#include "lib/core/escape.h"
#include "lib/core/pairs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION "1"

/* The pairs that every context holds, in canonical order; callers' names ("x_...") sort behind them. */
enum part { PART_CREATED, PART_ENV, PART_FORMAT, PART_GENERATION, PART_ID, PART_PURPOSE, PART_SCOPE, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"created", "env",     "format", "generation",
                                                   "id",      "purpose", "scope"};

static const char *const purposes[] = {
    [SCK_PURPOSE_FILE] = "file",         [SCK_PURPOSE_MESSAGE] = "message", [SCK_PURPOSE_SEAL] = "seal",
    [SCK_PURPOSE_ENVELOPE] = "envelope", [SCK_PURPOSE_BRANCH] = "branch",
};

#define PURPOSE_COUNT (sizeof purposes / sizeof purposes[0])

/* The text form: the scope under a name that says its kind, then these in this order, then callers' pairs. */
static const char *const text_ids[] = {
    [SCK_SCOPE_SUBJECT] = "subjectId",
    [SCK_SCOPE_FILE] = "fileId",
    [SCK_SCOPE_CLIENT] = "clientId",
    [SCK_SCOPE_SYSTEM] = "systemId",
};

static const struct {
    const char *name;
    enum part part;
} text_parts[] = {
    {"timestamp", PART_CREATED},     {"version", PART_FORMAT}, {"env", PART_ENV},
    {"generation", PART_GENERATION}, {"id", PART_ID},          {"purpose", PART_PURPOSE},
};

#define TEXT_ID_COUNT (sizeof text_ids / sizeof text_ids[0])
#define TEXT_PART_COUNT (sizeof text_parts / sizeof text_parts[0])

/* The fixed pairs' values as text. */
struct parts {
    const char *value[PART_COUNT];
    char created[SCK_TIME_TEXT];
    char generation[16];
    char id[SCK_UUID_TEXT];
    char scope[SCK_SCOPE_TEXT_MAX + 1];
};

const char *
sck_purpose_name(enum sck_purpose purpose)
{
    size_t i = (size_t)purpose;
    return i > 0 && i < PURPOSE_COUNT ? purposes[i] : "unknown";
}

static enum sck_purpose
purpose_of(const void *name, size_t len)
{
    for (size_t i = 1; i < PURPOSE_COUNT; i++) {
        if (sck_bytes_equal(name, len, purposes[i], strlen(purposes[i])))
            return (enum sck_purpose)i;
    }
    return (enum sck_purpose)0;
}

enum sck_purpose
sck_purpose_by_name(const char *name)
{
    return purpose_of(name, strlen(name));
}

void
sck_context_init(struct sck_context *ctx)
{
    memset(ctx, 0, sizeof *ctx);
}

void
sck_context_clear(struct sck_context *ctx)
{
    for (size_t i = 0; i < ctx->extra_count; i++)
        free(ctx->extra[i].value);
    memset(ctx, 0, sizeof *ctx);
}

/* Callers' pairs are kept in canonical order from the start. */
static struct sck_context_pair *
make_room(struct sck_context *ctx, const char *key, size_t key_len)
{
    struct sck_context_pair fresh = {{0}, NULL, 0};
    memcpy(fresh.key, key, key_len);
    size_t at = ctx->extra_count++;
    for (; at > 0 && strcmp(ctx->extra[at - 1].key, fresh.key) > 0; at--)
        ctx->extra[at] = ctx->extra[at - 1];
    ctx->extra[at] = fresh;
    return &ctx->extra[at];
}

static enum sck_code
add_pair(struct sck_context *ctx, const char *key, size_t key_len, const void *value, size_t value_len,
         struct sck_err *err)
{
    if (!sck_pair_key_is_valid(key, key_len) || key_len < 3 || memcmp(key, "x_", 2) != 0)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _");
    for (size_t i = 0; i < ctx->extra_count; i++) {
        if (sck_bytes_equal(key, key_len, ctx->extra[i].key, strlen(ctx->extra[i].key)))
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: %.*s is given twice", (int)key_len, key);
    }
    if (ctx->extra_count >= SCK_CONTEXT_EXTRA_MAX)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: more than %d pairs", SCK_CONTEXT_PAIRS_MAX);
    if (value_len > SCK_CONTEXT_BYTES_MAX || !sck_utf8_is_clean(value, value_len))
        return sck_fail(err, SCK_E_CONTEXT,
                        "encryption context: the value of %.*s is not UTF-8 without control characters, or too long",
                        (int)key_len, key);
    uint8_t *copy = malloc(value_len > 0 ? value_len : 1);
    if (copy == NULL)
        return sck_fail(err, SCK_E_MEMORY, "encryption context: out of memory");
    if (value_len > 0)
        memcpy(copy, value, value_len);
    struct sck_context_pair *pair = make_room(ctx, key, key_len);
    pair->value = copy;
    pair->value_len = value_len;
    return SCK_OK;
}

enum sck_code
sck_context_add(struct sck_context *ctx, const char *key, const void *value, size_t value_len, struct sck_err *err)
{
    return add_pair(ctx, key, strlen(key), value, value_len, err);
}

static bool
is_environment(const void *text, size_t len)
{
    return sck_bytes_equal(text, len, "development", 11) || sck_bytes_equal(text, len, "staging", 7) ||
           sck_bytes_equal(text, len, "production", 10);
}

static enum sck_code
fill_parts(const struct sck_context *ctx, struct parts *parts, struct sck_err *err)
{
    const char *purpose = sck_purpose_name(ctx->purpose);
    sck_time_format(ctx->created_s, parts->created);
    if (ctx->scope.kind == 0)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: the scope is missing");
    if (ctx->generation == 0)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: generations start at 1");
    if (sck_purpose_by_name(purpose) == 0)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: the purpose is missing");
    if (parts->created[0] == '\0')
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: the creation time is out of range");
    if (!is_environment(ctx->env, strnlen(ctx->env, sizeof ctx->env)))
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: env is development, staging or production");
    (void)snprintf(parts->generation, sizeof parts->generation, "%lu", (unsigned long)ctx->generation);
    sck_uuid_format(ctx->id, parts->id);
    sck_scope_text(&ctx->scope, parts->scope);
    parts->value[PART_CREATED] = parts->created;
    parts->value[PART_ENV] = ctx->env;
    parts->value[PART_FORMAT] = FORMAT_VERSION;
    parts->value[PART_GENERATION] = parts->generation;
    parts->value[PART_ID] = parts->id;
    parts->value[PART_PURPOSE] = purpose;
    parts->value[PART_SCOPE] = parts->scope;
    return SCK_OK;
}

/* Set a field from its canonical text.  False when it is not. */
static bool
set_part(struct sck_context *ctx, enum part part, const char *text, size_t len)
{
    uint64_t number = 0;
    switch (part) {
    case PART_CREATED: return sck_time_parse(text, len, &ctx->created_s);
    case PART_ENV:
        if (!is_environment(text, len))
            return false;
        memcpy(ctx->env, text, len);
        return true;
    case PART_FORMAT: return sck_bytes_equal(text, len, FORMAT_VERSION, strlen(FORMAT_VERSION));
    case PART_GENERATION:
        if (!sck_u64_parse(text, len, UINT32_MAX, &number) || number == 0)
            return false;
        ctx->generation = (uint32_t)number;
        return true;
    case PART_ID: return sck_uuid_parse(text, len, ctx->id);
    case PART_PURPOSE: ctx->purpose = purpose_of(text, len); return ctx->purpose != 0;
    case PART_SCOPE: return sck_scope_parse(text, len, &ctx->scope, NULL) == SCK_OK;
    case PART_COUNT: break;
    }
    return false;
}

static struct sck_bytes
bytes_of(const char *text)
{
    return (struct sck_bytes){(const uint8_t *)text, strlen(text)};
}

enum sck_code
sck_context_encode(const struct sck_context *ctx, struct sck_buf *out, struct sck_err *err)
{
    struct parts parts;
    struct sck_pair pairs[SCK_CONTEXT_PAIRS_MAX];
    enum sck_code rc = fill_parts(ctx, &parts, err);
    if (rc != SCK_OK)
        return rc;
    size_t n = 0;
    for (; n < PART_COUNT; n++)
        pairs[n] = (struct sck_pair){bytes_of(part_names[n]), bytes_of(parts.value[n])};
    for (size_t i = 0; i < ctx->extra_count; i++) {
        const struct sck_context_pair *extra = &ctx->extra[i];
        pairs[n++] = (struct sck_pair){bytes_of(extra->key), {extra->value, extra->value_len}};
    }
    return sck_pairs_encode(pairs, n, out, err);
}

static enum sck_code
decode_pairs(const struct sck_pair *pairs, size_t count, struct sck_context *out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; i < PART_COUNT; i++) {
        const char *name = part_names[i];
        if (i >= count || !sck_bytes_equal(pairs[i].key.data, pairs[i].key.len, name, strlen(name)))
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: %s is missing, or an unknown name is there",
                            name);
        if (!set_part(out, (enum part)i, (const char *)pairs[i].value.data, pairs[i].value.len))
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: the value of %s is malformed", name);
    }
    for (size_t i = PART_COUNT; rc == SCK_OK && i < count; i++)
        rc = add_pair(out, (const char *)pairs[i].key.data, pairs[i].key.len, pairs[i].value.data, pairs[i].value.len,
                      err);
    return rc;
}

enum sck_code
sck_context_decode(const uint8_t *data, size_t len, struct sck_context *out, struct sck_err *err)
{
    struct sck_pair pairs[SCK_PAIRS_MAX];
    size_t count = 0;
    sck_context_init(out);
    enum sck_code rc = sck_pairs_decode(data, len, pairs, &count, err);
    if (rc == SCK_OK)
        rc = decode_pairs(pairs, count, out, err);
    if (rc != SCK_OK)
        sck_context_clear(out);
    return rc;
}

enum sck_code
sck_context_hash(const struct sck_context *ctx, uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    struct sck_buf buf;
    sck_buf_init(&buf, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = sck_context_encode(ctx, &buf, err);
    if (rc == SCK_OK)
        rc = sck_sha256(buf.data, buf.len, out, err);
    sck_buf_clear(&buf);
    return rc;
}

/* Whether the canonical bytes have room for it. */
static enum sck_code
check_size(const struct sck_context *ctx, struct sck_err *err)
{
    struct sck_buf buf;
    sck_buf_init(&buf, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = sck_context_encode(ctx, &buf, err);
    sck_buf_clear(&buf);
    return rc;
}

static void
put_field(struct sck_buf *out, const char *separator, const char *name, const void *value, size_t len)
{
    sck_buf_printf(out, "%s%s=", separator, name);
    sck_percent_format(value, len, out);
}

enum sck_code
sck_context_format(const struct sck_context *ctx, struct sck_buf *out, struct sck_err *err)
{
    struct parts parts;
    enum sck_code rc = check_size(ctx, err);
    if (rc == SCK_OK)
        rc = fill_parts(ctx, &parts, err);
    if (rc != SCK_OK)
        return rc;
    put_field(out, "", text_ids[ctx->scope.kind], ctx->scope.id, ctx->scope.id_len);
    for (size_t i = 0; i < TEXT_PART_COUNT; i++) {
        const char *value = parts.value[text_parts[i].part];
        put_field(out, ";", text_parts[i].name, value, strlen(value));
    }
    for (size_t i = 0; i < ctx->extra_count; i++)
        put_field(out, ";", ctx->extra[i].key, ctx->extra[i].value, ctx->extra[i].value_len);
    return sck_buf_check(out, "encryption context", err);
}

/* One "name=value" of the text form, borrowed; `rest` moves behind it. */
struct field {
    struct sck_bytes name;
    struct sck_bytes value;
};

static bool
next_field(struct sck_bytes *rest, bool *more, struct field *out)
{
    const uint8_t *semicolon = rest->len > 0 ? memchr(rest->data, ';', rest->len) : NULL;
    size_t len = semicolon != NULL ? (size_t)(semicolon - rest->data) : rest->len;
    const uint8_t *equals = len > 0 ? memchr(rest->data, '=', len) : NULL;
    if (equals == NULL)
        return false;
    out->name = (struct sck_bytes){rest->data, (size_t)(equals - rest->data)};
    out->value = (struct sck_bytes){equals + 1, len - out->name.len - 1};
    *more = semicolon != NULL;
    rest->data += *more ? len + 1 : len;
    rest->len -= *more ? len + 1 : len;
    return true;
}

static bool
set_scope(struct sck_context *ctx, const struct sck_bytes *name, const char *id, size_t id_len)
{
    for (size_t i = 1; i < TEXT_ID_COUNT; i++) {
        if (sck_bytes_equal(name->data, name->len, text_ids[i], strlen(text_ids[i])))
            return sck_scope_make((enum sck_scope_kind)i, id, id_len, &ctx->scope, NULL) == SCK_OK;
    }
    return false;
}

/* The field at `index` of the text form. */
static enum sck_code
set_field(struct sck_context *ctx, size_t index, const struct field *f, struct sck_err *err)
{
    char value[SCK_CONTEXT_BYTES_MAX + 1];
    size_t len = 0;
    enum sck_code rc = sck_unescape((const char *)f->value.data, f->value.len, "", SCK_E_CONTEXT,
                                    "encryption context: a value", value, sizeof value - 1, &len, err);
    if (rc != SCK_OK)
        return rc;
    if (index == 0) {
        if (!set_scope(ctx, &f->name, value, len))
            return sck_fail(err, SCK_E_CONTEXT,
                            "encryption context: it does not begin with a well-formed subjectId, clientId, fileId or "
                            "systemId");
        return SCK_OK;
    }
    if (index <= TEXT_PART_COUNT) {
        const char *name = text_parts[index - 1].name;
        if (!sck_bytes_equal(f->name.data, f->name.len, name, strlen(name)))
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: %s is not at its place", name);
        if (!set_part(ctx, text_parts[index - 1].part, value, len))
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: the value of %s is malformed", name);
        return SCK_OK;
    }
    rc = add_pair(ctx, (const char *)f->name.data, f->name.len, value, len, err);
    const char *last = rc == SCK_OK ? ctx->extra[ctx->extra_count - 1].key : NULL;
    if (last != NULL && !sck_bytes_equal(f->name.data, f->name.len, last, strlen(last)))
        rc = sck_fail(err, SCK_E_CONTEXT, "encryption context: %.*s is out of order", (int)f->name.len,
                      (const char *)f->name.data);
    return rc;
}

enum sck_code
sck_context_parse(const char *text, size_t text_len, struct sck_context *out, struct sck_err *err)
{
    struct sck_bytes rest = {(const uint8_t *)text, text_len};
    bool more = true;
    size_t count = 0;
    enum sck_code rc = SCK_OK;
    sck_context_init(out);
    for (; rc == SCK_OK && more; count++) {
        struct field f;
        rc = next_field(&rest, &more, &f)
                 ? set_field(out, count, &f, err)
                 : sck_fail(err, SCK_E_CONTEXT, "encryption context: it is not NAME=VALUE;NAME=VALUE...");
    }
    if (rc == SCK_OK && count <= TEXT_PART_COUNT)
        rc = sck_fail(err, SCK_E_CONTEXT, "encryption context: %s is missing", text_parts[count - 1].name);
    if (rc == SCK_OK)
        rc = check_size(out, err);
    if (rc != SCK_OK)
        sck_context_clear(out);
    return rc;
}
