/* SPDX-License-Identifier: MIT */
/* Receipts outlive a catalog that was set back, and tell a keeper that was set back what to destroy again. */
#include "lib/service/pledge.h"
#include "lib/service/receipt_json.h"
#include "lib/service/reconcile.h"

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

/* A file in that folder may be anybody's: only what the token's receipt key signed is believed. */
static bool
is_ours(json_t *o, const struct sck_buf *spki)
{
    struct sck_buf signature;
    struct sck_err ignored = SCK_ERR_INIT;
    sck_buf_init(&signature, 1024);
    char *sig = strdup(text_of(o, "signature"));
    (void)json_object_del(o, "signature");
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    bool ok = sig != NULL && text != NULL && strcmp(text_of(o, "type"), "scopekey-erasure-receipt/v1") == 0 &&
              sck_base64_parse(sig, strlen(sig), &signature) &&
              sck_ecdsa_verify(spki->data, spki->len, (const uint8_t *)text, strlen(text), signature.data,
                               signature.len, &ignored) == SCK_OK;
    free(sig);
    free(text);
    sck_buf_clear(&signature);
    return ok;
}

static bool
fill_row(const json_t *o, const struct sck_buf *text, struct sck_receipt_rec *rec)
{
    const char *hash = text_of(o, "erased");
    const char *id = text_of(o, "id");
    const char *issued = text_of(o, "issued_at");
    sck_buf_init(&rec->json, SCK_REC_BLOB_MAX);
    sck_buf_put(&rec->json, text->data, text->len);
    return !rec->json.failed && sck_hex_parse(hash, strlen(hash), rec->hash, sizeof rec->hash) &&
           sck_uuid_parse(id, strlen(id), rec->id) && sck_time_parse(issued, strlen(issued), &rec->created_s);
}

/* What a receipt that says `scheduled` waits for. */
static enum sck_code
pledge_again(struct sck_reconciling *r, const json_t *o, const struct sck_receipt_rec *rec, struct sck_err *err)
{
    struct sck_pledge_rec pledge = {.created_s = rec->created_s};
    const char *date = text_of(o, "effective_at");
    memcpy(pledge.hash, rec->hash, sizeof pledge.hash);
    pledge.epoch = (uint32_t)json_integer_value(json_object_get(o, "epoch"));
    (void)sck_time_parse(date, strlen(date), &pledge.effective_s);
    if (strcmp(text_of(o, "status"), "scheduled") != 0 || (pledge.epoch == 0 && pledge.effective_s == 0))
        return SCK_OK;
    return sck_pledge_add(r->catalog, &pledge, err);
}

/* Of several receipts of one erasure the one that says `complete` counts, else the newest. */
static enum sck_code
import(struct sck_reconciling *r, const json_t *o, const struct sck_buf *text, struct sck_err *err)
{
    struct sck_receipt_rec rec = {0};
    struct sck_receipt_rec now = {0};
    struct sck_pledge_rec pledge = {0};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = SCK_OK;
    if (!fill_row(o, text, &rec)) {
        sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
        return SCK_OK;
    }
    bool complete = strcmp(text_of(o, "status"), "complete") == 0;
    memcpy(now.hash, rec.hash, sizeof now.hash);
    memcpy(pledge.hash, rec.hash, sizeof pledge.hash);
    rc = sck_catalog_get(r->catalog, SCK_BY_RECEIPT, &now, &look);
    if (rc == SCK_E_NOT_FOUND) {
        rc = sck_catalog_insert(r->catalog, SCK_TABLE_RECEIPTS, &rec, err);
        if (rc == SCK_OK)
            rc = pledge_again(r, o, &rec, err);
    } else if (rc == SCK_OK && complete && memcmp(now.id, rec.id, sizeof now.id) != 0) {
        struct sck_err gone = SCK_ERR_INIT;
        rc = sck_catalog_update(r->catalog, SCK_TABLE_RECEIPTS, &rec, err);
        if (rc == SCK_OK) {
            rc = sck_catalog_delete(r->catalog, SCK_TABLE_PLEDGES, &pledge, &gone);
            rc = rc == SCK_E_NOT_FOUND ? SCK_OK : rc;
        }
    } else if (rc != SCK_OK) {
        rc = sck_fail(err, rc, "%s", look.message);
    }
    sck_record_clear(SCK_TABLE_RECEIPTS, &rec);
    sck_record_clear(SCK_TABLE_RECEIPTS, &now);
    return rc;
}

