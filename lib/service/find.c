/* SPDX-License-Identifier: MIT */
/* Finding keys: by index, inside the wall, and trusted without a login. */
#include "lib/service/key.h"

#include <stdlib.h>
#include <string.h>

enum sck_code
sck_wall_check(const struct sck_service *service, const struct sck_scope *scope, struct sck_err *err)
{
    if (sck_scope_is_allowed(scope, service->scopes))
        return SCK_OK;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(scope, text);
    return sck_fail(err, SCK_E_DENIED, "scope %s is outside the allowed scopes of this process", text);
}

/* The public half of the `catalog` key, read once. */
static enum sck_code
catalog_spki(struct sck_engine *engine, uint8_t spki[SCK_SPKI_MAX], size_t *len, struct sck_err *err)
{
    pthread_mutex_lock(&engine->lock);
    *len = engine->catalog_spki.len;
    if (*len > 0)
        memcpy(spki, engine->catalog_spki.data, *len);
    pthread_mutex_unlock(&engine->lock);
    if (*len > 0)
        return SCK_OK;
    struct sck_buf read;
    sck_buf_init(&read, SCK_SPKI_MAX);
    char *path = sck_engine_path(engine, "catalog.pem");
    enum sck_code rc = path != NULL ? sck_pem_read_spki(path, &read, err)
                                    : sck_fail(err, SCK_E_MEMORY, "out of memory");
    free(path);
    if (rc == SCK_OK) {
        *len = read.len;
        memcpy(spki, read.data, read.len);
        pthread_mutex_lock(&engine->lock);
        if (engine->catalog_spki.len == 0)
            sck_buf_put(&engine->catalog_spki, read.data, read.len);
        pthread_mutex_unlock(&engine->lock);
    }
    sck_buf_clear(&read);
    return rc;
}

enum sck_code
sck_record_check(struct sck_engine *engine, enum sck_table table, const void *record, const struct sck_buf *signature,
                struct sck_err *err)
{
    uint8_t spki[SCK_SPKI_MAX];
    size_t spki_len = 0;
    struct sck_buf covered;
    sck_buf_init(&covered, 2 * SCK_REC_BLOB_MAX);
    enum sck_code rc = catalog_spki(engine, spki, &spki_len, err);
    if (rc == SCK_OK)
        rc = sck_record_public_bytes(table, engine->conf->catalog_id, record, &covered, err);
    if (rc == SCK_OK) {
        struct sck_err why = SCK_ERR_INIT;
        rc = sck_ecdsa_verify(spki, spki_len, covered.data, covered.len, signature->data, signature->len, &why);
        if (rc == SCK_E_AUTHENTIC)
            rc = sck_fail(err, SCK_E_INTEGRITY,
                          "a key's row in the catalog was changed (its signature does not verify): restore the "
                          "catalog from a backup");
        else if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", why.message);
    }
    sck_buf_clear(&covered);
    return rc;
}

enum sck_code
sck_sign_record(struct sck_engine *engine, enum sck_table table, void *record, struct sck_buf *signature,
                struct sck_err *err)
{
    struct sck_buf covered;
    sck_buf_init(&covered, 2 * SCK_REC_BLOB_MAX);
    sck_buf_init(signature, 256);
    enum sck_code rc = sck_record_public_bytes(table, engine->conf->catalog_id, record, &covered, err);
    if (rc == SCK_OK)
        rc = sck_token_system_sign(engine->token, SCK_SYS_CATALOG, covered.data, covered.len, signature, err);
    sck_buf_clear(&covered);
    return rc;
}

enum sck_code
sck_read_key(struct sck_engine *engine, enum sck_query query, struct sck_key_rec *key, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    if (atomic_load(&engine->logged_in)) {
        rc = sck_catalog_get(catalog, query, key, err);
    } else {
        rc = sck_catalog_get_unchecked(catalog, query, key, err);
        if (rc == SCK_OK)
            rc = sck_record_check(engine, SCK_TABLE_KEYS, key, &key->signature, err);
        if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
            sck_record_clear(SCK_TABLE_KEYS, key);
    }
    /* A key whose making was cut short does not exist yet. */
    if (rc == SCK_OK && key->state == SCK_KEY_CREATING) {
        sck_record_clear(SCK_TABLE_KEYS, key);
        rc = sck_fail(err, SCK_E_NOT_FOUND, "no such key");
    }
    return rc;
}

enum sck_code
sck_read_version(struct sck_engine *engine, const uint8_t key[16], uint32_t version, struct sck_version_rec *out,
                 struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    *out = (struct sck_version_rec){.version = version};
    memcpy(out->key, key, sizeof out->key);
    if (atomic_load(&engine->logged_in))
        return sck_catalog_get(catalog, SCK_BY_VERSION, out, err);
    rc = sck_catalog_get_unchecked(catalog, SCK_BY_VERSION, out, err);
    if (rc == SCK_OK)
        rc = sck_record_check(engine, SCK_TABLE_VERSIONS, out, &out->signature, err);
    if (rc != SCK_OK)
        sck_record_clear(SCK_TABLE_VERSIONS, out);
    return rc;
}

