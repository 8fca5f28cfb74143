/* SPDX-License-Identifier: MIT */
/* Decryption, by the key in the token. */
#include "pkcs11/cipher.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"

#include <string.h>

static CK_RV
decrypt_init(struct sck_p11_call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (call->session->decrypt != NULL)
        return CKR_OPERATION_ACTIVE;
    const struct sck_p11_mech *mech;
    struct sck_key_info info;
    CK_RV rv = sck_p11_mech_get(mechanism, CKF_DECRYPT, &mech);
    if (rv == CKR_OK)
        rv = sck_p11_key_get(call, key, mech, CKF_DECRYPT, &info);
    struct sck_p11_cipher *c = NULL;
    if (rv == CKR_OK)
        rv = sck_p11_cipher_new(mech, mechanism, false, &info, &c);
    if (rv != CKR_OK)
        return rv;
    enum sck_code code = sck_ukey_open(call->app->service, &info, &c->key, &call->err);
    if (code == SCK_OK)
        call->session->decrypt = c;
    else
        sck_p11_cipher_free(&c);
    return sck_p11_rv(code, SCK_P11_KEY, &call->err);
}

static enum sck_code
gcm_with(struct sck_ukey *key, const struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out,
         struct sck_err *err)
{
    static const uint8_t nothing[1];
    uint8_t spare[1];
    return sck_ukey_gcm_open(key, c->nonce, c->aad.len != 0 ? c->aad.data : nothing, c->aad.len, in.data, in.len,
                             out != NULL ? out : spare, err);
}

static enum sck_code
rsa_with(struct sck_ukey *key, const struct sck_p11_cipher *c, struct sck_bytes in, struct sck_secret **plain,
         struct sck_err *err)
{
    bool oaep = c->mech->kind == SCK_P11_RSA_OAEP;
    return sck_ukey_rsa_decrypt(key, oaep ? SCK_RSA_OAEP : SCK_RSA_PKCS1, oaep ? &c->oaep : NULL, in.data, in.len,
                                plain, err);
}

static enum sck_code
with(struct sck_ukey *key, const struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out,
     struct sck_secret **plain, struct sck_err *err)
{
    return c->mech->kind == SCK_P11_GCM ? gcm_with(key, c, in, out, err) : rsa_with(key, c, in, plain, err);
}

/* What an older version of the key says; a version that is gone or does not open says nothing. */
static enum sck_code
with_version(struct sck_p11_call *call, const struct sck_p11_cipher *c, uint32_t version, struct sck_bytes in,
             unsigned char *out, struct sck_secret **plain)
{
    struct sck_err quiet = SCK_ERR_INIT;
    struct sck_key_info info;
    struct sck_ukey *key = NULL;
    enum sck_code code = sck_key_find_by_id(call->app->service, sck_ukey_info(c->key)->id, version, &info, &quiet);
    if (code == SCK_OK)
        code = sck_ukey_open(call->app->service, &info, &key, &quiet);
    if (code == SCK_OK)
        code = with(key, c, in, out, plain, &quiet);
    sck_ukey_unref(&key);
    return code == SCK_OK ? SCK_OK : SCK_E_AUTHENTIC;
}

/*
 * What an authenticated cipher does not open with the current version may be of an older one.  PKCS #1 v1.5 is not tried so:
 * a wrong key gives garbage that looks right once in some 2^16.
 */
static enum sck_code
decrypt(struct sck_p11_call *call, const struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out,
        struct sck_secret **plain)
{
    enum sck_code code = with(c->key, c, in, out, plain, &call->err);
    uint32_t version = c->mech->kind == SCK_P11_RSA_PKCS ? 1 : sck_ukey_info(c->key)->version;
    while (code == SCK_E_AUTHENTIC && --version >= 1)
        code = with_version(call, c, version, in, out, plain);
    if (code == SCK_OK)
        sck_err_clear(&call->err);
    return code;
}

/* sck_p11_cipher_fn */
static CK_RV
decrypt_whole(struct sck_p11_call *call, struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out,
              size_t room, size_t *made)
{
    struct sck_secret *plain = NULL;
    enum sck_code code = decrypt(call, c, in, out, &plain);
    if (code != SCK_OK)
        return sck_p11_rv(code, SCK_P11_DECRYPT, &call->err);
    if (c->mech->kind == SCK_P11_GCM) {
        *made = in.len - SCK_GCM_TAG_LEN;
        return CKR_OK;
    }
    *made = plain != NULL ? plain->len : 0;
    bool fits = *made <= room;
    if (fits && *made != 0)
        memcpy(out, plain->data, *made);
    sck_secret_free(&plain);
    return fits ? CKR_OK : CKR_BUFFER_TOO_SMALL;
}

CK_RV
C_DecryptInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, decrypt_init(&call, mechanism, key));
}

CK_RV
C_Decrypt(CK_SESSION_HANDLE session, unsigned char *encrypted_data, unsigned long encrypted_data_len,
          unsigned char *data, unsigned long *data_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    struct sck_bytes whole = {encrypted_data, encrypted_data_len};
    return sck_p11_end(&call,
                       sck_p11_cipher_run(&call, &call.session->decrypt, &whole, decrypt_whole, data, data_len));
}

CK_RV
C_DecryptUpdate(CK_SESSION_HANDLE session, unsigned char *encrypted_part, unsigned long encrypted_part_len,
                unsigned char *part, unsigned long *part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call,
                       sck_p11_cipher_update(&call.session->decrypt,
                                             (struct sck_bytes){encrypted_part, encrypted_part_len}, part, part_len));
}

CK_RV
C_DecryptFinal(CK_SESSION_HANDLE session, unsigned char *last_part, unsigned long *last_part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(
        &call, sck_p11_cipher_run(&call, &call.session->decrypt, NULL, decrypt_whole, last_part, last_part_len));
}
