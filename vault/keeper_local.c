/* SPDX-License-Identifier: MIT */
/* Keeper `local`: KEKs in a JSON file, for development. */
#include "vault/keeper_local.h"

#include "lib/base/clock.h"
#include "lib/core/kekname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOB_LEN = SCK_GCM_NONCE_LEN + SCK_PAYLOAD_LEN + SCK_GCM_TAG_LEN };

static enum sck_code
check_name(const char *name, struct sck_err *err)
{
    if (sck_kek_name_is_legal(name))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "keeper local: a KEK name must be 1 to %d of a-z, 0-9 and inner hyphens",
                    SCK_KEK_NAME_MAX);
}

static enum sck_code
no_such_kek(const char *name, struct sck_err *err)
{
    return sck_fail(err, SCK_E_NOT_FOUND, "keeper local: no such KEK: %s", name);
}

enum sck_code
sck_local_root_get(struct sck_local *k, const json_t *doc, struct sck_secret **root, struct sck_err *err)
{
    struct sck_local_head head;
    struct sck_secret *fresh = NULL, *old = NULL;
    sck_local_doc_head(doc, &head);
    enum sck_code rc = sck_secret_new(SCK_LOCAL_KEY_LEN, root, err);
    if (rc != SCK_OK)
        return rc;
    sck_forklock_take(&k->lock);
    bool have = k->root != NULL && memcmp(k->root_id, head.id, sizeof head.id) == 0;
    if (have)
        memcpy((*root)->data, k->root->data, SCK_LOCAL_KEY_LEN);
    sck_forklock_give(&k->lock);
    if (have)
        return SCK_OK;
    rc = sck_local_root_open(&k->conf, &head, &fresh, err);
    if (rc != SCK_OK) {
        sck_secret_free(root);
        return rc;
    }
    memcpy((*root)->data, fresh->data, SCK_LOCAL_KEY_LEN);
    sck_forklock_take(&k->lock);
    old = k->root;
    k->root = fresh;
    memcpy(k->root_id, head.id, sizeof k->root_id);
    sck_forklock_give(&k->lock);
    sck_secret_free(&old);
    return SCK_OK;
}

/* jansson looks at a count of references before it changes it atomically, so counts are changed under the lock alone. */
static void
let_go(struct sck_local *k, json_t *doc)
{
    sck_forklock_take(&k->lock);
    json_decref(doc);
    sck_forklock_give(&k->lock);
}

/* The file as it is now: a reference for let_go(), so that nobody's reading changes under him. */
static enum sck_code
current(struct sck_local *k, json_t **doc, struct sck_err *err)
{
    json_t *fresh = NULL;
    sck_forklock_take(&k->lock);
    *doc = json_incref(k->doc);
    struct sck_local_stamp stamp = k->stamp;
    sck_forklock_give(&k->lock);
    enum sck_code rc = sck_local_store_read(&k->store, &stamp, &fresh, err);
    if (rc == SCK_OK && fresh == NULL)
        return rc;
    sck_forklock_take(&k->lock);
    json_decref(*doc);
    *doc = fresh;
    if (rc == SCK_OK) {
        json_decref(k->doc);
        k->doc = json_incref(fresh);
        k->stamp = stamp;
    }
    sck_forklock_give(&k->lock);
    return rc;
}

/* Look an entry up; `version` 0 is the newest. */
static enum sck_code
find(const json_t *doc, const struct sck_kek *kek, uint32_t version, struct sck_local_entry *out, struct sck_err *err)
{
    enum sck_code rc = check_name(kek->name, err);
    if (rc != SCK_OK)
        return rc;
    if (!sck_local_doc_find(doc, kek->name, version, out) || out->kind != SCK_LOCAL_KEK ||
        out->generation != kek->generation)
        return no_such_kek(kek->name, err);
    if (!out->enabled)
        return sck_fail(err, SCK_E_STATE, "keeper local: KEK %s is disabled: set \"enabled\" to true in %s", kek->name,
                        "secrets.json");
    if (out->version == 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "keeper local: KEK %s has no version %u", kek->name, version);
    return SCK_OK;
}

