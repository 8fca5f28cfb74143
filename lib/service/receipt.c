/* SPDX-License-Identifier: MIT */
/*
 * Erasure receipts: what may be claimed, and no more (docs/erasure.md).  The signature is ECDSA P-256 / SHA-256 by the
 * token's `receipt` key over the compact JSON of all other members with sorted names.
 */
#include "lib/service/receipt_json.h"
#include "lib/service/pledge.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The signing key's SPKI hash becomes part of what is signed. */
static enum sck_code
put_key(struct sck_engine *engine, json_t *o, struct sck_err *err)
{
    struct sck_buf spki;
    uint8_t hash[SCK_SHA256_LEN];
    sck_buf_init(&spki, SCK_SPKI_MAX);
    enum sck_code rc = sck_token_system_public(engine->token, SCK_SYS_RECEIPT, &spki, err);
    if (rc == SCK_OK)
        rc = sck_sha256(spki.data, spki.len, hash, err);
    if (rc == SCK_OK && !sck_json_put_hex(o, "key_sha256", hash, sizeof hash))
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    sck_buf_clear(&spki);
    return rc;
}

static enum sck_code
sign_json(struct sck_engine *engine, json_t *o, struct sck_buf *json, struct sck_err *err)
{
    struct sck_buf sig;
    struct sck_buf text;
    sck_buf_init(&sig, 256);
    sck_buf_init(&text, 512);
    char *covered = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    enum sck_code rc = covered != NULL ? sck_token_system_sign(engine->token, SCK_SYS_RECEIPT, covered,
                                                               strlen(covered), &sig, err)
                                       : sck_fail(err, SCK_E_MEMORY, "out of memory");
    free(covered);
    if (rc == SCK_OK) {
        sck_base64_format(sig.data, sig.len, &text);
        char *all = sck_json_put_text(o, "signature", sck_buf_str(&text)) ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        if (all != NULL)
            sck_buf_put_str(json, all);
        else
            rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        free(all);
    }
    sck_buf_clear(&sig);
    sck_buf_clear(&text);
    return rc;
}

/* The receipt as a file beside the erasure log; what counts is the row. */
static enum sck_code
write_file(struct sck_engine *engine, const uint8_t id[16], const struct sck_buf *json, struct sck_err *err)
{
    char name[64];
    char uuid[SCK_UUID_TEXT];
    sck_uuid_format(id, uuid);
    (void)snprintf(name, sizeof name, "receipts/%s.json", uuid);
    char *path = sck_engine_path(engine, name);
    enum sck_code rc = path != NULL ? sck_file_replace(path, json->data, json->len, 0600, err)
                                    : sck_fail(err, SCK_E_MEMORY, "out of memory");
    free(path);
    return rc;
}

enum sck_code
sck_receipt_find(struct sck_catalog *catalog, const uint8_t hash[32], struct sck_buf *json, struct sck_err *err)
{
    struct sck_receipt_rec rec = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(rec.hash, hash, sizeof rec.hash);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_RECEIPT, &rec, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "the erasure has no receipt yet: run the same command again");
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    sck_buf_put(json, rec.json.data, rec.json.len);
    sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
    return sck_buf_check(json, "receipt", err);
}

