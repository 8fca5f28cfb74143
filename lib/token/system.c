/* SPDX-License-Identifier: MIT */
/* Own keys in use: HMAC, signatures, epochs and KEK records. */
#include "lib/token/key.h"
#include "lib/token/make.h"
#include "lib/token/own.h"

#include "lib/base/crypto.h"
#include "lib/token/der.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HMAC_MAX = 16 * 1024 * 1024 };

struct mac_args {
    CK_MECHANISM_TYPE mechanism;
    const void *data;
    size_t len;
    uint8_t out[128];
    CK_ULONG out_len;
};

static CK_RV
mac_op(struct sck_use *use, void *arg)
{
    struct mac_args *a = arg;
    CK_MECHANISM m = {a->mechanism, NULL, 0};
    a->out_len = sizeof a->out;
    CK_RV rv = SCK_P11(&use->conn, C_SignInit, use->session, &m, use->object);
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_Sign, use->session, sck_unconst(a->data), (CK_ULONG)a->len, a->out, &a->out_len);
    return rv;
}

/* NULL when the key is of another role. */
static const char *
name_of(enum sck_system_key which, bool pair)
{
    switch (which) {
    case SCK_SYS_MAC:
        return pair ? NULL : "mac";
    case SCK_SYS_NAME:
        return pair ? NULL : "name";
    case SCK_SYS_AUDIT:
        return pair ? NULL : "audit";
    case SCK_SYS_CATALOG:
        return pair ? "catalog" : NULL;
    case SCK_SYS_RECEIPT:
        return pair ? "receipt" : NULL;
    }
    return NULL;
}

enum sck_code
sck_token_hmac(struct sck_token *token, enum sck_system_key which, const void *data, size_t len, uint8_t out[32],
               struct sck_err *err)
{
    const char *name = name_of(which, false);
    struct mac_args a = {.mechanism = CKM_SHA256_HMAC, .data = len == 0 ? "" : data, .len = len};
    if (name == NULL || len > HMAC_MAX)
        return sck_fail(err, SCK_E_USAGE, "HMAC inside the token: no such key, or more than %d bytes", HMAC_MAX);
    enum sck_code rc = sck_own_run(token, name, mac_op, &a, "HMAC inside the token", err);
    if (rc == SCK_OK && a.out_len != SCK_SHA256_LEN)
        rc = sck_fail(err, SCK_E_TOKEN, "HMAC inside the token gave %lu bytes", a.out_len);
    if (rc == SCK_OK)
        memcpy(out, a.out, SCK_SHA256_LEN);
    return rc;
}

enum sck_code
sck_token_system_sign(struct sck_token *token, enum sck_system_key which, const void *data, size_t len,
                      struct sck_buf *sig, struct sck_err *err)
{
    const char *name = name_of(which, true);
    uint8_t digest[SCK_SHA256_LEN], der[160];
    struct mac_args a = {.mechanism = CKM_ECDSA, .data = digest, .len = sizeof digest};
    if (name == NULL)
        return sck_fail(err, SCK_E_USAGE, "this own key cannot sign");
    enum sck_code rc = sck_sha256(data, len, digest, err);
    if (rc == SCK_OK)
        rc = sck_own_run(token, name, mac_op, &a, "signing with an own key", err);
    if (rc != SCK_OK)
        return rc;
    size_t der_len = sck_der_ecdsa(a.out, a.out_len, der, sizeof der);
    if (der_len == 0)
        return sck_fail(err, SCK_E_TOKEN, "a P-256 signature of %lu bytes came from the token", a.out_len);
    sck_buf_put(sig, der, der_len);
    return sck_buf_check(sig, "a signature", err);
}

struct public_args {
    const char *name;
    struct sck_buf *spki;
    enum sck_code rc;
    struct sck_err *err;
};

static CK_RV
public_op(struct sck_use *use, void *arg)
{
    struct public_args *a = arg;
    CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
    a->rc = sck_own_get(use->token, use, a->name, CKO_PUBLIC_KEY, &public, NULL, a->err);
    if (a->rc != SCK_OK)
        return CKR_OK;
    return sck_read_spki(use, sck_maker_of(SCK_ALG_EC_P256), CKK_EC, public, a->spki);
}