/* The KEK itself, a new secret. */
static enum sck_code
open_kek(struct sck_local *k, const json_t *doc, const char *name, const struct sck_local_entry *entry,
         struct sck_secret **kek, struct sck_err *err)
{
    struct sck_local_head head;
    struct sck_secret *root = NULL;
    struct sck_err why = SCK_ERR_INIT;
    const struct sck_local_bind bind = {head.id, SCK_LOCAL_KEK, name, entry->generation, entry->version};
    sck_local_doc_head(doc, &head);
    enum sck_code rc = sck_local_root_get(k, doc, &root, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_local_unseal(root, &bind, entry->sealed, kek, &why);
    sck_secret_free(&root);
    if (rc == SCK_E_AUTHENTIC)
        return sck_fail(err, SCK_E_INTEGRITY, "keeper local: version %u of KEK %s was altered in %s: restore the file from "
                        "its newest backup", entry->version, name, k->store.path);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

/* ---- DEKs ---- */

static enum sck_code
local_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload, struct sck_buf *blob,
           uint32_t *version, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_entry entry;
    struct sck_secret *key = NULL;
    uint8_t sealed[BLOB_LEN], aad[SCK_WDEK_AAD_MAX];
    json_t *doc = NULL;
    *version = 0;
    if (payload->len != SCK_PAYLOAD_LEN)
        return sck_fail(err, SCK_E_USAGE, "keeper local: a payload has %d bytes, not %zu", SCK_PAYLOAD_LEN, payload->len);
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        rc = find(doc, kek, 0, &entry, err);
    if (rc == SCK_OK && entry.expires_s != 0 && entry.expires_s <= sck_now_s(sck_clock_system()))
        rc = sck_fail(err, SCK_E_STATE, "keeper local: KEK %s has expired: it opens, and wraps nothing new until it is "
                      "rotated", kek->name);
    if (rc == SCK_OK)
        rc = open_kek(k, doc, kek->name, &entry, &key, err);
    if (rc == SCK_OK)
        rc = sck_random(sealed, SCK_GCM_NONCE_LEN, err);
    if (rc == SCK_OK)
        rc = sck_gcm_seal(key->data, sealed, aad, sck_wdek_aad(kek->name, entry.version, aad), payload->data, payload->len,
                          sealed + SCK_GCM_NONCE_LEN, err);
    if (rc == SCK_OK) {
        sck_buf_put(blob, sealed, sizeof sealed);
        rc = sck_buf_check(blob, "the wrapped DEK", err);
    }
    if (rc == SCK_OK)
        *version = entry.version;
    sck_secret_free(&key);
    let_go(k, doc);
    return rc;
}

static enum sck_code
local_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob,
             size_t blob_len, struct sck_secret **payload, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_entry entry;
    struct sck_secret *key = NULL;
    uint8_t aad[SCK_WDEK_AAD_MAX];
    json_t *doc = NULL;
    *payload = NULL;
    if (blob_len != BLOB_LEN || version == 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "keeper local: a wrapped DEK has %d bytes and a version, not %zu",
                        (int)BLOB_LEN, blob_len);
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        rc = find(doc, kek, version, &entry, err);
    if (rc == SCK_OK)
        rc = open_kek(k, doc, kek->name, &entry, &key, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, payload, err);
    if (rc == SCK_OK)
        rc = sck_gcm_open(key->data, blob, aad, sck_wdek_aad(kek->name, version, aad), blob + SCK_GCM_NONCE_LEN,
                          blob_len - SCK_GCM_NONCE_LEN, (*payload)->data, err);
    if (rc != SCK_OK)
        sck_secret_free(payload);
    sck_secret_free(&key);
    let_go(k, doc);
    return rc;
}

