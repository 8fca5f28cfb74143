/* SPDX-License-Identifier: MIT */
/* Open keys: taken through all layers once, cached by id and version, and checked against erasure at each use. */
#include "lib/service/use.h"

#include "lib/service/key.h"

#include <stdlib.h>
#include <string.h>

struct sck_ukey *
sck_ukey_ref(struct sck_ukey *key)
{
    atomic_fetch_add(&key->refs, 1);
    return key;
}

void
sck_ukey_unref(struct sck_ukey **key)
{
    struct sck_ukey *k = *key;
    *key = NULL;
    if (k == NULL || atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    sck_tkey_unref(&k->tkey);
    sck_dek_box_unref(&k->box);
    free(k);
}

void
sck_dek_box_unref(struct sck_dek_box **box)
{
    struct sck_dek_box *b = *box;
    *box = NULL;
    if (b == NULL || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    sck_secret_free(&b->dek);
    free(b);
}

const struct sck_key_info *
sck_ukey_info(const struct sck_ukey *key)
{
    return &key->info;
}

/* ---- opening ---- */

/* Layer 4 and 3: the DEK of a version, by its owner's KEK. */
static enum sck_code
open_dek(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_version_rec *version,
         struct sck_context *ctx, struct sck_secret **dek, struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_owner_get_by_id(engine, key->owner_id, &owner, &kek, &look);
    if (rc == SCK_E_ERASED)
        return sck_fail(err, rc, "key %s was erased", key->key_id);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_version_context(engine, key, version, owner.generation, ctx, err);
    if (rc == SCK_OK)
        rc = sck_dek_unwrap(engine, &kek, ctx, version->wrapped_dek.data, version->wrapped_dek.len, dek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}

/* Layer 2 and 1: the sealed blob, opened by the DEK and unwrapped by the token. */
static enum sck_code
open_wrapped(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_version_rec *version,
             struct sck_ukey *k, struct sck_err *err)
{
    struct sck_context ctx;
    struct sck_secret *dek = NULL;
    struct sck_secret *layer1 = NULL;
    struct sck_buf aad;
    sck_context_init(&ctx);
    sck_buf_init(&aad, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = open_dek(engine, key, version, &ctx, &dek, err);
    if (rc == SCK_OK && key->protection == SCK_PROTECTION_ENVELOPE) {
        k->box = calloc(1, sizeof *k->box);
        if (k->box == NULL) {
            rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
            goto out;
        }
        atomic_init(&k->box->refs, 1);
        k->box->dek = dek;
        dek = NULL;
        k->box->until_us = sck_monotonic_us(engine->clock) + engine->conf->envelope_ttl_s * 1000000;
        goto out;
    }
    if (rc == SCK_OK)
        rc = sck_context_encode(&ctx, &aad, err);
    if (rc == SCK_OK)
        rc = sck_seal_open(dek, aad.data, aad.len, version->sealed.data, version->sealed.len, &layer1, err);
    if (rc == SCK_OK)
        rc = sck_tkey_load(engine->token, (enum sck_alg)key->alg, (enum sck_usage)key->usage,
                           (enum sck_origin)key->origin, layer1->data, layer1->len, &k->tkey, err);
out:
    sck_secret_free(&layer1);
    sck_secret_free(&dek);
    sck_context_clear(&ctx);
    sck_buf_clear(&aad);
    return rc;
}

static enum sck_code
open_material(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_version_rec *version,
              struct sck_ukey *k, struct sck_err *err)
{
    uint8_t id[16];
    if (key->residence != SCK_RESIDENT)
        return open_wrapped(engine, key, version, k, err);
    enum sck_code rc = sck_resident_id(key->id, version->version, id, err);
    if (rc == SCK_OK)
        rc = sck_tkey_find(engine->token, (enum sck_alg)key->alg, (enum sck_usage)key->usage, id, &k->tkey, err);
    return rc;
}

enum sck_code
sck_key_state_check(const struct sck_key_rec *key, int64_t now_s, bool making, struct sck_err *err)
{
    if (key->state != SCK_KEY_ENABLED)
        return sck_fail(err, SCK_E_STATE, "key %s is disabled: `scopekey key enable` allows it again", key->key_id);
    /* An expired key still opens what was made with it; it makes nothing new. */
    if (making && key->expires_s != 0 && key->expires_s <= now_s)
        return sck_fail(err, SCK_E_STATE, "key %s has expired: rotate it or make a new one", key->key_id);
    return SCK_OK;
}

/* Read the rows anew, with their MACs, and open the key. */
static enum sck_code
open_fresh(struct sck_engine *engine, const struct sck_key_info *info, struct sck_ukey **out, struct sck_err *err)
{
    struct sck_key_rec key = {0};
    struct sck_version_rec version = {0};
    struct sck_err look = SCK_ERR_INIT;
    struct sck_ukey *k = calloc(1, sizeof *k);
    if (k == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    atomic_init(&k->refs, 1);
    k->engine = engine;
    uint64_t epoch = 0;
    bool mapped = sck_epoch_read(engine, &epoch);
    memcpy(key.id, info->id, sizeof key.id);
    enum sck_code rc = sck_read_key(engine, SCK_BY_KEY_UUID, &key, &look);
    if (rc == SCK_OK)
        rc = sck_read_version(engine, info->id, info->version, &version, &look);
    if (rc == SCK_E_NOT_FOUND)
        rc = sck_explain_missing_id(engine, info->key_id, err);
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
    if (rc == SCK_OK)
        rc = sck_key_state_check(&key, 0, false, err);
    if (rc == SCK_OK)
        rc = open_material(engine, &key, &version, k, err);
    if (rc == SCK_OK)
        rc = sck_info_fill(&key, &version, &k->info, err);
    if (rc == SCK_OK) {
        k->owner_id = key.owner_id;
        atomic_init(&k->epoch_seen, mapped ? epoch : UINT64_MAX);
        *out = k;
    } else {
        sck_ukey_unref(&k);
    }
    sck_record_clear(SCK_TABLE_KEYS, &key);
    sck_record_clear(SCK_TABLE_VERSIONS, &version);
    return rc;
}

enum sck_code
sck_ukey_box(struct sck_ukey *key, struct sck_dek_box **out, struct sck_err *err)
{
    struct sck_engine *engine = key->engine;
    struct sck_ukey *fresh = NULL;
    int64_t now = sck_monotonic_us(engine->clock);
    pthread_mutex_lock(&engine->lock);
    *out = key->box != NULL && now < key->box->until_us ? key->box : NULL;
    if (*out != NULL)
        atomic_fetch_add(&(*out)->refs, 1);
    pthread_mutex_unlock(&engine->lock);
    if (*out != NULL)
        return SCK_OK;
    enum sck_code rc = open_fresh(engine, &key->info, &fresh, err);
    if (rc != SCK_OK)
        return rc;
    *out = fresh->box;
    atomic_fetch_add(&(*out)->refs, 1);
    pthread_mutex_lock(&engine->lock);
    struct sck_dek_box *old = key->box;
    key->box = fresh->box;
    pthread_mutex_unlock(&engine->lock);
    fresh->box = old;
    sck_ukey_unref(&fresh);
    return SCK_OK;
}

enum sck_code
sck_ukey_open(struct sck_service *service, const struct sck_key_info *info, struct sck_ukey **out,
              struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    *out = NULL;
    enum sck_code rc = sck_wall_check(service, &info->scope, err);
    if (rc != SCK_OK)
        return rc;
    sck_ukey_cache_age(engine);
    struct sck_ukey *k = sck_ukey_cache_take(engine, info->id, info->version);
    if (k != NULL) {
        rc = sck_ukey_check(k, false, err);
        if (rc == SCK_OK)
            *out = k;
        else
            sck_ukey_unref(&k);
        return rc;
    }
    rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = open_fresh(engine, info, &k, err);
    if (rc == SCK_OK) {
        sck_ukey_cache_put(engine, &k);
        *out = k;
    }
    return rc;
}

/* Look into the catalog again: something was erased, destroyed, disabled or rotated since. */
static enum sck_code
recheck(struct sck_ukey *key, struct sck_err *err)
{
    struct sck_engine *engine = key->engine;
    struct sck_key_rec row = {0};
    struct sck_version_rec version = {0};
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(row.id, key->info.id, sizeof row.id);
    enum sck_code rc = sck_read_key(engine, SCK_BY_KEY_UUID, &row, &look);
    if (rc == SCK_OK)
        rc = sck_read_version(engine, key->info.id, key->info.version, &version, &look);
    if (rc == SCK_E_NOT_FOUND)
        rc = sck_explain_missing_id(engine, key->info.key_id, err);
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
    if (rc == SCK_OK && row.owner_id != 0) {
        rc = sck_owner_get_by_id(engine, row.owner_id, &owner, &kek, &look);
        if (rc == SCK_E_ERASED)
            rc = sck_fail(err, rc, "key %s was erased", key->info.key_id);
        else if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", look.message);
    }
    if (rc == SCK_OK)
        rc = sck_key_state_check(&row, 0, false, err);
    if (rc == SCK_OK)
        atomic_store(&key->retired, version.state != SCK_VERSION_ACTIVE);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    sck_record_clear(SCK_TABLE_KEYS, &row);
    sck_record_clear(SCK_TABLE_VERSIONS, &version);
    if (rc != SCK_OK)
        sck_ukey_cache_discard(engine, key);
    return rc;
}

enum sck_code
sck_ukey_check(struct sck_ukey *key, bool making, struct sck_err *err)
{
    uint64_t now = 0;
    bool mapped = sck_epoch_read(key->engine, &now);
    if (!mapped || atomic_load(&key->epoch_seen) != now) {
        enum sck_code rc = recheck(key, err);
        if (rc != SCK_OK)
            return rc;
        atomic_store(&key->epoch_seen, now);
    }
    if (!making)
        return SCK_OK;
    if (!key->info.version_active || atomic_load(&key->retired))
        return sck_fail(err, SCK_E_STATE, "version %u of key %s is retired: it opens, but makes nothing new",
                        (unsigned)key->info.version, key->info.key_id);
    if (key->info.expires_s != 0 && key->info.expires_s <= sck_now_s(key->engine->clock))
        return sck_fail(err, SCK_E_STATE, "key %s has expired: rotate it or make a new one", key->info.key_id);
    return SCK_OK;
}

/* ---- use ---- */

enum sck_code
sck_ukey_sign(struct sck_ukey *key, enum sck_sign_mech mech, const struct sck_pss *pss, const uint8_t *in,
              size_t in_len, uint8_t *out, size_t out_cap, size_t *out_len, struct sck_err *err)
{
    enum sck_code rc = sck_ukey_check(key, true, err);
    if (rc == SCK_OK && key->tkey == NULL)
        rc = sck_fail(err, SCK_E_STATE, "key %s cannot sign: its usage is %s", key->info.key_id,
                      sck_usage_name(key->info.usage));
    return rc == SCK_OK ? sck_tkey_sign(key->tkey, mech, pss, in, in_len, out, out_cap, out_len, err) : rc;
}

enum sck_code
sck_ukey_rsa_decrypt(struct sck_ukey *key, enum sck_rsa_padding padding, const struct sck_oaep *oaep,
                     const uint8_t *in, size_t in_len, struct sck_secret **out, struct sck_err *err)
{
    enum sck_code rc = sck_ukey_check(key, false, err);
    if (rc == SCK_OK && key->tkey == NULL)
        rc = sck_fail(err, SCK_E_STATE, "key %s cannot decrypt: its usage is %s", key->info.key_id,
                      sck_usage_name(key->info.usage));
    return rc == SCK_OK ? sck_tkey_rsa_decrypt(key->tkey, padding, oaep, in, in_len, out, err) : rc;
}