enum sck_code
sck_token_system_public(struct sck_token *token, enum sck_system_key which, struct sck_buf *spki, struct sck_err *err)
{
    struct public_args a = {name_of(which, true), spki, SCK_OK, err};
    if (a.name == NULL)
        return sck_fail(err, SCK_E_USAGE, "this own key has no public half");
    enum sck_code rc = sck_token_run(token, SCK_NEED_KEYS, false, public_op, &a, "reading an own public key", err);
    if (rc == SCK_OK)
        rc = a.rc;
    return rc == SCK_OK ? sck_buf_check(spki, "a public key", err) : rc;
}

/* ---- epochs and KEK records ---- */

enum sck_code
sck_token_epoch(struct sck_token *token, uint32_t *epoch, struct sck_err *err)
{
    enum sck_code rc = sck_token_open(token, SCK_NEED_KEYS, err);
    *epoch = 0;
    if (rc != SCK_OK)
        return rc;
    pthread_mutex_lock(&token->lock);
    for (unsigned i = 0; i < token->object_count; i++) {
        uint32_t n = sck_epoch_number(token->objects[i].name);
        *epoch = n > *epoch ? n : *epoch;
    }
    pthread_mutex_unlock(&token->lock);
    return *epoch > 0 ? SCK_OK
                      : sck_fail(err, SCK_E_CONFIG,
                                 "no epoch key is on token %s: run `scopekey init`, or restore the token",
                                 token->conf.label);
}

struct epoch_args {
    struct sck_token *token;
    char name[40];
};

static enum sck_code
run_with_epoch(void *arg, struct sck_gcm_args *a, struct sck_err *err)
{
    struct epoch_args *e = arg;
    return sck_own_run(e->token, e->name, sck_gcm_op, a, "opening or sealing a KEK record", err);
}

/* The epoch key of a record must be there; another process may have made a newer one since we looked. */
static enum sck_code
check_epoch(struct sck_token *token, uint32_t epoch, const char *name, struct sck_err *err)
{
    uint32_t newest = 0;
    bool found = false;
    for (int look = 0; look < 2 && !found; look++) {
        enum sck_code rc = sck_token_epoch(token, &newest, err);
        if (rc != SCK_OK)
            return rc;
        pthread_mutex_lock(&token->lock);
        for (unsigned i = 0; i < token->object_count; i++)
            found = found || strcmp(token->objects[i].name, name) == 0;
        if (!found && epoch > newest && token->state == SCK_TOKEN_OPEN)
            token->bare = true;
        pthread_mutex_unlock(&token->lock);
        if (epoch <= newest)
            break;
    }
    if (found)
        return SCK_OK;
    if (epoch > newest)
        return sck_fail(err, SCK_E_CONFIG,
                        "a KEK record is of epoch %u but the newest on token %s is %u: the token was set back; restore "
                        "its newest state",
                        epoch, token->conf.label, newest);
    return sck_fail(err, SCK_E_ERASED, "the KEK record is of epoch %u, whose key was destroyed", epoch);
}

/* Append u32 epoch ‖ nonce ‖ ciphertext ‖ tag of a layer-1 blob. */
static enum sck_code
seal_record(struct sck_token *token, uint32_t epoch, const void *aad, size_t aad_len, const uint8_t *blob, size_t len,
            struct sck_buf *record, struct sck_err *err)
{
    struct epoch_args e = {.token = token};
    uint8_t nonce[SCK_GCM_NONCE_LEN], sealed[256];
    (void)snprintf(e.name, sizeof e.name, "epoch/%u", epoch);
    if (len > sizeof sealed - SCK_GCM_TAG_LEN)
        return sck_fail(err, SCK_E_TOKEN, "a wrapped KEK of %zu bytes came from the token", len);
    enum sck_code rc = check_epoch(token, epoch, e.name, err);
    if (rc == SCK_OK)
        rc = sck_random(nonce, sizeof nonce, err);
    if (rc == SCK_OK) {
        struct sck_gcm_args a = {.seal = true, .nonce = nonce, .aad = aad, .aad_len = aad_len, .in = blob,
                                 .in_len = len, .out = sealed, .out_len = len + SCK_GCM_TAG_LEN};
        rc = sck_gcm_run(&a, run_with_epoch, &e, err);
    }
    if (rc == SCK_OK) {
        sck_buf_put_u32(record, epoch);
        sck_buf_put(record, nonce, sizeof nonce);
        sck_buf_put(record, sealed, len + SCK_GCM_TAG_LEN);
        rc = sck_buf_check(record, "a KEK record", err);
    }
    return rc;
}

