/* SPDX-License-Identifier: MIT */
#include "vault/local_doc.h"

#include "lib/base/text.h"
#include "lib/core/kekname.h"

#include <string.h>

static const char head_name[] = "scopekey.store";
static const char head_type[] = "application/vnd.scopekey.store";
static const char kek_type[] = "application/vnd.scopekey.kek";
static const char imported_type[] = "application/vnd.scopekey.imported-key";

enum { FORMAT = 1, LOG2_N_MIN = 14, LOG2_N_MAX = 20, R_MAX = 32, P_MAX = 16 };

/* ---- reading members ---- */

static const char *
text_of(const json_t *o, const char *member)
{
    return json_string_value(json_object_get(o, member));
}

static bool
get_u32(const json_t *o, const char *member, uint32_t min, uint32_t max, uint32_t *out)
{
    const json_t *v = json_object_get(o, member);
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < (json_int_t)min || n > (json_int_t)max)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool
get_time(const json_t *o, const char *member, int64_t *out)
{
    const char *text = text_of(o, member);
    return text != NULL && sck_time_parse(text, strlen(text), out);
}

static bool
get_bytes(const json_t *o, const char *member, uint8_t *out, size_t len)
{
    const char *text = text_of(o, member);
    struct sck_buf bytes;
    sck_buf_init(&bytes, len);
    bool ok = text != NULL && sck_base64_parse(text, strlen(text), &bytes) && !bytes.failed && bytes.len == len;
    if (ok)
        memcpy(out, bytes.data, len);
    sck_buf_clear(&bytes);
    return ok;
}

/* ---- checking a file ---- */

static bool
read_head(const json_t *o, struct sck_local_head *out)
{
    const char *id = text_of(o, "id"), *root = text_of(o, "root");
    memset(out, 0, sizeof *out);
    if (id == NULL || root == NULL || !sck_uuid_parse(id, strlen(id), out->id) ||
        !get_time(o, "created_on", &out->created_s) || !get_bytes(o, "salt", out->salt, sizeof out->salt) ||
        !get_bytes(o, "value", out->sealed, sizeof out->sealed))
        return false;
    if (strcmp(root, "token") == 0) {
        out->root = SCK_LOCAL_BY_TOKEN;
        return true;
    }
    const char *kdf = text_of(o, "kdf");
    out->root = SCK_LOCAL_BY_PASSPHRASE;
    return strcmp(root, "passphrase") == 0 && kdf != NULL && strcmp(kdf, "scrypt") == 0 &&
           get_u32(o, "log2_n", LOG2_N_MIN, LOG2_N_MAX, &out->log2_n) && get_u32(o, "r", 1, R_MAX, &out->r) &&
           get_u32(o, "p", 1, P_MAX, &out->p);
}

/* The members that every entry has; NULL when well, else the one that is wrong. */
static const char *
wrong_member(const json_t *o)
{
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    int64_t when = 0;
    if (!get_bytes(o, "value", sealed, sizeof sealed))
        return "value";
    if (!json_is_boolean(json_object_get(o, "enabled")))
        return "enabled";
    if (!get_time(o, "created_on", &when))
        return "created_on";
    if (!json_is_null(json_object_get(o, "expires_on")) && !get_time(o, "expires_on", &when))
        return "expires_on";
    return NULL;
}

/* A KEK's own members, and its older versions, which go up without a gap. */
static const char *
wrong_version(const char *name, const json_t *o)
{
    const json_t *older = json_object_get(o, "older"), *item = NULL;
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    uint32_t generation = 0, version = 0, before = 0, n = 0;
    int64_t when = 0;
    size_t i = 0;
    if (!sck_kek_name_is_legal(name))
        return "name";
    if (!get_u32(o, "generation", 1, UINT32_MAX, &generation))
        return "generation";
    if (!get_u32(o, "version", 1, UINT32_MAX, &version))
        return "version";
    if (!json_is_array(older) || json_array_size(older) >= version)
        return "older";
    before = version - (uint32_t)json_array_size(older) - 1;
    json_array_foreach(older, i, item) {
        if (!get_u32(item, "version", 1, version - 1, &n) || n != ++before ||
            !get_bytes(item, "value", sealed, sizeof sealed) || !get_time(item, "created_on", &when))
            return "older";
    }
    return NULL;
}

static enum sck_code
check_entry(const char *path, const char *name, const json_t *o, struct sck_err *err)
{
    char shown[80];
    const char *type = text_of(o, "content_type"), *wrong = NULL;
    struct sck_buf escaped;
    sck_buf_init(&escaped, 4096);
    sck_text_escape(name, strlen(name), &escaped);
    (void)strncpy(shown, sck_buf_str(&escaped), sizeof shown - 1);
    shown[sizeof shown - 1] = '\0';
    sck_buf_clear(&escaped);
    bool kek = type != NULL && strcmp(type, kek_type) == 0;
    if (!kek && (type == NULL || strcmp(type, imported_type) != 0))
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s: entry \"%s\" is not wrapped: take it out, and read the plain "
                        "file in with `scopekey keeper import`", path, shown);
    wrong = wrong_member(o);
    if (wrong == NULL && kek)
        wrong = wrong_version(name, o);
    if (wrong != NULL)
        return sck_fail(err, SCK_E_INTEGRITY, "keeper local: %s: entry \"%s\": its %s is missing or malformed: restore the "
                        "file from its newest backup", path, shown, wrong);
    return SCK_OK;
}