/* ---- KEKs ---- */

/* A fresh KEK, sealed. */
static enum sck_code
make_sealed(struct sck_local *k, const json_t *doc, const char *name, uint32_t generation, uint32_t version,
            uint8_t sealed[SCK_LOCAL_SEALED_LEN], struct sck_err *err)
{
    struct sck_local_head head;
    struct sck_secret *root = NULL, *key = NULL;
    const struct sck_local_bind bind = {head.id, SCK_LOCAL_KEK, name, generation, version};
    sck_local_doc_head(doc, &head);
    enum sck_code rc = sck_local_root_get(k, doc, &root, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_LOCAL_KEY_LEN, &key, err);
    if (rc == SCK_OK)
        rc = sck_random(key->data, key->len, err);
    if (rc == SCK_OK)
        rc = sck_local_seal(root, &bind, key, sealed, err);
    sck_secret_free(&key);
    sck_secret_free(&root);
    return rc;
}

/* The root is asked for before the folder is locked: a person may take his time. */
static enum sck_code
begin(struct sck_local *k, struct sck_local_edit *edit, struct sck_err *err)
{
    struct sck_secret *root = NULL;
    json_t *doc = NULL;
    *edit = (struct sck_local_edit){&k->store, -1, -1, NULL};
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        rc = sck_local_root_get(k, doc, &root, err);
    sck_secret_free(&root);
    let_go(k, doc);
    return rc == SCK_OK ? sck_local_edit_begin(&k->store, edit, err) : rc;
}

static enum sck_code
local_create(struct sck_keeper *keeper, const char *name, uint32_t generation, struct sck_kek_made *made,
             struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_edit edit;
    struct sck_local_entry there;
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = check_name(name, err);
    if (rc != SCK_OK)
        return rc;
    rc = begin(k, &edit, err);
    if (rc == SCK_OK && sck_local_doc_find(edit.doc, name, 0, &there))
        rc = sck_fail(err, SCK_E_EXISTS, "keeper local: KEK %s is there already", name);
    if (rc == SCK_OK)
        rc = make_sealed(k, edit.doc, name, generation, 1, sealed, err);
    if (rc == SCK_OK)
        rc = sck_local_doc_add_kek(edit.doc, name, generation, sealed, sck_now_s(sck_clock_system()), err);
    if (rc == SCK_OK)
        rc = sck_local_edit_commit(&edit, err);
    if (rc == SCK_OK)
        made->version = 1;
    sck_local_edit_end(&edit);
    return rc;
}

static enum sck_code
local_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_edit edit;
    struct sck_local_entry entry = {0};
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = begin(k, &edit, err);
    if (rc == SCK_OK)
        rc = find(edit.doc, kek, 0, &entry, err);
    if (rc == SCK_OK && entry.newest == UINT32_MAX)
        rc = sck_fail(err, SCK_E_STATE, "keeper local: KEK %s has no more versions", kek->name);
    if (rc == SCK_OK)
        rc = make_sealed(k, edit.doc, kek->name, kek->generation, entry.newest + 1, sealed, err);
    if (rc == SCK_OK)
        rc = sck_local_doc_rotate(edit.doc, kek->name, sealed, sck_now_s(sck_clock_system()), err);
    if (rc == SCK_OK)
        rc = sck_local_edit_commit(&edit, err);
    if (rc == SCK_OK)
        made->version = entry.newest + 1;
    sck_local_edit_end(&edit);
    return rc;
}

static enum sck_code
local_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_entry entry = {0};
    json_t *doc = NULL;
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        rc = find(doc, kek, 0, &entry, err);
    *version = rc == SCK_OK ? entry.newest : 0;
    let_go(k, doc);
    return rc;
}

struct below {
    const char *name;
    uint32_t oldest;
};