enum sck_code
sck_token_kek_make(struct sck_token *token, const void *aad, size_t aad_len, struct sck_buf *record,
                   struct sck_err *err)
{
    struct sck_buf blob;
    uint32_t epoch = atomic_load(&token->epoch_in_use);
    sck_buf_init(&blob, 128);
    enum sck_code rc = epoch == 0 ? sck_token_epoch(token, &epoch, err) : SCK_OK;
    if (rc == SCK_OK)
        rc = sck_token_generate(token, SCK_ALG_AES_256, SCK_USAGE_KEK, &blob, NULL, err);
    if (rc == SCK_OK)
        rc = seal_record(token, epoch, aad, aad_len, blob.data, blob.len, record, err);
    sck_buf_clear(&blob);
    return rc;
}

/* The layer-1 blob of a record, which the caller wipes. */
static enum sck_code
open_record(struct sck_token *token, const void *aad, size_t aad_len, const uint8_t *record, size_t record_len,
            uint8_t blob[256], size_t *blob_len, struct sck_err *err)
{
    struct sck_reader r = sck_reader_from(record, record_len);
    struct epoch_args e = {.token = token};
    struct sck_err local = SCK_ERR_INIT;
    uint32_t epoch = sck_read_u32(&r);
    const uint8_t *nonce = sck_read(&r, SCK_GCM_NONCE_LEN);
    size_t sealed_len = r.left;
    if (r.failed || epoch == 0 || sealed_len < 24 + SCK_GCM_TAG_LEN || sealed_len > 256)
        return sck_fail(err, SCK_E_INTEGRITY, "a KEK record of %zu bytes: the record was changed", record_len);
    const uint8_t *sealed = sck_read(&r, sealed_len);
    (void)snprintf(e.name, sizeof e.name, "epoch/%u", epoch);
    enum sck_code rc = check_epoch(token, epoch, e.name, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_gcm_args a = {.seal = false, .nonce = nonce, .aad = aad, .aad_len = aad_len, .in = sealed,
                             .in_len = sealed_len, .out = blob, .out_len = sealed_len - SCK_GCM_TAG_LEN};
    rc = sck_gcm_run(&a, run_with_epoch, &e, &local);
    if (rc == SCK_E_AUTHENTIC)
        return sck_fail(err, SCK_E_INTEGRITY, "a KEK record does not open: it was changed or belongs to another name");
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = local;
    *blob_len = a.out_len;
    return rc;
}

enum sck_code
sck_token_kek_load(struct sck_token *token, const void *aad, size_t aad_len, const uint8_t *record, size_t record_len,
                   struct sck_tkey **out, struct sck_err *err)
{
    uint8_t blob[256];
    size_t blob_len = 0;
    *out = NULL;
    enum sck_code rc = open_record(token, aad, aad_len, record, record_len, blob, &blob_len, err);
    if (rc == SCK_OK)
        rc = sck_tkey_load(token, SCK_ALG_AES_256, SCK_USAGE_KEK, SCK_ORIGIN_GENERATED, blob, blob_len, out, err);
    sck_wipe(blob, sizeof blob);
    return rc;
}

enum sck_code
sck_token_kek_reseal(struct sck_token *token, uint32_t epoch, const void *aad, size_t aad_len, const uint8_t *record,
                     size_t record_len, struct sck_buf *fresh, struct sck_err *err)
{
    uint8_t blob[256];
    size_t blob_len = 0;
    enum sck_code rc = open_record(token, aad, aad_len, record, record_len, blob, &blob_len, err);
    if (rc == SCK_OK)
        rc = seal_record(token, epoch, aad, aad_len, blob, blob_len, fresh, err);
    sck_wipe(blob, sizeof blob);
    return rc;
}

uint32_t
sck_token_kek_epoch(const uint8_t *record, size_t len)
{
    struct sck_reader r = sck_reader_from(record, len);
    uint32_t epoch = sck_read_u32(&r);
    return r.failed ? 0 : epoch;
}