enum sck_code
sck_info_fill(const struct sck_key_rec *key, const struct sck_version_rec *version, struct sck_key_info *out,
              struct sck_err *err)
{
    memset(out, 0, sizeof *out);
    memcpy(out->id, key->id, sizeof out->id);
    enum sck_code rc = sck_scope_make((enum sck_scope_kind)key->scope_kind, key->scope_id, strlen(key->scope_id),
                                      &out->scope, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(out->name, key->name, sizeof out->name);
    memcpy(out->key_id, key->key_id, sizeof out->key_id);
    out->alg = (enum sck_alg)key->alg;
    out->usage = (enum sck_usage)key->usage;
    out->protection = (enum sck_protection)key->protection;
    out->residence = (enum sck_residence)key->residence;
    out->origin = (enum sck_origin)key->origin;
    out->enabled = key->state == SCK_KEY_ENABLED;
    out->version = version->version;
    out->current_version = key->version;
    out->version_active = version->state == SCK_VERSION_ACTIVE;
    out->created_s = key->created_s;
    out->version_created_s = version->created_s;
    out->expires_s = key->expires_s;
    out->messages = version->gcm_reserved;
    if (version->spki.len > sizeof out->spki)
        return sck_fail(err, SCK_E_INTEGRITY, "a public key in the catalog is longer than any key can be");
    if (version->spki.len > 0)
        memcpy(out->spki, version->spki.data, version->spki.len);
    out->spki_len = version->spki.len;
    return SCK_OK;
}

enum sck_code
sck_info_of(struct sck_engine *engine, const struct sck_key_rec *key, uint32_t version, struct sck_key_info *out,
        struct sck_err *err)
{
    struct sck_version_rec v = {0};
    struct sck_err look = SCK_ERR_INIT;
    uint32_t want = version != 0 ? version : key->version;
    enum sck_code rc = sck_read_version(engine, key->id, want, &v, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, SCK_E_NOT_FOUND, "key %s has no version %u", key->key_id, (unsigned)want);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_info_fill(key, &v, out, err);
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
    return rc;
}

enum sck_code
sck_explain_missing(struct sck_engine *engine, const struct sck_scope *scope, const char *name, struct sck_err *err)
{
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(scope, text);
    /* Only a login can tell an erased key from one that never was; it is not worth a question to a person. */
    bool may_ask = atomic_load(&engine->logged_in) || sck_engine_can_login(engine);
    enum sck_owner_kind kind;
    const char *id = NULL;
    size_t id_len = 0;
    struct sck_err inner = SCK_ERR_INIT;
    struct sck_owner_rec owner = {0};
    if (may_ask && scope->kind != SCK_SCOPE_SYSTEM) {
        enum sck_code rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
        uint32_t erased = 0;
        struct sck_kek_rec kek = {0};
        if (rc == SCK_OK && kind != SCK_OWNER_FILES) {
            rc = sck_owner_get(engine, scope, false, &owner, &kek, &inner);
            sck_record_clear(SCK_TABLE_KEKS, &kek);
            if (rc == SCK_E_ERASED)
                return sck_fail(err, SCK_E_ERASED, "%s was erased", text);
        } else if (rc == SCK_OK) {
            rc = sck_tomb_generations(engine, SCK_TOMB_FILE_ID, scope->id, scope->id_len, &erased, &inner);
            if (rc == SCK_OK && erased > 0)
                return sck_fail(err, SCK_E_ERASED, "%s was erased", text);
        }
        if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
            return sck_fail(err, rc, "%s", inner.message);
    }
    if (name[0] == '\0')
        return sck_fail(err, SCK_E_NOT_FOUND, "there is no key in scope %s", text);
    if (may_ask) {
        struct sck_buf label;
        bool gone = false;
        sck_buf_init(&label, SCK_LABEL_MAX + 1);
        sck_label_format(scope, name, &label);
        enum sck_code rc = sck_tomb_find(engine, SCK_TOMB_KEY_NAME, sck_name_generation(&owner), label.data, label.len,
                                         &gone, err);
        sck_buf_clear(&label);
        if (rc != SCK_OK)
            return rc;
        if (gone)
            return sck_fail(err, SCK_E_ERASED, "key scopekey:%s/%s was destroyed", text, name);
    }
    return sck_fail(err, SCK_E_NOT_FOUND, "there is no key scopekey:%s/%s: see `scopekey key list`", text, name);
}

enum sck_code
sck_explain_missing_id(struct sck_engine *engine, const char *key_id, struct sck_err *err)
{
    bool gone = false;
    if (atomic_load(&engine->logged_in) || sck_engine_can_login(engine)) {
        enum sck_code rc = sck_tomb_find(engine, SCK_TOMB_KEY_ID, 1, key_id, strlen(key_id), &gone, err);
        if (rc != SCK_OK)
            return rc;
    }
    if (gone)
        return sck_fail(err, SCK_E_ERASED, "key %s was erased", key_id);
    return sck_fail(err, SCK_E_NOT_FOUND, "there is no key %s", key_id);
}

/* Collects what a URI of a whole scope names, to say so when it is more than one key. */
struct candidates {
    struct sck_key_info first;
    size_t count;
    struct sck_buf names;
};

static enum sck_code
note_candidate(void *arg, const struct sck_key_info *key, struct sck_err *err)
{
    struct candidates *c = arg;
    (void)err;
    if (c->count++ == 0)
        c->first = *key;
    if (c->count <= 8)
        sck_buf_printf(&c->names, "%s%s", c->count > 1 ? ", " : "", key->name);
    return SCK_OK;
}

static enum sck_code
find_in_scope(struct sck_service *service, const struct sck_uri *uri, struct sck_key_info *out, struct sck_err *err)
{
    struct candidates c = {.count = 0};
    sck_buf_init(&c.names, 1024);
    enum sck_code rc = sck_key_each(service, &uri->scope, note_candidate, &c, err);
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(&uri->scope, text);
    if (rc == SCK_OK && c.count == 0)
        rc = sck_explain_missing(service->engine, &uri->scope, "", err);
    else if (rc == SCK_OK && c.count > 1)
        rc = sck_fail(err, SCK_E_USAGE, "scopekey:%s names %zu keys (%s%s): add a key's name", text, c.count,
                      sck_buf_str(&c.names), c.count > 8 ? ", ..." : "");
    else if (rc == SCK_OK)
        *out = c.first;
    sck_buf_clear(&c.names);
    return rc;
}

enum sck_code
sck_key_find(struct sck_service *service, const struct sck_uri *uri, struct sck_key_info *out, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_key_rec key = {.scope_kind = uri->scope.kind};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_wall_check(service, &uri->scope, err);
    if (rc != SCK_OK)
        return rc;
    if (uri->name[0] == '\0') {
        struct sck_key_info one;
        rc = find_in_scope(service, uri, &one, err);
        if (rc != SCK_OK || uri->version == 0 || uri->version == one.version) {
            if (rc == SCK_OK)
                *out = one;
            return rc;
        }
        return sck_key_find_by_id(service, one.id, uri->version, out, err);
    }
    memcpy(key.scope_id, uri->scope.id, sizeof key.scope_id);
    memcpy(key.name, uri->name, sizeof key.name);
    rc = sck_read_key(engine, SCK_BY_KEY_NAME, &key, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_explain_missing(engine, &uri->scope, uri->name, err);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_info_of(engine, &key, uri->version, out, err);
    sck_record_clear(SCK_TABLE_KEYS, &key);
    return rc;
}

/* What is outside the wall looks as if it were not there: the caller named it by an id that says nothing of a scope. */
static enum sck_code
find_by(struct sck_service *service, enum sck_query query, struct sck_key_rec *key, uint32_t version,
        struct sck_key_info *out, struct sck_err *err)
{
    struct sck_key_info info;
    enum sck_code rc = sck_read_key(service->engine, query, key, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_info_of(service->engine, key, version, &info, err);
    sck_record_clear(SCK_TABLE_KEYS, key);
    if (rc == SCK_OK && !sck_scope_is_allowed(&info.scope, service->scopes))
        rc = SCK_E_NOT_FOUND;
    if (rc == SCK_OK)
        *out = info;
    return rc;
}

enum sck_code
sck_key_find_by_key_id(struct sck_service *service, const char *key_id, uint32_t version, struct sck_key_info *out,
                       struct sck_err *err)
{
    struct sck_key_rec key = {0};
    struct sck_err look = SCK_ERR_INIT;
    if (!sck_key_id_is_valid(key_id, strlen(key_id)))
        return sck_fail(err, SCK_E_USAGE, "this is no key_id: [A-Za-z0-9._:-], at most 128");
    (void)memcpy(key.key_id, key_id, strlen(key_id) + 1);
    enum sck_code rc = find_by(service, SCK_BY_KEY_ID, &key, version, out, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_explain_missing_id(service->engine, key_id, err);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

enum sck_code
sck_key_find_by_id(struct sck_service *service, const uint8_t id[16], uint32_t version, struct sck_key_info *out,
                   struct sck_err *err)
{
    struct sck_key_rec key = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(key.id, id, sizeof key.id);
    enum sck_code rc = find_by(service, SCK_BY_KEY_UUID, &key, version, out, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "there is no key with this id");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}
