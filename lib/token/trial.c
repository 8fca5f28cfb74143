/* SPDX-License-Identifier: MIT */
#include "lib/token/trial.h"

#include "lib/base/crypto.h"
#include "lib/token/der.h"
#include "lib/token/key.h"
#include "lib/token/make.h"

#include <stdio.h>
#include <string.h>

CK_RV
sck_session_refresh(struct sck_use *use)
{
    CK_SLOT_ID slot = 0;
    (void)SCK_P11(&use->conn, C_CloseSession, use->session);
    pthread_mutex_lock(&use->token->lock);
    slot = use->token->slot;
    pthread_mutex_unlock(&use->token->lock);
    CK_RV rv = sck_session_open_raw(use->token, &use->conn, slot, &use->session);
    /* Without a session of our own there is nothing to give back but its place. */
    use->dirty = use->dirty || rv != CKR_OK;
    return rv;
}

static CK_RV
try_sign(struct sck_use *use, CK_MECHANISM_TYPE mechanism, uint8_t out[128], CK_ULONG *len)
{
    static const uint8_t in[32] = "scopekey: the first use of a key";
    CK_MECHANISM m = {mechanism, NULL, 0};
    *len = 128;
    CK_RV rv = SCK_P11(&use->conn, C_SignInit, use->session, &m, use->object);
    return rv == CKR_OK ? SCK_P11(&use->conn, C_Sign, use->session, sck_unconst(in), sizeof in, out, len) : rv;
}

static CK_RV
try_gcm(struct sck_use *use)
{
    static const uint8_t nonce[12] = {0}, plain[16] = "the first use...";
    uint8_t sealed[32], room[32];
    struct sck_gcm_args seal = {.seal = true, .nonce = nonce, .in = plain, .in_len = sizeof plain, .room = sealed,
                                .room_len = sizeof sealed, .out_len = sizeof sealed};
    struct sck_gcm_args open = {.nonce = nonce, .in = sealed, .in_len = sizeof sealed, .room = room,
                                .room_len = sizeof room, .out_len = sizeof plain};
    CK_RV rv = sck_gcm_op(use, &seal);
    if (rv == CKR_OK)
        rv = sck_gcm_op(use, &open);
    return rv == CKR_OK && (open.bad_tag || memcmp(room, plain, sizeof plain) != 0) ? CKR_GENERAL_ERROR : rv;
}

static enum sck_alg
smallest(enum sck_family family)
{
    switch (family) {
    case SCK_FAMILY_AES:
        return SCK_ALG_AES_256;
    case SCK_FAMILY_SECRET:
        return SCK_ALG_HMAC_SHA256;
    case SCK_FAMILY_RSA:
        return SCK_ALG_RSA_2048;
    case SCK_FAMILY_EC:
        return SCK_ALG_EC_P256;
    case SCK_FAMILY_EDWARDS:
        return SCK_ALG_ED25519;
    }
    return SCK_ALG_AES_256;
}

static CK_RV
unborn_of(struct sck_use *use, const struct sck_kind *kind, struct sck_trial *trial, CK_OBJECT_HANDLE *out)
{
    CK_RV rv = CKR_OK;
    if (trial->unborn[kind->family] == CK_INVALID_HANDLE) {
        const struct sck_maker *maker = sck_maker_of(smallest(kind->family));
        bool pair = kind->class == CKO_PRIVATE_KEY;
        struct sck_template unborn, public_t;
        CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
        sck_template_unborn(&unborn, kind);
        if (pair)
            sck_template_public(&public_t, maker, kind->key_type, false);
        rv = sck_generate(use, maker, pair ? &public_t : NULL, &unborn, &public, &trial->unborn[kind->family]);
        if (public != CK_INVALID_HANDLE)
            (void)SCK_P11(&use->conn, C_DestroyObject, use->session, public);
    }
    *out = trial->unborn[kind->family];
    return rv;
}