static bool
strip_below(json_t *doc, const void *arg)
{
    const struct below *b = arg;
    return sck_local_doc_retire(doc, b->name, b->oldest);
}

static bool
strip_all(json_t *doc, const void *arg)
{
    return sck_local_doc_remove(doc, arg);
}

static enum sck_code
local_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_edit edit = {&k->store, -1, -1, NULL};
    struct sck_local_entry entry;
    const struct below below = {kek->name, oldest};
    enum sck_code rc = sck_local_edit_begin(&k->store, &edit, err);
    if (rc == SCK_OK)
        rc = find(edit.doc, kek, 0, &entry, err);
    if (rc == SCK_OK && oldest > entry.newest)
        rc = sck_fail(err, SCK_E_USAGE, "keeper local: the newest version of KEK %s is %u: it cannot be retired",
                      kek->name, entry.newest);
    if (rc == SCK_OK)
        rc = sck_local_edit_purge(&edit, strip_below, &below, err);
    sck_local_edit_end(&edit);
    return rc;
}

static enum sck_code
local_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary,
            size_t canary_len, struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_edit edit = {&k->store, -1, -1, NULL};
    struct sck_local_entry entry;
    struct sck_secret *opened = NULL;
    struct sck_err why = SCK_ERR_INIT;
    memset(proof, 0, sizeof *proof);
    enum sck_code rc = check_name(kek->name, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_local_edit_begin(&k->store, &edit, err);
    if (rc == SCK_OK && sck_local_doc_find(edit.doc, kek->name, 0, &entry) &&
        (entry.kind != SCK_LOCAL_KEK || entry.generation != kek->generation))
        rc = sck_fail(err, SCK_E_INTEGRITY, "keeper local: %s is not the KEK that the catalog means", kek->name);
    /* One that is gone already may still be in a backup: an earlier run was stopped in between. */
    if (rc == SCK_OK)
        rc = sck_local_edit_purge(&edit, strip_all, kek->name, err);
    sck_local_edit_end(&edit);
    if (rc != SCK_OK)
        return rc;
    if (canary_len > 0) {
        enum sck_code opens = local_unwrap(keeper, kek, version, canary, canary_len, &opened, &why);
        sck_secret_free(&opened);
        if (opens == SCK_OK)
            return sck_fail(err, SCK_E_INTEGRITY, "keeper local: KEK %s was taken out, and still opens", kek->name);
        if (opens != SCK_E_NOT_FOUND)
            return sck_fail(err, opens, "KEK %s was taken out, which cannot be verified: %s", kek->name, why.message);
        proof->canary_refused = true;
    }
    proof->how = SCK_ERASURE_IMMEDIATE;
    proof->read_says_gone = true;
    (void)snprintf(proof->node, sizeof proof->node, "%.*s", (int)sizeof proof->node - 1, k->store.path);
    return SCK_OK;
}

/* ---- how it does ---- */

/* Every KEK of the file opens; the first one that does not is named. */
static enum sck_code
check_keks(struct sck_local *k, const json_t *doc, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    const char *name = NULL;
    const json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)doc, name, value) {
        struct sck_local_entry entry;
        if (rc != SCK_OK || !sck_local_doc_find(doc, name, 0, &entry) || entry.kind != SCK_LOCAL_KEK)
            continue;
        uint32_t newest = entry.newest;
        for (uint32_t version = entry.oldest; rc == SCK_OK && version <= newest; version++) {
            struct sck_secret *key = NULL;
            (void)sck_local_doc_find(doc, name, version, &entry);
            rc = open_kek(k, doc, name, &entry, &key, err);
            sck_secret_free(&key);
        }
    }
    return rc;
}