static enum sck_code
import_file(struct sck_reconciling *r, const char *name, const struct sck_buf *spki, struct sck_err *err)
{
    struct sck_buf text = {0};
    struct sck_buf below;
    enum sck_code rc = SCK_OK;
    sck_buf_init(&below, 512);
    sck_buf_printf(&below, "receipts/%s", name);
    char *path = sck_engine_path(r->engine, sck_buf_str(&below));
    struct sck_err ignored = SCK_ERR_INIT;
    if (path == NULL) {
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    } else if (sck_file_read(path, SCK_REC_BLOB_MAX, &text, &ignored) == SCK_OK) {
        json_t *o = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(o) && is_ours(o, spki))
            rc = import(r, o, &text, err);
        else
            sck_log(SCK_LOG_WARNING, "service.reconcile", "%s is no receipt of this token's key and left out", path);
        json_decref(o);
    }
    free(path);
    sck_buf_clear(&below);
    sck_buf_clear(&text);
    return rc;
}

static enum sck_code
import_all(struct sck_reconciling *r, struct sck_err *err)
{
    struct sck_buf spki;
    const struct dirent *e;
    sck_buf_init(&spki, SCK_SPKI_MAX);
    enum sck_code rc = sck_token_system_public(r->engine->token, SCK_SYS_RECEIPT, &spki, err);
    char *path = sck_engine_path(r->engine, "receipts");
    DIR *d = rc == SCK_OK && path != NULL ? opendir(path) : NULL;
    if (rc == SCK_OK && d == NULL)
        rc = errno == ENOENT ? SCK_OK : sck_fail_errno(err, SCK_E_IO, errno, "cannot read the folder of receipts");
    while (rc == SCK_OK && d != NULL && (e = readdir(d)) != NULL) {
        size_t len = strlen(e->d_name);
        if (len > 5 && len < 256 && strcmp(e->d_name + len - 5, ".json") == 0)
            rc = import_file(r, e->d_name, &spki, err);
    }
    if (d != NULL)
        (void)closedir(d);
    free(path);
    sck_buf_clear(&spki);
    return rc;
}

static enum sck_code
destroy_again(struct sck_reconciling *r, const json_t *kek, int64_t *asked, struct sck_err *err)
{
    static const enum sck_keeper_kind kinds[] = {SCK_KEEPER_VAULT, SCK_KEEPER_AZURE, SCK_KEEPER_LOCAL};
    const struct sck_kek ref = {.name = text_of(kek, "name"),
                                .generation = 1,
                                .version = (uint32_t)json_integer_value(json_object_get(kek, "last_version")),
                                .mount = text_of(kek, "mount"),
                                .name_space = text_of(kek, "namespace")};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct sck_keeper *keeper = NULL;
        struct sck_erase_proof proof = {0};
        struct sck_err why = SCK_ERR_INIT;
        if (strcmp(sck_keeper_kind_name(kinds[i]), text_of(kek, "keeper")) != 0)
            continue;
        enum sck_code rc = sck_engine_keeper(r->engine, kinds[i], &keeper, &why);
        if (rc == SCK_OK)
            rc = keeper->ops->erase(keeper, &ref, 0, NULL, 0, &proof, &why);
        (*asked)++;
        return rc == SCK_OK || sck_reconcile_defer(r, rc, &why) ? SCK_OK : sck_fail(err, rc, "%s", why.message);
    }
    return SCK_OK;
}

struct asking {
    struct sck_reconciling *r;
    int64_t asked;
};

static enum sck_code
ask_about(void *arg, void *record, struct sck_err *err)
{
    struct asking *a = arg;
    const struct sck_receipt_rec *rec = record;
    const json_t *kek;
    size_t i;
    enum sck_code rc = SCK_OK;
    json_t *o = json_loadb((const char *)rec->json.data, rec->json.len, 0, NULL);
    json_array_foreach(json_object_get(o, "keks"), i, kek) {
        if (rc == SCK_OK)
            rc = destroy_again(a->r, kek, &a->asked, err);
    }
    json_decref(o);
    return rc;
}

enum sck_code
sck_reconcile_receipts(struct sck_reconciling *r, struct sck_err *err)
{
    struct asking a = {.r = r};
    struct sck_receipt_rec from = {0};
    enum sck_code rc = import_all(r, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(r->catalog, SCK_RECEIPTS_ALL, &from, true, 0, ask_about, &a, err);
    if (rc == SCK_OK && a.asked > 0)
        sck_reconcile_say(r, "%lld erased KEKs asked for at their keepers again", (long long)a.asked);
    return rc;
}
