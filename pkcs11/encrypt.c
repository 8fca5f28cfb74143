/* SPDX-License-Identifier: MIT */
/* Encryption: AES-GCM by the key in the token, RSA here with the public key. */
#include "pkcs11/cipher.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static CK_RV
encrypt_init(struct sck_p11_call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (call->session->encrypt != NULL)
        return CKR_OPERATION_ACTIVE;
    const struct sck_p11_mech *mech;
    struct sck_key_info info;
    CK_RV rv = sck_p11_mech_get(mechanism, CKF_ENCRYPT, &mech);
    if (rv == CKR_OK)
        rv = sck_p11_key_get(call, key, mech, CKF_ENCRYPT, &info);
    struct sck_p11_cipher *c = NULL;
    if (rv == CKR_OK)
        rv = sck_p11_cipher_new(mech, mechanism, true, &info, &c);
    if (rv != CKR_OK)
        return rv;
    if (mech->kind == SCK_P11_GCM)
        rv = sck_p11_rv(sck_ukey_open(call->app->service, &info, &c->key, &call->err), SCK_P11_KEY, &call->err);
    else if ((c->pub = sck_p11_key_public(&info)) == NULL)
        rv = CKR_DEVICE_ERROR;
    if (rv == CKR_OK)
        call->session->encrypt = c;
    else
        sck_p11_cipher_free(&c);
    return rv;
}

static bool
set_up_oaep(EVP_PKEY_CTX *ctx, const struct sck_oaep *oaep)
{
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, OBJ_nid2sn(oaep->hash_nid), NULL) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, OBJ_nid2sn(oaep->mgf_nid), NULL) != 1)
        return false;
    if (oaep->label.len == 0)
        return true;
    void *label = OPENSSL_memdup(oaep->label.data, oaep->label.len);
    if (label != NULL && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)oaep->label.len) == 1)
        return true;
    OPENSSL_free(label);
    return false;
}

static CK_RV
encrypt_rsa(const struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out, size_t room, size_t *made)
{
    CK_RV rv = CKR_FUNCTION_FAILED;
    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(sck_libctx(), c->pub, NULL);
    *made = room;
    if (ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
        (c->mech->kind == SCK_P11_RSA_OAEP ? set_up_oaep(ctx, &c->oaep)
                                           : EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
        EVP_PKEY_encrypt(ctx, out, made, in.data, in.len) == 1)
        rv = CKR_OK;
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();
    return rv;
}

/* sck_p11_cipher_fn */
static CK_RV
encrypt_whole(struct sck_p11_call *call, struct sck_p11_cipher *c, struct sck_bytes in, unsigned char *out,
              size_t room, size_t *made)
{
    static const uint8_t nothing[1];
    /* Neither a token nor OpenSSL is asked what it makes of NULL. */
    if (in.data == NULL)
        in.data = nothing;
    if (c->mech->kind != SCK_P11_GCM)
        return encrypt_rsa(c, in, out, room, made);
    const uint8_t *aad = c->aad.len != 0 ? c->aad.data : nothing;
    enum sck_code code = sck_ukey_gcm_seal_iv(c->key, c->nonce, aad, c->aad.len, in.data, in.len, out, &call->err);
    *made = in.len + SCK_GCM_TAG_LEN;
    return sck_p11_rv(code, SCK_P11_ENCRYPT, &call->err);
}

CK_RV
C_EncryptInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, encrypt_init(&call, mechanism, key));
}

CK_RV
C_Encrypt(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *encrypted_data,
          unsigned long *encrypted_data_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    struct sck_bytes whole = {data, data_len};
    return sck_p11_end(&call, sck_p11_cipher_run(&call, &call.session->encrypt, &whole, encrypt_whole, encrypted_data,
                                                 encrypted_data_len));
}

CK_RV
C_EncryptUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len, unsigned char *encrypted_part,
                unsigned long *encrypted_part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, sck_p11_cipher_update(&call.session->encrypt, (struct sck_bytes){part, part_len},
                                                    encrypted_part, encrypted_part_len));
}

CK_RV
C_EncryptFinal(CK_SESSION_HANDLE session, unsigned char *last_part, unsigned long *last_part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(
        &call, sck_p11_cipher_run(&call, &call.session->encrypt, NULL, encrypt_whole, last_part, last_part_len));
}
