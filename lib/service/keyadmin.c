/* SPDX-License-Identifier: MIT */
/* Changing keys: rotate, disable, enable, destroy. */
#include "lib/service/key.h"

#include "lib/base/fault.h"
#include "lib/service/kek.h"

#include <string.h>

/* Read the key again, logged in, so that its MAC was checked and it is as it is now. */
static enum sck_code
reread(struct sck_service *service, const struct sck_key_info *info, struct sck_key_rec *key, struct sck_err *err)
{
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_wall_check(service, &info->scope, err);
    if (rc == SCK_OK)
        rc = sck_engine_login(service->engine, err);
    if (rc != SCK_OK)
        return rc;
    *key = (struct sck_key_rec){0};
    memcpy(key->id, info->id, sizeof key->id);
    rc = sck_read_key(service->engine, SCK_BY_KEY_UUID, key, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_explain_missing_id(service->engine, info->key_id, err);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

static enum sck_code
update_key(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_key_rec *key, struct sck_err *err)
{
    sck_buf_clear(&key->signature);
    enum sck_code rc = sck_sign_record(engine, SCK_TABLE_KEYS, key, &key->signature, err);
    return rc == SCK_OK ? sck_catalog_update(catalog, SCK_TABLE_KEYS, key, err) : rc;
}

/* The rows of a rotation, as they are to be stored. */
struct rotation {
    struct sck_key_rec key;
    struct sck_owner_rec owner;
    struct sck_kek_rec kek;
    struct sck_version_rec retired;
    struct sck_version_rec fresh;
};

/* Only what a rotation changes: its DEK may have been rewrapped since it was read, and messages reserved. */
static enum sck_code
retire_version(struct sck_catalog *catalog, const struct sck_version_rec *retired, struct sck_err *err)
{
    struct sck_version_rec now = {.version = retired->version};
    memcpy(now.key, retired->key, sizeof now.key);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_VERSION, &now, err);
    if (rc == SCK_OK) {
        now.state = retired->state;
        sck_buf_clear(&now.signature);
        sck_buf_put(&now.signature, retired->signature.data, retired->signature.len);
        rc = sck_catalog_update(catalog, SCK_TABLE_VERSIONS, &now, err);
    }
    sck_record_clear(SCK_TABLE_VERSIONS, &now);
    return rc;
}

/* Signing is a token call, so it comes before the transaction; the rows are compared again inside it. */
static enum sck_code
store_rotation(struct sck_engine *engine, struct sck_catalog *catalog, struct rotation *r, bool *moved,
               struct sck_err *err)
{
    struct sck_key_rec now = {0};
    const struct sck_key_rec *key = &r->key;
    memcpy(now.id, key->id, sizeof now.id);
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    *moved = false;
    if (r->owner.id != 0 && r->fresh.wrapped_dek.len > 0)
        rc = sck_kek_use(engine, catalog, &r->owner, 1, moved, err);
    else if (r->owner.id != 0)
        rc = sck_owner_recheck(catalog, &r->owner, err);
    if (rc != SCK_OK || *moved)
        goto out;
    rc = sck_catalog_get(catalog, SCK_BY_KEY_UUID, &now, err);
    if (rc == SCK_OK && (now.version + 1 != key->version || now.state != key->state))
        rc = sck_fail(err, SCK_E_BUSY, "key %s was changed by another process: try again", key->key_id);
    if (rc == SCK_OK)
        rc = retire_version(catalog, &r->retired, err);
    if (rc == SCK_OK)
        rc = sck_catalog_insert(catalog, SCK_TABLE_VERSIONS, &r->fresh, err);
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_KEYS, key, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    if (rc != SCK_OK)
        sck_kek_uncount(engine, r->owner.id);
out:
    sck_catalog_rollback(catalog);
    sck_record_clear(SCK_TABLE_KEYS, &now);
    return rc;
}

/* The old version retired, the new one made, all rows signed; nothing is stored. */
static enum sck_code
make_rotation(struct sck_engine *engine, struct rotation *r, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (r->key.owner_id != 0)
        rc = sck_owner_get_by_id(engine, r->key.owner_id, &r->owner, &r->kek, err);
    if (rc == SCK_OK)
        rc = sck_read_version(engine, r->key.id, r->key.version, &r->retired, err);
    if (rc == SCK_OK)
        rc = sck_version_make(engine, &r->key, r->key.version + 1, &r->owner, &r->kek, &r->fresh, err);
    if (rc != SCK_OK)
        return rc;
    r->retired.state = SCK_VERSION_RETIRED;
    sck_buf_clear(&r->retired.signature);
    r->key.version++;
    sck_buf_clear(&r->key.signature);
    rc = sck_sign_record(engine, SCK_TABLE_VERSIONS, &r->retired, &r->retired.signature, err);
    return rc == SCK_OK ? sck_sign_record(engine, SCK_TABLE_KEYS, &r->key, &r->key.signature, err) : rc;
}

enum sck_code
sck_key_rotate(struct sck_service *service, const struct sck_key_info *info, struct sck_key_info *out,
               struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct rotation r = {0};
    bool moved = true;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = reread(service, info, &r.key, err);
    if (rc == SCK_OK && r.key.state != SCK_KEY_ENABLED)
        rc = sck_fail(err, SCK_E_STATE, "key %s is disabled: enable it before rotating", r.key.key_id);
    if (rc == SCK_OK)
        rc = make_rotation(engine, &r, err);
    sck_fault_point("rotate.made");
    for (int i = 0; rc == SCK_OK && moved && i < SCK_KEK_TRIES; i++) {
        rc = store_rotation(engine, catalog, &r, &moved, err);
        if (rc == SCK_OK && moved)
            rc = sck_version_move(engine, &r.owner, &r.kek, &r.fresh, err);
    }
    if (rc == SCK_OK && moved)
        rc = sck_kek_busy(err);
    if (rc == SCK_OK)
        rc = sck_epoch_bump(engine, err);
    if (rc == SCK_OK)
        rc = sck_info_fill(&r.key, &r.fresh, out, err);
    sck_record_clear(SCK_TABLE_KEKS, &r.kek);
    sck_record_clear(SCK_TABLE_KEYS, &r.key);
    sck_record_clear(SCK_TABLE_VERSIONS, &r.retired);
    sck_record_clear(SCK_TABLE_VERSIONS, &r.fresh);
    return rc;
}

enum sck_code
sck_key_set_enabled(struct sck_service *service, const struct sck_key_info *info, bool enabled, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_key_rec key = {0};
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = reread(service, info, &key, err);
    if (rc == SCK_OK) {
        key.state = enabled ? SCK_KEY_ENABLED : SCK_KEY_DISABLED;
        rc = update_key(engine, catalog, &key, err);
    }
    if (rc == SCK_OK)
        rc = sck_epoch_bump(engine, err);
    sck_record_clear(SCK_TABLE_KEYS, &key);
    return rc;
}

/* Versions are numbered from 1 to the current one. */
static enum sck_code
destroy_objects(struct sck_engine *engine, const struct sck_key_rec *key, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    uint8_t id[16];
    if (key->residence != SCK_RESIDENT)
        return SCK_OK;
    for (uint32_t n = 1; rc == SCK_OK && n <= key->version; n++) {
        rc = sck_resident_id(key->id, n, id, err);
        if (rc == SCK_OK)
            rc = sck_token_destroy_resident(engine->token, id, err);
    }
    return rc;
}

static enum sck_code
delete_versions(struct sck_catalog *catalog, const struct sck_key_rec *key, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (uint32_t n = 1; rc == SCK_OK && n <= key->version; n++) {
        struct sck_version_rec v = {.version = n};
        struct sck_err look = SCK_ERR_INIT;
        memcpy(v.key, key->id, sizeof v.key);
        rc = sck_catalog_delete(catalog, SCK_TABLE_VERSIONS, &v, &look);
        if (rc == SCK_E_NOT_FOUND)
            rc = SCK_OK;
        else if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", look.message);
    }
    return rc;
}

enum sck_code
sck_key_remove(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_key_rec *key,
               struct sck_err *err)
{
    uint8_t by_id[32];
    uint8_t by_name[32];
    struct sck_scope scope;
    struct sck_owner_rec owner = {.id = key->owner_id};
    struct sck_buf label;
    sck_buf_init(&label, SCK_LABEL_MAX + 1);
    enum sck_code rc = sck_scope_make((enum sck_scope_kind)key->scope_kind, key->scope_id, strlen(key->scope_id),
                                      &scope, err);
    if (rc == SCK_OK && owner.id != 0)
        rc = sck_catalog_get(catalog, SCK_BY_OWNER_ID, &owner, err);
    if (rc == SCK_OK) {
        sck_label_format(&scope, key->name, &label);
        rc = sck_tomb_hash(engine, SCK_TOMB_KEY_ID, 1, key->key_id, strlen(key->key_id), by_id, err);
    }
    if (rc == SCK_OK)
        rc = sck_tomb_hash(engine, SCK_TOMB_KEY_NAME, sck_name_generation(&owner), label.data, label.len, by_name, err);
    if (rc == SCK_OK)
        rc = destroy_objects(engine, key, err);
    sck_fault_point("destroy.objects");
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc == SCK_OK)
        rc = sck_tomb_add(engine, catalog, SCK_TOMB_KEY_ID, 1, by_id, SCK_TOMB_DONE, 0, err);
    if (rc == SCK_OK)
        rc = sck_tomb_add(engine, catalog, SCK_TOMB_KEY_NAME, sck_name_generation(&owner), by_name, SCK_TOMB_DONE, 0, err);
    if (rc == SCK_OK)
        rc = delete_versions(catalog, key, err);
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_KEYS, key, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    sck_buf_clear(&label);
    return rc;
}

enum sck_code
sck_key_destroy(struct sck_service *service, const struct sck_key_info *info, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_key_rec key = {0};
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = reread(service, info, &key, err);
    if (rc == SCK_OK) {
        /* Disabled first: a crash below leaves a key that cannot be used rather than one that half works. */
        key.state = SCK_KEY_DISABLED;
        rc = update_key(engine, catalog, &key, err);
    }
    if (rc == SCK_OK)
        rc = sck_epoch_bump(engine, err);
    if (rc == SCK_OK)
        rc = sck_key_remove(engine, catalog, &key, err);
    if (rc == SCK_OK)
        rc = sck_catalog_scrub(catalog, 10000, err);
    sck_record_clear(SCK_TABLE_KEYS, &key);
    return rc;
}
