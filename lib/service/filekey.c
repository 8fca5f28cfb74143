/* SPDX-License-Identifier: MIT */
#include "lib/service/filekey.h"

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/service/kek.h"

#include <string.h>

static enum sck_code
file_scope(const uint8_t file_id[16], struct sck_scope *scope, struct sck_err *err)
{
    char uuid[SCK_UUID_TEXT];
    sck_uuid_format(file_id, uuid);
    return sck_scope_make(SCK_SCOPE_FILE, uuid, strlen(uuid), scope, err);
}

static void
fill_context(const struct sck_file_rec *row, const struct sck_scope *scope, struct sck_context *ctx)
{
    sck_context_init(ctx);
    ctx->scope = *scope;
    ctx->purpose = SCK_PURPOSE_FILE;
    ctx->created_s = row->created_s;
    memcpy(ctx->id, row->dek_id, sizeof ctx->id);
}

/* A DEK for `row` and the row itself, stored while the KEK it is wrapped under is the current one. */
static enum sck_code
make_row(struct sck_service *service, struct sck_catalog *catalog, const struct sck_scope *scope,
         struct sck_context *ctx, struct sck_secret **dek, struct sck_file_rec *row, bool *moved, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_owner_rec owner = {0};
    sck_buf_reset(&row->wrapped_dek);
    enum sck_code rc = sck_dek_fresh(service, scope, ctx, dek, &row->wrapped_dek, &owner, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        goto out;
    row->owner_id = owner.id;
    rc = sck_kek_use(engine, catalog, &owner, 1, moved, err);
    if (rc == SCK_OK && !*moved) {
        rc = sck_catalog_insert(catalog, SCK_TABLE_FILES, row, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
        if (rc != SCK_OK)
            sck_kek_uncount(engine, owner.id);
    }
    sck_catalog_rollback(catalog);
out:
    if (rc != SCK_OK || *moved)
        sck_secret_free(dek);
    return rc;
}

enum sck_code
sck_filekey_make(struct sck_service *service, const struct sck_scope *subject, const struct sck_container *head,
                 struct sck_secret **dek, struct sck_file_rec *row, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_context ctx;
    struct sck_scope scope;
    int64_t day_s = 24 * 3600;
    *row = (struct sck_file_rec){.state = SCK_FILE_PENDING, .size = -1, .created_s = sck_now_s(engine->clock)};
    row->expires_s = row->created_s + engine->conf->files_rotation_days * day_s;
    memcpy(row->file_id, head->file_id, sizeof row->file_id);
    memcpy(row->dek_id, head->dek_id, sizeof row->dek_id);
    sck_key_reference_format(head->file_id, head->dek_id, row->key_reference);
    sck_buf_init(&row->wrapped_dek, SCK_WRAPPED_MAX);
    enum sck_code rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK && subject == NULL)
        rc = file_scope(head->file_id, &scope, err);
    if (rc != SCK_OK)
        return rc;
    if (subject != NULL)
        scope = *subject;
    fill_context(row, &scope, &ctx);
    bool moved = true;
    for (int i = 0; rc == SCK_OK && moved && i < SCK_KEK_TRIES; i++) {
        moved = false;
        rc = make_row(service, catalog, &scope, &ctx, dek, row, &moved, err);
    }
    sck_context_clear(&ctx);
    return rc == SCK_OK && moved ? sck_kek_busy(err) : rc;
}

enum sck_code
sck_filekey_recheck(struct sck_service *service, const struct sck_file_rec *row, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_file_rec now = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(now.file_id, row->file_id, sizeof now.file_id);
    memcpy(now.dek_id, row->dek_id, sizeof now.dek_id);
    enum sck_code rc = sck_owner_get_by_id(service->engine, row->owner_id, &owner, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(service->engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(catalog, SCK_BY_FILE, &now, &look);
    sck_record_clear(SCK_TABLE_FILES, &now);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, SCK_E_ERASED, "the key of this file was erased while it was written");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

enum sck_code
sck_filekey_activate(struct sck_service *service, struct sck_file_rec *row, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_file_rec now = {0};
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_engine_catalog(service->engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(now.file_id, row->file_id, sizeof now.file_id);
    memcpy(now.dek_id, row->dek_id, sizeof now.dek_id);
    rc = sck_catalog_get(catalog, SCK_BY_FILE, &now, &why);
    if (rc == SCK_OK) {
        /* It may have been rewrapped since it was made. */
        const struct sck_buf older = row->wrapped_dek;
        row->wrapped_dek = now.wrapped_dek;
        now.wrapped_dek = older;
        row->state = SCK_FILE_ACTIVE;
        rc = sck_catalog_update(catalog, SCK_TABLE_FILES, row, &why);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, &why);
    sck_catalog_rollback(catalog);
    sck_record_clear(SCK_TABLE_FILES, &now);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, SCK_E_ERASED, "the key of this file was erased while it was written");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

void
sck_filekey_withdraw(struct sck_service *service, struct sck_file_rec *row)
{
    struct sck_catalog *catalog = NULL;
    struct sck_err err = SCK_ERR_INIT;
    if (row->id == 0)
        return;
    enum sck_code rc = sck_engine_catalog(service->engine, &catalog, &err);
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_FILES, row, &err);
    if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
        sck_log(SCK_LOG_WARNING, "service.file", "an unused file key stays behind: %s", err.message);
}

enum sck_code
sck_filekey_find(struct sck_service *service, const struct sck_container *head, struct sck_file_rec *row,
                 struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_err look = SCK_ERR_INIT;
    char uuid[SCK_UUID_TEXT];
    bool erased = false;
    *row = (struct sck_file_rec){0};
    memcpy(row->file_id, head->file_id, sizeof row->file_id);
    memcpy(row->dek_id, head->dek_id, sizeof row->dek_id);
    sck_uuid_format(head->file_id, uuid);
    enum sck_code rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(catalog, SCK_BY_FILE, row, &look);
    if (rc == SCK_OK)
        return rc;
    if (rc != SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_tomb_find(engine, SCK_TOMB_FILE_ID, 1, uuid, strlen(uuid), &erased, err);
    if (rc != SCK_OK)
        return rc;
    if (erased)
        return sck_fail(err, SCK_E_ERASED, "the key of file %s was erased: nobody can read it any more", uuid);
    return sck_fail(err, SCK_E_NOT_FOUND, "the catalog has no key for file %s: is this the right set-up?", uuid);
}

enum sck_code
sck_filekey_owner(struct sck_service *service, const struct sck_file_rec *row, struct sck_scope *scope,
                  bool *is_files, struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    enum sck_code rc = sck_owner_get_by_id(service->engine, row->owner_id, &owner, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc != SCK_OK)
        return rc;
    *is_files = owner.kind == SCK_OWNER_FILES;
    enum sck_scope_kind kind = owner.kind == SCK_OWNER_SUBJECT ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
    rc = *is_files ? file_scope(row->file_id, scope, err)
                   : sck_scope_make(kind, owner.ident, strlen(owner.ident), scope, err);
    return rc == SCK_OK ? sck_wall_check(service, scope, err) : rc;
}

enum sck_code
sck_filekey_open(struct sck_service *service, const struct sck_file_rec *row, struct sck_secret **dek,
                 struct sck_err *err)
{
    struct sck_scope scope;
    struct sck_context ctx;
    bool is_files = false;
    enum sck_code rc = sck_filekey_owner(service, row, &scope, &is_files, err);
    if (rc != SCK_OK)
        return rc;
    fill_context(row, &scope, &ctx);
    rc = sck_dek_open(service, row->owner_id, &ctx, row->wrapped_dek.data, row->wrapped_dek.len, dek, err);
    sck_context_clear(&ctx);
    return rc;
}

enum sck_code
sck_head_read(const struct sck_input *in, struct sck_container *head, struct sck_err *err)
{
    uint8_t fixed[SCK_CONTAINER_FIXED_LEN];
    uint8_t rest[SCK_CONTAINER_HEAD_MAX];
    size_t got = 0;
    enum sck_code rc = sck_input_read(in, fixed, sizeof fixed, &got, err);
    if (rc == SCK_OK && got != sizeof fixed)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is not a Scopekey file, or cut off in its header", in->name);
    if (rc == SCK_OK)
        rc = sck_container_decode_fixed(fixed, head, err);
    if (rc != SCK_OK)
        goto out;
    size_t len = head->body_off - sizeof fixed;
    if (len > sizeof rest)
        return sck_fail(err, SCK_E_AUTHENTIC, "%s: the header is longer than any can be", in->name);
    rc = sck_input_read(in, rest, len, &got, err);
    if (rc == SCK_OK && got != len)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is cut off in its header", in->name);
    if (rc == SCK_OK)
        rc = sck_container_decode_rest(rest, len, head, err);
out:
    if (rc == SCK_E_AUTHENTIC && strstr(err->message, in->name) == NULL)
        sck_err_prefix(err, "%s", in->name);
    return rc;
}
