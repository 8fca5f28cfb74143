/* SPDX-License-Identifier: MIT */
/* Verification: computed here from the public key; the token has nothing to add. */
#include "lib/base/crypto.h"
#include "pkcs11/module.h"
#include "pkcs11/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static CK_RV
verify_init(struct sck_p11_call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (call->session->verify != NULL)
        return CKR_OPERATION_ACTIVE;
    const struct sck_p11_mech *mech;
    struct sck_key_info info;
    CK_RV rv = sck_p11_mech_get(mechanism, CKF_VERIFY, &mech);
    if (rv == CKR_OK)
        rv = sck_p11_key_get(call, key, mech, CKF_VERIFY, &info);
    struct sck_p11_sig *sig = NULL;
    if (rv == CKR_OK)
        rv = sck_p11_sig_new(mech, mechanism, &info, &sig);
    if (rv != CKR_OK)
        return rv;
    sig->pub = sck_p11_key_public(&info);
    if (sig->pub == NULL) {
        sck_p11_sig_free(&sig);
        return CKR_DEVICE_ERROR;
    }
    call->session->verify = sig;
    return CKR_OK;
}

static bool
set_up_rsa(EVP_PKEY_CTX *ctx, const struct sck_p11_sig *sig)
{
    if (sig->mech->kind == SCK_P11_RSA_PKCS)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    const EVP_MD *md = sck_p11_md_fetch(sig->digest);
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 && md != NULL &&
           EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, OBJ_nid2sn(sig->pss.mgf_nid), NULL) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)sig->pss.salt_len) == 1;
}

/* r and s to DER, as OpenSSL wants it.  0 when out of memory. */
static size_t
ecdsa_to_der(const uint8_t *given, size_t half, uint8_t **der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(given, (int)half, NULL), *s = BN_bin2bn(given + half, (int)half, NULL);
    int len = 0;
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(sig, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static CK_RV
verify_message(const struct sck_p11_sig *sig, struct sck_bytes tbs, const uint8_t *given)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CK_RV rv = CKR_HOST_MEMORY;
    if (ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, sck_libctx(), NULL, sig->pub, NULL) == 1)
        rv = EVP_DigestVerify(ctx, given, sig->sig_len, tbs.data, tbs.len) == 1 ? CKR_OK : CKR_SIGNATURE_INVALID;
    EVP_MD_CTX_free(ctx);
    return rv;
}

static CK_RV
verify_digest(const struct sck_p11_sig *sig, struct sck_bytes tbs, const uint8_t *given)
{
    uint8_t *der = NULL;
    size_t len = sig->sig_len;
    CK_RV rv = CKR_HOST_MEMORY;
    bool ec = sig->mech->kind == SCK_P11_ECDSA;
    if (ec && (len = ecdsa_to_der(given, sig->sig_len / 2, &der)) == 0)
        return rv;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(sck_libctx(), sig->pub, NULL);
    if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && (ec || set_up_rsa(ctx, sig)))
        rv = EVP_PKEY_verify(ctx, ec ? der : given, len, tbs.data, tbs.len) == 1 ? CKR_OK : CKR_SIGNATURE_INVALID;
    EVP_PKEY_CTX_free(ctx);
    OPENSSL_free(der);
    return rv;
}

/* Whatever comes out, the operation is over. */
static CK_RV
verify(struct sck_p11_call *call, const struct sck_bytes *whole, const unsigned char *given, unsigned long given_len)
{
    struct sck_p11_sig *sig = call->session->verify;
    if (sig == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = CKR_OK;
    uint8_t room[SCK_P11_DIGEST_INFO_MAX];
    struct sck_bytes tbs;
    if (whole != NULL && sig->updated)
        rv = CKR_OPERATION_ACTIVE;
    else if (given == NULL)
        rv = CKR_ARGUMENTS_BAD;
    else if (given_len != sig->sig_len)
        rv = CKR_SIGNATURE_LEN_RANGE;
    else
        rv = sck_p11_sig_input(sig, whole, room, &tbs);
    if (rv == CKR_OK) {
        ERR_set_mark();
        rv = sig->mech->kind == SCK_P11_EDDSA ? verify_message(sig, tbs, given) : verify_digest(sig, tbs, given);
        ERR_pop_to_mark();
    }
    sck_p11_sig_free(&call->session->verify);
    return rv;
}

static CK_RV
verify_update(struct sck_p11_call *call, const unsigned char *part, unsigned long part_len)
{
    if (call->session->verify == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = sck_p11_sig_update(call->session->verify, part, part_len);
    if (rv != CKR_OK)
        sck_p11_sig_free(&call->session->verify);
    return rv;
}

CK_RV
C_VerifyInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, verify_init(&call, mechanism, key));
}

CK_RV
C_Verify(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *signature,
         unsigned long signature_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    struct sck_bytes whole = {data, data_len};
    return sck_p11_end(&call, verify(&call, &whole, signature, signature_len));
}

CK_RV
C_VerifyUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, verify_update(&call, part, part_len));
}

CK_RV
C_VerifyFinal(CK_SESSION_HANDLE session, unsigned char *signature, unsigned long signature_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, verify(&call, NULL, signature, signature_len));
}
