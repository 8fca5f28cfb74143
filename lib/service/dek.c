/* SPDX-License-Identifier: MIT */
/* DEKs: made here, wrapped by the owner's KEK at its keeper, bound to their context (docs/formats.md). */
#include "lib/service/kek.h"

#include <string.h>

enum sck_code
sck_new_uuid(struct sck_engine *engine, uint8_t out[16], struct sck_err *err)
{
    uint8_t random[SCK_UUID_RANDOM];
    enum sck_code rc = sck_random(random, sizeof random, err);
    if (rc == SCK_OK)
        sck_uuid7(sck_now_ms(engine->clock), random, out);
    return rc;
}

enum sck_code
sck_dek_wrap(struct sck_engine *engine, const struct sck_kek_rec *kek, const struct sck_context *ctx,
             const struct sck_secret *dek, struct sck_buf *wrapped, struct sck_err *err)
{
    uint8_t hash[SCK_SHA256_LEN];
    struct sck_keeper *keeper = NULL;
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    struct sck_wrapped w = {.keeper = (enum sck_keeper_kind)kek->keeper, .generation = kek->generation};
    const struct sck_kek ref = sck_kek_from_rec(kek);
    struct sck_err why = SCK_ERR_INIT;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(engine, w.keeper, &keeper, err);
    if (rc == SCK_OK)
        rc = sck_context_hash(ctx, hash, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, err);
    if (rc != SCK_OK)
        goto out;
    sck_payload_encode(dek->data, hash, payload->data);
    rc = keeper->ops->wrap(keeper, &ref, payload, &blob, &w.kek_version, &why);
    if (rc != SCK_OK)
        rc = sck_kek_failed(engine, kek->owner_id, rc, &why, err);
    if (rc == SCK_OK)
        rc = sck_kek_note_version(engine, kek, w.kek_version, err);
    if (rc == SCK_OK)
        rc = sck_buf_check(&blob, "wrapped DEK", err);
    if (rc == SCK_OK) {
        memcpy(w.blob, blob.data, blob.len);
        w.blob_len = blob.len;
        rc = sck_wrapped_encode(&w, wrapped, err);
    }
out:
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

enum sck_code
sck_dek_unwrap(struct sck_engine *engine, const struct sck_kek_rec *kek, const struct sck_context *ctx,
               const uint8_t *wrapped, size_t len, struct sck_secret **dek, struct sck_err *err)
{
    uint8_t hash[SCK_SHA256_LEN];
    struct sck_keeper *keeper = NULL;
    struct sck_secret *payload = NULL;
    struct sck_wrapped w;
    struct sck_kek_rec other = {0};
    struct sck_kek ref = sck_kek_from_rec(kek);
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_wrapped_decode(wrapped, len, &w, err);
    if (rc == SCK_OK && !sck_kek_fits(kek, &w)) {
        rc = sck_kek_find(engine, kek, &w, &other, err);
        ref = sck_kek_from_rec(&other);
    }
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, w.keeper, &keeper, err);
    if (rc == SCK_OK)
        rc = sck_context_hash(ctx, hash, err);
    if (rc == SCK_OK)
        rc = keeper->ops->unwrap(keeper, &ref, w.kek_version, w.blob, w.blob_len, &payload, &why);
    if (why.code != SCK_OK)
        rc = sck_kek_failed(engine, kek->owner_id, rc, &why, err);
    if (rc == SCK_OK)
        rc = sck_payload_decode(payload->data, payload->len, hash, dek, err);
    sck_record_clear(SCK_TABLE_KEKS, &other);
    sck_secret_free(&payload);
    return rc;
}

enum sck_code
sck_version_context(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_version_rec *version,
                    uint32_t generation, struct sck_context *ctx, struct sck_err *err)
{
    sck_context_init(ctx);
    ctx->generation = generation;
    ctx->purpose = key->protection == SCK_PROTECTION_ENVELOPE ? SCK_PURPOSE_ENVELOPE : SCK_PURPOSE_SEAL;
    ctx->created_s = version->created_s;
    memcpy(ctx->id, version->record_id, sizeof ctx->id);
    (void)strncpy(ctx->env, engine->conf->environment, sizeof ctx->env - 1);
    return sck_scope_make((enum sck_scope_kind)key->scope_kind, key->scope_id, strlen(key->scope_id), &ctx->scope,
                          err);
}

enum sck_code
sck_dek_fresh(struct sck_service *service, const struct sck_scope *owner_scope, struct sck_context *ctx,
              struct sck_secret **dek, struct sck_buf *wrapped, struct sck_owner_rec *owner, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_kek_rec kek = {0};
    struct sck_secret *fresh = NULL;
    enum sck_code rc = sck_wall_check(service, owner_scope, err);
    if (rc == SCK_OK)
        rc = sck_owner_get(engine, owner_scope, service->auto_provision, owner, &kek, err);
    if (rc != SCK_OK)
        return rc;
    ctx->generation = owner->generation;
    (void)strncpy(ctx->env, engine->conf->environment, sizeof ctx->env - 1);
    rc = sck_secret_new(SCK_DEK_LEN, &fresh, err);
    if (rc == SCK_OK)
        rc = sck_random(fresh->data, SCK_DEK_LEN, err);
    if (rc == SCK_OK)
        rc = sck_dek_wrap(engine, &kek, ctx, fresh, wrapped, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_OK)
        *dek = fresh;
    else
        sck_secret_free(&fresh);
    return rc;
}

enum sck_code
sck_dek_make(struct sck_service *service, const struct sck_scope *owner_scope, struct sck_context *ctx,
             struct sck_secret **dek, struct sck_buf *wrapped, int64_t *owner_id, struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    bool moved = true;
    enum sck_code rc = SCK_OK;
    const size_t before = wrapped->len;
    for (int i = 0; rc == SCK_OK && moved && i < SCK_KEK_TRIES; i++) {
        wrapped->len = before;
        rc = sck_dek_fresh(service, owner_scope, ctx, dek, wrapped, &owner, err);
        if (rc != SCK_OK)
            return rc;
        rc = sck_kek_hand_out(service->engine, &owner, &moved, err);
        if (rc != SCK_OK || moved)
            sck_secret_free(dek);
    }
    *owner_id = owner.id;
    return rc == SCK_OK && moved ? sck_kek_busy(err) : rc;
}

enum sck_code
sck_dek_open(struct sck_service *service, int64_t owner_id, struct sck_context *ctx, const uint8_t *wrapped,
             size_t wrapped_len, struct sck_secret **dek, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    enum sck_code rc = sck_owner_get_by_id(engine, owner_id, &owner, &kek, err);
    if (rc != SCK_OK)
        return rc;
    if (owner.kind != SCK_OWNER_FILES) {
        struct sck_scope scope;
        enum sck_scope_kind kind = owner.kind == SCK_OWNER_SUBJECT ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
        rc = sck_scope_make(kind, owner.ident, strlen(owner.ident), &scope, err);
        if (rc == SCK_OK)
            rc = sck_wall_check(service, &scope, err);
    }
    if (rc == SCK_OK) {
        ctx->generation = owner.generation;
        (void)strncpy(ctx->env, engine->conf->environment, sizeof ctx->env - 1);
        rc = sck_dek_unwrap(engine, &kek, ctx, wrapped, wrapped_len, dek, err);
    }
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}
