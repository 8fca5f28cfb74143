/* SPDX-License-Identifier: MIT */
/*
 * AES-256-GCM with open keys.
 *
 * Nonces are random 96-bit values.  SP 800-38D section 8.3 limits random nonces to 2^32 messages under one key, counted
 * over all processes and restarts: each process reserves its next 2^16 by a committed update before it uses the first,
 * so a crash wastes reservations and never repeats them.
 */
#include "lib/service/use.h"

#include "lib/base/log.h"

#include <string.h>

#define RESERVE_STEP (INT64_C(1) << 16)
#define MESSAGES_WARN (INT64_C(1) << 31)
#define MESSAGES_MAX (INT64_C(1) << 32)

static enum sck_code
reserve(struct sck_ukey *key, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_version_rec v = {.version = key->info.version};
    memcpy(v.key, key->info.id, sizeof v.key);
    enum sck_code rc = sck_engine_catalog(key->engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(catalog, SCK_BY_VERSION, &v, err);
    if (rc == SCK_OK && v.gcm_reserved > MESSAGES_MAX - RESERVE_STEP)
        rc = sck_fail(err, SCK_E_STATE, "key %s has sealed 2^32 messages, the limit of GCM: rotate it (key rotate)",
                      key->info.key_id);
    if (rc == SCK_OK) {
        v.gcm_reserved += RESERVE_STEP;
        rc = sck_catalog_update(catalog, SCK_TABLE_VERSIONS, &v, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    if (rc == SCK_OK && v.gcm_reserved >= MESSAGES_WARN)
        sck_log(SCK_LOG_WARNING, "service.gcm", "key %s has used half of its 2^32 messages: rotate it soon",
                key->info.key_id);
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
    return rc;
}

/* Count one message.  Several threads may reserve at once; that wastes a few numbers and nothing else. */
static enum sck_code
take_message(struct sck_ukey *key, struct sck_err *err)
{
    int64_t left = atomic_load(&key->reserved_left);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&key->reserved_left, &left, left - 1))
            return SCK_OK;
    }
    enum sck_code rc = reserve(key, err);
    if (rc == SCK_OK)
        atomic_fetch_add(&key->reserved_left, RESERVE_STEP - 1);
    return rc;
}

static enum sck_code
check_usage(const struct sck_ukey *key, enum sck_usage usage, struct sck_err *err)
{
    if (key->info.usage == usage)
        return SCK_OK;
    if (usage == SCK_USAGE_GCM && key->info.usage == SCK_USAGE_GCM_CALLER_IV)
        return sck_fail(err, SCK_E_STATE, "key %s has usage gcm-caller-iv: the nonce must be given", key->info.key_id);
    if (usage == SCK_USAGE_GCM_CALLER_IV && key->info.usage == SCK_USAGE_GCM)
        return sck_fail(err, SCK_E_STATE, "key %s has usage gcm: its nonces are made here, none may be given",
                        key->info.key_id);
    return sck_fail(err, SCK_E_STATE, "key %s has usage %s, not %s", key->info.key_id,
                    sck_usage_name(key->info.usage), sck_usage_name(usage));
}

static enum sck_code
seal(struct sck_ukey *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *plain,
     size_t len, uint8_t *out, struct sck_err *err)
{
    struct sck_dek_box *box = NULL;
    if (key->info.protection != SCK_PROTECTION_ENVELOPE)
        return sck_tkey_gcm_seal(key->tkey, nonce, aad, aad_len, plain, len, out, err);
    enum sck_code rc = sck_ukey_box(key, &box, err);
    if (rc == SCK_OK)
        rc = sck_gcm_seal(box->dek->data, nonce, aad, aad_len, plain, len, out, err);
    sck_dek_box_unref(&box);
    return rc;
}

enum sck_code
sck_ukey_gcm_seal(struct sck_ukey *key, uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *plain,
                  size_t len, uint8_t *out, struct sck_err *err)
{
    enum sck_code rc = sck_ukey_check(key, true, err);
    if (rc == SCK_OK)
        rc = check_usage(key, SCK_USAGE_GCM, err);
    if (rc == SCK_OK)
        rc = take_message(key, err);
    if (rc == SCK_OK)
        rc = sck_random(nonce, SCK_GCM_NONCE_LEN, err);
    return rc == SCK_OK ? seal(key, nonce, aad, aad_len, plain, len, out, err) : rc;
}

enum sck_code
sck_ukey_gcm_seal_iv(struct sck_ukey *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                     const uint8_t *plain, size_t len, uint8_t *out, struct sck_err *err)
{
    enum sck_code rc = sck_ukey_check(key, true, err);
    if (rc == SCK_OK)
        rc = check_usage(key, SCK_USAGE_GCM_CALLER_IV, err);
    return rc == SCK_OK ? seal(key, nonce, aad, aad_len, plain, len, out, err) : rc;
}

enum sck_code
sck_ukey_gcm_open(struct sck_ukey *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *sealed, size_t len, uint8_t *out, struct sck_err *err)
{
    enum sck_code rc = sck_ukey_check(key, false, err);
    if (rc == SCK_OK && key->info.usage != SCK_USAGE_GCM)
        rc = check_usage(key, SCK_USAGE_GCM_CALLER_IV, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_dek_box *box = NULL;
    if (key->info.protection != SCK_PROTECTION_ENVELOPE)
        return sck_tkey_gcm_open(key->tkey, nonce, aad, aad_len, sealed, len, out, err);
    rc = sck_ukey_box(key, &box, err);
    if (rc == SCK_OK)
        rc = sck_gcm_open(box->dek->data, nonce, aad, aad_len, sealed, len, out, err);
    sck_dek_box_unref(&box);
    return rc;
}