static CK_RV
try_master(struct sck_use *use, const struct sck_kind *kind, CK_MECHANISM_TYPE mechanism, struct sck_trial *trial)
{
    struct sck_buf blob;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE, back = CK_INVALID_HANDLE;
    sck_buf_init(&blob, SCK_BLOB_MAX);
    CK_RV rv = unborn_of(use, kind, trial, &key);
    if (rv == CKR_OK)
        rv = sck_wrap(use, use->object, mechanism, key, &blob);
    if (rv == CKR_OK)
        rv = sck_unwrap(use, kind, use->object, mechanism, blob.data, blob.len, &back);
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_DestroyObject, use->session, back);
    sck_buf_clear(&blob);
    return rv;
}

static CK_RV
find_own(struct sck_use *use, const struct sck_own_spec *spec, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out)
{
    struct sck_template t;
    char label[128];
    CK_ULONG found = 0;
    (void)snprintf(label, sizeof label, "%s%s", use->token->prefix, spec->name);
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, class);
    sck_template_bytes(&t, CKA_LABEL, label, strlen(label));
    sck_template_bytes(&t, CKA_ID, use->token->conf.setup_id, sizeof use->token->conf.setup_id);
    CK_RV rv = sck_find(&use->conn, use->session, &t, out, 1, &found);
    return rv == CKR_OK && found == 0 ? CKR_OBJECT_HANDLE_INVALID : rv;
}

/* The signature must verify under the public half that is on the token: it is the one that gets exported. */
static CK_RV
try_pair(struct sck_use *use, const struct sck_own_spec *spec)
{
    uint8_t raw[128], der[160];
    CK_ULONG len = 0;
    CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
    struct sck_buf spki;
    static const uint8_t message[] = "scopekey: the first use of a pair";
    uint8_t digest[SCK_SHA256_LEN];
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    sck_buf_init(&spki, 256);
    CK_RV rv = sck_sha256(message, sizeof message, digest, NULL) == SCK_OK ? CKR_OK : CKR_HOST_MEMORY;
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_SignInit, use->session, &m, use->object);
    len = sizeof raw;
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_Sign, use->session, digest, sizeof digest, raw, &len);
    if (rv == CKR_OK)
        rv = find_own(use, spec, CKO_PUBLIC_KEY, &public);
    if (rv == CKR_OK)
        rv = sck_read_spki(use, sck_maker_of(SCK_ALG_EC_P256), CKK_EC, public, &spki);
    if (rv == CKR_OK) {
        size_t der_len = sck_der_ecdsa(raw, len, der, sizeof der);
        if (sck_ecdsa_verify(spki.data, spki.len, message, sizeof message, der, der_len, NULL) != SCK_OK)
            rv = CKR_SIGNATURE_INVALID;
    }
    sck_buf_clear(&spki);
    return rv;
}

enum sck_code
sck_trial_own(struct sck_use *use, const struct sck_own_spec *spec, CK_MECHANISM_TYPE mechanism,
              struct sck_trial *trial, struct sck_err *err)
{
    uint8_t out[128];
    CK_ULONG len = 0;
    CK_RV rv = find_own(use, spec, spec->role == SCK_OWN_PAIR ? CKO_PRIVATE_KEY : CKO_SECRET_KEY, &use->object);
    if (rv == CKR_OK) {
        switch (spec->role) {
        case SCK_OWN_HMAC:
            rv = try_sign(use, CKM_SHA256_HMAC, out, &len);
            break;
        case SCK_OWN_EPOCH:
            rv = try_gcm(use);
            break;
        case SCK_OWN_PAIR:
            rv = try_pair(use, spec);
            break;
        case SCK_OWN_MASTER:
            rv = try_master(use, spec->kind, mechanism, trial);
            break;
        }
    }
    return rv == CKR_OK ? SCK_OK
                        : sck_fail_rv_as(err, SCK_E_TOKEN, rv, "first use of own key %s on token %s", spec->name,
                                         use->token->conf.label);
}

void
sck_trial_end(struct sck_use *use, struct sck_trial *trial)
{
    for (size_t i = 0; i <= SCK_FAMILY_EDWARDS; i++) {
        if (trial->unborn[i] != CK_INVALID_HANDLE)
            (void)SCK_P11(&use->conn, C_DestroyObject, use->session, trial->unborn[i]);
        trial->unborn[i] = CK_INVALID_HANDLE;
    }
}