static enum sck_code
local_probe(struct sck_keeper *keeper, void (*report)(void *arg, const char *what, const char *cure), void *arg,
            struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_secret *root = NULL;
    char line[128];
    size_t keks = 0, imported = 0;
    json_t *doc = NULL;
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        rc = sck_local_root_get(k, doc, &root, err);
    sck_secret_free(&root);
    if (rc == SCK_OK)
        rc = check_keks(k, doc, err);
    if (rc == SCK_OK) {
        sck_local_doc_count(doc, &keks, &imported);
        (void)snprintf(line, sizeof line, "keeper local: %zu KEKs open, %zu imported keys", keks, imported);
        report(arg, line, NULL);
        report(arg, "keeper local: for development alone (production_safe: false)", NULL);
    }
    let_go(k, doc);
    return rc;
}

static enum sck_code
local_status(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    json_t *doc = NULL;
    (void)snprintf(out->where, sizeof out->where, "%.*s", (int)sizeof out->where - 1, k->store.path);
    enum sck_code rc = current(k, &doc, err);
    if (rc == SCK_OK)
        (void)snprintf(out->version, sizeof out->version, "format %lld",
                       (long long)json_integer_value(json_object_get(json_object_get(doc, "scopekey.store"), "format")));
    let_go(k, doc);
    return rc;
}

static void
local_forget(struct sck_keeper *keeper, const char *name)
{
    /* No KEK is kept between calls; the root is not a KEK's. */
    (void)keeper;
    (void)name;
}

static void
local_close(struct sck_keeper *keeper)
{
    struct sck_local *k = sck_local_of(keeper);
    json_decref(k->doc);
    sck_secret_free(&k->root);
    sck_forklock_clear(&k->lock);
    free(k);
}

static const struct sck_keeper_ops local_ops = {
    .kind = SCK_KEEPER_LOCAL,
    .name = "local",
    .erasure = SCK_ERASURE_IMMEDIATE,
    .rewraps_blind = false,
    .versions_are_records = false,
    .create = local_create,
    .wrap = local_wrap,
    .unwrap = local_unwrap,
    .run = sck_keeper_run_each,
    .rotate = local_rotate,
    .newest = local_newest,
    .retire = local_retire,
    .erase = local_erase,
    .probe = local_probe,
    .status = local_status,
    .forget = local_forget,
    .close = local_close,
};

enum sck_code
sck_keeper_local_open(const struct sck_keeper_local_conf *conf, struct sck_keeper **out, struct sck_err *err)
{
    *out = NULL;
    if (strcmp(conf->environment, "production") == 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper local is for development and holds no KEK in environment production: "
                        "choose keeper token, vault or azure");
    struct sck_local *k = calloc(1, sizeof *k);
    if (k == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    k->base.ops = &local_ops;
    k->conf = *conf;
    k->conf.path = k->store.dir;
    k->conf.environment = NULL;
    enum sck_code rc = sck_local_store_init(&k->store, conf->path, conf->backups, err);
    if (rc != SCK_OK) {
        free(k);
        return rc;
    }
    sck_forklock_init(&k->lock);
    *out = &k->base;
    return SCK_OK;
}

enum sck_code
sck_keeper_local_prepare(struct sck_keeper *keeper, struct sck_err *err)
{
    struct sck_local *k = sck_local_of(keeper);
    struct sck_local_head head;
    struct sck_secret *root = NULL;
    struct sck_err look = SCK_ERR_INIT;
    json_t *doc = NULL;
    enum sck_code rc = current(k, &doc, &look);
    if (rc == SCK_OK) {
        rc = sck_local_root_get(k, doc, &root, err);
    } else if (!sck_local_store_is_absent(&k->store)) {
        rc = sck_fail(err, rc, "%s", look.message);
    } else {
        rc = sck_local_root_make(&k->conf, sck_now_s(sck_clock_system()), &head, &root, err);
        if (rc == SCK_OK)
            rc = sck_local_doc_new(&head, &doc, err);
        if (rc == SCK_OK)
            rc = sck_local_store_create(&k->store, doc, err);
    }
    sck_secret_free(&root);
    let_go(k, doc);
    return rc;
}