static enum sck_code
check_doc(const char *path, const json_t *doc, struct sck_err *err)
{
    struct sck_local_head head;
    const json_t *first = json_object_get(doc, head_name), *value = NULL;
    const char *name = NULL, *type = text_of(first, "content_type");
    uint32_t format = 0;
    enum sck_code rc = SCK_OK;
    if (type == NULL || strcmp(type, head_type) != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s is no Scopekey store: name another folder in [keeper local] "
                        "path, and read a plain file in with `scopekey keeper import`", path);
    if (!get_u32(first, "format", 1, UINT32_MAX, &format))
        format = 0;
    if (format > FORMAT)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s was written by a newer Scopekey (format %u)", path, format);
    if (format != FORMAT || !read_head(first, &head))
        return sck_fail(err, SCK_E_INTEGRITY, "keeper local: %s: entry \"%s\" is damaged: restore the file from its newest "
                        "backup", path, head_name);
    json_object_foreach((json_t *)(uintptr_t)doc, name, value) {
        if (rc == SCK_OK && strcmp(name, head_name) != 0)
            rc = check_entry(path, name, value, err);
    }
    return rc;
}

enum sck_code
sck_local_doc_parse(const char *path, const void *text, size_t len, json_t **out, struct sck_err *err)
{
    json_error_t why;
    *out = NULL;
    json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (doc == NULL && json_error_code(&why) == json_error_out_of_memory)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (!json_is_object(doc)) {
        json_decref(doc);
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s is no JSON object (line %d): restore it from its newest "
                        "backup", path, doc == NULL ? why.line : 1);
    }
    enum sck_code rc = check_doc(path, doc, err);
    if (rc == SCK_OK)
        *out = doc;
    else
        json_decref(doc);
    return rc;
}

static int
put_text(const char *data, size_t len, void *arg)
{
    sck_buf_put(arg, data, len);
    return 0;
}

enum sck_code
sck_local_doc_format(const json_t *doc, struct sck_buf *out, struct sck_err *err)
{
    if (json_dump_callback(doc, put_text, out, JSON_INDENT(2)) != 0)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    sck_buf_put_str(out, "\n");
    return sck_buf_check(out, "the store of keeper local", err);
}

/* ---- what is in it ---- */

void
sck_local_doc_head(const json_t *doc, struct sck_local_head *out)
{
    (void)read_head(json_object_get(doc, head_name), out);
}

bool
sck_local_doc_find(const json_t *doc, const char *name, uint32_t version, struct sck_local_entry *out)
{
    const json_t *o = json_object_get(doc, name), *from = o;
    memset(out, 0, sizeof *out);
    if (o == NULL || strcmp(name, head_name) == 0)
        return false;
    const json_t *older = json_object_get(o, "older");
    out->kind = strcmp(text_of(o, "content_type"), kek_type) == 0 ? SCK_LOCAL_KEK : SCK_LOCAL_IMPORTED;
    out->enabled = json_is_true(json_object_get(o, "enabled"));
    (void)get_time(o, "expires_on", &out->expires_s);
    out->newest = out->oldest = 1;
    if (out->kind == SCK_LOCAL_KEK) {
        (void)get_u32(o, "generation", 1, UINT32_MAX, &out->generation);
        (void)get_u32(o, "version", 1, UINT32_MAX, &out->newest);
        out->oldest = out->newest - (uint32_t)json_array_size(older);
    }
    out->version = version == 0 ? out->newest : version;
    if (out->version < out->oldest || out->version > out->newest)
        out->version = 0;
    else if (out->version < out->newest)
        from = json_array_get(older, out->version - out->oldest);
    if (out->version != 0)
        (void)get_bytes(from, "value", out->sealed, sizeof out->sealed);
    return true;
}

void
sck_local_doc_count(const json_t *doc, size_t *keks, size_t *imported)
{
    const char *name = NULL;
    const json_t *value = NULL;
    *keks = *imported = 0;
    json_object_foreach((json_t *)(uintptr_t)doc, name, value) {
        const char *type = text_of(value, "content_type");
        *keks += type != NULL && strcmp(type, kek_type) == 0;
        *imported += type != NULL && strcmp(type, imported_type) == 0;
    }
}

/* ---- changing it ---- */

static json_t *
json_bytes(const uint8_t *data, size_t len)
{
    struct sck_buf text;
    sck_buf_init(&text, 256);
    sck_base64_format(data, len, &text);
    json_t *o = text.failed ? NULL : json_string(sck_buf_str(&text));
    sck_buf_clear(&text);
    return o;
}

