/* SPDX-License-Identifier: MIT */
/*
 * Erasure receipts: what may be claimed, and no more (docs/erasure.md).  The signature is ECDSA P-256 / SHA-256 by the
 * token's `receipt` key over the compact JSON of all other members with sorted names.
 */
#include "lib/service/erase.h"

#include "lib/base/file.h"
#include "lib/base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const not_covered[] = {
    "snapshots, exports and backups of the keeper", "copies of the token's storage", "machine images and swap",
    "plaintext that was taken out before", "backups of the catalog that were never registered"};

static bool
put_text(json_t *o, const char *name, const char *text)
{
    return json_object_set_new(o, name, json_string(text)) == 0;
}

static bool
put_time(json_t *o, const char *name, int64_t unix_s)
{
    char when[SCK_TIME_TEXT];
    sck_time_format(unix_s, when);
    return put_text(o, name, when);
}

static bool
put_hex(json_t *o, const char *name, const uint8_t *data, size_t len)
{
    char hex[129];
    sck_hex_format(data, len, hex);
    return put_text(o, name, hex);
}

static const char *
kind_name(uint32_t kind)
{
    if (kind == SCK_OWNER_SUBJECT)
        return "subject";
    return kind == SCK_OWNER_CLIENT ? "client" : "file";
}

/* Complete only when the keeper itself said so and no copy of the catalog can bring the KEK back. */
static bool
put_status(json_t *o, const struct sck_erasure_facts *f)
{
    bool complete = f->proof.how == SCK_ERASURE_IMMEDIATE && f->proof.read_says_gone;
    if (complete)
        return put_text(o, "status", "complete");
    bool ok = put_text(o, "status", "scheduled");
    if (f->proof.effective_s != 0)
        return ok && put_time(o, "effective_at", f->proof.effective_s);
    return ok && put_text(o, "effective_when",
                          f->tomb.kind == SCK_TOMB_FILE_ID
                              ? "the KEK of the file's owner is rotated, rewrapped and trimmed"
                              : "the epoch key that covered the KEK is destroyed (scopekey rotate --epoch)");
}

static bool
put_verified(json_t *o, const struct sck_erasure_facts *f)
{
    json_t *v = json_object();
    json_t *list = json_array();
    bool ok = v != NULL && list != NULL && put_text(v, "node", f->proof.node) &&
              json_object_set_new(v, "key_is_gone", json_boolean(f->proof.read_says_gone)) == 0 &&
              json_object_set_new(v, "canary_refused", json_boolean(f->proof.canary_refused)) == 0;
    for (size_t i = 0; ok && i < sizeof not_covered / sizeof not_covered[0]; i++)
        ok = json_array_append_new(list, json_string(not_covered[i])) == 0;
    ok = ok && json_object_set(o, "verified", v) == 0 && json_object_set(o, "not_covered", list) == 0;
    json_decref(v);
    json_decref(list);
    return ok;
}

static json_t *
build(const struct sck_erasure_facts *f, const uint8_t id[16], int64_t now_s, const uint8_t key_hash[32])
{
    char uuid[SCK_UUID_TEXT];
    json_t *o = json_object();
    sck_uuid_format(id, uuid);
    bool ok = o != NULL && put_text(o, "type", "scopekey-erasure-receipt/v1") && put_text(o, "id", uuid) &&
              put_text(o, "kind", kind_name(f->tomb.kind)) && put_hex(o, "erased", f->tomb.hash, 32) &&
              json_object_set_new(o, "generation", json_integer(f->tomb.generation)) == 0 &&
              put_text(o, "keeper", f->keeper) && put_text(o, "kek_name", f->kek_name) &&
              json_object_set_new(o, "kek_version", json_integer(f->kek_version)) == 0 &&
              json_object_set_new(o, "keks_destroyed", json_integer(f->keks)) == 0 &&
              json_object_set_new(o, "keys_removed", json_integer(f->keys)) == 0 &&
              json_object_set_new(o, "file_keys_removed", json_integer(f->files)) == 0 &&
              put_time(o, "tombstone_at", f->tomb.created_s) && put_time(o, "issued_at", now_s) &&
              json_object_set_new(o, "tombstone", json_integer(f->tomb.seq)) == 0 &&
              put_hex(o, "chain", f->tomb.chain, 32) && put_status(o, f) && put_verified(o, f) &&
              put_hex(o, "key_sha256", key_hash, 32);
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
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
        char *all = put_text(o, "signature", sck_buf_str(&text)) ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
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

enum sck_code
sck_receipt_make(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_erasure_facts *facts,
                 struct sck_buf *json, struct sck_err *err)
{
    struct sck_receipt_rec rec = {.created_s = sck_now_s(engine->clock)};
    struct sck_buf spki;
    uint8_t key_hash[32];
    json_t *o = NULL;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_receipt_find(catalog, facts->tomb.hash, json, &look);
    if (rc != SCK_E_NOT_FOUND)
        return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
    sck_buf_reset(json);
    sck_buf_init(&spki, SCK_SPKI_MAX);
    sck_buf_init(&rec.json, SCK_REC_BLOB_MAX);
    memcpy(rec.hash, facts->tomb.hash, sizeof rec.hash);
    rc = sck_new_uuid(engine, rec.id, err);
    if (rc == SCK_OK)
        rc = sck_token_system_public(engine->token, SCK_SYS_RECEIPT, &spki, err);
    if (rc == SCK_OK)
        rc = sck_sha256(spki.data, spki.len, key_hash, err);
    if (rc == SCK_OK) {
        o = build(facts, rec.id, rec.created_s, key_hash);
        rc = o != NULL ? sign_json(engine, o, &rec.json, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    if (rc == SCK_OK)
        rc = sck_catalog_insert(catalog, SCK_TABLE_RECEIPTS, &rec, err);
    if (rc == SCK_OK)
        rc = write_file(engine, rec.id, &rec.json, err);
    if (rc == SCK_OK) {
        sck_buf_put(json, rec.json.data, rec.json.len);
        rc = sck_buf_check(json, "receipt", err);
    }
    json_decref(o);
    sck_buf_clear(&spki);
    sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
    return rc;
}