/* Row, and what the erasure waits for, in one transaction. */
static enum sck_code
store(struct sck_catalog *catalog, struct sck_receipt_rec *rec, const struct sck_pledge_rec *pledge, bool waits,
      struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_insert(catalog, SCK_TABLE_RECEIPTS, rec, err);
    if (rc == SCK_OK && waits)
        rc = sck_pledge_add(catalog, pledge, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

enum sck_code
sck_receipt_make(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_erasure_facts *facts,
                 struct sck_buf *json, struct sck_err *err)
{
    struct sck_receipt_rec rec = {.created_s = sck_now_s(engine->clock)};
    struct sck_pledge_rec pledge;
    json_t *o = NULL;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_receipt_find(catalog, facts->tomb.hash, json, &look);
    if (rc != SCK_E_NOT_FOUND)
        return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
    sck_buf_reset(json);
    sck_buf_init(&rec.json, SCK_REC_BLOB_MAX);
    memcpy(rec.hash, facts->tomb.hash, sizeof rec.hash);
    sck_facts_add_up(facts, &pledge);
    rc = sck_new_uuid(engine, rec.id, err);
    if (rc == SCK_OK) {
        o = sck_receipt_build(facts, &pledge, rec.id, rec.created_s);
        rc = o != NULL ? put_key(engine, o, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    if (rc == SCK_OK)
        rc = sign_json(engine, o, &rec.json, err);
    if (rc == SCK_OK)
        rc = write_file(engine, rec.id, &rec.json, err);
    if (rc == SCK_OK)
        rc = store(catalog, &rec, &pledge, !sck_facts_are_complete(facts) && (pledge.epoch != 0 || pledge.effective_s != 0), err);
    if (rc == SCK_OK) {
        sck_buf_put(json, rec.json.data, rec.json.len);
        rc = sck_buf_check(json, "receipt", err);
    }
    json_decref(o);
    sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
    return rc;
}

/* The receipt of before with its status changed; it names the one of before by its hash. */
static enum sck_code
rebuild(struct sck_engine *engine, const struct sck_receipt_rec *old, const uint8_t id[16], int64_t now_s, json_t **out,
        struct sck_err *err)
{
    char uuid[SCK_UUID_TEXT];
    uint8_t hash[SCK_SHA256_LEN];
    json_t *o = json_loadb((const char *)old->json.data, old->json.len, 0, NULL);
    json_t *before = json_object();
    sck_uuid_format(id, uuid);
    enum sck_code rc = o == NULL ? sck_fail(err, SCK_E_INTEGRITY, "a stored receipt is no JSON: restore the catalog")
                                 : sck_sha256(old->json.data, old->json.len, hash, err);
    bool ok = rc == SCK_OK && before != NULL &&
              json_object_set(before, "id", json_object_get(o, "id")) == 0 &&
              json_object_set(before, "status", json_object_get(o, "status")) == 0 &&
              json_object_set(before, "issued_at", json_object_get(o, "issued_at")) == 0 &&
              sck_json_put_hex(before, "sha256", hash, sizeof hash) && sck_json_put_text(o, "id", uuid) &&
              sck_json_put_text(o, "status", "complete") && sck_json_put_time(o, "issued_at", now_s) &&
              json_object_set(o, "replaces", before) == 0;
    json_decref(before);
    if (rc == SCK_OK && !ok)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK) {
        (void)json_object_del(o, "effective_when");
        (void)json_object_del(o, "effective_at");
        (void)json_object_del(o, "signature");
        rc = put_key(engine, o, err);
    }
    if (rc != SCK_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return rc;
}

static enum sck_code
replace(struct sck_catalog *catalog, const struct sck_receipt_rec *rec, const struct sck_pledge_rec *pledge,
        struct sck_err *err)
{
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    /* Whoever was quicker has issued it. */
    rc = sck_catalog_delete(catalog, SCK_TABLE_PLEDGES, pledge, &look);
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_RECEIPTS, rec, err);
    else if (rc != SCK_E_NOT_FOUND)
        (void)sck_fail(err, rc, "%s", look.message);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc == SCK_E_NOT_FOUND ? SCK_OK : rc;
}

enum sck_code
sck_receipt_complete(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_pledge_rec *pledge,
                     struct sck_err *err)
{
    struct sck_receipt_rec old = {0};
    struct sck_receipt_rec rec = {.created_s = sck_now_s(engine->clock)};
    json_t *o = NULL;
    memcpy(old.hash, pledge->hash, sizeof old.hash);
    memcpy(rec.hash, pledge->hash, sizeof rec.hash);
    sck_buf_init(&rec.json, SCK_REC_BLOB_MAX);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_RECEIPT, &old, err);
    if (rc == SCK_OK)
        rc = sck_new_uuid(engine, rec.id, err);
    if (rc == SCK_OK)
        rc = rebuild(engine, &old, rec.id, rec.created_s, &o, err);
    if (rc == SCK_OK)
        rc = sign_json(engine, o, &rec.json, err);
    if (rc == SCK_OK)
        rc = write_file(engine, rec.id, &rec.json, err);
    sck_fault_point("receipt.written");
    if (rc == SCK_OK)
        rc = replace(catalog, &rec, pledge, err);
    json_decref(o);
    sck_record_clear(SCK_TABLE_RECEIPTS, &old);
    sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
    return rc;
}