static json_t *
json_time(int64_t unix_s)
{
    char text[SCK_TIME_TEXT];
    sck_time_format(unix_s, text);
    return unix_s == 0 ? json_null() : json_string(text);
}

/* The documented members. */
static json_t *
new_entry(const uint8_t sealed[SCK_LOCAL_SEALED_LEN], const char *type, bool enabled, int64_t created_s,
          int64_t expires_s)
{
    return json_pack("{s:o, s:s, s:b, s:o, s:o}", "value", json_bytes(sealed, SCK_LOCAL_SEALED_LEN), "content_type",
                     type, "enabled", enabled ? 1 : 0, "created_on", json_time(created_s), "expires_on",
                     json_time(expires_s));
}

/* Put an entry with more members into the file; takes both. */
static enum sck_code
put(json_t *doc, const char *name, json_t *entry, json_t *more, struct sck_err *err)
{
    bool ok = entry != NULL && more != NULL && json_object_update(entry, more) == 0;
    json_decref(more);
    if (!ok)
        json_decref(entry);
    if (!ok || json_object_set_new(doc, name, entry) != 0)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    return SCK_OK;
}

enum sck_code
sck_local_doc_new(const struct sck_local_head *head, json_t **out, struct sck_err *err)
{
    char id[SCK_UUID_TEXT];
    sck_uuid_format(head->id, id);
    json_t *more = json_pack("{s:i, s:s, s:o}", "format", (int)FORMAT, "id", id, "salt",
                             json_bytes(head->salt, sizeof head->salt));
    json_t *how = head->root == SCK_LOCAL_BY_TOKEN
                      ? json_pack("{s:s}", "root", "token")
                      : json_pack("{s:s, s:s, s:i, s:i, s:i}", "root", "passphrase", "kdf", "scrypt", "log2_n",
                                  (int)head->log2_n, "r", (int)head->r, "p", (int)head->p);
    bool ok = how != NULL && json_object_update(more, how) == 0;
    json_decref(how);
    *out = json_object();
    enum sck_code rc = put(*out, head_name, new_entry(head->sealed, head_type, true, head->created_s, 0), more, err);
    if (rc == SCK_OK && !ok)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc != SCK_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

enum sck_code
sck_local_doc_add_kek(json_t *doc, const char *name, uint32_t generation, const uint8_t sealed[SCK_LOCAL_SEALED_LEN],
                      int64_t now_s, struct sck_err *err)
{
    return put(doc, name, new_entry(sealed, kek_type, true, now_s, 0),
               json_pack("{s:I, s:i, s:[]}", "generation", (json_int_t)generation, "version", 1, "older"), err);
}

enum sck_code
sck_local_doc_add_plain(json_t *doc, const struct sck_local_plain *plain, const uint8_t sealed[SCK_LOCAL_SEALED_LEN],
                        struct sck_err *err)
{
    return put(doc, plain->name,
               new_entry(sealed, imported_type, plain->enabled, plain->created_s, plain->expires_s),
               json_pack("{s:s}", "imported_content_type", plain->content_type), err);
}

enum sck_code
sck_local_doc_rotate(json_t *doc, const char *name, const uint8_t sealed[SCK_LOCAL_SEALED_LEN], int64_t now_s,
                     struct sck_err *err)
{
    json_t *o = json_object_get(doc, name), *older = json_object_get(o, "older");
    json_int_t version = json_integer_value(json_object_get(o, "version"));
    json_t *last = json_pack("{s:I, s:O, s:O}", "version", version, "value", json_object_get(o, "value"), "created_on",
                             json_object_get(o, "created_on"));
    if (last == NULL || json_array_append_new(older, last) != 0 ||
        json_object_set_new(o, "version", json_integer(version + 1)) != 0 ||
        json_object_set_new(o, "value", json_bytes(sealed, SCK_LOCAL_SEALED_LEN)) != 0 ||
        json_object_set_new(o, "created_on", json_time(now_s)) != 0 ||
        json_object_set_new(o, "expires_on", json_null()) != 0)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    return SCK_OK;
}

bool
sck_local_doc_retire(json_t *doc, const char *name, uint32_t oldest)
{
    struct sck_local_entry entry;
    bool changed = false;
    if (!sck_local_doc_find(doc, name, 0, &entry) || entry.kind != SCK_LOCAL_KEK)
        return false;
    /* A backup may be so old that all its versions are below: then nothing of it may stay. */
    if (entry.newest < oldest)
        return sck_local_doc_remove(doc, name);
    json_t *older = json_object_get(json_object_get(doc, name), "older");
    for (uint32_t version = entry.oldest; version < oldest; version++)
        changed = json_array_remove(older, 0) == 0 || changed;
    return changed;
}

bool
sck_local_doc_remove(json_t *doc, const char *name)
{
    return json_object_del(doc, name) == 0;
}
